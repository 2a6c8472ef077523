//! What of a plan may be executed side by side, and in which turns.
//!
//! A *strand* is a set of steps that hand each other values in scratchpads: a tile from its loads to its stores. Steps that
//! only put there what DRAM or the instruction says (`load`, `v.fill`) belong to every strand that reads what they put. Given
//! scratchpads of its own, a worker that executes whole strands, their steps in program order, reads what the program's order
//! has it read: the last writer of every byte is among its steps. Strands meet in DRAM and in registers alone, and there a
//! step comes *after* those before it that it meets. Knows neither threads nor what instructions compute.

use std::collections::HashSet;
use std::ops::Range;

use super::Plan;
use super::spans::Spans;
use crate::isa::{Counter, Footprint, Instr, Memory, Registers, Scale};

/// The bytes of DRAM that a step moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// From the first to behind the last.
    pub bytes: Range<usize>,
    /// Whether it writes them.
    pub writes: bool,
}

/// Bytes of a scratchpad as the plan leaves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The scratchpad.
    pub memory: Memory,
    /// The bytes.
    pub bytes: Range<usize>,
    /// The strand whose worker's scratchpad has them.
    pub strand: usize,
}

/// A plan's strands.
#[derive(Debug)]
pub struct Strands {
    /// The steps of each strand in program order.
    strands: Vec<Vec<usize>>,
    /// The steps that a step comes after, for DRAM and registers.
    after: Vec<Vec<usize>>,
    moved: Vec<Option<Moved>>,
    registers: Vec<Registers>,
    left: Vec<Left>,
    reads_before: bool,
}

/// A worker's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The step.
    pub step: usize,
    /// Workers waited for, and how many of their turns must be over.
    pub waits: Vec<(usize, usize)>,
}

/// A plan's turns, shared among workers.
#[derive(Debug)]
pub struct Shares {
    strands: Strands,
    /// Each worker's turns in order.
    turns: Vec<Vec<Turn>>,
    /// A worker that executes each step, and in which of its turns.
    turn_of: Vec<(usize, usize)>,
    /// The worker of each strand.
    worker_of_strand: Vec<usize>,
    nanoseconds: u64,
}

/// What a worker's turn takes besides its step, in nanoseconds.
const TURN: u64 = 40;

impl Strands {
    /// The strands of a plan whose instructions are verified.
    pub fn of(plan: &Plan) -> Strands {
        let mut weaver = Weaver::new(plan);
        for step in 0..plan.steps.len() {
            weaver.add(step);
        }
        weaver.finish()
    }

    /// Bytes of DRAM that each step moves.
    pub fn moved(&self) -> &[Option<Moved>] {
        &self.moved
    }

    /// Registers that a step reads or writes.
    pub fn registers(&self, step: usize) -> Registers {
        self.registers[step]
    }

    /// Whether a step may read, or the plan leave, a byte of a scratchpad as it was before the plan among those it writes.
    pub fn reads_before(&self) -> bool {
        self.reads_before
    }

    /// Shares the strands among workers: each goes to the worker that would be done with it first, given what each step
    /// takes (nanoseconds).
    pub fn share(self, nanoseconds: &[u64], workers: usize) -> Shares {
        let steps = self.after.len();
        let (mut ends, mut free) = (vec![0u64; steps], vec![0u64; workers]);
        let mut has: Vec<HashSet<usize>> = vec![HashSet::new(); workers];
        let mut worker_of_strand = Vec::with_capacity(self.strands.len());
        for strand in &self.strands {
            let done = |worker: usize| {
                let mut now = free[worker];
                let mut done = Vec::with_capacity(strand.len());
                for &step in strand.iter().filter(|step| !has[worker].contains(step)) {
                    let ready = self.after[step].iter().map(|&older| ends[older]).max().unwrap_or(0);
                    now = now.max(ready) + nanoseconds[step] + TURN;
                    done.push((step, now));
                }
                (now, worker, done)
            };
            let best = (0..workers).map(done).min_by_key(|(now, ..)| *now);
            let Some((now, worker, done)) = best else { continue };
            free[worker] = now;
            worker_of_strand.push(worker);
            for (step, now) in done {
                ends[step] = ends[step].max(now);
                has[worker].insert(step);
            }
        }
        let nanoseconds = free.into_iter().max().unwrap_or(0);
        Shares::new(self, &has, worker_of_strand, nanoseconds)
    }
}

