//! Which tiling is taken: the one whose schedule is shortest, of those that look best.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::emit::Emitter;
use super::{CompileError, Lowering};
use crate::isa::Instr;
use crate::program::{Phase, Plan, Program};
use crate::timing::Schedule;

/// Tilings whose schedules are compared, at most.
const TRIED: usize = 12;

/// Instructions that all schedules compared have together, roughly.
const INSTRUCTIONS: u64 = 50_000;

/// A tiling that may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<T> {
    pub(super) tiling: T,
    /// Cycles, roughly.
    pub(super) cycles: u64,
    /// Instructions, roughly.
    pub(super) instructions: u64,
}

/// What was chosen for a phase of a layer, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Choice {
    /// The entry: `train` or `evaluate`.
    pub entry: &'static str,
    /// The phase.
    pub phase: Phase,
    /// The layer.
    pub layer: usize,
    /// The tile.
    pub tile: String,
    /// Bytes of a tile in the operand, weight, accumulator and mask memory.
    pub bytes: [u64; 4],
    /// Whether tiles take turns in two places of each of them.
    pub twice: [bool; 4],
    /// Cycles of the schedule of this product alone, from loads to stores.
    pub cycles: u64,
    /// Tilings that fit.
    pub fitting: usize,
    /// Of them, those whose schedules were compared.
    pub compared: usize,
}

impl Lowering<'_> {
    /// The tiling of the shortest schedule; of equals the one that looked best. Choices are the same on any host.
    ///
    /// # Errors
    /// `none` where there is no candidate.
    pub(super) fn fastest<T: fmt::Display + Copy + Send + Sync>(
        &self,
        mut candidates: Vec<Candidate<T>>,
        none: impl FnOnce() -> CompileError,
        emit: impl Fn(&mut Emitter, T) + Sync,
    ) -> Result<Fastest<T>, CompileError> {
        // Stable: of equals the first stays first.
        candidates.sort_by_key(|c| c.cycles);
        let fitting = candidates.len();
        let mut left = INSTRUCTIONS;
        let mut tried: Vec<T> = Vec::new();
        for candidate in candidates.into_iter().take(TRIED) {
            if tried.is_empty() || candidate.instructions <= left {
                left = left.saturating_sub(candidate.instructions);
                tried.push(candidate.tiling);
            }
        }
        // A schedule is given up where it is longer than one known: which are does not change the shortest.
        let shortest = AtomicU64::new(u64::MAX);
        let scheduled = |&tiling: &T| (self.scheduled(&shortest, |e| emit(e, tiling)), tiling);
        let all: Vec<(u64, T)> = tried.par_iter().map(scheduled).collect();
        // Of equals the first.
        let (cycles, tiling) = all.into_iter().min_by_key(|(cycles, _)| *cycles).ok_or_else(none)?;
        Ok(Fastest { tiling, cycles, fitting, compared: tried.len() })
    }

    /// Cycles of what `emit` emits, alone on the machine; they lower `shortest`. The greatest number where they are more.
    fn scheduled(&self, shortest: &AtomicU64, emit: impl FnOnce(&mut Emitter)) -> u64 {
        let mut emitter = Emitter::new(false);
        emit(&mut emitter);
        emitter.push(Instr::Halt);
        let program = Program {
            name: String::new(),
            code: emitter.code,
            entries: BTreeMap::from([(String::new(), 0)]),
            dram_bytes: self.layout.bytes,
            tensors: Vec::new(),
            marks: Vec::new(),
            probes: Vec::new(),
            training: None,
        };
        let plan = Plan::new(&program, "").ok();
        let cycles = plan.and_then(|plan| Schedule::cycles_within(&plan, self.machine, shortest));
        cycles.map_or(u64::MAX, |cycles| {
            shortest.fetch_min(cycles, Ordering::Relaxed);
            cycles
        })
    }
}

/// The tiling taken.
pub(super) struct Fastest<T> {
    pub(super) tiling: T,
    pub(super) cycles: u64,
    pub(super) fitting: usize,
    pub(super) compared: usize,
}

impl<T: fmt::Display + Copy> Fastest<T> {
    /// What there is to say about it.
    pub(super) fn choice(
        &self,
        entry: &'static str,
        phase: Phase,
        layer: usize,
        bytes: [u64; 4],
        twice: [bool; 4],
    ) -> Choice {
        let Fastest { tiling, cycles, fitting, compared } = *self;
        Choice { entry, phase, layer, tile: tiling.to_string(), bytes, twice, cycles, fitting, compared }
    }
}
