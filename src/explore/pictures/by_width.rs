//! Test error by each key that varies in numbers, widths above all, beside what was predicted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{LEAST, Place, Results, Row, axis, called, colours, percents, places, room};
use crate::report::Report;
use crate::report::figure::{Drawn, Figure};
use crate::report::legend::{Legend, Mark};

/// Panels side by side, at most.
const ACROSS: usize = 4;
/// Settings that name a line, at most.
const MOST_WORDS: usize = 4;
const GREY: RGBColor = RGBColor(120, 120, 120);

/// A panel for each key with numbers, a line for each combination of the other settings.
pub(super) struct ErrorByWidth<'a> {
    panels: Vec<Panel<'a>>,
    /// Test error of the wide machine, percents.
    reference: Option<f64>,
}

struct Panel<'a> {
    key: &'a str,
    series: BTreeMap<String, Vec<(f64, Place<'a>)>>,
    /// Widths that hold every sum: the final ones, and those on the way.
    predicted: Option<(u32, u32)>,
}

impl<'a> ErrorByWidth<'a> {
    /// The panels of results; `wide` is the report of a point whose registers were all exact.
    pub(super) fn of(results: &'a Results, wide: Option<&Report>) -> Self {
        let panels = results.keys.iter().filter_map(|key| Panel::of(key, results, wide)).collect();
        let exact = places(results).into_iter().find(|p| p.settings.is_empty());
        ErrorByWidth { panels, reference: exact.map(|p| p.error()) }
    }

    /// Whether nothing varies in numbers.
    pub(super) fn is_empty(&self) -> bool {
        self.panels.is_empty()
    }

    /// Panels one above the other, and side by side.
    fn grid(&self) -> [usize; 2] {
        let across = self.panels.len().clamp(1, ACROSS);
        [self.panels.len().div_ceil(across), across]
    }

    /// Names of lines; one has one colour in all panels.
    fn colours(&self) -> BTreeMap<&str, RGBColor> {
        let names: BTreeSet<&str> =
            self.panels.iter().flat_map(|p| p.series.keys()).map(String::as_str).collect();
        let colours = colours(names.len());
        names.into_iter().zip(colours).collect()
    }

    fn legend(&self, colours: &BTreeMap<&str, RGBColor>) -> Legend {
        let mut legend = Legend::default();
        colours.iter().for_each(|(&name, &colour)| legend.add(name, Mark::Line, colour));
        let mut rows =
            self.panels.iter().flat_map(|p| p.series.values().flatten()).flat_map(|(_, p)| &p.rows);
        if rows.any(|row| row.status == "diverged") {
            legend.add("diverged", Mark::Ring, GREY);
        }
        if self.reference.is_some() {
            legend.add("wide", Mark::Line, GREY);
        }
        if self.panels.iter().any(|panel| panel.predicted.is_some()) {
            legend.add("holds every sum met", Mark::Upright, GREY);
        }
        legend
    }
}

fn number(place: &Place<'_>, key: &str) -> Option<f64> {
    place.settings.get(key).and_then(|v| v.parse().ok())
}

/// Whether a key makes lines of its own: it has words, or numbers that differ and do not change along with the panel's.
fn tells_apart(key: &str, points: &[(f64, Place<'_>)]) -> bool {
    let value = |place: &Place<'_>| place.settings.get(key).cloned();
    if points.iter().any(|(_, place)| value(place).is_some() && number(place, key).is_none()) {
        return true;
    }
    let differ = points.windows(2).any(|pair| value(&pair[0].1) != value(&pair[1].1));
    let everywhere = points.iter().all(|(_, place)| value(place).is_some());
    let mut along: BTreeMap<u64, Option<String>> = BTreeMap::new();
    let follows = points.iter().all(|(x, place)| {
        let value = value(place);
        *along.entry(x.to_bits()).or_insert_with(|| value.clone()) == value
    });
    differ && !(everywhere && follows)
}

/// What sets a point's line apart: values of the keys named, a number with its key.
fn line_of(place: &Place<'_>, named: &[&str]) -> String {
    let set = named.iter().filter_map(|&key| Some((key, place.settings.get(key)?)));
    let words: Vec<String> = set
        .map(|(key, value)| match value.parse::<f64>() {
            Ok(_) => format!("{} {value}", called(key)),
            Err(_) => value.clone(),
        })
        .collect();
    if words.len() > MOST_WORDS { format!("with {} more settings", words.len()) } else { words.join(", ") }
}

/// Widths that hold every final and every partial sum of a phase.
fn predicted(wide: &Report, phase: &str) -> Option<(u32, u32)> {
    let class = format!("acc_{phase}");
    let lines = || wide.statistics.iter().filter(|s| s.class.name() == class);
    let last = lines().filter_map(|s| s.sufficient.map(|w| w.all)).max()?;
    let way = lines().filter_map(|s| s.sufficient_on_the_way.map(|w| w.all)).max()?;
    Some((last, way))
}

impl Figure for ErrorByWidth<'_> {
    fn name(&self) -> &'static str {
        "error-by-width"
    }

    fn size(&self) -> (u32, u32) {
        let [down, across] = self.grid().map(|n| u32::try_from(n).unwrap_or(1));
        (if across == 1 { 760 } else { 460 * across }, 480 * down + 60)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let all = self.panels.iter().flat_map(|p| p.series.values().flatten().map(|(_, place)| place));
        let range = room(all.flat_map(|place| place.errors().collect::<Vec<_>>()));
        let colours = self.colours();
        let [down, across] = self.grid();
        let area = self.legend(&colours).beneath(area)?;
        for (panel, area) in self.panels.iter().zip(area.split_evenly((down, across))) {
            panel.draw(&range, self.reference, &colours, &area)?;
        }
        Ok(())
    }
}