impl Shares {
    fn new(
        strands: Strands,
        has: &[HashSet<usize>],
        worker_of_strand: Vec<usize>,
        nanoseconds: u64,
    ) -> Shares {
        let steps = strands.after.len();
        // How many turns of each worker are over when it has executed a step.
        let mut place: Vec<Vec<(usize, usize)>> = vec![Vec::new(); steps];
        let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); has.len()];
        let mut waited = vec![vec![0; has.len()]; has.len()];
        for step in 0..steps {
            let workers = (0..has.len()).filter(|&worker| has[worker].contains(&step));
            for worker in workers {
                let mut needs = vec![0; has.len()];
                for &older in &strands.after[step] {
                    for &(of, count) in place[older].iter().filter(|(of, _)| *of != worker) {
                        needs[of] = count.max(needs[of]);
                    }
                }
                let waited = &mut waited[worker];
                let news = needs.into_iter().enumerate().filter(|&(of, count)| count > waited[of]);
                let waits: Vec<(usize, usize)> = news.collect();
                waits.iter().for_each(|&(of, count)| waited[of] = count);
                turns[worker].push(Turn { step, waits });
                place[step].push((worker, turns[worker].len()));
            }
        }
        let turn = |over: &(usize, usize)| (over.0, over.1 - 1);
        let turn_of = place.iter().map(|p| p.first().map_or((0, 0), turn)).collect();
        Shares { strands, turns, turn_of, worker_of_strand, nanoseconds }
    }

    /// The strands.
    pub fn strands(&self) -> &Strands {
        &self.strands
    }

    /// Each worker's turns in order: all that a step comes after is before it or waited for.
    pub fn turns(&self) -> &[Vec<Turn>] {
        &self.turns
    }

    /// A worker that executes a step and which of its turns it is; the only one but for steps that several strands have.
    pub fn turn_of(&self, step: usize) -> (usize, usize) {
        self.turn_of[step]
    }

    /// The scratchpads as the plan leaves them, where it writes, and the worker who has them so.
    pub fn left(&self) -> impl Iterator<Item = (&Left, usize)> {
        self.strands.left.iter().map(|left| (left, self.worker_of_strand[left.strand]))
    }

    /// What all of it was reckoned to take.
    pub fn nanoseconds(&self) -> u64 {
        self.nanoseconds
    }
}

/// The last step that wrote a byte of DRAM or a register, and those that read it since.
#[derive(Debug, Clone, Default)]
struct Met {
    writer: Option<usize>,
    readers: Vec<usize>,
}

impl Met {
    /// The step reads it: what the step comes after.
    fn read(&mut self, step: usize, after: &mut Vec<usize>) {
        after.extend(self.writer);
        self.readers.push(step);
    }

    /// The step writes it.
    fn write(&mut self, step: usize, after: &mut Vec<usize>) {
        after.extend(self.writer.replace(step));
        after.append(&mut self.readers);
    }
}

/// The steps that wrote among some bytes of a scratchpad since one wrote them all.
#[derive(Debug, Clone, Default)]
struct Held {
    writers: Vec<usize>,
    /// Whether one wrote them all.
    whole: bool,
}

const REGISTERS: usize = Scale::COUNT as usize + Counter::COUNT as usize;

/// Strands under way.
struct Weaver<'a> {
    plan: &'a Plan,
    /// A step of the same strand before it, or itself.
    parent: Vec<usize>,
    /// Repeatable steps that a step's strand has too.
    shared: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    moved: Vec<Option<Moved>>,
    registers: Vec<Registers>,
    dram: Spans<Met>,
    scratchpads: [Spans<Held>; 4],
    met: [Met; REGISTERS],
    reads_before: bool,
}

/// Whether what a step does depends on nothing in scratchpads and registers, so that it may be done more than once.
fn is_repeatable(instr: &Instr) -> bool {
    matches!(instr, Instr::Load(_) | Instr::VFill(_))
}

