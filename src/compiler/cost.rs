//! What a tile costs each unit, roughly: the order in which tilings are tried. Which of the best is taken the schedule decides
//! ([`super::choice`]); the report's cycles come from the schedule too.

use std::ops::{Add, Mul};

use super::moves::Region3;
use crate::isa::Memory;
use crate::spec::Machine;
use crate::timing::Folds;

/// Costs on one machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost<'a> {
    machine: &'a Machine,
}

/// Cycles of each unit, and those in which none of them is busy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// The way to DRAM.
    way: u64,
    array: u64,
    vector: u64,
    /// Latencies and drains.
    latency: u64,
}

impl Add for Work {
    type Output = Work;

    fn add(self, other: Work) -> Work {
        Work {
            way: self.way + other.way,
            array: self.array + other.array,
            vector: self.vector + other.vector,
            latency: self.latency + other.latency,
        }
    }
}

impl Mul<u64> for Work {
    type Output = Work;

    fn mul(self, times: u64) -> Work {
        Work {
            way: self.way * times,
            array: self.array * times,
            vector: self.vector * times,
            latency: self.latency * times,
        }
    }
}

impl Work {
    /// Cycles where units work side by side, or one after another.
    pub(super) fn cycles(&self, side_by_side: bool) -> u64 {
        if side_by_side {
            self.way.max(self.array).max(self.vector)
        } else {
            self.way + self.array + self.vector + self.latency
        }
    }
}

impl<'a> Cost<'a> {
    pub(super) fn new(machine: &'a Machine) -> Self {
        Cost { machine }
    }

    /// Bytes of a scratchpad.
    pub(super) fn capacity(&self, memory: Memory) -> u64 {
        self.machine.memory.scratchpad(memory).map_or(u64::MAX, crate::spec::Scratchpad::bytes)
    }

    /// Whether tiles of so many bytes can take turns in two places of a scratchpad.
    pub(super) fn twice(&self, memory: Memory, bytes: u64) -> bool {
        bytes <= self.capacity(memory) / 2 / super::emit::BANK_ALIGNMENT * super::emit::BANK_ALIGNMENT
    }

    /// Moving a box of each of `images` images.
    pub(super) fn transfer(&self, region: &Region3, images: u64, bits: u64) -> Work {
        let bytes = (region.elements() * images * bits).div_ceil(8);
        self.bytes(bytes, region.instructions(images))
    }

    /// Moving bytes in so many instructions.
    pub(super) fn bytes(&self, bytes: u64, instructions: u64) -> Work {
        let dram = &self.machine.dram;
        Work {
            way: bytes.div_ceil(u64::from(dram.bytes_per_cycle)).max(instructions),
            latency: instructions * u64::from(dram.latency_cycles),
            ..Work::default()
        }
    }

    /// A product of rows by length by columns.
    pub(super) fn product(
        &self,
        [rows, length, columns]: [u64; 3],
        tree: u32,
        weight_stationary: bool,
    ) -> Work {
        let folds = Folds::of(rows, length, columns, tree, weight_stationary, self.machine);
        let duration = folds.duration(weight_stationary, false, self.machine);
        let array = duration.occupancy_cycles;
        Work { array, latency: duration.latency_cycles.saturating_sub(array), ..Work::default() }
    }

    /// Vector instructions over so many elements each.
    pub(super) fn vector(&self, elements: u64, instructions: u64) -> Work {
        let each = elements.div_ceil(u64::from(self.machine.vector.lanes));
        Work { vector: instructions * each, latency: 3 * instructions, ..Work::default() }
    }
}

/// `whole`, then halves of it rounded up to multiples of `unit`, down to one unit.
pub(super) fn halvings(whole: u64, unit: u64) -> Vec<u64> {
    let mut sizes = vec![whole];
    let mut size = whole;
    while size > unit {
        size = size.div_ceil(2).next_multiple_of(unit).min(size - 1);
        if !size.is_multiple_of(unit) {
            size = size / unit * unit;
        }
        if size == 0 {
            break;
        }
        sizes.push(size);
    }
    sizes
}

/// Sizes of a tile of images: the batch, its divisors, and powers of two, greatest first.
pub(super) fn image_tiles(batch: u64) -> Vec<u64> {
    let mut sizes: Vec<u64> =
        (1..=batch).filter(|n| batch.is_multiple_of(*n) || n.is_power_of_two()).collect();
    sizes.reverse();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halvings_are_multiples_of_the_unit_below_the_whole() {
        assert_eq!(halvings(800, 128), vec![800, 512, 256, 128]);
        assert_eq!(halvings(10, 1), vec![10, 5, 3, 2, 1]);
        assert_eq!(halvings(25, 32), vec![25]);
    }

    #[test]
    fn image_tiles_divide_or_are_powers_of_two() {
        assert_eq!(image_tiles(12), vec![12, 8, 6, 4, 3, 2, 1]);
    }
}
