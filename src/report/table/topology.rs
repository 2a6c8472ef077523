//! The table of a topology on an array.

use super::numbers::{grouped, percent};
use super::plain;
use crate::report::{Flow, ShapeEstimate, TopologyEstimate};

/// Both dataflows side by side.
pub fn topology_table(estimate: &TopologyEstimate) -> String {
    let head = [
        "layer",
        "M",
        "K",
        "N",
        "OS folds",
        "ignore",
        "serial",
        "overlap",
        "utilisation",
        "WS folds",
        "ignore",
        "serial",
        "overlap",
        "utilisation",
    ];
    let mut table = plain(&head, 1..);
    for layer in &estimate.layers {
        let shape = &layer.shape;
        let name = match shape.times {
            1 => shape.name.clone(),
            times => format!("{} ({times} times)", shape.name),
        };
        table.add_row([vec![name], [shape.m, shape.k, shape.n].map(grouped).to_vec(), flows(layer)].concat());
    }
    let totals = &estimate.totals;
    let empty = vec![String::new(); 3];
    table.add_row([vec![totals.shape.name.clone()], empty, flows(totals)].concat());
    let (rows, columns) = (estimate.rows, estimate.columns);
    let tree = if estimate.tree > 1 { format!(", trees of {}", estimate.tree) } else { String::new() };
    format!(
        "{} on {rows}×{columns}{tree}, cycles from the first operand to the last sum\n\n{}\n\n\
         note: ignore is SCALE-Sim's code (which prints one less), serial its paper, overlap a second register that hides \
         drains; OS keeps sums in the array, WS weights; utilisation is with overlap\n",
        estimate.topology,
        table.trim_fmt()
    )
}

fn flows(layer: &ShapeEstimate) -> Vec<String> {
    let cells = |flow: &Flow| {
        let cycles = [flow.folds, flow.cycles.ignore, flow.cycles.serial, flow.cycles.overlap].map(grouped);
        [cycles.to_vec(), vec![percent(flow.utilisation.overlap)]].concat()
    };
    [cells(&layer.output_stationary), cells(&layer.weight_stationary)].concat()
}
