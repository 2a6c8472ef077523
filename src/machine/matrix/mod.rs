//! The matrix instructions: exact sums by the fastest product the operands allow, and the accumulator's rules where they
//! can matter.
//!
//! Where no partial sum can leave its range the exact sum is the register and goes from the kernel to its memory. Where
//! `wrap` makes joins associative it is the exact sum reduced once. Only what is left is stepped join by join.

mod accumulator;
mod frame;
mod halves;
mod kept;
mod layout;
mod left;
mod narrow;
mod nonzero;
mod norms;
mod places;
mod recount;
mod right;
mod rights;
mod rule;
mod standing;
mod stepped;
mod under_way;
mod wide;
mod winograd;
mod woven;

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use super::kernels::{Extremes, Kernels, Operands, compiled};
use super::{Exact, Fault, Outcome, State};
use crate::isa::{Address, Instr, Matrix, Memory};
use crate::number::AccumulatorRule;
use crate::program::{Contents, LEFTS};
use accumulator::store_words;
use halves::Wholes;
pub(super) use halves::{Found, Half};
use kept::Kept;
use layout::Layout;
use left::Left;
use narrow::Narrow;
use nonzero::Nonzero;
pub use recount::{Recount, Recounted, Recounter};
use rights::{Rights, Whose};
use rule::{associative, narrowest_word};
use standing::Standing;
use under_way::UnderWay;

/// Instructions whose layouts are kept; more than the distinct matrix instructions of a training step.
const LAYOUTS: usize = 512;

/// The array: what it keeps of instructions it has met, its scratch, and the exact sums of reductions that later
/// instructions go on with.
#[derive(Debug)]
pub(super) struct Array {
    kernels: Kernels,
    prepared: Vec<Prepared>,
    number_of: HashMap<Key, usize>,
    last: usize,
    lefts: [Left; LEFTS],
    recent: Rotation<LEFTS>,
    rights: Rights,
    whole: Wholes,
    /// Instructions that differ in where their operands are alone have frames alike.
    frame_of: HashMap<Key, usize>,
    nonzero: Nonzero,
    narrow: Narrow,
    sums: Vec<u8>,
    accumulators: Accumulators,
}

/// What is known of an accumulator memory.
#[derive(Debug, Default)]
pub(super) struct Accumulators {
    under_way: UnderWay,
    standing: Standing,
    kept: Kept,
    /// Whether the first half of a reduction is to be summed with the second.
    awaits_half: bool,
}

/// Which operands an instruction looks at in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct LooksAt {
    pub(super) left: bool,
    pub(super) right: bool,
}

/// What is kept of a matrix instruction.
#[derive(Debug)]
struct Prepared {
    layout: Layout,
    /// What its right operand is; none where it sums both halves of a reduction, which have one each.
    right: Option<Whose>,
    /// Whose frames are alike.
    frame: usize,
    /// How many left operands are not tried to be squares' inputs.
    pause: Cell<u32>,
}

/// An instruction that was met, and whether positions are reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(Matrix, bool);

impl Hash for Key {
    /// Of what differs from tile to tile: instructions have many fields.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let m = &self.0;
        [m.left.offset, m.right.offset, m.out.offset].hash(state);
        [m.first_row, m.first_k, m.rows, m.length, m.channels].hash(state);
    }
}

/// Places that are taken in turn: which was last.
#[derive(Debug, Default)]
struct Rotation<const N: usize>(usize);

