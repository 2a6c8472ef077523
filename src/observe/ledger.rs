//! What a run's instructions came to: instructions, cycles, products and events by phase and layer.
//!
//! What an instruction costs does not depend on data, nor does the schedule: both are worked out once for a plan; while a
//! program runs, only executions, passes and the engine's outcomes are counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::area::Logic;
use super::cost::Cost;
use super::events::{Component, Event, Events};
use crate::machine::{Observer, Outcome, OverflowPlace, State};
use crate::number::AccumulatorRule;
use crate::program::{Phase, Plan};
use crate::spec::Machine;
use crate::timing::{Account, Accounts, Schedule};

/// Counts the instructions of one plan, whole passes of it: one that a fault ended is none.
#[derive(Debug, Clone)]
pub struct Ledger {
    lines: Vec<Line>,
    /// The line of each of the plan's instructions.
    line_of: Arc<[usize]>,
    control_after: u64,
    /// Where the cycles of one pass go.
    accounts: Accounts,
    /// What its instructions ask of array and vector unit.
    logic: Logic,
    gating: bool,
    counts: LedgerCounts,
    /// What the pass under way has come to, told in order or beside each other.
    pass: Vec<Pass>,
}

/// What a pass of the plan has come to, or some of its instructions.
#[derive(Debug, Clone)]
struct Pass {
    line_of: Arc<[usize]>,
    lines: Vec<LineCounts>,
    /// The plan's first instruction whose accumulators left their range, and where.
    first_overflow: Option<(usize, OverflowPlace)>,
}

/// An instruction of the plan, wherever its loops put it.
#[derive(Debug, Clone)]
struct Line {
    phase: Phase,
    layer: Option<u32>,
    cost: Cost,
}

/// What a ledger has counted: all of it that depends on data or on how long a run was. A checkpoint keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerCounts {
    lines: Vec<LineCounts>,
    passes: u64,
    first_overflow: Option<FirstOverflow>,
}

/// Where an accumulator first left its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstOverflow {
    /// The pass of the plan, from 1: of the training entry, the step.
    pub pass: u64,
    /// Phase of the instruction.
    pub phase: Phase,
    /// Its layer.
    pub layer: Option<u32>,
    /// The instruction.
    pub instruction: u32,
    /// Row of its product.
    pub row: u32,
    /// Column of its product.
    pub column: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LineCounts {
    executions: u64,
    control: u64,
    nonzero_products: u64,
    wrong_outputs: u64,
    saturated_joins: u64,
    clipped: u64,
}

/// Sums over instructions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Instructions executed, control among them.
    pub instructions: u64,
    /// Cycles, and where they go by unit.
    pub account: Account,
    /// Products, padding's zeros among them.
    pub products: u64,
    /// Products without padding's.
    pub useful_products: u64,
    /// Products with both operands not zero.
    pub nonzero_products: u64,
    /// Outputs whose register differs from the exact sum.
    pub wrong_outputs: u64,
    /// Joins that saturated.
    pub saturated_joins: u64,
    /// Bytes read from DRAM, whole bursts.
    pub dram_read_bytes: u64,
    /// Bytes written to DRAM, whole bursts.
    pub dram_written_bytes: u64,
    /// Events that cost energy.
    pub events: Events,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: &Tally) {
        self.instructions += other.instructions;
        self.account.add(&other.account, 1);
        self.products += other.products;
        self.useful_products += other.useful_products;
        self.nonzero_products += other.nonzero_products;
        self.wrong_outputs += other.wrong_outputs;
        self.saturated_joins += other.saturated_joins;
        self.dram_read_bytes += other.dram_read_bytes;
        self.dram_written_bytes += other.dram_written_bytes;
        for (&key, &count) in &other.events {
            *self.events.entry(key).or_default() += count;
        }
    }
}

