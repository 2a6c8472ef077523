//! The report as a text one can read: outcome, cost by layer and phase, widths.

mod evaluation;
mod numbers;
mod parts;
mod topology;

pub use evaluation::evaluation_table;
pub use topology::topology_table;

use std::fmt::Write;
use std::ops::RangeBounds;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};

use super::{Estimate, Report, Totals};
use crate::spec::Preset;
pub(crate) use numbers::area;
use numbers::counted;
pub(super) use numbers::{grouped, joules, percent, scaled};
use parts::{areas, costs, energies, units};

/// What an area is of.
pub const AREA_NOTE: &str =
    "area is of the logic of array and vector unit; not modelled: memories, control, the way to DRAM, wires";

/// The end of a run in a terminal.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    let sections = [
        outcome(report),
        costs(&report.layers, &report.phases),
        units(&report.totals),
        energies(&report.layers, &report.phases, &report.totals),
        areas(&report.area),
        widths(report),
    ];
    for section in sections.iter().filter(|s| !s.is_empty()) {
        let _ = writeln!(out, "{section}\n");
    }
    for note in report.notes.iter().chain(&price_notes(&report.preset)) {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// What a run costs under the table that its report was priced by.
pub fn price_table(report: &Report) -> String {
    let quantities = quantities([("training", &report.totals), ("evaluation", &report.evaluation)]);
    let energies = energies(&report.layers, &report.phases, &report.totals);
    let mut out = format!("{} on {}\n\n", report.program, report.machine);
    for section in [quantities + &whole(report), energies, areas(&report.area)] {
        let _ = writeln!(out, "{section}\n");
    }
    for note in price_notes(&report.preset) {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// What a reader must know about energies and areas.
fn price_notes(preset: &Preset) -> [String; 2] {
    let (name, technology) = (&preset.name, &preset.technology);
    [
        format!(
            "energy by {name} ({technology}): logic, registers, scratchpads and DRAM; not modelled: {}",
            preset.not_modelled()
        ),
        AREA_NOTE.to_owned(),
    ]
}

/// An estimate in a terminal.
pub fn estimate_table(estimate: &Estimate) -> String {
    let Estimate { totals, evaluation, .. } = estimate;
    let mut out = format!("{} on {}, {} images\n\n", estimate.program, estimate.machine, estimate.batch);
    let quantities = quantities([("training step", totals), ("evaluation", evaluation)]);
    let (layers, phases) = (&estimate.layers, &estimate.phases);
    let costs = costs(layers, phases);
    let energies = energies(layers, phases, totals);
    for section in [quantities, costs, units(totals), energies, areas(&estimate.area)] {
        let _ = writeln!(out, "{section}\n");
    }
    for note in estimate.notes.iter().chain(&price_notes(&estimate.preset)) {
        let _ = writeln!(out, "note: {note}");
    }
    out
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
    row("average power", &|t| scaled(t.power_w, "W"));
    row("time an image", &|t| scaled(t.image_seconds, "s"));
    row("energy an image", &|t| joules(t.image_pj));
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
            "test error {}{} (ties right: {}), best {}; accuracy {}\n",
            percent(last.test_error),
            last.test_error_top5.map_or(String::new(), |e| format!(", top-5 {}", percent(e))),
            percent(last.test_error_ties_right),
            percent(best),
            percent(1.0 - last.test_error),
        );
    }
    let firsts = [("training, step", &report.totals), ("evaluation, batch", &report.evaluation)];
    let firsts: String = firsts.into_iter().filter_map(|(part, t)| first_overflow(part, t)).collect();
    out + &table + &whole(report) + &firsts
}

/// A run from its beginning to what it came to.
fn whole(report: &Report) -> String {
    let whole = &report.whole;
    let (seconds, energy, power) =
        (scaled(whole.seconds, "s"), joules(whole.energy_pj), scaled(whole.power_w, "W"));
    let reached =
        whole.test_error.map_or(String::new(), |e| format!(", to an accuracy of {}", percent(1.0 - e)));
    format!(
        "\n\nthe whole run, every evaluation among it: {seconds} at the clock, {energy}, {power}{reached}"
    )
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
