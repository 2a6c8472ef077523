//! The report as a text one can read: outcome, cost by layer and phase, widths.

use std::fmt::Write;
use std::ops::RangeBounds;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};

use super::{Estimate, Layer, Part, Report, Totals};
use crate::isa::Unit;
use crate::timing::Wait;

/// The end of a run in a terminal.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    let sections =
        [outcome(report), costs(&report.layers, &report.phases), units(&report.totals), widths(report)];
    for section in sections.iter().filter(|s| !s.is_empty()) {
        let _ = writeln!(out, "{section}\n");
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// An estimate in a terminal.
pub fn estimate_table(estimate: &Estimate) -> String {
    let Estimate { totals, evaluation, .. } = estimate;
    let mut out = format!("{} on {}, {} images\n\n", estimate.program, estimate.machine, estimate.batch);
    let quantities = quantities([("training step", totals), ("evaluation", evaluation)]);
    for section in [quantities, costs(&estimate.layers, &estimate.phases), units(totals)] {
        let _ = writeln!(out, "{section}\n");
    }
    for note in &estimate.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// A number with its thousands apart.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A quantity with a prefix: 1.23 G.
pub(super) fn scaled(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 9] = [
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
    ];
    let (scale, prefix) = PREFIXES.into_iter().find(|(s, _)| value.abs() >= *s).unwrap_or((1e-12, "p"));
    let number = value / scale;
    let digits = if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    if value == 0.0 { format!("0 {unit}") } else { format!("{number:.digits$} {prefix}{unit}") }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn counted(n: u64, unit: &str) -> String {
    scaled(n as f64, unit)
}

pub(super) fn joules(pj: f64) -> String {
    scaled(pj * 1e-12, "J")
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A table without lines; the columns in `right` hold numbers.
pub(crate) fn plain(head: &[&str], right: impl RangeBounds<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn quantities([(first, t), (second, e)]: [(&str, &Totals); 2]) -> String {
    let mut table = plain(&["", first, second], 1..);
    let mut row = |name: &str, of: &dyn Fn(&Totals) -> String| {
        table.add_row([name.to_owned(), of(t), of(e)]);
    };
    row("images", &|t| grouped(t.images));
    row("cycles", &|t| grouped(t.cycles));
    row("time at the clock", &|t| scaled(t.seconds, "s"));
    row("energy", &|t| joules(t.energy_pj));
    row("energy an image", &|t| {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let images = t.executed_images.max(1) as f64;
        joules(t.energy_pj / images)
    });
    row("products", &|t| counted(t.products, ""));
    row("of them useful", &|t| counted(t.useful_products, ""));
    row("utilisation", &|t| percent(t.utilisation));
    row("DRAM traffic", &|t| counted(t.dram_read_bytes + t.dram_written_bytes, "B"));
    row("wrong outputs", &|t| grouped(t.wrong_outputs));
    table.trim_fmt()
}

fn outcome(report: &Report) -> String {
    let table = quantities([("training", &report.totals), ("evaluation", &report.evaluation)]);
    let mut out = String::new();
    if let Some(last) = report.epochs.last() {
        let best = report.epochs.iter().map(|e| e.test_error).fold(f64::INFINITY, f64::min);
        let _ = writeln!(
            out,
            "test error {} (ties right: {}), best {}; accuracy {}\n",
            percent(last.test_error),
            percent(last.test_error_ties_right),
            percent(best),
            percent(1.0 - last.test_error),
        );
    }
    let firsts = [("training, step", &report.totals), ("evaluation, batch", &report.evaluation)];
    let firsts: String = firsts.into_iter().filter_map(|(part, t)| first_overflow(part, t)).collect();
    out + &table + &firsts
}

/// Where an accumulator first left its range.
fn first_overflow(part: &str, totals: &Totals) -> Option<String> {
    let o = totals.first_overflow.as_ref()?;
    let (step, phase, layer, instruction) = (o.step, &o.phase, &o.layer, o.instruction);
    let place = format!("row {}, column {}", o.row, o.column);
    Some(format!(
        "\n\nfirst overflow in {part} {step}: {phase} of {layer}, instruction {instruction}, {place}"
    ))
}

fn costs(layers: &[Layer], phases: &[Part]) -> String {
    let head = [
        "layer",
        "phase",
        "cycles",
        "array busy",
        "array waits for",
        "utilisation",
        "energy",
        "products",
        "useful",
        "wrong outputs",
    ];
    let mut table = plain(&head, 2..);
    let mut row = |layer: &str, part: &Part| {
        table.add_row([
            layer.to_owned(),
            part.phase.clone(),
            grouped(part.cycles),
            grouped(part.array_cycles),
            greatest_wait(part),
            if part.array_cycles > 0 { percent(part.utilisation) } else { "-".to_owned() },
            joules(part.energy_pj),
            counted(part.products, ""),
            counted(part.useful_products, ""),
            grouped(part.wrong_outputs),
        ]);
    };
    for layer in layers {
        for (i, part) in layer.phases.iter().enumerate() {
            row(if i == 0 { &layer.name } else { "" }, part);
        }
    }
    phases.iter().for_each(|part| row("all", part));
    table.trim_fmt()
}

/// What the array waits for most before instructions of a part.
fn greatest_wait(part: &Part) -> String {
    let waits = part.units.get(&Unit::Array).map(|u| &u.waits);
    let greatest = waits.and_then(|w| w.iter().max_by_key(|(_, cycles)| **cycles));
    match greatest {
        Some((wait, &cycles)) if part.array_cycles > 0 => format!("{} {}", wait.name(), grouped(cycles)),
        _ => "-".to_owned(),
    }
}

/// Where the cycles of training go, by unit; waits that no unit has are left out.
fn units(totals: &Totals) -> String {
    let units = &totals.units;
    let met = |wait: &Wait| units.values().any(|u| u.waits.contains_key(wait));
    let waits: Vec<Wait> = Wait::ALL.into_iter().filter(met).collect();
    let head: Vec<&str> = ["unit", "busy"].into_iter().chain(waits.iter().map(|w| w.name())).collect();
    let mut table = plain(&head, 1..);
    for (unit, cycles) in units {
        #[expect(clippy::cast_precision_loss, reason = "shares to be read")]
        let share = |part: u64| percent(part as f64 / cycles.total().max(1) as f64);
        let waited = waits.iter().map(|w| cycles.waits.get(w).map_or("-".to_owned(), |&c| share(c)));
        table.add_row([unit.name().to_owned(), share(cycles.busy)].into_iter().chain(waited));
    }
    if units.is_empty() { String::new() } else { table.trim_fmt() }
}

fn widths(report: &Report) -> String {
    if report.statistics.is_empty() {
        return String::new();
    }
    let head = [
        "layer",
        "tensor",
        "bits",
        "but 1e-5",
        "1e-4",
        "1e-3",
        "on the way",
        "L1",
        "worst case",
        "least",
        "greatest",
    ];
    let mut table = plain(&[&head[..], &["zeros", "clipped", "overflowed"]].concat(), 2..);
    for line in &report.statistics {
        let s = &line.statistics;
        #[expect(clippy::cast_precision_loss, reason = "shares to be read")]
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let bits = |bits: Option<u32>| bits.map_or("-".to_owned(), |b| b.to_string());
        let widths = line.sufficient;
        table.add_row([
            line.layer.clone(),
            line.class.name().to_owned(),
            line.bits.to_string(),
            bits(widths.map(|w| w.but_1e5)),
            bits(widths.map(|w| w.but_1e4)),
            bits(widths.map(|w| w.but_1e3)),
            bits(line.sufficient_on_the_way.map(|w| w.all)),
            bits(s.recount.as_ref().and_then(|r| r.l1_bound_bits)),
            bits(s.recount.as_ref().map(|r| r.worst_case_bits)),
            s.least.to_string(),
            s.greatest.to_string(),
            percent(share(s.zeros, s.looked_at)),
            percent(share(s.clipped, s.elements)),
            grouped(s.wrong_outputs),
        ]);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(scaled(0.0, "J"), "0 J");
        assert_eq!(scaled(1234.0, "B"), "1.23 kB");
        assert_eq!(scaled(0.0456, "J"), "45.6 mJ");
        assert_eq!(joules(5e8), "500 µJ");
    }
}