impl<const N: usize> Rotation<N> {
    /// Where something is that is known; of what is not, what others meet again is put beside the last, other things in its place.
    fn place(&mut self, known: Option<usize>, is_met_again: bool) -> usize {
        self.0 = known.unwrap_or((self.0 + usize::from(is_met_again)) % N);
        self.0
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// A prepared instruction that is executed, and where its operands are.
#[derive(Debug, Clone, Copy)]
struct Met {
    number: usize,
    left: usize,
    right: usize,
}

/// What is known of a product besides its sums.
#[derive(Debug, Clone, Copy)]
struct Product {
    /// Products with both operands not zero.
    nonzero_products: u64,
    /// No product is greater.
    greatest: i64,
}

impl Array {
    /// An array that has met nothing.
    pub(super) fn new(kernels: Kernels) -> Self {
        Array {
            kernels,
            prepared: Vec::new(),
            number_of: HashMap::new(),
            last: 0,
            lefts: Default::default(),
            recent: Rotation::default(),
            rights: Rights::new(),
            whole: Wholes::default(),
            frame_of: HashMap::new(),
            nonzero: Nonzero::default(),
            narrow: Narrow::default(),
            sums: Vec::new(),
            accumulators: Accumulators::default(),
        }
    }

    /// Goes on with another accumulator memory, of which so much is known; gives what was known of this one.
    pub(super) fn exchange(&mut self, accumulators: &mut Accumulators) {
        std::mem::swap(&mut self.accumulators, accumulators);
    }

    /// An instruction of another unit is executed.
    pub(super) fn overwritten(&mut self, instr: &Instr) {
        self.accumulators.under_way.overwritten(instr);
        self.accumulators.standing.overwritten(instr);
    }

    /// A plan begins: nothing is under way.
    pub(super) fn begin(&mut self) {
        let mut kept = std::mem::take(&mut self.accumulators.kept);
        kept.forget();
        self.accumulators = Accumulators { kept, ..Accumulators::default() };
    }

    /// Sums that are [`kept`] go where they belong.
    pub(super) fn settle(&mut self, state: &mut State) {
        let Accumulators { kept, standing, .. } = &mut self.accumulators;
        if let Some((m, extremes)) = kept.put(self.kernels, state) {
            standing.put(&m, Some(greatest_of(exact(&extremes))));
        }
    }

    /// So do they before an instruction of another unit that may look at them.
    pub(super) fn settle_before(&mut self, instr: &Instr, state: &mut State) {
        if self.accumulators.kept.is_met_by(instr) {
            self.settle(state);
        }
    }

    /// Whether an instruction joins its sums to those that are kept.
    fn joins_kept(&self, number: usize, Found { step, may_wait, .. }: Found<'_>) -> bool {
        let layout = &self.prepared[number].layout;
        let (m, Accumulators { kept, under_way, .. }) = (&layout.m, &self.accumulators);
        let is_safe = |start| safe_by_format(m, step.rule, start);
        may_wait
            && under_way.is_empty()
            && kept.greatest(m).is_some_and(is_safe)
            && layout.woven(self.kernels).is_some_and(|ways| kept.fits(m, &ways.dense))
    }

    /// Memory may be another than this array left: it is looked at.
    pub(super) fn look_anew(&mut self) {
        self.accumulators.standing = Standing::default();
    }

    /// Contents are no longer what they were.
    pub(super) fn forget_contents(&mut self) {
        self.lefts.iter_mut().for_each(|left| left.content = None);
        self.rights.forget_contents();
    }

    /// Which operands an instruction that is executed next looks at in memory, given what is known of them.
    pub(super) fn looks_at(&mut self, found: Found<'_>, half: Option<Half<'_>>) -> LooksAt {
        let Found { step, contents, .. } = found;
        let both = LooksAt { left: true, right: true };
        let (m, positions_reduced) = match &step.instr {
            Instr::MTaps(m) => (m, false),
            Instr::MPositions(m) => (m, true),
            _ => return both,
        };
        if let Some(looks_at) = half.and_then(|half| self.half_looks_at(found, half)) {
            return looks_at;
        }
        let Some(number) = self.prepare(m, positions_reduced) else { return both };
        let Accumulators { under_way, standing, kept, .. } = &self.accumulators;
        let known = kept.greatest(m).or_else(|| standing.greatest(m));
        let start = if m.accumulate { known } else { Some(0) };
        if !under_way.is_empty() || !start.is_some_and(|start| safe_by_format(m, step.rule, start)) {
            return both;
        }
        let Prepared { layout, frame, .. } = &self.prepared[number];
        LooksAt {
            left: self.left_of(*frame, contents.left).is_none()
                || (positions_reduced && layout.woven(self.kernels).is_none()),
            right: !self.has_right(number, contents.right),
        }
    }

    /// Whether the right operand of a prepared instruction has a content.
    fn has_right(&self, number: usize, content: Option<usize>) -> bool {
        self.prepared[number].right.is_some_and(|whose| self.rights.known(whose, content).is_some())
    }

    /// The left operand that has a content in one of frames that are alike.
    fn left_of(&self, frame: usize, content: Option<usize>) -> Option<usize> {
        let known = Some((frame, content?));
        self.lefts.iter().position(|left| left.content == known)
    }

    /// Executes a matrix instruction, of whose operands so much is known; where it is half of a reduction, maybe both with the second.
    pub(super) fn execute(
        &mut self,
        found: Found<'_>,
        half: Option<Half<'_>>,
        state: &mut State,
    ) -> Result<Outcome, Fault> {
        let Found { step, contents, .. } = found;
        let (m, positions_reduced) = match &step.instr {
            Instr::MTaps(m) => (m, false),
            Instr::MPositions(m) => (m, true),
            _ => return Ok(Outcome::default()),
        };
        if half.is_some() {
            self.settle(state);
        }
        if let Some(done) = half.and_then(|half| self.half(found, half, state)) {
            return done;
        }
        let prepared = self.prepare(m, positions_reduced);
        if !prepared.is_some_and(|number| self.joins_kept(number, found)) {
            self.settle(state);
        }
        match prepared {
            Some(number) => {
                let right = self.right(number, contents, state);
                self.bytes((number, right), found, state)
            }
            None => {
                self.accumulators.standing.put(m, None);
                let (product, sums) = wide::product(m, positions_reduced, state, self.kernels);
                self.finish(step, m, positions_reduced, state, product, &sums)
            }
        }
    }

    /// Which of the prepared instructions this is; none where it is no product of bytes.
    fn prepare(&mut self, m: &Matrix, positions_reduced: bool) -> Option<usize> {
        let same = |p: &Prepared| p.layout.m == *m && p.layout.positions_reduced == positions_reduced;
        if self.prepared.get(self.last).is_some_and(same) {
            return Some(self.last);
        }
        if let Some(&number) = self.number_of.get(&Key(*m, positions_reduced)) {
            self.last = number;
            return Some(number);
        }
        let layout = Layout::new(m, positions_reduced, self.kernels)?;
        if self.prepared.len() == LAYOUTS || self.rights.are_many() {
            self.forget_prepared();
        }
        let right = self.rights.whose(&layout, self.kernels);
        self.last = self.add(layout, Some(right));
        self.number_of.insert(Key(*m, positions_reduced), self.last);
        Some(self.last)
    }

    /// Forgets the prepared instructions, and all that is known by them.
    fn forget_prepared(&mut self) {
        self.prepared.clear();
        self.number_of.clear();
        self.lefts = Default::default();
        self.rights = Rights::new();
        self.whole = Wholes::default();
        self.frame_of.clear();
    }

    /// Adds a prepared instruction: its number.
    fn add(&mut self, layout: Layout, right: Option<Whose>) -> usize {
        let (m, positions_reduced) = (&layout.m, layout.positions_reduced);
        let any = Matrix { right: Address { offset: 0, ..m.right }, ..anywhere(m) };
        let frames = self.frame_of.len();
        let frame = *self.frame_of.entry(Key(any, positions_reduced)).or_insert(frames);
        self.prepared.push(Prepared { layout, right, frame, pause: Cell::new(0) });
        self.prepared.len() - 1
    }

    /// The right operand of a prepared instruction, which has taken its codes.
    fn right(&mut self, number: usize, contents: Contents, state: &State) -> usize {
        let Prepared { layout, right, .. } = &self.prepared[number];
        let whose = right.expect("both halves have no right operand of one content");
        self.rights.take(self.kernels, (number, layout, whose), contents.right, state)
    }

    /// Where the left operand of one of frames that are alike is or is to be, and whether it is that of this content.
    fn place_left(&mut self, frame: usize, content: Option<usize>) -> (usize, bool) {
        let known = self.left_of(frame, content);
        (self.recent.place(known, content.is_some()), known.is_some())
    }

    /// A prepared instruction, whose operands are bytes, and its right operand. Sums that it goes on with are kept if it joins them.
    fn bytes(
        &mut self,
        (number, right): (usize, usize),
        Found { step, contents: Contents { left: content, .. }, may_wait }: Found<'_>,
        state: &mut State,
    ) -> Result<Outcome, Fault> {
        let (left, is_known) = self.place_left(self.prepared[number].frame, content);
        let met = Met { number, left, right };
        let Prepared { layout, frame, pause, .. } = &self.prepared[number];
        let (kernels, nonzero) = (self.kernels, &mut self.nonzero);
        let (left, right) = (&mut self.lefts[left], &mut self.rights[right]);
        let (m, rule) = (layout.m, step.rule);
        let Accumulators { under_way, standing, kept, .. } = &mut self.accumulators;
        let stands = standing.greatest(&m).filter(|_| m.accumulate && words_are_registers(&m, rule));
        let known = kept.greatest(&m).or(stands);
        let narrow = &mut self.narrow;
        let Starts { greatest: start, words, taken } = match known {
            Some(greatest) => Starts { greatest, words: true, taken: false },
            None => compiled!(kernels, look_at_starts(&m, rule, state, narrow)),
        };
        let start = under_way.is_empty().then_some(start);
        let safe = |greatest: i64, start: u64| safe(&m, narrowest_word(rule), greatest, start);
        let greatest_format = by_format(&m);
        let by_format = start.is_some_and(|s| safe(greatest_format, s));
        // Where formats prove that sums are the registers, nobody asks for rows as the shape has them.
        let ways = by_format.then(|| layout.woven(kernels)).flatten();
        let is_known = is_known && (ways.is_some() || !layout.positions_reduced);
        let woven = ways.map(|ways| right.weave(kernels, ways, is_known.then_some(left.pooled)));
        let at = usize::try_from(m.left.offset).unwrap_or(usize::MAX);
        let codes = &state.memory(Memory::Operand)[at..];
        if !is_known {
            match woven.flatten() {
                Some(shape) => left.weave(kernels, shape, codes),
                None => compiled!(kernels, left.take(*frame, layout, codes)),
            }
            // Of positions, what is woven is kept.
            let is_kept = woven.is_some() || !layout.positions_reduced;
            left.content = content.filter(|_| is_kept).map(|content| (*frame, content));
        }
        let squared = layout
            .squares(kernels)
            .filter(|way| compiled!(kernels, left.square(kernels, way, layout, pause)));
        let paired = layout.winograd(kernels).filter(|_| squared.is_none());
        let paired = paired.filter(|way| compiled!(kernels, left.mix(kernels, way, layout)));
        let greatest = if by_format {
            greatest_format
        } else {
            compiled!(kernels, i64::from(left.greatest(layout)) * i64::from(right.greatest()))
        };
        // Rows over positions are not laid out yet; where `wrap` makes joins associative, nothing is to be proved.
        let room = start.and_then(|start| rule::room(narrowest_word(rule), start));
        let room = room.filter(|_| !layout.positions_reduced && !associative(rule));
        let by_norms =
            |room| compiled!(kernels, left.measure(kernels, layout).is_within(right.measure(layout), room));
        let is_safe = start.is_some_and(|start| safe(greatest, start)) || room.is_some_and(by_norms);
        let safe_start = start.filter(|_| is_safe);
        let row_bytes = 4 * size(m.columns);
        let (out, accumulate) = match safe_start {
            Some(start) if words => {
                let out = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
                let out = &mut state.memory_mut(Memory::Accumulator)[out..];
                ((out, 4 * size(m.out_stride)), m.accumulate && start > 0)
            }
            _ => {
                let starts = safe_start.is_some() && m.accumulate;
                // What is there from before is overwritten.
                if starts {
                    self.sums.clear();
                    if !taken {
                        compiled!(kernels, narrow.take_starts(&m, rule, state));
                    }
                    self.sums.extend(narrow.starts.iter().flat_map(|start| start.to_le_bytes()));
                }
                self.sums.resize(size(m.rows) * row_bytes, 0);
                ((&mut self.sums[..], row_bytes), starts)
            }
        };
        let goes_on = kept.greatest(&m).is_some();
        let keeps = kernels.keeps_sums() && may_wait && by_format && words;
        let keeps = woven.flatten().filter(|_| keeps && (goes_on || (m.partial && !m.accumulate)));
        let mut waits = false;
        let extremes = if let Some(shape) = keeps {
            let greatest = start.unwrap_or(0) + greatest_format.unsigned_abs() * u64::from(m.length);
            kept.join(kernels, (&m, shape), (&left.woven, &right.woven), greatest);
            waits = m.partial;
            let put = if waits { None } else { kept.put(kernels, state) };
            put.map(|(_, extremes)| extremes).unwrap_or_default()
        } else if let Some(shape) = woven.flatten() {
            kernels.woven_product(shape, (&left.woven, &right.woven), out, accumulate)
        } else if let Some(pooled) = ways.and_then(|ways| ways.pooled.as_ref()) {
            right.place_by_place(kernels, pooled, &left.woven, out, accumulate)
        } else if let Some(way) = squared {
            compiled!(kernels, way.product(kernels, layout, (left, right), out, accumulate))
        } else if let Some(way) = paired {
            compiled!(kernels, way.product(kernels, layout, (left, right), out, accumulate))
        } else {
            compiled!(kernels, {
                left.lay_out(kernels, layout);
                right.lay_out(kernels, layout);
            });
            let left = left.laid_out(layout);
            let operands = Operands { left, panels: &right.panels, corrections: &right.corrections };
            kernels.product(&layout.shape, operands, out, accumulate)
        };
        let exact = exact(&extremes);
        let in_memory = safe_start.is_some() && words && !waits;
        standing.put(&m, in_memory.then(|| greatest_of(exact)));
        let nonzero_products = compiled!(
            kernels,
            match woven {
                _ if !layout.positions_reduced => left.nonzero_over_taps(layout, right.met(layout)),
                Some(_) => {
                    let codes = &state.memory(Memory::Operand)[at..];
                    left.nonzero_over_positions(kernels, layout, (codes, &right.nonzero), nonzero)
                }
                None => nonzero.of_positions(kernels, layout, left, &right.nonzero),
            }
        );
        if safe_start.is_some() {
            if !words {
                compiled!(kernels, store_words(&m, state, &self.sums));
            }
            let exact = (!m.partial).then_some(exact);
            return Ok(Outcome { nonzero_products, exact, ..Outcome::default() });
        }
        let product = Product { nonzero_products, greatest };
        let positions_reduced = layout.positions_reduced;
        if rule.result_bits() <= 32 && under_way.is_plain(&m) {
            if !taken {
                compiled!(kernels, narrow.take_starts(&m, rule, state));
            }
            if let Some(done) = self.narrow_registers(met, step, (product, exact), state) {
                return done;
            }
        }
        let words = self.sums.as_chunks::<4>().0.iter();
        let sums: Vec<i64> = words.map(|&w| i32::from_le_bytes(w).into()).collect();
        self.finish(step, &m, positions_reduced, state, product, &sums)
    }
}

/// An instruction wherever its left operand and its output are, and whatever it goes on from.
fn anywhere(m: &Matrix) -> Matrix {
    let anywhere = |address: Address| Address { offset: 0, ..address };
    Matrix { left: anywhere(m.left), out: anywhere(m.out), accumulate: false, ..*m }
}

/// Whether every number of 32 bits that stands where outputs go is a register: outputs are words no wider than it.
fn words_are_registers(m: &Matrix, rule: AccumulatorRule) -> bool {
    m.out_format.bits() == 32 && rule.result_bits() >= 32
}

/// No product of an instruction's formats is greater.
fn by_format(m: &Matrix) -> i64 {
    128i64 << (m.right_format.bits() - 1)
}

/// Whether no partial sum leaves so many bits, where no product is greater and none starts from more.
fn safe(m: &Matrix, bits: u32, greatest: i64, start: u64) -> bool {
    let magnitudes = greatest.unsigned_abs() * u64::from(m.length);
    rule::room(bits, start).is_some_and(|room| magnitudes <= room)
}

/// Whether formats prove that sums are the registers, and words hold these as they are, where none starts from more.
fn safe_by_format(m: &Matrix, rule: AccumulatorRule, start: u64) -> bool {
    words_are_registers(m, rule) && safe(m, narrowest_word(rule), by_format(m), start)
}

/// What is known of what an instruction goes on from.
struct Starts {
    /// The greatest magnitude.
    greatest: u64,
    /// Whether memory holds every register as it is, in 32 bits.
    words: bool,
    /// Whether they were taken to be narrow registers' starts.
    taken: bool,
}

/// Looks at what an instruction goes on from; takes it, where words do not hold it as it is.
#[inline(always)]
fn look_at_starts(m: &Matrix, rule: AccumulatorRule, state: &State, narrow: &mut Narrow) -> Starts {
    let words = m.out_format.bits() == 32;
    if !m.accumulate {
        return Starts { greatest: 0, words, taken: false };
    }
    if words {
        let at = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
        let words = state.memory(Memory::Accumulator)[at..].as_chunks::<4>().0;
        let (rows, columns) = rule::rows_of(m);
        let rows = (0..size(rows)).map(|r| &words[r * size(m.out_stride)..][..size(columns)]);
        let of_row =
            |row: &[[u8; 4]]| row.iter().map(|&w| i32::from_le_bytes(w).unsigned_abs()).max().unwrap_or(0);
        let greatest = u64::from(rows.map(of_row).max().unwrap_or(0));
        // A register takes as many bits as it has: here they are all of them.
        if greatest < 1 << (rule.result_bits().min(63) - 1) {
            return Starts { greatest, words: true, taken: false };
        }
    }
    if rule.result_bits() <= 32 {
        narrow.take_starts(m, rule, state);
        return Starts { greatest: narrow.greatest_start.into(), words: false, taken: true };
    }
    let mut greatest = 0;
    rule::starts(m, rule, state, |register| greatest = register.unsigned_abs().max(greatest));
    Starts { greatest, words: false, taken: false }
}

fn exact(extremes: &Extremes) -> Exact {
    Exact {
        least: extremes.least.iter().min().copied().unwrap_or(0).into(),
        greatest: extremes.greatest.iter().max().copied().unwrap_or(0).into(),
        zeros: extremes.zeros,
    }
}

/// The greatest magnitude.
fn greatest_of(exact: Exact) -> u64 {
    exact.least.unsigned_abs().max(exact.greatest.unsigned_abs())
}

/// The least and the greatest of sums, and how many are zero.
#[inline(always)]
fn range_of(sums: &[i64]) -> Exact {
    Exact {
        least: sums.iter().min().copied().unwrap_or(0),
        greatest: sums.iter().max().copied().unwrap_or(0),
        zeros: sums.iter().filter(|&&s| s == 0).count() as u64,
    }
}
