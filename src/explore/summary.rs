//! The results of a sweep for people: a row a combination of settings, seeds side by side; as table and as page.

use std::path::Path;

use super::pictures::{places_of, words};
use super::{Results, Row, elements};
use crate::report::{AREA_NOTE, Page, PageTable, PlotError, Report, area};
use crate::train::Epoch;

/// Keys that have a column each, at most: more of them are told in words.
const COLUMNS: usize = 3;

/// Columns of a summary that say which point it is.
pub fn naming_columns(results: &Results) -> usize {
    if results.keys.len() > COLUMNS { 1 } else { results.keys.len() }
}

/// Heads and rows: the settings, then what became of them.
pub fn summary(results: &Results) -> (Vec<String>, Vec<Vec<String>>) {
    let in_words = results.keys.len() > COLUMNS;
    let mut head = if in_words { vec!["point".to_owned()] } else { results.keys.clone() };
    let outcome = [
        "seeds",
        "status",
        "test error",
        "wrong forward",
        "error",
        "gradient",
        "cycles an image",
        "energy an image",
        "area of logic",
    ];
    head.extend(outcome.map(str::to_owned));
    let of = |row: &Row, key: &String| row.settings.get(key).cloned().unwrap_or_else(|| "-".to_owned());
    let naming = |row: &Row| match in_words {
        true => vec![words(&row.settings, |_| true)],
        false => results.keys.iter().map(|key| of(row, key)).collect(),
    };
    let places = places_of(results.points.iter()).into_iter();
    let rows = places.map(|place| cells(naming(place.rows[0]), &place.rows)).collect();
    (head, rows)
}

fn cells(mut cells: Vec<String>, rows: &[&Row]) -> Vec<String> {
    let errors: Vec<f64> = rows.iter().filter_map(|row| row.test_error()).collect();
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = errors.iter().copied().fold(0.0, f64::max);
    let error = match errors.len() {
        0 => "-".to_owned(),
        1 => format!("{:.2} %", 100.0 * least),
        _ => format!("{:.2} to {:.2} %", 100.0 * least, 100.0 * greatest),
    };
    let mut statuses: Vec<&str> = rows.iter().map(|row| row.status.as_str()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    cells.extend([rows.len().to_string(), statuses.join(", "), error]);
    for phase in ["forward", "error", "gradient"] {
        let share = rows.iter().filter_map(|row| row.wrong_share.get(phase)).copied().fold(0.0, f64::max);
        cells.push(super::found::share(share));
    }
    let done = rows.iter().find(|row| row.images > 0);
    cells.push(done.map_or("-".to_owned(), |row| (row.cycles / row.images).to_string()));
    cells.push(done.map_or("-".to_owned(), |row| format!("{:.2} µJ", 1e-6 * row.energy_per_image_pj())));
    cells.push(done.map_or("-".to_owned(), |row| area(row.area_um2)));
    cells
}

/// The page of a sweep.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn page(results: &Results, wide: Option<&Report>) -> Result<Page, PlotError> {
    let (head, rows) = summary(results);
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![fact("points", results.points.len().to_string())];
    for status in ["done", "diverged", "failed", "missing"] {
        if results.count(status) > 0 {
            facts.push(fact(status, results.count(status).to_string()));
        }
    }
    let best = results.points.iter().filter_map(|row| Some((row.test_error()?, &row.point)));
    if let Some((error, point)) = best.min_by(|a, b| a.0.total_cmp(&b.0)) {
        facts.push(fact("least test error", format!("{:.2} % ({point})", 100.0 * error)));
    }
    let mut notes = vec![
        "seeds of a place stand side by side: the least and the greatest test error of the last epoch; shares of wrong outputs are the greatest"
            .to_owned(),
        AREA_NOTE.to_owned(),
    ];
    if let Some(bound) = results.stop_above {
        notes
            .push(format!("diverged: above {:.0} % after the first epoch, and stopped there", 100.0 * bound));
    }
    let figures = elements(results, wide)?.into_iter().map(|(name, svg)| (name.to_owned(), svg)).collect();
    Ok(Page {
        title: results.name.clone(),
        subtitle: format!("{}, what varies: {}", results.program, results.keys.join(", ")),
        facts,
        figures,
        tables: vec![PageTable { title: "Points".to_owned(), head, rows }],
        notes,
    })
}

