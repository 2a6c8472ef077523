//! Pictures of a sweep: error by width, error by energy, training curves. Owns what is drawn; made from results alone, and the
//! statistics of its widest point.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Results, Row};
use crate::report::Report;
use crate::report::figure::{COLOURS, Drawn, Figure, PlotError, chart, inline, legend, save};

/// Error below which a logarithmic scale does not go.
const LEAST: f64 = 1e-4;

/// Points with the same settings: seeds side by side.
struct Place<'a> {
    settings: &'a BTreeMap<String, String>,
    rows: Vec<&'a Row>,
}

impl Place<'_> {
    fn errors(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().filter_map(|row| row.test_error()).map(|e| e.max(LEAST))
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean of few")]
    fn mean(&self, of: impl Fn(&Row) -> f64) -> f64 {
        self.rows.iter().map(|row| of(row)).sum::<f64>() / self.rows.len().max(1) as f64
    }

    fn error(&self) -> f64 {
        self.mean(|row| row.test_error().unwrap_or(1.0).max(LEAST))
    }
}

/// Settings in few words: `forward wrap 13`.
fn words(settings: &BTreeMap<String, String>, wanted: impl Fn(&str) -> bool) -> String {
    let mut words: Vec<&str> = Vec::new();
    for (key, value) in settings.iter().rev().filter(|(_, value)| wanted(value)) {
        let part = key.rsplit('.').nth(1).unwrap_or(key);
        if !words.contains(&part) {
            words.push(part);
        }
        words.push(value);
    }
    if settings.is_empty() { "wide".to_owned() } else { words.join(" ") }
}

fn places(results: &Results) -> Vec<Place<'_>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    for row in results.points.iter().filter(|row| !row.epochs.is_empty()) {
        match places.iter_mut().find(|p| *p.settings == row.settings) {
            Some(place) => place.rows.push(row),
            None => places.push(Place { settings: &row.settings, rows: vec![row] }),
        }
    }
    places
}

/// The range of errors on a scale of logarithms, with some room.
fn errors<'a>(places: impl Iterator<Item = &'a Place<'a>>) -> std::ops::Range<f64> {
    let all: Vec<f64> = places.flat_map(|p| p.errors().collect::<Vec<_>>()).collect();
    let least = all.iter().copied().fold(1.0, f64::min);
    let most = all.iter().copied().fold(least, f64::max);
    100.0 * least / 1.3..100.0 * most * 1.3
}

/// Draws the pictures of a sweep into its folder; `wide` is the report of a point whose registers were all exact.
///
/// # Errors
/// When a picture cannot be written.
pub fn pictures(results: &Results, wide: Option<&Report>, dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut drawn = Vec::new();
    let widths = ErrorByWidth::of(results, wide);
    if !widths.panels.is_empty() {
        drawn.extend(save(&widths, dir)?);
    }
    if results.points.iter().any(|row| !row.epochs.is_empty()) {
        drawn.extend(save(&ErrorByEnergy(results), dir)?);
        drawn.extend(save(&Curves(results), dir)?);
    }
    Ok(drawn)
}

/// The same as elements of a page, each with its title.
///
/// # Errors
/// When one cannot be drawn.
pub fn elements(results: &Results, wide: Option<&Report>) -> Result<Vec<(&'static str, String)>, PlotError> {
    let mut elements = Vec::new();
    let widths = ErrorByWidth::of(results, wide);
    if !widths.panels.is_empty() {
        elements.push(("Test error by what varies", inline(&widths)?));
    }
    if results.points.iter().any(|row| !row.epochs.is_empty()) {
        elements.push(("Energy and test error", inline(&ErrorByEnergy(results))?));
        elements.push(("Test error by epoch", inline(&Curves(results))?));
    }
    Ok(elements)
}

/// A panel for each key with numbers, a line for each combination of the other settings.
struct ErrorByWidth<'a> {
    panels: Vec<Panel<'a>>,
    reference: Option<f64>,
}

struct Panel<'a> {
    key: &'a str,
    series: BTreeMap<String, Vec<(f64, Place<'a>)>>,
    /// Widths that hold every sum: the final ones, and those on the way.
    predicted: Option<(u32, u32)>,
}

/// Colours of lines.
const LINES: [RGBColor; 8] = [
    COLOURS[3],
    COLOURS[1],
    COLOURS[4],
    COLOURS[5],
    COLOURS[2],
    COLOURS[6],
    COLOURS[0],
    RGBColor(23, 190, 207),
];

