//! The vector unit: lanes behind four stages, read, two of arithmetic, write.
//!
//! A beat is an element for each lane; of `v.sumsq` one element, as there is one multiplier for squares. Pools and rows of `v.argmax` and `v.reduce` pass element by element, and what was best
//! so far, or the sum so far, stays in a register of the arithmetic. `v.unpool` has a lane for each output, which reads the windows that cover it;
//! where there are more values than outputs, the rest pass lanes that write nothing. The table of `v.lookup` is read in the
//! read stage, behind the byte. Registers that are raised or added to are read as they are written.

use std::cell::RefCell;

use super::cycle::{Cycle, Signal, Write};
use super::watch::{Access, StageView};
use crate::isa::{Address, Format, Instr, VAdd, VArgmax, VPool, VReduce, VUnpool};
use crate::machine::reference::elements::{self, Clipped};
use crate::machine::reference::{get, get_unsigned};
use crate::machine::{Fault, State};
use crate::spec::Machine;

/// What a lane has read.
#[derive(Debug, Clone, Copy)]
struct Lane {
    /// Number of the lane element.
    number: u64,
    a: i64,
    b: i64,
    /// `v.exp`: the two entries of the table.
    entries: [i64; 2],
    /// `v.unpool`: the sum of what is routed here; nothing where no output is.
    routed: Option<i128>,
}

/// A beat between the read stage and the arithmetic.
struct Operands {
    id: usize,
    lanes: Vec<Lane>,
    last: bool,
}

/// A beat behind the arithmetic.
struct Results {
    id: usize,
    writes: Vec<Write>,
    /// Lanes that had an element.
    lanes: usize,
    last: bool,
}

/// The best of a window or row so far.
#[derive(Debug, Clone, Copy)]
struct Best {
    value: i64,
    place: u64,
    /// `v.argmax`: the value at the label's place.
    at_label: Option<i64>,
}

/// An instruction whose beats are being read.
struct Feed {
    id: usize,
    next: u64,
    count: u64,
    /// Elements of a beat.
    lanes: u64,
}

/// The vector unit.
pub(super) struct Vector {
    lanes: u64,
    feed: Option<Feed>,
    read: Option<Operands>,
    first: Option<Results>,
    second: Option<Results>,
    best: Option<Best>,
    reduced: i64,
}

fn bits(n: u32) -> Format {
    Format::new(n).expect("a fixed width")
}

/// Lane elements of an instruction.
fn lane_elements(instr: &Instr) -> u64 {
    let n = |count: u32| u64::from(count);
    match instr {
        Instr::VFill(i) => n(i.count),
        Instr::VLookup(i) => n(i.count),
        Instr::VShift(i) => n(i.count),
        Instr::VRelu(i) => n(i.count),
        Instr::VState(i) => n(i.count),
        Instr::VMask(i) => n(i.count),
        Instr::VMaxabs(i) => n(i.count),
        Instr::VSumsq(i) => n(i.count),
        Instr::VStochastic(i) => n(i.count),
        Instr::VSub(i) => n(i.count),
        Instr::VAdd(i) => n(i.count),
        Instr::VOnehot(i) => n(i.rows) * n(i.columns),
        Instr::VArgmax(i) => n(i.rows) * n(i.columns),
        Instr::VReduce(i) => n(i.rows) * n(i.columns),
        Instr::VExp(i) => n(i.rows) * n(i.columns),
        Instr::VDivide(i) => n(i.rows) * n(i.columns),
        Instr::VPool(i) => n(i.images) * n(i.out_rows) * n(i.out_cols) * n(i.channels) * window(i),
        Instr::VUnpool(i) => {
            let values = n(i.images) * n(i.in_rows) * n(i.in_cols) * n(i.channels);
            values.max(n(i.images) * n(i.height) * n(i.width) * n(i.channels))
        }
        // The scale registers and counters.
        _ => 1,
    }
}

fn window(i: &VPool) -> u64 {
    u64::from(i.window) * u64::from(i.window)
}

/// The four indices of a number, the last fastest.
fn split(number: u64, [_, b, c, d]: [u32; 4]) -> [u64; 4] {
    let (b, c, d) = (u64::from(b), u64::from(c), u64::from(d));
    [number / d / c / b, number / d / c % b, number / d % c, number % d]
}

impl Vector {
    pub(super) fn new(machine: &Machine) -> Self {
        Vector {
            lanes: machine.vector.lanes.into(),
            feed: None,
            read: None,
            first: None,
            second: None,
            best: None,
            reduced: 0,
        }
    }

    pub(super) fn start(&mut self, id: usize, instr: &Instr) {
        // There is one multiplier for squares.
        let lanes = if matches!(instr, Instr::VSumsq(_)) { 1 } else { self.lanes };
        self.feed = Some(Feed { id, next: 0, count: lane_elements(instr), lanes });
    }