/// Whether an instruction writes every bit from the first byte of what it writes to the last; false where nobody asked.
fn is_whole(instr: &Instr) -> bool {
    let bytes = |count: u64, bits: u32| (count * u64::from(bits)).is_multiple_of(8);
    match instr {
        Instr::Load(m) => {
            let row = u64::from(m.pad_left) + u64::from(m.bytes) + u64::from(m.pad_right);
            let rows = u64::from(m.pad_top) + u64::from(m.rows) + u64::from(m.pad_bottom);
            (rows == 1 || u64::from(m.dst_row) == row)
                && (m.planes == 1 || u64::from(m.dst_plane) == row * rows)
        }
        Instr::MTaps(m) | Instr::MPositions(m) => {
            (m.rows == 1 || m.out_stride == m.columns)
                && bytes(u64::from(m.rows) * u64::from(m.columns), m.out_format.bits())
        }
        Instr::VFill(i) => bytes(i.count.into(), i.dst_format.bits()),
        Instr::VLookup(i) => bytes(i.count.into(), i.dst_format.bits()),
        Instr::VShift(i) => bytes(i.count.into(), i.dst_format.bits()),
        Instr::VStochastic(i) => bytes(i.count.into(), i.dst_format.bits()),
        Instr::VRelu(i) => bytes(i.count.into(), i.format.bits()),
        Instr::VMask(i) => bytes(i.count.into(), i.format.bits()),
        Instr::VAdd(i) => bytes(i.count.into(), i.format.bits()),
        Instr::VSub(i) => bytes(i.count.into(), i.format.bits()),
        Instr::VState(i) => bytes(i.count.into(), 2),
        Instr::VUnpool(i) => i.format.bits().is_multiple_of(8),
        Instr::VPool(i) => {
            let outputs = [i.images, i.out_rows, i.out_cols, i.channels].map(u64::from).iter().product();
            bytes(outputs, i.format.bits()) && bytes(outputs, i.place_format.bits())
        }
        _ => false,
    }
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn numbers(registers: Registers) -> impl Iterator<Item = usize> {
    let scales = registers.scales().map(|s| usize::from(s.0));
    scales.chain(registers.counters().map(|c| usize::from(Scale::COUNT + c.0)))
}

impl<'a> Weaver<'a> {
    fn new(plan: &'a Plan) -> Self {
        let steps = plan.steps.len();
        Weaver {
            plan,
            parent: (0..steps).collect(),
            shared: vec![Vec::new(); steps],
            after: Vec::with_capacity(steps),
            moved: Vec::with_capacity(steps),
            registers: Vec::with_capacity(steps),
            dram: Spans::default(),
            scratchpads: Default::default(),
            met: Default::default(),
            reads_before: false,
        }
    }

    /// The first step known of a step's strand.
    fn first(&mut self, mut step: usize) -> usize {
        while self.parent[step] != step {
            self.parent[step] = self.parent[self.parent[step]];
            step = self.parent[step];
        }
        step
    }

    /// The next step: what it reads, then what it writes.
    fn add(&mut self, step: usize) {
        let instr = &self.plan.steps[step].instr;
        let footprint = Footprint::of(instr);
        let (mut after, mut moved) = (Vec::new(), None);
        for range in &footprint.reads {
            let bytes = range.first..range.end;
            if range.memory == Memory::Dram {
                moved = Some(Moved { bytes: size(bytes.start)..size(bytes.end), writes: false });
                self.dram.all(bytes).for_each(|met| met.read(step, &mut after));
            } else {
                self.read(step, range.memory, bytes);
            }
        }
        for range in &footprint.writes {
            let bytes = range.first..range.end;
            if range.memory == Memory::Dram {
                moved = Some(Moved { bytes: size(bytes.start)..size(bytes.end), writes: true });
                self.dram.all(bytes.clone()).for_each(|met| met.write(step, &mut after));
                self.dram.replace(bytes, Met { writer: Some(step), readers: Vec::new() });
                continue;
            }
            let spans = &mut self.scratchpads[range.memory.index()];
            if is_whole(instr) {
                spans.replace(bytes, Held { writers: vec![step], whole: true });
            } else {
                spans.all(bytes).for_each(|held| held.writers.push(step));
            }
        }
        numbers(footprint.registers_read).for_each(|n| self.met[n].read(step, &mut after));
        numbers(footprint.registers_written).for_each(|n| self.met[n].write(step, &mut after));
        after.retain(|&older| older != step);
        after.sort_unstable();
        after.dedup();
        self.after.push(after);
        self.moved.push(moved);
        self.registers.push(footprint.registers_read.with(footprint.registers_written));
    }

    /// Bytes that a step reads put it into the strands of those that wrote them.
    fn read(&mut self, step: usize, memory: Memory, bytes: Range<u64>) {
        let (mut writers, mut covered, mut whole) = (Vec::new(), bytes.start, true);
        for (span, held) in self.scratchpads[memory.index()].meeting(bytes.clone()) {
            whole &= span.start <= covered && held.whole;
            covered = span.end;
            writers.extend_from_slice(&held.writers);
        }
        self.reads_before |= !whole || covered < bytes.end;
        self.join(step, writers);
    }

    /// Puts a step and others into one strand, repeatable ones in it as in others.
    fn join(&mut self, step: usize, mut others: Vec<usize>) {
        others.sort_unstable();
        others.dedup();
        for other in others.into_iter().filter(|&other| other != step) {
            if is_repeatable(&self.plan.steps[other].instr) {
                self.shared[step].push(other);
            } else {
                let (a, b) = (self.first(step), self.first(other));
                self.parent[a.max(b)] = a.min(b);
            }
        }
    }

    fn finish(mut self) -> Strands {
        // What is left of bytes that several steps wrote among is left where all of them are done.
        let mut left = Vec::new();
        for memory in Memory::SCRATCHPADS {
            let spans = std::mem::take(&mut self.scratchpads[memory.index()]);
            for (bytes, held) in spans.iter() {
                self.reads_before |= !held.whole;
                let is_alone = |step: &usize| !is_repeatable(&self.plan.steps[*step].instr);
                let step = held.writers.iter().copied().find(is_alone).or(held.writers.first().copied());
                let Some(step) = step else { continue };
                self.join(step, held.writers.clone());
                left.push((memory, size(bytes.start)..size(bytes.end), step));
            }
        }
        let steps = self.plan.steps.len();
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); steps];
        // The strand that a step is in, or one of those that have a repeatable one.
        let mut has: Vec<Option<usize>> = vec![None; steps];
        let (repeatable, alone): (Vec<usize>, Vec<usize>) = (0..steps)
            .partition(|&step| is_repeatable(&self.plan.steps[step].instr) && self.shared[step].is_empty());
        for &step in &alone {
            let first = self.first(step);
            let shared = std::mem::take(&mut self.shared[step]);
            shared.iter().for_each(|&step| has[step] = Some(first));
            members[first].push(step);
            members[first].extend(shared);
        }
        for step in alone {
            has[step] = Some(self.first(step));
        }
        // One that nobody reads is a strand of its own.
        for step in repeatable {
            if has[step].is_none() {
                has[step] = Some(step);
                members[step].push(step);
            }
        }
        let mut strands: Vec<(Vec<usize>, usize)> = Vec::new();
        for (first, mut members) in members.into_iter().enumerate().filter(|(_, m)| !m.is_empty()) {
            members.sort_unstable();
            members.dedup();
            strands.push((members, first));
        }
        strands.sort_unstable();
        let mut number = vec![0; steps];
        strands.iter().enumerate().for_each(|(n, (_, first))| number[*first] = n);
        let strand = |step: usize| number[has[step].unwrap_or(step)];
        let left = left.into_iter().map(|(memory, bytes, step)| Left { memory, bytes, strand: strand(step) });
        let left = left.collect();
        let strands = strands.into_iter().map(|(members, _)| members).collect();
        Strands {
            strands,
            after: self.after,
            moved: self.moved,
            registers: self.registers,
            left,
            reads_before: self.reads_before,
        }
    }
}