impl<'a> ErrorByWidth<'a> {
    fn of(results: &'a Results, wide: Option<&Report>) -> Self {
        let number =
            |place: &Place<'_>, key: &str| place.settings.get(key).and_then(|v| v.parse::<f64>().ok());
        let mut panels = Vec::new();
        for key in &results.keys {
            let mut series: BTreeMap<String, Vec<(f64, Place<'a>)>> = BTreeMap::new();
            for place in places(results) {
                let Some(x) = number(&place, key) else { continue };
                let others = place.settings.iter().filter(|(k, _)| *k != key);
                let name: Vec<&str> = others.map(|(_, v)| v.as_str()).collect();
                series.entry(name.join(", ")).or_default().push((x, place));
            }
            series.values_mut().for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
            let xs = series.values().flatten().map(|(x, _)| x.to_bits()).collect::<BTreeSet<_>>();
            if xs.len() > 1 {
                let phase = key.strip_prefix("accumulators.").and_then(|k| k.strip_suffix(".bits"));
                let predicted = phase.and_then(|phase| predicted(wide?, phase));
                panels.push(Panel { key, series, predicted });
            }
        }
        let exact = places(results).into_iter().find(|p| p.settings.is_empty());
        ErrorByWidth { panels, reference: exact.map(|p| 100.0 * p.error()) }
    }
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
        let panels = u32::try_from(self.panels.len()).unwrap_or(1);
        (if panels == 1 { 760 } else { 460 * panels }, 520)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let all = self.panels.iter().flat_map(|p| p.series.values().flatten().map(|(_, place)| place));
        let range = errors(all);
        // A name has one colour in all panels.
        let names: BTreeSet<&String> = self.panels.iter().flat_map(|p| p.series.keys()).collect();
        let names: Vec<&String> = names.into_iter().collect();
        for (panel, area) in self.panels.iter().zip(area.split_evenly((1, self.panels.len()))) {
            panel_of(panel, &range, self.reference, &names, &area)?;
        }
        Ok(())
    }
}

fn panel_of<B: DrawingBackend>(
    panel: &Panel<'_>,
    range: &std::ops::Range<f64>,
    reference: Option<f64>,
    names: &[&String],
    area: &DrawingArea<B, Shift>,
) -> Drawn<B> {
    let xs: Vec<f64> = panel.series.values().flatten().map(|(x, _)| *x).collect();
    let predicted = panel.predicted.map(|(last, way)| [f64::from(last), f64::from(way)]);
    let with = || xs.iter().copied().chain(predicted.into_iter().flatten());
    let (least, most) = (with().fold(f64::INFINITY, f64::min), with().fold(f64::NEG_INFINITY, f64::max));
    let room = 0.06 * (most - least).max(1.0);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.key, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(least - room..most + room, range.clone().log_scale())?;
    let ticks = if most - least <= 16.0 { 1 + xs.len().min(17) } else { 9 };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(ticks)
        .x_label_formatter(&|x| if x.fract().abs() < 1e-9 { format!("{x:.0}") } else { String::new() })
        .y_label_formatter(&|y| if *y < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") })
        .x_desc(panel.key.rsplit('.').next().unwrap_or_default())
        .y_desc("test error, %")
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    let grey = RGBColor(120, 120, 120);
    if let Some(error) = reference {
        chart
            .draw_series([PathElement::new(
                [(least - room, error), (most + room, error)],
                grey.stroke_width(1),
            )])?
            .label("wide")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], grey.stroke_width(1)));
    }
    if let Some([last, _]) = predicted {
        let line = |y: f64| PathElement::new([(last, y), (last, y * 1.12)], grey.stroke_width(2));
        let dashes =
            std::iter::successors(Some(range.start), |y| Some(y * 1.35)).take_while(|y| *y < range.end);
        chart
            .draw_series(dashes.map(line))?
            .label("holds every sum met")
            .legend(move |(x, y)| PathElement::new([(x + 8, y - 5), (x + 8, y + 5)], grey.stroke_width(2)));
    }
    for (name, points) in &panel.series {
        let place = names.iter().position(|n| *n == name).unwrap_or(0);
        let colour = LINES[place % LINES.len()];
        let means = points.iter().map(|(x, place)| (*x, 100.0 * place.error()));
        let series = chart.draw_series(LineSeries::new(means, colour.stroke_width(2)))?;
        if !name.is_empty() {
            series
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        let seeds = |place: &Place<'_>| place.errors().map(|e| 100.0 * e).collect::<Vec<_>>();
        let spread = points.iter().map(|(x, place)| {
            let seeds = seeds(place);
            let ends = [
                seeds.iter().copied().fold(f64::INFINITY, f64::min),
                seeds.iter().copied().fold(0.0, f64::max),
            ];
            PathElement::new(ends.map(|y| (*x, y)), colour.stroke_width(1))
        });
        chart.draw_series(spread.collect::<Vec<_>>())?;
        let dots = points.iter().flat_map(|(x, place)| {
            let dot = move |row: &&Row| {
                let error = 100.0 * row.test_error()?.max(LEAST);
                let style = if row.status == "diverged" { colour.stroke_width(2) } else { colour.filled() };
                Some(Circle::new((*x, error), 4, style))
            };
            place.rows.iter().filter_map(dot).collect::<Vec<_>>()
        });
        chart.draw_series(dots.collect::<Vec<_>>())?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperRight, (15, 8))
}