    /// One cycle: every stage hands on what it held when the cycle began.
    pub(super) fn cycle(&mut self, cycle: &mut Cycle) {
        if let Some(results) = self.second.take() {
            self.write(results, cycle);
        }
        self.second = self.first.take();
        self.first = self.read.take().map(|operands| self.work(&operands, cycle));
        self.read = self.read_beat(cycle);
    }

    /// What a watcher sees of the registers between the stages.
    pub(super) fn stages(&self) -> [Option<StageView>; 3] {
        let results = |stage: &Option<Results>| {
            stage.as_ref().map(|results| StageView { seq: results.id, lanes: results.lanes })
        };
        let read = self.read.as_ref();
        let read = read.map(|operands| StageView { seq: operands.id, lanes: operands.lanes.len() });
        [read, results(&self.first), results(&self.second)]
    }

    fn write(&mut self, results: Results, cycle: &mut Cycle) {
        results.writes.into_iter().for_each(|write| cycle.write(write));
        if results.last {
            cycle.signal(results.id, Signal::Ended);
        }
    }

    /// The read stage: the next element for each lane.
    fn read_beat(&mut self, cycle: &mut Cycle) -> Option<Operands> {
        let feed = self.feed.as_mut()?;
        let (id, first) = (feed.id, feed.next);
        let end = feed.count.min(first + feed.lanes);
        feed.next = end;
        let last = end == feed.count;
        let reader = Reader { state: cycle.state, accesses: cycle.accesses.as_ref() };
        let lanes = (first..end).map(|number| reader.lane(&cycle.step(id).instr, number)).collect();
        if last {
            self.feed = None;
            cycle.signal(id, Signal::Free);
            cycle.signal(id, Signal::Read);
        }
        Some(Operands { id, lanes, last })
    }

    /// The arithmetic of a beat.
    fn work(&mut self, operands: &Operands, cycle: &mut Cycle) -> Results {
        let step = cycle.step(operands.id);
        let mut writes = Vec::new();
        for lane in &operands.lanes {
            if let Err(element) = self.lane(&step.instr, lane, cycle, operands.id, &mut writes) {
                let fault = Fault::Range { pc: step.pc, element };
                cycle.records[operands.id].fault.get_or_insert(fault);
            }
        }
        Results { id: operands.id, writes, lanes: operands.lanes.len(), last: operands.last }
    }

    /// What a lane makes of its element: what it writes, or the number of an element that does not fit its format.
    fn lane(
        &mut self,
        instr: &Instr,
        lane: &Lane,
        cycle: &mut Cycle,
        id: usize,
        writes: &mut Vec<Write>,
    ) -> Result<(), u64> {
        let &Lane { number, a, b, .. } = lane;
        let element = |address, format, value| Write::Element { address, format, index: number, value };
        let mut clipped = |address, format, (value, clipped): Clipped| {
            cycle.records[id].outcome.clipped += u64::from(clipped);
            Write::Element { address, format, index: number, value }
        };
        writes.push(match instr {
            Instr::VFill(i) => element(i.dst, i.dst_format, i.value.into()),
            Instr::VLookup(i) => element(i.dst, i.dst_format, a),
            Instr::VShift(i) => clipped(i.dst, i.dst_format, elements::shift(i, b, a)),
            Instr::VRelu(i) => element(i.dst, i.format, a.max(0)),
            Instr::VState(i) => element(i.dst, bits(2), elements::state(i, a)),
            Instr::VMask(i) => element(i.dst, i.format, elements::mask(i, a, b.cast_unsigned())),
            Instr::VMaxabs(i) => Write::Raise { index: i.dst.0, magnitude: elements::magnitude(a) },
            Instr::VOnehot(i) => {
                let column = number % u64::from(i.columns);
                element(i.dst, i.dst_format, elements::onehot(i, a, b.cast_unsigned(), column))
            }
            Instr::VExp(i) => element(i.dst, i.dst_format, elements::exp(i, a, b, lane.entries)),
            Instr::VDivide(i) => element(i.dst, i.dst_format, elements::divide(i, a, b)),
            Instr::VSumsq(i) => Write::Count { index: i.dst.0, amount: elements::square(a) },
            Instr::VStochastic(i) => {
                let step = elements::stochastic(i, cycle.state, b, number, a);
                element(i.dst, i.dst_format, step.ok_or(number)?)
            }
            Instr::VSub(i) => {
                clipped(i.dst, i.format, elements::held(i128::from(a) - i128::from(b), i.limit))
            }
            Instr::VAdd(i) => {
                clipped(i.dst, i.format, elements::held(i128::from(a) + i128::from(b), i.limit))
            }
            Instr::VUnpool(i) => match lane.routed {
                Some(sum) => clipped(i.dst, i.format, elements::routed(i, sum)),
                None => return Ok(()),
            },
            Instr::XSet(i) => Write::Scale { index: i.dst.0, value: i.value.into() },
            Instr::XExponent(i) => Write::Scale { index: i.dst.0, value: elements::exponent_of(a) },
            Instr::XSub(i) => Write::Scale { index: i.dst.0, value: a.saturating_sub(b) },
            Instr::CClear(i) => Write::Clear { index: i.dst.0 },
            Instr::VPool(i) => {
                self.pool(i, lane, writes);
                return Ok(());
            }
            Instr::VArgmax(i) => {
                self.argmax(i, lane, writes);
                return Ok(());
            }
            Instr::VReduce(i) => {
                self.reduce(i, lane, writes);
                return Ok(());
            }
            _ => return Ok(()),
        });
        Ok(())
    }

