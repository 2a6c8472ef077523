//! What of a plan may be executed side by side, and what must be over before what begins.
//!
//! A *strand* is a set of steps that hand each other values in scratchpads: a tile from its loads to its stores. Steps that
//! only put there what DRAM or the instruction says (`load`, `v.fill`) belong to every strand that reads what they put. Given
//! scratchpads of its own, a worker that executes whole strands, one after the other and each one's steps in program order,
//! reads what the program's order has it read: the last writer of every byte is among a strand's own steps. Strands meet in
//! DRAM and in registers alone. In DRAM whole strands come one after the other; in registers a step comes after
//! the one that wrote what it reads. All tiles of a layer add to the same few registers, in any order: sums and greatest magnitudes are
//! gathered. Knows neither threads nor what instructions compute.

mod halves;
mod weave;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use super::Plan;
use crate::isa::{Memory, Registers};
pub use halves::whole;
use weave::{Weaver, Woven};

/// The bytes of DRAM that a step moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// From the first to behind the last.
    pub bytes: Range<usize>,
    /// Whether it writes them.
    pub writes: bool,
    /// Rows of bytes among which it moves no others.
    pub rows: Rows,
}

/// Rows side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Bytes of each.
    pub bytes: usize,
    /// From one to the next.
    pub stride: usize,
}

/// Whether the two have a byte in common.
fn meet(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Moved {
    /// Whether the two have a byte in common, or what lies between their rows.
    pub fn meets(&self, other: &Moved) -> bool {
        meet(&self.bytes, &other.bytes)
    }

    /// Whether the two have a byte in common for all one knows: not where their rows lie beside each other.
    fn shares(&self, other: &Moved) -> bool {
        let behind = |a: &Moved, b: &Moved| {
            let stride = a.rows.stride;
            let ahead = (b.bytes.start % stride + stride - a.bytes.start % stride) % stride;
            ahead >= a.rows.bytes
        };
        let are_beside = self.rows.stride == other.rows.stride && behind(self, other) && behind(other, self);
        self.meets(other) && !are_beside
    }
}

/// Bytes of a scratchpad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The scratchpad.
    pub memory: Memory,
    /// The bytes.
    pub bytes: Range<usize>,
}

impl Place {
    /// Whether the two have a byte in common.
    pub fn meets(&self, other: &Place) -> bool {
        self.memory == other.memory && meet(&self.bytes, &other.bytes)
    }

    /// Whether the other has all its bytes.
    pub fn is_within(&self, other: &Place) -> bool {
        let (own, others) = (&self.bytes, &other.bytes);
        self.memory == other.memory && own.start >= others.start && own.end <= others.end
    }
}

/// What a step touches in scratchpads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// What it reads, from the first byte to behind the last of each run.
    pub reads: Vec<Place>,
    /// What it writes, likewise.
    pub writes: Vec<Place>,
    /// Whether it writes every bit of that.
    pub is_whole: bool,
    /// A number that steps have in common that put the same bits at the same places whenever they are executed; none where others
    /// may not, or it is put once in all.
    pub put: Option<usize>,
    /// What a matrix instruction finds.
    pub contents: Contents,
    /// The step that sums the other half of its reduction, where whoever executes both may do so with the second ([`whole`]): they find
    /// the same left operand, [`Contents::left`] says that of both, and the first's right operand is there still.
    pub other_half: Option<usize>,
}

/// Numbers that steps have in common which find the same in an operand; none where that is not known, or no other step does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// Of the left one.
    pub left: Option<usize>,
    /// Of the right one.
    pub right: Option<usize>,
}

/// Left operands that whoever executes a strand keeps laid out.
pub const LEFTS: usize = 2;

/// How many strands that find the same right operands go abreast, by how many that find the same left ones: what is laid out for one is
/// there for the others, and scratchpads of all are to stay in a worker's caches.
const ABREAST: [usize; 2] = [3, 2];

