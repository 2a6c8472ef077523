//! What a vector instruction asks of the vector unit: bits through the memories, operations of the lanes.

use super::events::Event;
use crate::isa::{Address, Format, Instr, Memory};

/// Width of a counter (`isa/table.toml`).
const COUNTER_BITS: u32 = 128;

/// Bits an instruction moves between a memory and the lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) memory: Memory,
    pub(super) bits: u64,
}

/// Work of one execution.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    pub(super) streams: Vec<Stream>,
    pub(super) operations: Vec<(Event, u64)>,
    /// Widths of the elements that pass the lanes.
    pub(super) element_bits: Vec<u32>,
}

impl Work {
    /// `elements` pass between memory and lanes.
    fn stream(mut self, address: Address, format: Format, elements: u64) -> Self {
        self.streams.push(Stream { memory: address.memory, bits: elements * u64::from(format.bits()) });
        self.element_bits.push(format.bits());
        self
    }

    fn bits(self, address: Address, bits: u32, elements: u64) -> Self {
        match Format::new(bits) {
            Some(format) => self.stream(address, format, elements),
            None => self,
        }
    }

    fn operate(mut self, event: Event, count: u64) -> Self {
        self.operations.push((event, count));
        self
    }
}

/// The work of a vector instruction; none for instructions of other units.
pub(super) fn vector_work(instr: &Instr) -> Work {
    let n = |count: u32| u64::from(count);
    match instr {
        Instr::VFill(i) => Work::default().stream(i.dst, i.dst_format, n(i.count)),
        Instr::VLookup(i) => Work::default()
            .bits(i.src, 8, n(i.count))
            .stream(i.table, i.dst_format, n(i.count))
            .stream(i.dst, i.dst_format, n(i.count)),
        Instr::VShift(i) => {
            let bits = i.src_format.bits();
            Work::default()
                .stream(i.src, i.src_format, n(i.count))
                .stream(i.dst, i.dst_format, n(i.count))
                .operate(Event::Shift { bits }, n(i.count))
                .operate(Event::Add { bits }, n(i.count))
                .operate(Event::Compare { bits }, n(i.count))
        }
        Instr::VRelu(i) => Work::default()
            .stream(i.src, i.format, n(i.count))
            .stream(i.dst, i.format, n(i.count))
            .operate(Event::Compare { bits: i.format.bits() }, n(i.count)),
        Instr::VState(i) => Work::default()
            .stream(i.src, i.src_format, n(i.count))
            .bits(i.dst, 2, n(i.count))
            .operate(Event::Compare { bits: i.src_format.bits() }, 2 * n(i.count)),
        Instr::VMask(i) => Work::default()
            .stream(i.src, i.format, n(i.count))
            .bits(i.states, 2, n(i.count))
            .stream(i.dst, i.format, n(i.count)),
        Instr::VPool(i) => {
            let outputs = n(i.images) * n(i.out_rows) * n(i.out_cols) * n(i.channels);
            let window = n(i.window) * n(i.window);
            Work::default()
                .stream(i.src, i.format, outputs * window)
                .stream(i.dst, i.format, outputs)
                .stream(i.place, i.place_format, outputs)
                .operate(Event::Compare { bits: i.format.bits() }, outputs * (window - 1))
        }
        Instr::VUnpool(i) => {
            let sources = n(i.images) * n(i.in_rows) * n(i.in_cols) * n(i.channels);
            let outputs = n(i.images) * n(i.height) * n(i.width) * n(i.channels);
            Work::default()
                .stream(i.src, i.format, sources)
                .stream(i.place, i.place_format, sources)
                .stream(i.dst, i.format, outputs)
                .operate(Event::Add { bits: i.format.bits() }, sources)
        }
        Instr::VMaxabs(i) => {
            let bits = i.src_format.bits();
            Work::default()
                .stream(i.src, i.src_format, n(i.count))
                .operate(Event::Add { bits }, n(i.count))
                .operate(Event::Compare { bits }, n(i.count))
        }
        Instr::VOnehot(i) => {
            let elements = n(i.rows) * n(i.columns);
            Work::default()
                .stream(i.src, i.src_format, elements)
                .bits(i.labels, 16, n(i.rows))
                .stream(i.dst, i.dst_format, elements)
                .operate(Event::Add { bits: i.src_format.bits() }, n(i.rows))
        }
        Instr::VSumsq(i) => {
            let bits = i.src_format.bits();
            Work::default()
                .stream(i.src, i.src_format, n(i.count))
                .operate(Event::Multiply { a_bits: bits, b_bits: bits }, n(i.count))
                .operate(Event::Add { bits: COUNTER_BITS }, n(i.count))
        }
        Instr::VArgmax(i) => {
            let elements = n(i.rows) * n(i.columns);
            Work::default()
                .stream(i.src, i.src_format, elements)
                .bits(i.labels, 16, n(i.rows))
                .bits(i.dst, 16, n(i.rows))
                .operate(Event::Compare { bits: i.src_format.bits() }, elements)
        }
        Instr::VReduce(i) => {
            let elements = n(i.rows) * n(i.columns);
            let bits = i.src_format.bits();
            let operation =
                if i.sum { Event::Add { bits: i.dst_format.bits() } } else { Event::Compare { bits } };
            Work::default()
                .stream(i.src, i.src_format, elements)
                .stream(i.dst, i.dst_format, n(i.rows))
                .operate(operation, elements)
        }
        Instr::VExp(i) => {
            let elements = n(i.rows) * n(i.columns);
            let bits = i.src_format.bits();
            Work::default()
                .stream(i.src, i.src_format, elements)
                .stream(i.row, i.row_format, n(i.rows))
                .bits(i.table, 64, elements)
                .stream(i.dst, i.dst_format, elements)
                .operate(Event::Add { bits }, elements)
                .operate(Event::Multiply { a_bits: bits, b_bits: 31 }, elements)
                .operate(Event::Multiply { a_bits: 32, b_bits: 17 }, 2 * elements)
                .operate(Event::Add { bits: 48 }, elements)
                .operate(Event::Shift { bits: 32 }, elements)
        }
        Instr::VDivide(i) => {
            // Long division: a subtraction for each bit of the quotient.
            let elements = n(i.rows) * n(i.columns);
            Work::default()
                .stream(i.src, i.src_format, elements)
                .stream(i.row, i.row_format, n(i.rows))
                .stream(i.dst, i.dst_format, elements)
                .operate(Event::Add { bits: i.row_format.bits() }, elements * (n(i.shift) + 1))
        }
        Instr::VStochastic(i) => {
            let bits = i.src_format.bits();
            Work::default()
                .stream(i.src, i.src_format, n(i.count))
                .stream(i.dst, i.dst_format, n(i.count))
                .operate(Event::Shift { bits }, n(i.count))
                .operate(Event::Count { bits: i.random_bits }, n(i.count))
                .operate(Event::Compare { bits: i.random_bits }, n(i.count))
                .operate(Event::Add { bits: i.dst_format.bits() }, n(i.count))
        }
        Instr::VSub(i) => clamped([(i.a, i.format), (i.b, i.b_format), (i.dst, i.format)], i.count),
        Instr::VAdd(i) => clamped([(i.a, i.format), (i.b, i.b_format), (i.dst, i.format)], i.count),
        Instr::XSet(_) | Instr::CClear(_) => Work::default().operate(Event::Register { bits: 64 }, 1),
        Instr::XExponent(_) | Instr::XSub(_) => {
            Work::default().operate(Event::Add { bits: 64 }, 1).operate(Event::Register { bits: 64 }, 1)
        }
        _ => Work::default(),
    }
}

fn clamped(streams: [(Address, Format); 3], count: u32) -> Work {
    let bits = streams[0].1.bits().max(streams[1].1.bits());
    let count = u64::from(count);
    let all = streams
        .into_iter()
        .fold(Work::default(), |work, (address, format)| work.stream(address, format, count));
    all.operate(Event::Add { bits }, count).operate(Event::Compare { bits }, count)
}