    /// The best so far with one more element of its window or row.
    fn better(&mut self, place: u64, value: i64) -> Best {
        let best = self.best.filter(|_| place > 0).unwrap_or(Best { value, place, at_label: None });
        if value > best.value { Best { value, place, ..best } } else { best }
    }

    fn pool(&mut self, i: &VPool, lane: &Lane, writes: &mut Vec<Write>) {
        let place = lane.number % window(i);
        let best = self.better(place, lane.a);
        self.best = Some(best);
        if place + 1 == window(i) {
            let index = lane.number / window(i);
            let place = i64::try_from(best.place).unwrap_or(0);
            writes.push(Write::Element { address: i.dst, format: i.format, index, value: best.value });
            writes.push(Write::Element { address: i.place, format: i.place_format, index, value: place });
        }
    }

    fn reduce(&mut self, i: &VReduce, lane: &Lane, writes: &mut Vec<Write>) {
        let columns = u64::from(i.columns);
        let (row, column) = (lane.number / columns, lane.number % columns);
        self.reduced = if column == 0 { lane.a } else { elements::reduced(i.sum, self.reduced, lane.a) };
        if column + 1 == columns {
            let value = self.reduced;
            writes.push(Write::Element { address: i.dst, format: i.dst_format, index: row, value });
        }
    }

    fn argmax(&mut self, i: &VArgmax, lane: &Lane, writes: &mut Vec<Write>) {
        let (columns, label) = (u64::from(i.columns), lane.b.cast_unsigned());
        let (row, column) = (lane.number / columns, lane.number % columns);
        let mut best = self.better(column, lane.a);
        if column == label {
            best.at_label = Some(lane.a);
        }
        self.best = Some(best);
        if column + 1 == columns {
            let (right, tied) = (best.place == label, best.at_label == Some(best.value));
            writes.push(Write::Count { index: i.first.0, amount: right.into() });
            writes.push(Write::Count { index: i.ties.0, amount: tied.into() });
            let value = i64::try_from(best.place).unwrap_or(0);
            writes.push(Write::Element { address: i.dst, format: bits(16), index: row, value });
        }
    }
}

/// Reads elements in the read stage.
struct Reader<'a> {
    state: &'a State,
    /// What is read, where someone watches.
    accesses: Option<&'a RefCell<Vec<Access>>>,
}