/// Strands that go abreast at most.
pub const SITES: usize = ABREAST[0] * ABREAST[1];
/// Right operands over positions that whoever executes strands keeps laid out.
pub const RIGHTS: usize = ABREAST[1];

/// Strands that find the same left operands; where they go abreast some of them, with others that find the same right ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// The strands.
    pub strands: Vec<usize>,
    /// Whether they had better go abreast, step by step, and can: each finds more than are [kept](LEFTS), and no byte of DRAM that one
    /// writes another moves, though it may lie between what that moves and so [come after its end](Strand::once_ended).
    pub goes_abreast: bool,
}

/// Registers as a step sees them. Whatever a plan writes to a register is a number of its own, kept for those who read it, so a
/// register that is written anew makes nobody wait. The first [`Registers::COUNT`] are what registers hold before the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renamed {
    /// Registers that it reads, by [`Registers::places`], and which number each of them holds.
    pub read: Vec<(usize, usize)>,
    /// Registers that it writes, and which number that becomes.
    pub written: Vec<(usize, usize)>,
    /// Registers in which it gathers, and in which number: steps that do may change places.
    pub gathered: Vec<(usize, usize)>,
}

impl Renamed {
    /// Whether it finds or leaves anything in registers.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.written.is_empty() && self.gathered.is_empty()
    }
}

/// Steps that one worker executes.
#[derive(Debug, Default)]
pub struct Strand {
    /// The steps in program order.
    pub steps: Vec<usize>,
    /// How many begins and ends of other strands come before it begins.
    pub comes_after: usize,
    /// Strands that come after its beginning: a step of theirs reads a register that one of its own writes.
    pub once_begun: Vec<usize>,
    /// Strands that come after its end: they meet in DRAM.
    pub once_ended: Vec<usize>,
    /// What its steps may read as it was before the plan.
    pub before: Vec<Place>,
    /// The [family](Strands::families) that it is of.
    pub family: Option<usize>,
    /// What is in a worker's scratchpads, when it has executed this strand, as the plan leaves it.
    pub left: Vec<Place>,
}

/// A plan's strands. Each comes after strands of lower numbers only.
#[derive(Debug)]
pub struct Strands {
    strands: Vec<Strand>,
    families: Vec<Family>,
    moved: Vec<Option<Moved>>,
    touched: Vec<Touched>,
    registers: Vec<Renamed>,
    /// The steps after which what a step reads in registers is there.
    registers_after: Vec<Vec<usize>>,
    registers_left: [usize; Registers::COUNT],
    numbers: usize,
    homes: Vec<usize>,
}

impl Strands {
    /// The strands of a plan whose instructions are verified.
    pub fn of(plan: &Plan) -> Strands {
        let mut weaver = Weaver::new(plan);
        for step in 0..plan.steps.len() {
            weaver.add(step);
        }
        let Woven {
            members,
            before,
            left,
            dram_after,
            registers_after,
            moved,
            mut touched,
            registers,
            registers_left,
            numbers,
        } = weaver.finish();
        let members = merged(members, &dram_after, &registers_after);
        let mut strands = linked(members, &dram_after, &registers_after);
        only_where_met_again(&strands, &mut touched);
        let families = families(&mut strands, &touched, &moved);
        let mut homes = vec![0; plan.steps.len()];
        for (number, strand) in strands.iter().enumerate() {
            strand.steps.iter().for_each(|&step| homes[step] = number);
        }
        let mut strands = Strands {
            strands,
            families,
            moved,
            touched,
            registers,
            registers_after,
            registers_left,
            numbers,
            homes,
        };
        for (place, step) in before {
            strands.strands[strands.homes[step]].before.push(place);
        }
        for (place, whole, writers) in left {
            let strand = strands.with(&writers);
            if !whole {
                strand.before.push(place.clone());
            }
            strand.left.push(place);
        }
        strands
    }

    /// A strand that has all of some steps.
    fn with(&mut self, steps: &[usize]) -> &mut Strand {
        let has = |strand: &&mut Strand| steps.iter().all(|step| strand.steps.binary_search(step).is_ok());
        self.strands.iter_mut().find(has).expect("those who write among the same bytes are one strand")
    }

