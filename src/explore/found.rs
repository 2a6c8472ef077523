//! What a search found, for people: a row a register, and why; as table and as page.

use super::{Found, Results, Trial, elements, summary};
use crate::report::{AREA_NOTE, Page, PageTable, PlotError, Report, area};

/// What a reader of the table must know.
pub const FOUND_NOTES: [&str; 4] = [
    "predicted: the width that holds every sum of the wide machine's first seed, and all but 1 in 1000 of them; measured: the least that passed, \
        the others wide",
    "wrong outputs and saved: at the measured width, the others wide; together: the widths of the last machine",
    AREA_NOTE,
    "an array is built for the widest register it serves: one made narrow alone saves little of it, and the comparators of one that saturates are added (below 0: it takes more)",
];

/// A found machine in words and cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSummary {
    /// What passes.
    pub bound: String,
    /// Heads of the columns.
    pub head: Vec<&'static str>,
    /// A row a register.
    pub rows: Vec<Vec<String>>,
    /// A line a machine with all registers narrow.
    pub together: Vec<String>,
}

impl FoundSummary {
    /// That of a search over these layers.
    pub fn of(found: &Found, layers: &[String]) -> Self {
        let energy_saved = |trial: &Trial| saved(found.wide.energy_per_image_pj, trial.energy_per_image_pj);
        let area_saved = |trial: &Trial| saved(found.wide.area_um2, trial.area_um2);
        let mut rows = Vec::new();
        for target in &found.targets {
            let or_nothing = |trial: Option<&Trial>, of: &dyn Fn(&Trial) -> String| {
                trial.map_or_else(|| "-".to_owned(), of)
            };
            let trial = target.trials.get(&target.measured);
            let below = target.measured.checked_sub(1).and_then(|bits| target.trials.get(&bits));
            let errors = |trial: &Trial| percents(&trial.test_errors);
            rows.push(vec![
                target.name(layers),
                target.predicted.to_string(),
                target.predicted_but_1e3.to_string(),
                target.measured.to_string(),
                or_nothing(trial, &errors),
                share(target.wrong_share(target.measured)),
                or_nothing(below, &errors),
                or_nothing(trial, &energy_saved),
                or_nothing(trial, &area_saved),
                target.joint.to_string(),
            ]);
        }
        let together = found.joint.iter().map(|(widths, trial)| {
            let widths = widths.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let verdict = if trial.passed { "passed" } else { "too narrow together" };
            format!(
                "together {widths}: test error {}, {} an image ({} saved), {} ({} saved): {verdict}",
                percents(&trial.test_errors),
                energy(trial),
                energy_saved(trial),
                area(trial.area_um2),
                area_saved(trial),
            )
        });
        let seeds = found.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        FoundSummary {
            bound: format!(
                "registers that {}, seeds {seeds}; the wide machine: test error {}, {} an image, {}; what passes: a mean of {:.2} %, or less",
                found.overflow,
                percents(&found.wide.test_errors),
                energy(&found.wide),
                area(found.wide.area_um2),
                100.0 * found.bound,
            ),
            head: vec![
                "",
                "predicted",
                "but 1e-3",
                "measured",
                "test error",
                "wrong outputs",
                "a bit less",
                "energy saved",
                "area saved",
                "together",
            ],
            rows,
            together: together.collect(),
        }
    }
}

fn percents(errors: &[f64]) -> String {
    errors.iter().map(|e| format!("{:.2}", 100.0 * e)).collect::<Vec<_>>().join(" ") + " %"
}

fn saved(wide: f64, narrow: f64) -> String {
    format!("{:.1} %", 100.0 * (1.0 - narrow / wide.max(f64::MIN_POSITIVE)))
}

fn energy(trial: &Trial) -> String {
    format!("{:.2} µJ", 1e-6 * trial.energy_per_image_pj)
}

/// A share of outputs.
pub(super) fn share(share: f64) -> String {
    if share == 0.0 { "0".to_owned() } else { format!("{share:.1e}") }
}

/// The page of a search.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn found_page(
    found: &Found,
    layers: &[String],
    results: &Results,
    wide: Option<&Report>,
) -> Result<Page, PlotError> {
    let FoundSummary { bound, head, rows, together } = FoundSummary::of(found, layers);
    let head = head.into_iter().map(str::to_owned).collect();
    let (points_head, points) = summary(results);
    let last = found.joint.last().map_or(&found.wide, |(_, trial)| trial);
    let fact = |name: &str, value: String| (name.to_owned(), value);
    Ok(Page {
        title: results.name.clone(),
        subtitle: format!("{}; {bound}", results.program),
        facts: vec![
            fact("test error", percents(&last.test_errors)),
            fact("energy an image", energy(last)),
            fact("energy saved", saved(found.wide.energy_per_image_pj, last.energy_per_image_pj)),
            fact("area of logic", area(last.area_um2)),
            fact("area saved", saved(found.wide.area_um2, last.area_um2)),
            fact("trainings", results.points.len().to_string()),
        ],
        figures: elements(results, wide)?.into_iter().map(|(name, svg)| (name.to_owned(), svg)).collect(),
        tables: vec![
            PageTable { title: "Registers".to_owned(), head, rows },
            PageTable { title: "Trials".to_owned(), head: points_head, rows: points },
        ],
        notes: together.into_iter().chain(FOUND_NOTES.map(str::to_owned)).collect(),
    })
}
