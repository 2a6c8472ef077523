//! What the machine holds: memories as bytes, registers, the random generator's place.

use super::Lines;
use crate::isa::{Format, Memory, Scale};
use crate::number::{RoundingWords, WordSource};

/// The machine's state. Scalar registers and accumulator modes are not here: they depend on the program alone
/// and a plan has them resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Bytes of each memory, by [`Memory::index`].
    pub memories: [Lines; 5],
    /// Scale registers; `x0` stays 0.
    pub scales: [i64; 16],
    /// Counters.
    pub counters: [u128; 8],
    /// The run's seed, for the rounding stream.
    pub seed: u64,
    /// The training step, for the rounding stream.
    pub step: u32,
    /// Where the random words of stochastic rounding come from.
    pub source: WordSource,
}

impl State {
    /// A machine with memories of these sizes (bytes, by [`Memory::index`]), all zeros.
    pub fn new(bytes: [usize; 5], seed: u64) -> Self {
        State {
            memories: bytes.map(Lines::zeros),
            scales: [0; 16],
            counters: [0; 8],
            seed,
            step: 0,
            source: WordSource::default(),
        }
    }

    /// The random words of stochastic rounding.
    pub fn rounding_words(&self) -> RoundingWords {
        RoundingWords::new(self.source, self.seed, self.step)
    }

    /// The bits of a register, by its place among [`crate::isa::Registers`].
    pub(super) fn register(&self, place: usize) -> u128 {
        match place.checked_sub(self.scales.len()) {
            None => i128::from(self.scales[place]).cast_unsigned(),
            Some(counter) => self.counters[counter],
        }
    }

    /// Has a register hold bits that one of its kind held.
    pub(super) fn set_register(&mut self, place: usize, bits: u128) {
        match place.checked_sub(self.scales.len()) {
            None => self.scales[place] = i64::try_from(bits.cast_signed()).unwrap_or(0),
            Some(counter) => self.counters[counter] = bits,
        }
    }

    /// What a register holds, by its place, once what steps found in it that began with zero was gathered there: the greater of scales,
    /// the sum of counters.
    pub(super) fn gathered(place: usize, bits: u128, found: u128) -> u128 {
        if place < usize::from(Scale::COUNT) {
            bits.cast_signed().max(found.cast_signed()).cast_unsigned()
        } else {
            bits.wrapping_add(found)
        }
    }

    /// Bytes of a memory.
    pub fn memory(&self, memory: Memory) -> &[u8] {
        &self.memories[memory.index()]
    }

    /// Bytes of a memory, to write.
    pub fn memory_mut(&mut self, memory: Memory) -> &mut [u8] {
        &mut self.memories[memory.index()]
    }
}

/// Element `index` of the elements of `format` that start at byte `address`, two's complement.
///
/// # Panics
/// When the element lies outside `bytes`: the verifier has proved it does not.
pub fn element(bytes: &[u8], address: usize, format: Format, index: u64) -> i64 {
    let unused = 64 - format.bits();
    (unsigned_element(bytes, address, format, index) << unused).cast_signed() >> unused
}

/// The same as an unsigned pattern.
pub(super) fn unsigned_element(bytes: &[u8], address: usize, format: Format, index: u64) -> u64 {
    format.pattern(bytes, address, index)
}

/// Writes the low bits of `value` as element `index`.
pub(super) fn set_element(bytes: &mut [u8], address: usize, format: Format, index: u64, value: i64) {
    let bits = u64::from(format.bits());
    let first = index * bits;
    let byte = address + usize::try_from(first / 8).unwrap_or(usize::MAX);
    let shift = first % 8;
    let count = usize::try_from((shift + bits).div_ceil(8)).unwrap_or(usize::MAX);
    let mask = (u128::MAX >> (128 - bits)) << shift;
    let mut wide = [0u8; 16];
    wide[..count].copy_from_slice(&bytes[byte..byte + count]);
    let kept = u128::from_le_bytes(wide) & !mask;
    let new = u128::from(value.cast_unsigned()) << shift & mask;
    bytes[byte..byte + count].copy_from_slice(&(kept | new).to_le_bytes()[..count]);
}