    /// All of them.
    pub fn all(&self) -> &[Strand] {
        &self.strands
    }

    /// One strand that a step is in: of several, where the step counts.
    pub fn home(&self, step: usize) -> usize {
        self.homes[step]
    }

    /// Numbers of the plan's steps.
    pub fn steps(&self) -> Range<usize> {
        0..self.moved.len()
    }

    /// Bytes of DRAM that a step moves.
    pub fn moved(&self, step: usize) -> Option<&Moved> {
        self.moved[step].as_ref()
    }

    /// The families.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// What a step touches in scratchpads.
    pub fn touched(&self, step: usize) -> &Touched {
        &self.touched[step]
    }

    /// Registers that a step reads and writes.
    pub fn registers(&self, step: usize) -> &Renamed {
        &self.registers[step]
    }

    /// The steps after which what a step reads in registers is there.
    pub fn registers_after(&self, step: usize) -> &[usize] {
        &self.registers_after[step]
    }

    /// The number that each register holds in the end, by [`Registers::places`].
    pub fn registers_left(&self) -> &[usize; Registers::COUNT] {
        &self.registers_left
    }

    /// How many numbers registers hold in all, those before the plan among them.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// How long it takes from each strand's beginning to the plan's end with workers without number, given what each step takes;
    /// in the units of that.
    pub fn urgency(&self, times: &[u64]) -> Vec<u64> {
        let mut urgency = vec![0; self.strands.len()];
        for (number, strand) in self.strands.iter().enumerate().rev() {
            let own: u64 = strand.steps.iter().map(|&step| times[step]).sum();
            let longest = |of: &[usize]| of.iter().map(|&later| urgency[later]).max().unwrap_or(0);
            urgency[number] = (own + longest(&strand.once_ended)).max(longest(&strand.once_begun));
        }
        urgency
    }
}

/// The strands that each step is in.
fn strands_of(members: &[Vec<usize>], steps: usize) -> Vec<Vec<usize>> {
    let mut strands_of = vec![Vec::new(); steps];
    for (strand, steps) in members.iter().enumerate() {
        steps.iter().for_each(|&step| strands_of[step].push(strand));
    }
    strands_of
}

/// The other strands that a strand of these steps comes after.
fn met(number: usize, steps: &[usize], after: &[Vec<usize>], strands_of: &[Vec<usize>]) -> Vec<usize> {
    let older = steps.iter().flat_map(|&step| &after[step]);
    let mut met: Vec<usize> = older.flat_map(|&older| strands_of[older].iter().copied()).collect();
    met.sort_unstable();
    met.dedup();
    met.retain(|&older| older != number);
    met
}

/// Strands that come after each other made one; each behind all it comes after.
fn merged(
    mut members: Vec<Vec<usize>>,
    dram_after: &[Vec<usize>],
    registers_after: &[Vec<usize>],
) -> Vec<Vec<usize>> {
    let strands_of = strands_of(&members, dram_after.len());
    let mut comes_after = DiGraph::<(), (), usize>::default();
    for _ in &members {
        comes_after.add_node(());
    }
    for (number, steps) in members.iter().enumerate() {
        for after in [dram_after, registers_after] {
            for older in met(number, steps, after, &strands_of) {
                comes_after.add_edge(number.into(), older.into(), ());
            }
        }
    }
    // A component follows all that its edges lead to.
    let components = tarjan_scc(&comes_after).into_iter();
    let merged = components.map(|component| {
        let mut steps: Vec<usize> =
            component.into_iter().flat_map(|strand| std::mem::take(&mut members[strand.index()])).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    });
    merged.collect()
}