impl<'a> Panel<'a> {
    /// The panel of a key, where it has several numbers. A line has two points or more, unless none has.
    fn of(key: &'a str, results: &'a Results, wide: Option<&Report>) -> Option<Self> {
        let with = |place: Place<'a>| Some((number(&place, key)?, place));
        let points: Vec<(f64, Place<'a>)> = places(results).into_iter().filter_map(with).collect();
        let named: Vec<&str> = results.keys.iter().map(String::as_str).filter(|k| *k != key).collect();
        let named: Vec<&str> = named.into_iter().filter(|other| tells_apart(other, &points)).collect();
        let mut series: BTreeMap<String, Vec<(f64, Place<'a>)>> = BTreeMap::new();
        for (x, place) in points {
            series.entry(line_of(&place, &named)).or_default().push((x, place));
        }
        series.values_mut().for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
        let xs: BTreeSet<u64> = series.values().flatten().map(|(x, _)| x.to_bits()).collect();
        if series.values().any(|points| points.len() > 1) {
            series.retain(|_, points| points.len() > 1);
        }
        let phase = key.strip_prefix("accumulators.").and_then(|k| k.strip_suffix(".bits"));
        let predicted = phase.and_then(|phase| predicted(wide?, phase));
        (xs.len() > 1).then_some(Panel { key, series, predicted })
    }

    fn draw<B: DrawingBackend>(
        &self,
        range: &Range<f64>,
        reference: Option<f64>,
        colours: &BTreeMap<&str, RGBColor>,
        area: &DrawingArea<B, Shift>,
    ) -> Drawn<B> {
        let xs: Vec<f64> = self.series.values().flatten().map(|(x, _)| *x).collect();
        let predicted = self.predicted.map(|(last, way)| [f64::from(last), f64::from(way)]);
        let with = || xs.iter().copied().chain(predicted.into_iter().flatten());
        let (least, most) = (with().fold(f64::INFINITY, f64::min), with().fold(f64::NEG_INFINITY, f64::max));
        let margin = 0.06 * (most - least).max(1.0);
        let mut chart = ChartBuilder::on(area)
            .caption(self.key, ("sans-serif", 20))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(least - margin..most + margin, axis(range.clone()))?;
        let ticks = if most - least <= 16.0 { 1 + xs.len().min(17) } else { 9 };
        let whole = |x: f64| if x.fract().abs() < 1e-9 { format!("{x:.0}") } else { String::new() };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(ticks)
            .x_label_formatter(&|x| whole(*x))
            .y_label_formatter(&|y| percents(*y))
            .x_desc(self.key.rsplit('.').next().unwrap_or_default())
            .y_desc("test error, %")
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 17))
            .draw()?;
        if let Some(error) = reference {
            let ends = [(least - margin, error), (most + margin, error)];
            chart.draw_series([PathElement::new(ends, GREY.stroke_width(1))])?;
        }
        if let Some([last, _]) = predicted {
            let dashes = std::iter::successors(Some(range.start), |y| Some(y * 1.35));
            let dashes = dashes.take_while(|y| *y < range.end);
            let dash = |y: f64| PathElement::new([(last, y), (last, y * 1.12)], GREY.stroke_width(2));
            chart.draw_series(dashes.map(dash))?;
        }
        for (name, points) in &self.series {
            let colour = colours.get(name.as_str()).copied().unwrap_or(GREY);
            let means = points.iter().map(|(x, place)| (*x, place.error()));
            chart.draw_series(LineSeries::new(means, colour.stroke_width(2)))?;
            let spread = points.iter().map(|(x, place)| {
                let least = place.errors().fold(f64::INFINITY, f64::min);
                let most = place.errors().fold(0.0, f64::max);
                PathElement::new([least, most].map(|e| (*x, e)), colour.stroke_width(1))
            });
            chart.draw_series(spread)?;
            let dot = |x: f64, row: &Row| {
                let style = if row.status == "diverged" { colour.stroke_width(2) } else { colour.filled() };
                Some(Circle::new((x, 100.0 * row.test_error()?.max(LEAST)), 4, style))
            };
            let dots = points.iter().flat_map(|(x, place)| place.rows.iter().filter_map(|row| dot(*x, row)));
            chart.draw_series(dots)?;
        }
        Ok(())
    }
}