impl Reader<'_> {
    /// An element is read, by this lane for all that use it.
    fn note(&self, address: Address, format: Format, index: u64) {
        if let Some(accesses) = self.accesses {
            accesses.borrow_mut().push(Access::element(false, address, format, index));
        }
    }

    fn get(&self, address: Address, format: Format, index: u64) -> i64 {
        self.note(address, format, index);
        self.seen(address, format, index)
    }

    /// An element that another lane reads too.
    fn seen(&self, address: Address, format: Format, index: u64) -> i64 {
        get(self.state, address, format, index)
    }

    fn get_unsigned(&self, address: Address, format: Format, index: u64) -> u64 {
        self.note(address, format, index);
        self.seen_unsigned(address, format, index)
    }

    fn seen_unsigned(&self, address: Address, format: Format, index: u64) -> u64 {
        get_unsigned(self.state, address, format, index)
    }

    fn scale(&self, index: u8) -> i64 {
        self.state.scales[usize::from(index)]
    }

    /// What a lane reads for its element.
    fn lane(&self, instr: &Instr, number: u64) -> Lane {
        let (mut a, mut b, mut entries, mut routed) = (0, 0, [0; 2], None);
        match instr {
            Instr::VLookup(i) => {
                let byte = self.get_unsigned(i.src, bits(8), number);
                a = self.get(i.table, i.dst_format, byte);
            }
            Instr::VShift(i) => {
                (a, b) = (self.get(i.src, i.src_format, number), self.scale(i.scale.0));
            }
            Instr::VRelu(i) => a = self.get(i.src, i.format, number),
            Instr::VState(i) => a = self.get(i.src, i.src_format, number),
            Instr::VMask(i) => {
                a = self.get(i.src, i.format, number);
                b = self.get_unsigned(i.states, bits(2), number).cast_signed();
            }
            Instr::VMaxabs(i) => a = self.get(i.src, i.src_format, number),
            Instr::VOnehot(i) => {
                a = self.get(i.src, i.src_format, number);
                b = self.label(i.labels, number, i.columns);
            }
            Instr::VSumsq(i) => a = self.get(i.src, i.src_format, number),
            Instr::VReduce(i) => a = self.get(i.src, i.src_format, number),
            Instr::VExp(i) => {
                a = self.get(i.src, i.src_format, number);
                b = self.of_row(i.row, i.row_format, number, i.columns);
                let entry = elements::exp_entry(i, a, b);
                entries = [self.get(i.table, bits(32), entry), self.get(i.table, bits(32), entry + 1)];
            }
            Instr::VDivide(i) => {
                a = self.get(i.src, i.src_format, number);
                b = self.of_row(i.row, i.row_format, number, i.columns);
            }
            Instr::VArgmax(i) => {
                a = self.get(i.src, i.src_format, number);
                b = self.label(i.labels, number, i.columns);
            }
            Instr::VStochastic(i) => {
                (a, b) = (self.get(i.src, i.src_format, number), self.scale(i.scale.0));
            }
            Instr::VSub(i) => {
                (a, b) = (self.get(i.a, i.format, number), self.get(i.b, i.b_format, number));
            }
            Instr::VAdd(VAdd { a: first, format, b: second, b_format, .. }) => {
                (a, b) = (self.get(*first, *format, number), self.get(*second, *b_format, number));
            }
            Instr::XExponent(i) => a = self.scale(i.a.0),
            Instr::XSub(i) => (a, b) = (self.scale(i.a.0), self.scale(i.b.0)),
            Instr::VPool(i) => a = self.pooled(i, number),
            Instr::VUnpool(i) => routed = self.routed(i, number),
            _ => {}
        }
        Lane { number, a, b, entries, routed }
    }

    /// The label of an element's row, read with the row's first element.
    fn label(&self, labels: Address, number: u64, columns: u32) -> i64 {
        let (row, column) = (number / u64::from(columns), number % u64::from(columns));
        if column == 0 {
            self.note(labels, bits(16), row);
        }
        self.seen_unsigned(labels, bits(16), row).cast_signed()
    }

    /// The value of an element's row, read with the row's first element.
    fn of_row(&self, values: Address, format: Format, number: u64, columns: u32) -> i64 {
        let (row, column) = (number / u64::from(columns), number % u64::from(columns));
        if column == 0 {
            self.note(values, format, row);
        }
        self.seen(values, format, row)
    }

    /// An element of a window: windows one after another, the elements of each in row-major order.
    fn pooled(&self, i: &VPool, number: u64) -> i64 {
        let place = number % window(i);
        let [image, y, x, channel] =
            split(number / window(i), [i.images, i.out_rows, i.out_cols, i.channels]);
        let row = y * u64::from(i.step) + place / u64::from(i.window);
        let column = x * u64::from(i.step) + place % u64::from(i.window);
        let index = image * u64::from(i.image_stride)
            + row * u64::from(i.row_stride)
            + column * u64::from(i.channels)
            + channel;
        self.get(i.src, i.format, index)
    }

    /// The sum of the values whose places are this output.
    fn routed(&self, i: &VUnpool, number: u64) -> Option<i128> {
        let [image, y, x, channel] = split(number, [i.images, i.height, i.width, i.channels]);
        if image >= u64::from(i.images) {
            return None;
        }
        let (step, window) = (u64::from(i.step), u64::from(i.window));
        // The windows that cover a row (or column).
        let covering = |at: u64, count: u32| {
            at.saturating_sub(window - 1).div_ceil(step)..(at / step + 1).min(count.into())
        };
        let mut sum = 0;
        for in_y in covering(y, i.in_rows) {
            for in_x in covering(x, i.in_cols) {
                let (down, across) = (y - in_y * step, x - in_x * step);
                let index = ((image * u64::from(i.in_rows) + in_y) * u64::from(i.in_cols) + in_x)
                    * u64::from(i.channels)
                    + channel;
                // A value and its place are read once, with the first output of the window.
                if (down, across) == (0, 0) {
                    self.note(i.place, i.place_format, index);
                    self.note(i.src, i.format, index);
                }
                if self.seen_unsigned(i.place, i.place_format, index) == down * window + across {
                    sum += i128::from(self.seen(i.src, i.format, index));
                }
            }
        }
        Some(sum)
    }
}