/// A dot a place of settings, and the front of those that no other beats in both.
struct ErrorByEnergy<'a>(&'a Results);

impl Figure for ErrorByEnergy<'_> {
    fn name(&self) -> &'static str {
        "error-by-energy"
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let places = places(self.0);
        let energy = |place: &Place<'_>| 1e-6 * place.mean(Row::energy_per_image_pj);
        let all: Vec<f64> = places.iter().map(energy).collect();
        let (least, most) =
            (all.iter().copied().fold(f64::INFINITY, f64::min), all.iter().copied().fold(0.0, f64::max));
        let room = 0.05 * (most - least).max(0.01 * most);
        let mut chart = chart(area, &format!("Energy and test error, {}", self.0.name))
            .build_cartesian_2d(least - room..most + room, errors(places.iter()).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("training energy an image, µJ")
            .y_desc("test error, %")
            .y_label_formatter(&|y| if *y < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") })
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .draw()?;
        let mut sorted: Vec<(f64, f64)> = places.iter().map(|p| (energy(p), 100.0 * p.error())).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut front: Vec<(f64, f64)> = Vec::new();
        for &(x, y) in &sorted {
            if front.last().is_none_or(|&(_, best)| y < best) {
                if let Some(&(_, before)) = front.last() {
                    front.push((x, before));
                }
                front.push((x, y));
            }
        }
        let grey = RGBColor(90, 90, 90);
        chart
            .draw_series(LineSeries::new(front, grey.stroke_width(1)))?
            .label("nothing is better in both")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], grey.stroke_width(1)));
        let mut groups: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for place in &places {
            let name = words(place.settings, |value| value.parse::<f64>().is_err());
            groups.entry(name).or_default().push((energy(place), 100.0 * place.error()));
        }
        for ((name, points), colour) in groups.into_iter().zip(LINES.into_iter().cycle()) {
            let dots = points.into_iter().map(|at| Circle::new(at, 5, colour.filled()));
            let series = chart.draw_series(dots)?;
            if !name.is_empty() {
                series.label(name).legend(move |(x, y)| Circle::new((x + 9, y), 5, colour.filled()));
            }
        }
        legend(&mut chart, SeriesLabelPosition::UpperRight, (15, 8))
    }
}

/// Test error by epoch, a line a point.
struct Curves<'a>(&'a Results);

impl Figure for Curves<'_> {
    fn name(&self) -> &'static str {
        "curves"
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let places = places(self.0);
        let epochs = self.0.points.iter().map(|r| r.epochs.len()).max().unwrap_or(1).max(2);
        let mut every: Vec<f64> =
            self.0.points.iter().flat_map(|r| r.epochs.iter().map(|e| e.test_error.max(LEAST))).collect();
        every.sort_by(f64::total_cmp);
        let (least, most) = (every.first().copied().unwrap_or(LEAST), every.last().copied().unwrap_or(1.0));
        let mut chart = chart(area, &format!("Test error by epoch, {}", self.0.name))
            .build_cartesian_2d(1..epochs, (100.0 * least / 1.3..100.0 * most * 1.3).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(epochs.min(12))
            .x_desc("epoch")
            .y_desc("test error, %")
            .y_label_formatter(&|y| if *y < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") })
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .draw()?;
        // Many lines cannot be told apart by a legend: it names them only while they are few.
        let named = places.len() <= 12;
        for (i, place) in places.iter().enumerate() {
            let hue = i as f64 / places.len().max(1) as f64;
            let colour = HSLColor(hue, 0.7, 0.45);
            for (seed, row) in place.rows.iter().enumerate() {
                let points = (1..).zip(&row.epochs).map(|(n, e)| (n, 100.0 * e.test_error.max(LEAST)));
                let series =
                    chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?;
                if named && seed == 0 {
                    series.label(words(place.settings, |_| true)).legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                    });
                }
            }
        }
        if !named {
            return Ok(());
        }
        legend(&mut chart, SeriesLabelPosition::UpperRight, (15, 8))
    }
}
