//! One cycle: what units read is as it was when the cycle began, and all they write happens when it ends.

use std::cell::RefCell;

use super::record::Record;
use super::watch::Access;
use crate::isa::{Address, Format, Memory};
use crate::machine::State;
use crate::machine::state::set_element;
use crate::program::{Plan, Step};

/// Something written at the end of a cycle.
#[derive(Debug, Clone, Copy)]
pub(super) enum Write {
    /// An element of a scratchpad.
    Element { address: Address, format: Format, index: u64, value: i64 },
    /// A byte of a memory.
    Byte { memory: Memory, at: usize, value: u8 },
    /// A scale register.
    Scale { index: u8, value: i64 },
    /// A scale register that keeps the greater.
    Raise { index: u8, magnitude: i64 },
    /// An addition to a counter.
    Count { index: u8, amount: u128 },
    /// A counter set to 0.
    Clear { index: u8 },
}

impl Write {
    /// The part of a memory that is written.
    fn access(&self) -> Option<Access> {
        match *self {
            Write::Element { address, format, index, .. } => {
                Some(Access::element(true, address, format, index))
            }
            Write::Byte { memory, at, .. } => Some(Access::byte(true, memory, at)),
            _ => None,
        }
    }

    fn commit(self, state: &mut State) {
        match self {
            Write::Element { address, format, index, value } => {
                let start = usize::try_from(address.offset).unwrap_or(usize::MAX);
                set_element(state.memory_mut(address.memory), start, format, index, value);
            }
            Write::Byte { memory, at, value } => state.memory_mut(memory)[at] = value,
            Write::Scale { index: 0, .. } | Write::Raise { index: 0, .. } => {}
            Write::Scale { index, value } => state.scales[usize::from(index)] = value,
            Write::Raise { index, magnitude } => {
                let register = &mut state.scales[usize::from(index)];
                *register = (*register).max(magnitude);
            }
            Write::Count { index, amount } => {
                let counter = &mut state.counters[usize::from(index)];
                *counter = counter.wrapping_add(amount);
            }
            Write::Clear { index } => state.counters[usize::from(index)] = 0,
        }
    }
}

/// What a unit says of an instruction when it has come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// The unit can take the next.
    Free,
    /// All that is read has been read.
    Read,
    /// All that is written has been written.
    Ended,
}

/// One cycle as the units see it.
pub(super) struct Cycle<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: &'a State,
    pub(super) records: &'a mut [Record],
    writes: Vec<Write>,
    signals: Vec<(usize, Signal)>,
    /// What is read and written, where someone watches.
    pub(super) accesses: Option<RefCell<Vec<Access>>>,
}

impl<'a> Cycle<'a> {
    pub(super) fn new(plan: &'a Plan, state: &'a State, records: &'a mut [Record], watched: bool) -> Self {
        let accesses = watched.then(RefCell::default);
        Cycle { plan, state, records, writes: Vec::new(), signals: Vec::new(), accesses }
    }

    pub(super) fn step(&self, id: usize) -> &'a Step {
        &self.plan.steps[id]
    }

    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Whether someone watches: what is read is noted.
    pub(super) fn is_watched(&self) -> bool {
        self.accesses.is_some()
    }

    /// An element is read.
    pub(super) fn reads(&self, address: Address, format: Format, index: u64) {
        if let Some(accesses) = &self.accesses {
            accesses.borrow_mut().push(Access::element(false, address, format, index));
        }
    }

    /// A byte is read.
    pub(super) fn reads_byte(&self, memory: Memory, at: usize) {
        if let Some(accesses) = &self.accesses {
            accesses.borrow_mut().push(Access::byte(false, memory, at));
        }
    }

    pub(super) fn signal(&mut self, id: usize, signal: Signal) {
        self.signals.push((id, signal));
    }

    /// What happens when the cycle ends.
    pub(super) fn end(self) -> Results {
        let mut accesses = self.accesses.map(RefCell::into_inner);
        if let Some(accesses) = &mut accesses {
            accesses.extend(self.writes.iter().filter_map(Write::access));
        }
        Results { writes: self.writes, signals: self.signals, accesses: accesses.unwrap_or_default() }
    }
}

/// What a cycle came to.
pub(super) struct Results {
    writes: Vec<Write>,
    pub(super) signals: Vec<(usize, Signal)>,
    /// What was read and written, where someone watches.
    pub(super) accesses: Vec<Access>,
}

impl Results {
    pub(super) fn commit(&mut self, state: &mut State) {
        self.writes.drain(..).for_each(|write| write.commit(state));
    }
}