/// Leaves out the numbers of what is put, or found, once in all.
fn only_where_met_again(strands: &[Strand], touched: &mut [Touched]) {
    let numbers: [fn(&mut Touched) -> &mut Option<usize>; 3] = [
        |touched| &mut touched.put,
        |touched| &mut touched.contents.left,
        |touched| &mut touched.contents.right,
    ];
    for number in numbers {
        let mut times = HashMap::<usize, usize>::new();
        for &step in strands.iter().flat_map(|strand| &strand.steps) {
            if let Some(number) = *number(&mut touched[step]) {
                *times.entry(number).or_default() += 1;
            }
        }
        for number in touched.iter_mut().map(number) {
            *number = number.filter(|number| times[number] > 1);
        }
    }
}

/// Numbers of contents that a strand's steps find.
fn found(strand: &Strand, touched: &[Touched], of: impl Fn(&Contents) -> Option<usize>) -> Vec<usize> {
    let mut found: Vec<usize> = strand.steps.iter().filter_map(|&step| of(&touched[step].contents)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The families of strands.
fn families(strands: &mut [Strand], touched: &[Touched], moved: &[Option<Moved>]) -> Vec<Family> {
    let mut of_lefts = BTreeMap::<Vec<usize>, Vec<usize>>::new();
    for (number, strand) in strands.iter().enumerate() {
        of_lefts.entry(found(strand, touched, |contents| contents.left)).or_default().push(number);
    }
    of_lefts.remove(&Vec::new());
    // Of those that had better go abreast, by the right operands that each finds.
    let mut of_rights = BTreeMap::<Vec<Vec<usize>>, Vec<Vec<usize>>>::new();
    let mut families = Vec::new();
    for (lefts, members) in of_lefts.into_iter().filter(|(_, strands)| strands.len() > 1) {
        if lefts.len() > LEFTS {
            let rights = |&strand: &usize| found(&strands[strand], touched, |contents| contents.right);
            of_rights.entry(members.iter().map(rights).collect()).or_default().push(members);
        } else {
            families.push(Family { strands: members, goes_abreast: false });
        }
    }
    let has_rights = |rights: &[Vec<usize>]| rights.iter().all(|rights| !rights.is_empty());
    for (rights, alike) in of_rights {
        let most = if has_rights(&rights) && alike.len() > 1 { ABREAST } else { [1, SITES] };
        for members in alike.chunks(most[0]) {
            for first in (0..rights.len()).step_by(most[1]) {
                let end = rights.len().min(first + most[1]);
                let members: Vec<usize> =
                    members.iter().flat_map(|of_one| &of_one[first..end]).copied().collect();
                let goes_abreast = are_apart(strands, &members, moved);
                families.push(Family { strands: members, goes_abreast });
            }
        }
    }
    for (number, family) in families.iter().enumerate() {
        family.strands.iter().for_each(|&strand| strands[strand].family = Some(number));
    }
    families
}

/// Whether no strand writes a byte of DRAM that another moves.
fn are_apart(strands: &[Strand], members: &[usize], moved: &[Option<Moved>]) -> bool {
    let moves = |strand: usize| strands[strand].steps.iter().filter_map(|&step| moved[step].as_ref());
    members.iter().all(|&strand| {
        let others = || members.iter().filter(|&&other| other != strand).flat_map(|&other| moves(other));
        moves(strand).filter(|moved| moved.writes).all(|write| others().all(|other| !write.shares(other)))
    })
}

/// Strands of these steps, and which come after which.
fn linked(
    members: Vec<Vec<usize>>,
    dram_after: &[Vec<usize>],
    registers_after: &[Vec<usize>],
) -> Vec<Strand> {
    let strands_of = strands_of(&members, dram_after.len());
    let strand = |steps| Strand { steps, ..Strand::default() };
    let mut strands: Vec<Strand> = members.into_iter().map(strand).collect();
    for number in 0..strands.len() {
        let ends = met(number, &strands[number].steps, dram_after, &strands_of);
        let begins = met(number, &strands[number].steps, registers_after, &strands_of);
        strands[number].comes_after = ends.len() + begins.len();
        ends.into_iter().for_each(|older| strands[older].once_ended.push(number));
        begins.into_iter().for_each(|older| strands[older].once_begun.push(number));
    }
    strands
}
