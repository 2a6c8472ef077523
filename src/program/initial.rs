//! DRAM as a run finds it: every tensor's initial elements, from the program and the run's seed.

use super::{Initial, Program, Tensor};
use crate::number::{Stream, StreamKind, draw_weight};

impl Program {
    /// Makes a DRAM of zeros what it is at the beginning of a run.
    ///
    /// # Panics
    /// When it is smaller than the program's.
    pub fn fill_dram(&self, seed: u64, dram: &mut [u8]) {
        for tensor in &self.tensors {
            let values = tensor.initial_values(seed);
            tensor.write(dram, &values);
        }
    }
}

impl Tensor {
    fn initial_values(&self, seed: u64) -> Vec<i64> {
        match &self.initial {
            Initial::Zero => Vec::new(),
            Initial::Values(values) => values.clone(),
            Initial::Drawn { first, limit, bits, shift } => {
                let stream = Stream { seed, step: 0, kind: StreamKind::Weights };
                (0..self.elements())
                    .map(|i| draw_weight(stream.word(first + i), *limit, *bits) << shift)
                    .collect()
            }
        }
    }

    /// The tensor's bytes in DRAM.
    pub fn range(&self) -> std::ops::Range<usize> {
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        at(self.address)..at(self.address + self.bytes())
    }

    /// Writes elements of one to eight whole bytes from the tensor's beginning on.
    fn write(&self, dram: &mut [u8], values: &[i64]) {
        let size = usize::try_from(self.format.bits() / 8).unwrap_or(1).max(1);
        let range = self.range();
        for (place, value) in dram[range].chunks_mut(size).zip(values) {
            place.copy_from_slice(&value.to_le_bytes()[..place.len()]);
        }
    }

    /// Its elements in DRAM, in order.
    pub fn values<'d>(&self, dram: &'d [u8]) -> impl Iterator<Item = i64> + use<'d> {
        let (format, signed) = (self.format, self.signed);
        let bytes = &dram[self.range()];
        (0..self.elements()).map(move |i| {
            let pattern = format.pattern(bytes, 0, i);
            let unused = 64 - format.bits();
            if signed { (pattern << unused).cast_signed() >> unused } else { pattern.cast_signed() }
        })
    }

    /// Puts elements in DRAM, in order.
    ///
    /// # Errors
    /// The first element that does not fit, with its index; those before it are written.
    pub fn put(&self, dram: &mut [u8], values: impl Iterator<Item = i64>) -> Result<(), (u64, i64)> {
        let bits = u64::from(self.format.bits());
        let range = self.range();
        let bytes = &mut dram[range];
        for (i, value) in (0..self.elements()).zip(values) {
            let unused = 64 - bits;
            let back = if self.signed {
                value << unused >> unused
            } else {
                (value.cast_unsigned() << unused >> unused).cast_signed()
            };
            if back != value {
                return Err((i, value));
            }
            for bit in 0..bits {
                let at = i * bits + bit;
                let place = usize::try_from(at / 8).unwrap_or(usize::MAX);
                let mask = 1u8 << (at % 8);
                let set = value >> bit & 1 == 1;
                bytes[place] = if set { bytes[place] | mask } else { bytes[place] & !mask };
            }
        }
        Ok(())
    }
}
