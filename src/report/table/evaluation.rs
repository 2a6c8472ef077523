//! An evaluation as a text one can read.

use std::fmt::Write;

use super::numbers::{grouped, joules, percent, scaled};
use super::plain;
use crate::report::EvaluationReport;

/// Classes a confusion matrix is shown for; of more, the worst.
const MOST_CLASSES: usize = 20;

/// An evaluation in a terminal.
pub fn evaluation_table(report: &EvaluationReport) -> String {
    let totals = &report.totals;
    #[expect(clippy::cast_precision_loss, reason = "figures an image, to be read")]
    let (images, executed) = (totals.images as f64, totals.executed_images.max(1) as f64);
    let mut out = format!(
        "{} on {}, after {} training steps\n\ntest error {} of {} images ({} where ties count as right){}\n\
         an image: {} of the machine's time, {}, {} of DRAM traffic; {:.0} images/s on this host\n\n",
        report.program,
        report.machine,
        grouped(report.step.into()),
        percent(report.test_error),
        grouped(totals.images),
        percent(report.test_error_ties_right),
        report.test_error_top5.map_or(String::new(), |e| format!(", top-5 {}", percent(e))),
        scaled(totals.seconds / executed, "s"),
        joules(totals.energy_pj / executed),
        scaled(per_image(totals.dram_read_bytes + totals.dram_written_bytes, executed), "B"),
        images / report.host_seconds.max(1e-9),
    );
    let few = report.classes.len() <= MOST_CLASSES;
    let numbers: Vec<String> = (0..report.classes.len()).map(|class| class.to_string()).collect();
    let predicted = numbers.iter().map(String::as_str).filter(|_| few);
    let head: Vec<&str> = ["class", "images", "error", "taken for"].into_iter().chain(predicted).collect();
    let mut table = plain(&head, 1..);
    let mut classes: Vec<_> = report.classes.iter().collect();
    if !few {
        classes.sort_by(|a, b| b.error.total_cmp(&a.error));
        classes.truncate(MOST_CLASSES);
    }
    for class in classes {
        let taken = class.taken_for.map_or("-".to_owned(), |(other, n)| format!("{other} ({n})"));
        let row = report.confusion.get(class.class).filter(|_| few).into_iter().flatten();
        let row = row.map(|&n| if n == 0 { "·".to_owned() } else { n.to_string() });
        let first = [class.class.to_string(), grouped(class.images), percent(class.error), taken];
        table.add_row(first.into_iter().chain(row));
    }
    let _ = writeln!(out, "{}", table.trim_fmt());
    if !few {
        let _ = writeln!(out, "note: the {MOST_CLASSES} classes with the most errors; `--json` has all");
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn per_image(n: u64, images: f64) -> f64 {
    n as f64 / images
}