/// Runs side by side, as the points of a sweep over `run`.
pub fn compared(runs: &[(String, Report)]) -> Results {
    let points: Vec<Row> = runs.iter().map(|(name, report)| Row::of_run(name, report)).collect();
    let mut programs: Vec<&str> = runs.iter().map(|(_, report)| report.program.as_str()).collect();
    programs.dedup();
    Results::of_rows("comparison", &programs.join(", "), &["run", "machine"], points)
}

/// Heads and rows of a comparison: a column a run.
pub fn comparison(runs: &[(String, Report)]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = std::iter::once(String::new()).chain(runs.iter().map(|(name, _)| name.clone())).collect();
    let row = |name: &str, of: &dyn Fn(&Report) -> String| {
        std::iter::once(name.to_owned()).chain(runs.iter().map(|(_, report)| of(report))).collect::<Vec<_>>()
    };
    let error = |of: fn(&Epoch) -> f64| {
        move |r: &Report| r.epochs.last().map_or("-".to_owned(), |e| format!("{:.2} %", 100.0 * of(e)))
    };
    let phases = |phase: &'static str| {
        move |r: &Report| {
            r.phases.iter().find(|p| p.phase == phase).map_or("-".to_owned(), |p| p.wrong_outputs.to_string())
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let an_image = |r: &Report, of: f64| of / r.totals.executed_images.max(1) as f64;
    let mut rows = vec![
        row("program", &|r| r.program.clone()),
        row("machine", &|r| r.machine.clone()),
        row("seed", &|r| r.seed.to_string()),
        row("epochs", &|r| r.epochs.len().to_string()),
        row("test error", &error(|e| e.test_error)),
        row("training error, as seen", &error(|e| e.train_error)),
        row("cycles", &|r| r.totals.cycles.to_string()),
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        row("cycles an image", &|r| format!("{:.0}", an_image(r, r.totals.cycles as f64))),
        row("time at the clock", &|r| format!("{:.3} s", r.totals.seconds)),
        row("energy an image", &|r| format!("{:.2} µJ", 1e-6 * an_image(r, r.totals.energy_pj))),
        row("area of logic", &|r| area(r.area.total_um2)),
        row("utilisation", &|r| format!("{:.2} %", 100.0 * r.totals.utilisation)),
        row("DRAM bytes", &|r| (r.totals.dram_read_bytes + r.totals.dram_written_bytes).to_string()),
    ];
    for (name, phase) in [
        ("wrong outputs, forward", "forward"),
        ("wrong outputs, error", "error"),
        ("wrong outputs, gradient", "gradient"),
    ] {
        rows.push(row(name, &phases(phase)));
    }
    (head, rows)
}

/// The page of a comparison.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn comparison_page(runs: &[(String, Report)]) -> Result<Page, PlotError> {
    let (head, rows) = comparison(runs);
    let results = compared(runs);
    let figures = elements(&results, None)?.into_iter().map(|(name, svg)| (name.to_owned(), svg)).collect();
    let names: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Page {
        title: format!("{} runs compared", runs.len()),
        subtitle: names.join(", "),
        facts: Vec::new(),
        figures,
        tables: vec![PageTable { title: "Side by side".to_owned(), head, rows }],
        notes: vec![AREA_NOTE.to_owned()],
    })
}

/// The report of a run's folder.
///
/// # Errors
/// When there is none, or it is of another version.
pub fn run_report(dir: &Path) -> Result<Report, super::ExploreError> {
    super::results::report(&dir.join("report.json"))
}
