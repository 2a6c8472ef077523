//! Where a program keeps things, and how its products were tiled: `wagesim compile --map`.

use crate::compiler::Choice;
use crate::program::Program;
use crate::report::plain;

/// The memory map and the tilings.
#[derive(serde::Serialize)]
pub(super) struct Map {
    tilings: Vec<Choice>,
    dram: Vec<Place>,
}

#[derive(serde::Serialize)]
struct Place {
    name: String,
    address: u64,
    bytes: u64,
    bits: u32,
    shape: Vec<u64>,
}

impl Map {
    pub(super) fn new(program: &Program, tilings: Vec<Choice>) -> Self {
        let place = |t: &crate::program::Tensor| Place {
            name: t.name.clone(),
            address: t.address,
            bytes: t.bytes(),
            bits: t.format.bits(),
            shape: t.shape.clone(),
        };
        Map { tilings, dram: program.tensors.iter().map(place).collect() }
    }

    pub(super) fn text(&self) -> String {
        let head = [
            "entry",
            "layer",
            "phase",
            "tile",
            "operand",
            "weight",
            "accumulator",
            "mask",
            "cycles",
            "compared",
        ];
        let mut tilings = plain(&head, 4..10);
        for t in &self.tilings {
            let bytes = |m: usize| {
                format!("{}{}", if t.twice[m] && t.bytes[m] > 0 { "2 × " } else { "" }, t.bytes[m])
            };
            let compared = format!("{} of {}", t.compared, t.fitting);
            let (layer, phase) = (t.layer.to_string(), t.phase.name().to_owned());
            let row =
                [t.entry.to_owned(), layer, phase, t.tile.clone(), bytes(0), bytes(1), bytes(2), bytes(3)];
            tilings.add_row(row.into_iter().chain([t.cycles.to_string(), compared]));
        }
        let mut dram = plain(&["DRAM address", "bytes", "bits", "tensor", "shape"], 0..3);
        for place in &self.dram {
            let shape: Vec<String> = place.shape.iter().map(u64::to_string).collect();
            let numbers = [format!("{:#x}", place.address), place.bytes.to_string(), place.bits.to_string()];
            dram.add_row(numbers.into_iter().chain([place.name.clone(), shape.join(" × ")]));
        }
        let note = "Bytes of a tile; \"2 ×\": tiles take turns in two places, so that loads, products and vector work of \
                    neighbours run side by side. Cycles: the schedule of the product alone, loads to stores; of the \
                    tilings that fit, those that looked best were scheduled and the shortest taken.";
        format!("\n{}\n{note}\n\n{}\n", tilings.trim_fmt(), dram.trim_fmt())
    }
}
