//! What an instruction yields under a probe: where its elements lie and how they read.

use crate::isa::{Address, Format, Instr};
use crate::machine::{State, element};
use crate::program::Yield;

/// Elements an instruction yields: rows of `columns`, `stride` elements apart.
pub(super) struct Elements {
    address: Address,
    format: Format,
    signed: bool,
    columns: u64,
    stride: u64,
}

fn dense(address: Address, format: Format) -> Elements {
    Elements { address, format, signed: true, columns: u64::MAX, stride: 0 }
}

impl Elements {
    /// What `what` of an instruction is; none where it lies in no memory.
    pub(super) fn of(instr: &Instr, what: Yield) -> Option<Elements> {
        let labels =
            |address| Elements { signed: false, ..dense(address, Format::new(16).expect("16 bits")) };
        Some(match (instr, what) {
            (Instr::MTaps(m) | Instr::MPositions(m), Yield::Output) => Elements {
                columns: m.columns.into(),
                stride: m.out_stride.into(),
                ..dense(m.out, m.out_format)
            },
            (Instr::VShift(i), Yield::Output) => dense(i.dst, i.dst_format),
            (Instr::VShift(i), Yield::Source) => dense(i.src, i.src_format),
            (Instr::VLookup(i), Yield::Output) => dense(i.dst, i.dst_format),
            (Instr::VStochastic(i), Yield::Output) => dense(i.dst, i.dst_format),
            (Instr::VSub(i), Yield::Output) => dense(i.dst, i.format),
            (Instr::VOnehot(i), Yield::Output) => dense(i.dst, i.dst_format),
            (Instr::VOnehot(i), Yield::Labels) => labels(i.labels),
            _ => return None,
        })
    }

    /// Element `i` in the order the instruction writes.
    pub(super) fn get(&self, state: &State, i: u64) -> i64 {
        let index = i / self.columns * self.stride + i % self.columns;
        let bytes = state.memory(self.address.memory);
        let value = element(bytes, self.start(), self.format, index);
        if self.signed { value } else { value & ((1 << self.format.bits()) - 1) }
    }

    fn start(&self) -> usize {
        usize::try_from(self.address.offset).unwrap_or(usize::MAX)
    }

    /// How often each value occurs among the first `count` elements.
    pub(super) fn tally(&self, state: &State, count: u64, mut add: impl FnMut(i64, u64)) {
        let dense = self.columns >= count;
        if self.format.bits() > 8 || !self.signed {
            return (0..count).for_each(|i| add(self.get(state, i), 1));
        }
        // By byte; four tables, since equal bytes in a row would wait for one another.
        let mut counts = [[0u64; 256]; 4];
        if self.format.bits() == 8 && dense {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let bytes = &state.memory(self.address.memory)[self.start()..][..count];
            let (fours, rest) = bytes.as_chunks::<4>();
            for four in fours {
                four.iter().zip(&mut counts).for_each(|(&b, counts)| counts[usize::from(b)] += 1);
            }
            rest.iter().for_each(|&b| counts[0][usize::from(b)] += 1);
        } else {
            for i in 0..count {
                let [byte, ..] = self.get(state, i).to_le_bytes();
                counts[0][usize::from(byte)] += 1;
            }
        }
        for byte in 0..=u8::MAX {
            let count: u64 = counts.iter().map(|counts| counts[usize::from(byte)]).sum();
            if count > 0 {
                add(byte.cast_signed().into(), count);
            }
        }
    }
}
