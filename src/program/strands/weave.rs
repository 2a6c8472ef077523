//! Weaves a plan's steps into strands: who reads what whom wrote.

use std::collections::HashMap;
use std::ops::Range;

use super::halves::{left_of_all, whole};
use super::{Contents, Moved, Place, Renamed, Rows, Touched};
use crate::isa::{Address, Footprint, Instr, Load, Matrix, Memory, Registers, VFill};
use crate::program::Plan;
use crate::program::spans::Spans;

/// Sets of steps that must be executed by one worker, and what steps come after.
pub(super) struct Woven {
    /// The steps of each strand in program order.
    pub(super) members: Vec<Vec<usize>>,
    /// What is read as it was before the plan, and a step of the only strand that does; more may be named than is.
    pub(super) before: Vec<(Place, usize)>,
    /// What the plan leaves, whether all of it was written, and the steps that wrote it; one strand has them all.
    pub(super) left: Vec<(Place, bool, Vec<usize>)>,
    /// The steps that a step comes after because they meet in DRAM.
    pub(super) dram_after: Vec<Vec<usize>>,
    /// The same of registers.
    pub(super) registers_after: Vec<Vec<usize>>,
    pub(super) moved: Vec<Option<Moved>>,
    pub(super) touched: Vec<Touched>,
    pub(super) registers: Vec<Renamed>,
    /// The number that each register has in the end.
    pub(super) registers_left: [usize; Registers::COUNT],
    /// How many numbers there are.
    pub(super) numbers: usize,
}

/// The last step that wrote a byte of DRAM, and those that read it since.
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

/// What a number in a register is of.
#[derive(Debug, Clone, Default)]
struct Number {
    /// The step that wrote it; none where the plan did not.
    writer: Option<usize>,
    /// The steps that gathered in it since, in any order.
    gatherers: Vec<usize>,
    /// The first step that read it.
    reader: Option<usize>,
}

impl Number {
    /// The step reads it: what the step comes after. Where many gathered, one reader comes after all of them and others after it.
    fn read(&mut self, step: usize, after: &mut Vec<usize>) {
        match self.reader {
            Some(reader) if !self.gatherers.is_empty() => after.push(reader),
            _ => after.extend(self.writer.into_iter().chain(self.gatherers.iter().copied())),
        }
        self.reader.get_or_insert(step);
    }
}

/// The steps that wrote among some bytes of a scratchpad since one wrote them all.
#[derive(Debug, Clone, Default)]
struct Held {
    writers: Vec<usize>,
    /// Whether one wrote them all.
    whole: bool,
}

/// Bytes of an operand that a repeatable step put.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Piece {
    /// From the operand's first on.
    bytes: Range<u64>,
    /// Which of what was put is the first.
    from: u64,
    /// The number of what was put.
    put: usize,
}

/// A step that summed the first half of a reduction, as long as nobody has touched what it left.
#[derive(Debug, Clone, Copy)]
struct FirstHalf {
    step: usize,
    /// The content of the left operand of both halves.
    left: usize,
}

/// Strands under way.
pub(super) struct Weaver<'a> {
    plan: &'a Plan,
    /// A step of the same strand before it, or itself.
    parent: Vec<usize>,
    /// Repeatable steps that a step's strand has too.
    shared: Vec<Vec<usize>>,
    dram_after: Vec<Vec<usize>>,
    registers_after: Vec<Vec<usize>>,
    moved: Vec<Option<Moved>>,
    touched: Vec<Touched>,
    /// What repeatable steps put, by the instruction, wherever it puts it, and the steps that wrote what it reads.
    puts: HashMap<(Instr, Vec<usize>), usize>,
    /// Contents of operands, by what was put from their first byte on; over positions, by the first row that they are for.
    contents: HashMap<(Vec<Piece>, Option<u32>), usize>,
    first_half: Option<FirstHalf>,
    registers: Vec<Renamed>,
    dram: Spans<Met>,
    scratchpads: [Spans<Held>; 4],
    /// What registers hold and held.
    numbers: Vec<Number>,
    /// Which of them each register has.
    number_of: [usize; Registers::COUNT],
    before: Vec<(Place, usize)>,
}

/// Whether what a step does depends on nothing in scratchpads and registers, so that it may be done more than once.
fn is_repeatable(instr: &Instr) -> bool {
    repeatable_anywhere(instr).is_some()
}