impl Ledger {
    /// A ledger of a plan on a machine, nothing counted.
    pub fn new(plan: &Plan, machine: &Machine) -> Self {
        let (mut lines, mut logic) = (Vec::new(), Logic::default());
        let mut known: HashMap<(u32, AccumulatorRule), usize> = HashMap::new();
        let line_of = plan.steps.iter().map(|step| {
            *known.entry((step.pc, step.rule)).or_insert_with(|| {
                logic.add(step, machine);
                lines.push(Line { phase: step.phase, layer: step.layer, cost: Cost::of(step, machine) });
                lines.len() - 1
            })
        });
        let line_of = line_of.collect();
        let counts =
            LedgerCounts { lines: vec![LineCounts::default(); lines.len()], ..LedgerCounts::default() };
        let control_after = plan.control_after.into();
        let accounts = Schedule::of(plan, machine).accounts;
        let gating = machine.vector.zero_gating;
        Ledger { lines, line_of, control_after, accounts, logic, gating, counts, pass: Vec::new() }
    }

    /// Counts every instruction of the plan once, as if executed and no operand zero: what does not depend on data.
    pub fn count_pass(&mut self, plan: &Plan) {
        for (step, &line) in plan.steps.iter().zip(&*self.line_of) {
            self.counts.lines[line].executions += 1;
            self.counts.lines[line].nonzero_products += self.lines[line].cost.products;
            self.counts.lines[line].control += u64::from(step.control_before);
        }
        self.counts.passes += 1;
    }

    /// What the plan's instructions ask of array and vector unit.
    pub fn logic(&self) -> &Logic {
        &self.logic
    }

    /// What it has counted.
    pub fn counts(&self) -> &LedgerCounts {
        &self.counts
    }

    /// Times the whole plan was executed.
    pub fn passes(&self) -> u64 {
        self.counts.passes
    }

    /// Where an accumulator first left its range, if one did.
    pub fn first_overflow(&self) -> Option<FirstOverflow> {
        self.counts.first_overflow
    }

    /// Goes on from what was counted before; false where the counts are of another plan.
    pub fn restore(&mut self, counts: &LedgerCounts) -> bool {
        let same = counts.lines.len() == self.lines.len();
        if same {
            self.counts = counts.clone();
        }
        same
    }

    /// Counts as if this plan had been executed in place of another that computes the same numbers: executions are this
    /// plan's, outcomes the other's by phase and layer. Products with no zero operand are shared among a part's
    /// instructions by their products; where the first overflow happened is the other plan's and left out.
    pub fn stand_in(&mut self, plan: &Plan, other: &Ledger) {
        let passes = other.counts.passes;
        self.counts = LedgerCounts {
            lines: vec![LineCounts::default(); self.lines.len()],
            passes,
            first_overflow: None,
        };
        for (step, &line) in plan.steps.iter().zip(&*self.line_of) {
            self.counts.lines[line].executions += passes;
            self.counts.lines[line].control += passes * u64::from(step.control_before);
        }
        for (label, tally) in other.tallies() {
            let own = self.lines.iter().zip(&mut self.counts.lines);
            let mut own: Vec<_> = own.filter(|(line, _)| (line.phase, line.layer) == label).collect();
            let Some((_, first)) = own.first_mut() else { continue };
            (first.wrong_outputs, first.saturated_joins) = (tally.wrong_outputs, tally.saturated_joins);
            let mut nonzero = tally.nonzero_products;
            let mut products: u64 =
                own.iter().map(|(line, counts)| line.cost.products * counts.executions).sum();
            for (line, counts) in own.iter_mut().filter(|(line, _)| line.cost.products > 0) {
                let made = line.cost.products * counts.executions;
                let share = u128::from(nonzero) * u128::from(made) / u128::from(products.max(1));
                counts.nonzero_products = u64::try_from(share).unwrap_or(nonzero);
                (nonzero, products) = (nonzero - counts.nonzero_products, products - made);
            }
        }
    }

    /// Sums by phase and layer.
    pub fn tallies(&self) -> BTreeMap<(Phase, Option<u32>), Tally> {
        let mut tallies: BTreeMap<(Phase, Option<u32>), Tally> = BTreeMap::new();
        for (line, counts) in self.lines.iter().zip(&self.counts.lines) {
            let tally = tallies.entry((line.phase, line.layer)).or_default();
            count(tally, line, counts, self.gating);
        }
        let control = self.counts.passes * self.control_after;
        control_instructions(tallies.entry((Phase::Other, None)).or_default(), control);
        for (&label, account) in &self.accounts {
            let tally = tallies.entry(label).or_default();
            tally.account.add(account, self.counts.passes);
            let cycles = u128::from(account.cycles) * u128::from(self.counts.passes);
            if cycles > 0 {
                *tally.events.entry((Component::Leakage, Event::Cycle)).or_default() += cycles;
            }
        }
        tallies.retain(|_, t| t.instructions > 0);
        tallies
    }
}

