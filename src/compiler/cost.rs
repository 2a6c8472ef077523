//! What a tile costs: the cycles of its instructions one after another, and whether its memories hold it.
//!
//! Only ranks tilings; the report's cycles come from the observers.

use super::moves::Region3;
use crate::isa::Memory;
use crate::spec::Machine;
use crate::timing::Folds;

/// Costs on one machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost<'a> {
    machine: &'a Machine,
}

impl<'a> Cost<'a> {
    pub(super) fn new(machine: &'a Machine) -> Self {
        Cost { machine }
    }

    /// Bytes of a scratchpad.
    pub(super) fn capacity(&self, memory: Memory) -> u64 {
        let memories = &self.machine.memory;
        match memory {
            Memory::Operand => memories.operand.bytes(),
            Memory::Weight => memories.weight.bytes(),
            Memory::Accumulator => memories.accumulator.bytes(),
            Memory::Mask => memories.mask.bytes(),
            Memory::Dram => u64::MAX,
        }
    }

    /// Moving a box of each of `images` images.
    pub(super) fn transfer(&self, region: &Region3, images: u64, bits: u64) -> u64 {
        let bytes = (region.elements() * images * bits).div_ceil(8);
        self.bytes(bytes, region.instructions(images))
    }

    /// Moving bytes in so many instructions.
    pub(super) fn bytes(&self, bytes: u64, instructions: u64) -> u64 {
        let dram = &self.machine.dram;
        instructions * u64::from(dram.latency_cycles) + bytes.div_ceil(u64::from(dram.bytes_per_cycle))
    }

    /// A product of rows by length by columns.
    pub(super) fn product(
        &self,
        [rows, length, columns]: [u64; 3],
        tree: u32,
        weight_stationary: bool,
    ) -> u64 {
        let folds = Folds::of(rows, length, columns, tree, weight_stationary, self.machine);
        folds.duration(weight_stationary, false, self.machine).latency_cycles
    }

    /// A vector instruction over so many elements.
    pub(super) fn vector(&self, elements: u64) -> u64 {
        4 + elements.div_ceil(u64::from(self.machine.vector.lanes))
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

/// The candidate of least cost; the first of equals, so that the choice is the same everywhere.
pub(super) fn cheapest<T: Copy>(candidates: impl Iterator<Item = (u64, T)>) -> Option<T> {
    candidates.min_by_key(|&(cost, _)| cost).map(|(_, tiling)| tiling)
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
