//! Runs of elements in memories: what an instruction reads and what it writes, kept apart, and elements computed where they lie.

use std::ops::Range;

use super::lanes::{BLOCK, Lane, bytes_of, load, read, save};
use crate::isa::{Address, Format};
use crate::machine::State;

/// Elements in a memory: from a byte on, so many of a format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) address: Address,
    pub(super) format: Format,
    pub(super) count: usize,
}

impl Run {
    /// So many elements at an address.
    pub(super) fn new(address: Address, format: Format, count: usize) -> Run {
        Run { address, format, count }
    }

    /// None of its elements.
    pub(super) fn none(self) -> Run {
        Run { count: 0, ..self }
    }

    /// Its bytes' place in its memory.
    fn place(self) -> Range<usize> {
        let start = usize::try_from(self.address.offset).unwrap_or(usize::MAX);
        start..start + bytes_of(self.format, self.count)
    }

    /// Whether it has a byte of another's.
    fn meets(self, other: Run) -> bool {
        let (here, there) = (self.place(), other.place());
        self.address.memory == other.address.memory && here.start < there.end && there.start < here.end
    }

    /// Its bytes.
    pub(super) fn bytes(self, state: &State) -> &[u8] {
        &state.memory(self.address.memory)[self.place()]
    }

    /// Its bytes, to write.
    pub(super) fn bytes_mut(self, state: &mut State) -> &mut [u8] {
        &mut state.memory_mut(self.address.memory)[self.place()]
    }

    /// Puts bytes that hold its elements at their place; bits behind the last stay.
    pub(super) fn put(self, state: &mut State, bytes: &[u8]) {
        let bits = self.count * usize::try_from(self.format.bits()).unwrap_or(0);
        let to = self.bytes_mut(state);
        to[..bits / 8].copy_from_slice(&bytes[..bits / 8]);
        if !bits.is_multiple_of(8) {
            let mask = (1u8 << (bits % 8)) - 1;
            let last = &mut to[bits / 8];
            *last = *last & !mask | bytes[bits / 8] & mask;
        }
    }
}

/// The bytes of a run to write, as elements `before` if those are another run's, and beside them the bytes of a third as
/// they were: in `copy` where they would be overwritten.
pub(super) fn apart<'a>(
    state: &'a mut State,
    copy: &'a mut Vec<u8>,
    to: Run,
    before: Option<Run>,
    from: Run,
) -> (&'a mut [u8], &'a [u8]) {
    let moved = before.filter(|before| before.address != to.address);
    if moved.is_some() || to.meets(from) {
        copy.clear();
        copy.extend_from_slice(from.bytes(state));
        if let Some(before) = moved {
            let bytes = before.bytes(state).to_vec();
            to.put(state, &bytes);
        }
        return (to.bytes_mut(state), copy);
    }
    let memories = [to, from].map(|run| run.address.memory.index());
    if memories[0] == memories[1] {
        let both = state.memories[memories[0]].get_disjoint_mut([to.place(), from.place()]);
        let [to, from] = both.expect("they do not meet");
        (to, from)
    } else {
        let [a, b] = state.memories.get_disjoint_mut(memories).expect("two memories");
        (&mut a[to.place()], &b[from.place()])
    }
}

/// Has `each` compute the elements of `to`, block by block, in lanes that hold those of `before`, a run of the same format, if there is one:
/// those from its first argument on, from the bytes of a third run as they were. What it counts comes back.
#[inline(always)]
pub(super) fn compute<L: Lane>(
    state: &mut State,
    copy: &mut Vec<u8>,
    (to, before, from): (Run, Option<Run>, Run),
    mut each: impl FnMut(usize, &mut [L::Bytes], &[u8]) -> u64,
) -> u64 {
    let (bytes, from) = apart(state, copy, to, before, from);
    let mut block = [L::Bytes::default(); BLOCK];
    let mut counted = 0;
    for first in (0..to.count).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(to.count - first)];
        let in_place = to.format.bits() == L::BITS;
        if !in_place && before.is_some() {
            load::<L>(bytes, to.format, first, block);
        }
        let lanes = if in_place { &mut L::chunks_mut(bytes)[first..][..block.len()] } else { &mut block[..] };
        counted += each(first, lanes, from);
        if !in_place {
            save::<L>(block, to.format, &mut bytes[bytes_of(to.format, first)..]);
        }
    }
    counted
}

/// The greatest magnitude among elements.
#[inline(always)]
pub(super) fn greatest<L: Lane>(state: &State, from: Run) -> u64 {
    let mut block = [L::Bytes::default(); BLOCK];
    let mut greatest = 0;
    // No closure: its body would not be compiled for the extension.
    for first in (0..from.count).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(from.count - first)];
        let lanes = read::<L>(from.bytes(state), from.format, first, block);
        greatest = L::greatest_magnitude(lanes).max(greatest);
    }
    greatest
}