fn control_instructions(tally: &mut Tally, count: u64) {
    tally.instructions += count;
    if count > 0 {
        *tally.events.entry((Component::Control, Event::Register { bits: 64 })).or_default() +=
            u128::from(count);
        *tally.events.entry((Component::Control, Event::Count { bits: 32 })).or_default() +=
            u128::from(count);
    }
}

fn count(tally: &mut Tally, line: &Line, counts: &LineCounts, gating: bool) {
    let (n, cost) = (counts.executions, &line.cost);
    tally.instructions += n;
    tally.products += n * cost.products;
    tally.useful_products += n * cost.useful_products;
    tally.nonzero_products += counts.nonzero_products;
    tally.wrong_outputs += counts.wrong_outputs;
    tally.saturated_joins += counts.saturated_joins;
    tally.dram_read_bytes += n * cost.dram_read_bytes;
    tally.dram_written_bytes += n * cost.dram_written_bytes;
    for (&key, &each) in &cost.events {
        *tally.events.entry(key).or_default() += u128::from(n) * each;
    }
    for (&key, &each) in &cost.gateable {
        let all = u128::from(n) * each;
        // Events a product: those of products with a zero operand are spared.
        let happened = if gating && cost.products > 0 {
            each * u128::from(counts.nonzero_products) / u128::from(cost.products)
        } else {
            all
        };
        *tally.events.entry(key).or_default() += happened;
    }
    control_instructions(tally, counts.control);
}

impl Ledger {
    /// A pass, or a part of one, of which nothing was told yet.
    fn blank(&self) -> Pass {
        Pass {
            line_of: Arc::clone(&self.line_of),
            lines: vec![LineCounts::default(); self.lines.len()],
            first_overflow: None,
        }
    }
}

impl Observer for Ledger {
    fn looks(&self) -> bool {
        false
    }

    fn beside(&mut self, hands: usize) -> Vec<&mut (dyn Observer + Send)> {
        self.pass = (0..hands).map(|_| self.blank()).collect();
        self.pass.iter_mut().map(|pass| pass as &mut (dyn Observer + Send)).collect()
    }

    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, state: &State) {
        if self.pass.is_empty() {
            self.pass = vec![self.blank()];
        }
        self.pass[0].executed(plan, step, outcome, state);
    }

    fn finished(&mut self, plan: &Plan) {
        self.counts.passes += 1;
        let pass = self.counts.passes;
        let first = self.pass.iter().filter_map(|pass| pass.first_overflow).min_by_key(|(step, _)| *step);
        let overflow = first.map(|(step, place)| {
            let step = &plan.steps[step];
            let OverflowPlace { row, column } = place;
            FirstOverflow { pass, phase: step.phase, layer: step.layer, instruction: step.pc, row, column }
        });
        self.counts.first_overflow = self.counts.first_overflow.or(overflow);
        for pass in self.pass.drain(..) {
            self.counts.lines.iter_mut().zip(&pass.lines).for_each(|(all, of_pass)| all.add(of_pass));
        }
    }
}

impl LineCounts {
    fn add(&mut self, other: &LineCounts) {
        self.executions += other.executions;
        self.control += other.control;
        self.nonzero_products += other.nonzero_products;
        self.wrong_outputs += other.wrong_outputs;
        self.saturated_joins += other.saturated_joins;
        self.clipped += other.clipped;
    }
}

impl Observer for Pass {
    fn looks(&self) -> bool {
        false
    }

    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, _: &State) {
        self.lines[self.line_of[step]].add(&LineCounts {
            executions: 1,
            control: plan.steps[step].control_before.into(),
            nonzero_products: outcome.nonzero_products,
            wrong_outputs: outcome.wrong_outputs,
            saturated_joins: outcome.saturated_joins,
            clipped: outcome.clipped,
        });
        let is_first = self.first_overflow.is_none_or(|(first, _)| step < first);
        if let (true, Some(place)) = (is_first, outcome.first_overflow) {
            self.first_overflow = Some((step, place));
        }
    }
}
