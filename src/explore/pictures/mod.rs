//! Pictures of a sweep: error by width, error by energy and by area, training curves. Owns what is drawn; made from results
//! alone, and the statistics of its widest point.

mod by_cost;
mod by_width;
mod curves;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::combinators::{LogCoord, WithKeyPoints};
use plotters::prelude::*;

use super::{Results, Row};
use crate::report::Report;
use crate::report::figure::{COLOURS, PlotError, inline, save};
use by_cost::{COSTS, ErrorByCost};
use by_width::ErrorByWidth;
use curves::Curves;

/// Error below which a logarithmic scale does not go.
const LEAST: f64 = 1e-4;

/// Colours of lines while they are few.
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

/// So many colours.
fn colours(count: usize) -> Vec<RGBColor> {
    #[expect(clippy::cast_precision_loss, reason = "a hue")]
    let hue = |i: usize| HSLColor(i as f64 / count as f64, 0.7, 0.45).to_backend_color().rgb;
    if count <= LINES.len() {
        return LINES[..count].to_vec();
    }
    (0..count).map(hue).map(|(r, g, b)| RGBColor(r, g, b)).collect()
}

/// Points with the same settings: seeds side by side.
pub(super) struct Place<'a> {
    settings: &'a BTreeMap<String, String>,
    pub(super) rows: Vec<&'a Row>,
}

impl Place<'_> {
    /// Test errors of the seeds, percents.
    fn errors(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().filter_map(|row| row.test_error()).map(|e| 100.0 * e.max(LEAST))
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean of few")]
    fn mean(&self, of: impl Fn(&Row) -> f64) -> f64 {
        self.rows.iter().map(|row| of(row)).sum::<f64>() / self.rows.len().max(1) as f64
    }

    /// Their mean.
    fn error(&self) -> f64 {
        100.0 * self.mean(|row| row.test_error().unwrap_or(1.0).max(LEAST))
    }
}

/// What a setting is called beside others: the register's place for its width and way of overflow, else the key's end.
fn called(key: &str) -> String {
    let register = key.strip_suffix(".bits").or(key.strip_suffix(".overflow"));
    match register.filter(|register| register.starts_with("accumulators")) {
        Some(register) => register.trim_start_matches("accumulators.").replace('.', " "),
        None => key.rsplit('.').next().unwrap_or(key).to_owned(),
    }
}

/// Settings in few words: `forward wrap 13`; where several have one word, `saturate, 3 together`.
pub(super) fn words(settings: &BTreeMap<String, String>, wanted: impl Fn(&str) -> bool) -> String {
    if settings.is_empty() {
        return "wide".to_owned();
    }
    let wanted: Vec<(String, &str)> =
        settings.iter().rev().filter(|(_, v)| wanted(v)).map(|(key, v)| (called(key), v.as_str())).collect();
    if let [(_, first), _, ..] = wanted[..]
        && first.parse::<f64>().is_err()
        && wanted.iter().all(|(_, value)| *value == first)
    {
        return format!("{first}, {} together", wanted.len());
    }
    let mut words: Vec<&str> = Vec::new();
    for (part, value) in &wanted {
        if !words.contains(&part.as_str()) {
            words.push(part);
        }
        words.push(value);
    }
    words.join(" ")
}

/// Places of the points that were trained.
fn places(results: &Results) -> Vec<Place<'_>> {
    places_of(results.points.iter().filter(|row| !row.epochs.is_empty()))
}

/// Rows by their settings, in the order they are first met.
pub(super) fn places_of<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Place<'a>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    for row in rows {
        match places.iter_mut().find(|p| *p.settings == row.settings) {
            Some(place) => place.rows.push(row),
            None => places.push(Place { settings: &row.settings, rows: vec![row] }),
        }
    }
    places
}

/// The range of errors, percents, with some room.
fn room(errors: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) = errors.fold((100.0, 0.0), |(a, b): (f64, f64), e| (a.min(e), b.max(e)));
    least / 1.3..most.max(least) * 1.3
}

/// Percents on a scale of logarithms, marked at 1, 2 and 5 of each decade.
fn axis(range: Range<f64>) -> WithKeyPoints<LogCoord<f64>> {
    let decades = (-2..=2).map(|decade| 10f64.powi(decade));
    let marks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|mark| mark * decade));
    let marks = marks.filter(|mark| range.contains(mark)).collect();
    range.log_scale().with_key_points(marks)
}

/// A mark of the axis.
fn percents(y: f64) -> String {
    let digits = if y < 0.1 { 2 } else { usize::from(y < 1.0) };
    format!("{y:.digits$}")
}

/// Draws the pictures of a sweep into its folder; `wide` is the report of a point whose registers were all exact.
///
/// # Errors
/// When a picture cannot be written.
pub fn pictures(results: &Results, wide: Option<&Report>, dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut drawn = Vec::new();
    let widths = ErrorByWidth::of(results, wide);
    if !widths.is_empty() {
        drawn.extend(save(&widths, dir)?);
    }
    if results.points.iter().any(|row| !row.epochs.is_empty()) {
        for cost in COSTS {
            drawn.extend(save(&ErrorByCost { results, cost }, dir)?);
        }
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
    if !widths.is_empty() {
        elements.push(("Test error by what varies", inline(&widths)?));
    }
    if results.points.iter().any(|row| !row.epochs.is_empty()) {
        for cost in COSTS {
            elements.push((cost.title, inline(&ErrorByCost { results, cost })?));
        }
        elements.push(("Test error by epoch", inline(&Curves(results))?));
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_marks_even_within_a_decade() {
        for (range, marks) in
            [(1.1..3.1, vec![2.0]), (0.04..0.6, vec![0.05, 0.1, 0.2, 0.5]), (30.0..80.0, vec![50.0])]
        {
            assert_eq!(axis(range).key_points(plotters::coord::ranged1d::BoldPoints(9)), marks);
        }
        assert_eq!([0.05, 0.5, 20.0].map(percents), ["0.05", "0.5", "20"]);
    }

    #[test]
    fn settings_are_told_in_the_words_that_set_them_apart() {
        let words_of = |settings: &[(&str, &str)]| {
            let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            words(&settings.collect(), |_| true)
        };
        let forward = [("accumulators.forward.bits", "13"), ("accumulators.forward.overflow", "wrap")];
        assert_eq!(words_of(&forward), "forward wrap 13");
        let all = [("accumulators.bits", "13"), ("accumulators.overflow", "wrap")];
        assert_eq!(words_of(&all), "accumulators wrap 13");
        assert_eq!(words_of(&[("accumulators.error.layer.2.bits", "9")]), "error layer 2 9");
        assert_eq!(words_of(&[("wage.bits.W", "2"), ("wage.bits.A", "8")]), "W 2 A 8");
        assert_eq!(words_of(&[("wage.bits.W", "8"), ("wage.bits.A", "8")]), "W 8 A 8");
        assert_eq!(words_of(&[("vector.error_rounding", "up")]), "error_rounding up");
        let all = ["forward", "error"].map(|phase| format!("accumulators.{phase}.overflow"));
        assert_eq!(words_of(&[(&all[0], "wrap"), (&all[1], "wrap")]), "wrap, 2 together");
        assert_eq!(words_of(&[]), "wide");
    }
}