/// Such a step's instruction, wherever it puts.
fn repeatable_anywhere(instr: &Instr) -> Option<Instr> {
    let anywhere = |dst: Address| Address { offset: 0, ..dst };
    match *instr {
        Instr::Load(load) => Some(Instr::Load(Load { dst: anywhere(load.dst), ..load })),
        Instr::VFill(fill) => Some(Instr::VFill(VFill { dst: anywhere(fill.dst), ..fill })),
        _ => None,
    }
}

/// Whether a step's registers become the greater of themselves and what it found, or more by what it found: whatever the order of such steps.
fn gathers(instr: &Instr) -> bool {
    matches!(instr, Instr::VMaxabs(_) | Instr::VSumsq(_) | Instr::VArgmax(_))
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
        Instr::VArgmax(_) => true,
        Instr::VReduce(i) => bytes(i.rows.into(), i.dst_format.bits()),
        Instr::VOnehot(i) => bytes(u64::from(i.rows) * u64::from(i.columns), i.dst_format.bits()),
        Instr::VExp(i) => bytes(u64::from(i.rows) * u64::from(i.columns), i.dst_format.bits()),
        Instr::VDivide(i) => bytes(u64::from(i.rows) * u64::from(i.columns), i.dst_format.bits()),
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

fn place(memory: Memory, bytes: &Range<u64>) -> Place {
    Place { memory, bytes: size(bytes.start)..size(bytes.end) }
}

/// Those in scratchpads.
fn places(ranges: &[crate::isa::Range]) -> Vec<Place> {
    let ranges = ranges.iter().filter(|range| range.memory != Memory::Dram);
    ranges.map(|range| place(range.memory, &(range.first..range.end))).collect()
}

/// What an instruction moves of DRAM, from the first byte to behind the last.
fn moved_by(instr: &Instr, bytes: &Range<u64>, writes: bool) -> Moved {
    let (of_row, strides) = match instr {
        Instr::Load(m) => (m.bytes, [(m.rows, m.src_row), (m.planes, m.src_plane)]),
        Instr::Store(m) => (m.bytes, [(m.rows, m.dst_row), (m.planes, m.dst_plane)]),
        _ => (0, [(1, 0); 2]),
    };
    let length = size(bytes.end - bytes.start);
    let [(rows, stride), (planes, plane)] =
        strides.map(|(count, stride)| (count, size(stride.unsigned_abs())));
    // Rows of all planes are as far apart.
    let are_rows = rows > 1 && stride > 0 && (planes == 1 || plane.is_multiple_of(stride));
    let rows = if are_rows {
        Rows { bytes: size(of_row.into()), stride }
    } else {
        Rows { bytes: length, stride: length.max(1) }
    };
    Moved { bytes: size(bytes.start)..size(bytes.end), writes, rows }
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl<'a> Weaver<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let steps = plan.steps.len();
        Weaver {
            plan,
            parent: (0..steps).collect(),
            shared: vec![Vec::new(); steps],
            dram_after: Vec::with_capacity(steps),
            registers_after: Vec::with_capacity(steps),
            moved: Vec::with_capacity(steps),
            touched: Vec::with_capacity(steps),
            puts: HashMap::new(),
            contents: HashMap::new(),
            first_half: None,
            registers: Vec::with_capacity(steps),
            dram: Spans::default(),
            scratchpads: Default::default(),
            numbers: vec![Number::default(); Registers::COUNT],
            number_of: std::array::from_fn(|register| register),
            before: Vec::new(),
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
    pub(super) fn add(&mut self, step: usize) {
        let instr = &self.plan.steps[step].instr;
        let footprint = Footprint::of(instr);
        let (mut dram_after, mut registers_after, mut moved) = (Vec::new(), Vec::new(), None);
        let mut contents = Contents::default();
        for range in &footprint.reads {
            let bytes = range.first..range.end;
            if range.memory == Memory::Dram {
                moved = Some(moved_by(instr, &bytes, false));
                self.dram.all(bytes).for_each(|met| met.read(step, &mut dram_after));
            } else {
                match (instr, range.memory) {
                    (Instr::MTaps(_), Memory::Operand) => {
                        contents.left = self.content(range.memory, &bytes, None);
                    }
                    (Instr::MPositions(m), Memory::Operand) => {
                        contents.left = self.content(range.memory, &bytes, Some(m.first_row));
                    }
                    (Instr::MTaps(_) | Instr::MPositions(_), Memory::Weight) => {
                        contents.right = self.content(range.memory, &bytes, None);
                    }
                    _ => {}
                }
                self.read(step, range.memory, bytes);
            }
        }
        let halves = self.halves(step, &footprint, &mut contents);
        for range in &footprint.writes {
            let bytes = range.first..range.end;
            if range.memory == Memory::Dram {
                moved = Some(moved_by(instr, &bytes, true));
                self.dram.all(bytes.clone()).for_each(|met| met.write(step, &mut dram_after));
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
        let registers = self.rename(step, &footprint, &mut registers_after);
        for after in [&mut dram_after, &mut registers_after] {
            after.retain(|&older| older != step);
            after.sort_unstable();
            after.dedup();
        }
        let put = self.put(instr, &dram_after);
        let mut reads = places(&footprint.reads);
        reads.extend(halves.iter().flat_map(|(_, besides)| besides.iter().cloned()));
        self.touched.push(Touched {
            reads,
            writes: places(&footprint.writes),
            is_whole: is_whole(instr),
            put,
            contents,
            other_half: halves.map(|(first, _)| first),
        });
        self.dram_after.push(dram_after);
        self.registers_after.push(registers_after);
        self.moved.push(moved);
        self.registers.push(registers);
    }

    /// The first half of the reduction that a step ends, if whoever executes both may sum them with the second, and what the second then
    /// reads besides; remembers a step that sums a first half.
    fn halves(
        &mut self,
        step: usize,
        footprint: &Footprint,
        contents: &mut Contents,
    ) -> Option<(usize, Vec<Place>)> {
        let first = self.first_half.take_if(|first| {
            let written = &self.touched[first.step].writes;
            footprint.reads.iter().chain(&footprint.writes).any(|range| {
                let touched = place(range.memory, &(range.first..range.end));
                written.iter().any(|written| written.meets(&touched))
            })
        });
        let found = first.and_then(|first| self.second_half(first, step).map(|reads| (first, reads)));
        if let Some((first, _)) = found {
            let half = &mut self.touched[first.step];
            (half.contents.left, half.other_half) = (Some(first.left), Some(step));
            contents.left = Some(first.left);
        }
        if let Instr::MTaps(m) = &self.plan.steps[step].instr
            && let Some(left) = left_of_all(m)
        {
            // What is put there is of the step's strand, be it for the second half alone.
            let content = self.content(left.memory, &(left.first..left.end), None);
            if let Some(content) = content {
                self.read(step, left.memory, left.first..left.end);
                self.first_half = Some(FirstHalf { step, left: content });
            }
        }
        found.map(|(first, reads)| (first.step, reads))
    }

    /// What a step reads besides its own operands, if it may sum this first half with the second that it sums itself.
    fn second_half(&mut self, first: FirstHalf, step: usize) -> Option<Vec<Place>> {
        let [(one, rule), (other, own_rule)] = [first.step, step].map(|step| {
            let step = &self.plan.steps[step];
            (step.instr, step.rule)
        });
        let (Instr::MTaps(one), Instr::MTaps(other)) = (one, other) else { return None };
        whole(&one, &other).filter(|_| rule == own_rule)?;
        let lefts = [left_of_all(&one)?, left_of_all(&Matrix { left: other.left, ..one })?];
        let [first_left, left] = lefts.map(|left| left.first..left.end);
        let is_there = self.content(Memory::Operand, &left, None) == Some(first.left);
        let right =
            Footprint::of(&Instr::MTaps(one)).reads.into_iter().find(|r| r.memory == Memory::Weight)?;
        let right = right.first..right.end;
        let content = Some(self.content(Memory::Weight, &right, None)?);
        let half = &mut self.touched[first.step];
        if !is_there || content != half.contents.right {
            return None;
        }
        half.reads.push(place(Memory::Operand, &first_left));
        self.read(step, Memory::Operand, left.clone());
        Some(vec![place(Memory::Operand, &left), place(Memory::Weight, &right)])
    }

    /// The number of what a repeatable step puts, given the steps that wrote what it reads in DRAM.
    fn put(&mut self, instr: &Instr, dram_after: &[usize]) -> Option<usize> {
        let instr = repeatable_anywhere(instr)?;
        let known = self.puts.len();
        Some(*self.puts.entry((instr, dram_after.to_vec())).or_insert(known))
    }

    /// The number of what a step finds in a scratchpad, where repeatable steps put all of it there.
    fn content(&mut self, memory: Memory, bytes: &Range<u64>, first_row: Option<u32>) -> Option<usize> {
        let (mut pieces, mut covered) = (Vec::new(), bytes.start);
        for (span, held) in self.scratchpads[memory.index()].meeting(bytes.clone()) {
            let [writer] = held.writers[..] else { return None };
            let Touched { put, writes, .. } = &self.touched[writer];
            let put = put.filter(|_| held.whole && span.start <= covered)?;
            let first = writes.first()?.bytes.start;
            pieces.push(Piece {
                bytes: covered - bytes.start..span.end.min(bytes.end) - bytes.start,
                from: covered - u64::try_from(first).ok()?,
                put,
            });
            covered = span.end;
        }
        if covered < bytes.end {
            return None;
        }
        let known = self.contents.len();
        Some(*self.contents.entry((pieces, first_row)).or_insert(known))
    }

    /// The numbers that a step finds in registers, and those that it puts there; the steps that these are of.
    fn rename(&mut self, step: usize, footprint: &Footprint, after: &mut Vec<usize>) -> Renamed {
        let mut renamed = Renamed::default();
        let gathers = gathers(&self.plan.steps[step].instr);
        // Nobody has read a number that is gathered in.
        let mut is_gathered = [false; Registers::COUNT];
        for place in footprint.registers_read.places() {
            let number = self.number_of[place];
            let of = &mut self.numbers[number];
            is_gathered[place] = gathers && of.reader.is_none();
            if is_gathered[place] {
                after.extend(of.writer);
                of.gatherers.push(step);
                renamed.gathered.push((place, number));
            } else {
                of.read(step, after);
                renamed.read.push((place, number));
            }
        }
        for place in footprint.registers_written.places().filter(|&place| !is_gathered[place]) {
            self.number_of[place] = self.numbers.len();
            self.numbers.push(Number { writer: Some(step), ..Number::default() });
            renamed.written.push((place, self.number_of[place]));
        }
        renamed
    }

    /// Bytes that a step reads put it into the strands of those that wrote them.
    fn read(&mut self, step: usize, memory: Memory, bytes: Range<u64>) {
        let (mut writers, mut covered, mut whole) = (Vec::new(), bytes.start, true);
        for (span, held) in self.scratchpads[memory.index()].meeting(bytes.clone()) {
            whole &= span.start <= covered && held.whole;
            covered = span.end;
            writers.extend_from_slice(&held.writers);
        }
        if !whole || covered < bytes.end {
            self.before.push((place(memory, &bytes), step));
        }
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

    pub(super) fn finish(mut self) -> Woven {
        // What is left of bytes that several steps wrote among is left where all of them are done.
        let mut left = Vec::new();
        for memory in Memory::SCRATCHPADS {
            let spans = std::mem::take(&mut self.scratchpads[memory.index()]);
            for (bytes, held) in spans.iter() {
                let is_alone = |step: &usize| !is_repeatable(&self.plan.steps[*step].instr);
                let step = held.writers.iter().copied().find(is_alone).or(held.writers.first().copied());
                let Some(step) = step else { continue };
                self.join(step, held.writers.clone());
                left.push((place(memory, &bytes), held.whole, held.writers.clone()));
            }
        }
        let steps = self.plan.steps.len();
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); steps];
        let (repeatable, alone): (Vec<usize>, Vec<usize>) = (0..steps)
            .partition(|&step| is_repeatable(&self.plan.steps[step].instr) && self.shared[step].is_empty());
        let mut is_read = vec![false; steps];
        for step in alone {
            let first = self.first(step);
            let shared = std::mem::take(&mut self.shared[step]);
            shared.iter().for_each(|&step| is_read[step] = true);
            members[first].push(step);
            members[first].extend(shared);
        }
        // One that nobody reads is a strand of its own.
        for step in repeatable.into_iter().filter(|&step| !is_read[step]) {
            members[step].push(step);
        }
        members.retain(|steps| !steps.is_empty());
        for steps in &mut members {
            steps.sort_unstable();
            steps.dedup();
        }
        Woven {
            members,
            left,
            dram_after: self.dram_after,
            registers_after: self.registers_after,
            moved: self.moved,
            touched: self.touched,
            registers: self.registers,
            registers_left: self.number_of,
            numbers: self.numbers.len(),
            before: self.before,
        }
    }
}
