//! What an engine is, and what executing an instruction yields.

use super::State;
use crate::program::{Plan, Step};

/// Executes instructions.
pub trait Engine {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// A plan begins: no reduction is under way.
    fn begin(&mut self) {}

    /// Executes one instruction whose accesses have been verified to stay in their memories.
    ///
    /// # Errors
    /// When a `trap` accumulator overflows or a value does not fit its format; the instruction's results then
    /// count for nothing.
    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault>;

    /// Executes a plan from its first instruction to its last.
    ///
    /// # Errors
    /// As [`Engine::execute`]; what was executed before stays, and where instructions run side by side some behind it may have
    /// been executed too. Observers are told of those before it only; those told [beside](Observer::beside) each other count for nothing.
    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        in_order(plan, state, observers, |step, state| self.execute(step, state))
    }
}

/// Executes a plan one instruction after another, observers told of each: what [`Engine::run`] does where an engine has
/// nothing better.
///
/// # Errors
/// As `execute`; what was executed before stays.
pub(super) fn in_order(
    plan: &Plan,
    state: &mut State,
    observers: &mut [&mut dyn Observer],
    mut execute: impl FnMut(&Step, &mut State) -> Result<Outcome, Fault>,
) -> Result<(), Fault> {
    for (number, step) in plan.steps.iter().enumerate() {
        let outcome = execute(step, state)?;
        for observer in observers.iter_mut() {
            observer.executed(plan, number, &outcome, state);
        }
    }
    observers.iter_mut().for_each(|observer| observer.finished(plan));
    Ok(())
}

/// What happened when an instruction was executed, besides its effect on the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Matrix: products with both operands not zero.
    pub nonzero_products: u64,
    /// Matrix, not partial: the exact sums, whatever the registers did.
    pub exact: Option<Exact>,
    /// Matrix, not partial: outputs whose register differs from the exact sum.
    pub wrong_outputs: u64,
    /// Matrix: joins that saturated (always counted).
    pub saturated_joins: u64,
    /// Matrix: the first output, in row-major order, with a join that left its range; for `wrap`, whose order does not
    /// matter, the first that is not its start and the exact sum.
    pub first_overflow: Option<OverflowPlace>,
    /// Vector: elements a clip or clamp changed.
    pub clipped: u64,
}

/// Exact sums of a matrix instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    /// The least.
    pub least: i64,
    /// The greatest.
    pub greatest: i64,
    /// How many are zero.
    pub zeros: u64,
}

/// Where an accumulator left its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverflowPlace {
    /// Row of the product.
    pub row: u32,
    /// Column of the product.
    pub column: u32,
}

/// Why a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A `trap` accumulator overflowed.
    #[error("instruction {pc}: the accumulator of row {}, column {} overflowed", place.row, place.column)]
    Trap {
        /// The instruction.
        pc: u32,
        /// The first output that overflowed, in row-major order.
        place: OverflowPlace,
    },
    /// A weight step that does not fit its format.
    #[error("instruction {pc}: element {element} does not fit its format")]
    Range {
        /// The instruction.
        pc: u32,
        /// The first element that does not fit.
        element: u64,
    },
    /// A weight-stationary product sums a column of the array before it joins; only an engine that moves registers minds.
    #[error(
        "instruction {pc}: chunk is {chunk}; where weights stay in the array it is the array's rows, {rows}"
    )]
    Chunk {
        /// The instruction.
        pc: u32,
        /// Its mode's chunk.
        chunk: u32,
        /// Rows of the array.
        rows: u32,
    },
}

impl Fault {
    /// The instruction that stopped the run.
    pub fn pc(&self) -> u32 {
        match self {
            Fault::Trap { pc, .. } | Fault::Range { pc, .. } | Fault::Chunk { pc, .. } => *pc,
        }
    }
}

/// Is told of every instruction after it was executed; changes nothing.
pub trait Observer {
    /// Whether it looks at the state; an engine may show one that does not the state as the plan leaves it.
    fn looks(&self) -> bool {
        true
    }

    /// As many observers as there are hands, each to be told in place of this one of all instructions of some strands, as the state
    /// has scratchpads and registers after each; what they have seen is this one's when the plan is [finished](Observer::finished).
    /// None where this one is to be told of all in program order.
    fn beside(&mut self, hands: usize) -> Vec<&mut (dyn Observer + Send)> {
        let _ = hands;
        Vec::new()
    }

    /// Instruction `step` of the plan went by.
    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, state: &State);

    /// The plan's last instruction went by.
    fn finished(&mut self, plan: &Plan) {
        let _ = plan;
    }
}

/// Executes a plan from its first instruction to its last.
///
/// # Errors
/// As [`Engine::execute`]; what was executed before stays.
pub fn run(
    plan: &Plan,
    engine: &mut dyn Engine,
    state: &mut State,
    observers: &mut [&mut dyn Observer],
) -> Result<(), Fault> {
    engine.begin();
    engine.run(plan, state, observers)
}
