//! What an instruction reads and writes: ranges of memories, scale registers and counters. Two instructions whose
//! footprints do not meet may change places or run side by side.

use super::field::{Counter, Memory, Scale};
use super::instr::{Access, Instr};
use super::verify::walk;

/// Bytes `first..end` of a memory: an operand, from the first byte it touches to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The memory.
    pub memory: Memory,
    /// First byte.
    pub first: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Range {
    /// Whether the two have a byte in common.
    pub fn meets(&self, other: &Range) -> bool {
        self.memory == other.memory && self.first < other.end && other.first < self.end
    }
}

/// Scale registers and counters, one bit each; `x0` is always 0 and none of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registers(u32);

impl Registers {
    fn add_scale(&mut self, scale: Scale) {
        if scale.0 != 0 {
            self.0 |= 1 << scale.0;
        }
    }

    fn add_counter(&mut self, counter: Counter) {
        self.0 |= 1 << (Scale::COUNT + counter.0);
    }

    /// How many registers there are.
    pub const COUNT: usize = (Scale::COUNT + Counter::COUNT) as usize;

    /// The scale registers, in order.
    pub fn scales(self) -> impl Iterator<Item = Scale> {
        (0..Scale::COUNT).filter(move |n| self.0 >> n & 1 == 1).map(Scale)
    }

    /// The counters, in order.
    pub fn counters(self) -> impl Iterator<Item = Counter> {
        (0..Counter::COUNT).filter(move |n| self.0 >> (Scale::COUNT + n) & 1 == 1).map(Counter)
    }

    /// Places among all registers: scale registers, then counters.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..Self::COUNT).filter(move |n| self.0 >> n & 1 == 1)
    }

    /// Whether the two have a register in common.
    pub fn meets(self, other: Registers) -> bool {
        self.0 & other.0 != 0
    }
}

/// All an instruction touches. Its addresses are absolute and its fields verified; else the footprint is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Ranges read.
    pub reads: Vec<Range>,
    /// Ranges written.
    pub writes: Vec<Range>,
    /// Registers read.
    pub registers_read: Registers,
    /// Registers written.
    pub registers_written: Registers,
}

impl Footprint {
    /// What an instruction touches.
    pub fn of(instr: &Instr) -> Footprint {
        let mut footprint = Footprint::default();
        let fields = instr.spec().fields;
        // An instruction with a field that means nothing touches nothing: the verifier refuses it.
        let _ = walk(instr, &mut |field, address, first, last| {
            let byte = |n: i128| u64::try_from(n).unwrap_or(0);
            let range = Range { memory: address.memory, first: byte(first), end: byte(last + 1) };
            let access = fields.iter().find(|f| f.name == field).and_then(|f| f.access);
            match access {
                Some(Access::Write) => footprint.writes.push(range),
                _ => footprint.reads.push(range),
            }
            Ok(())
        });
        if let Instr::MTaps(m) | Instr::MPositions(m) = instr
            && m.accumulate
        {
            footprint.reads.extend_from_slice(&footprint.writes.clone());
        }
        footprint.registers(instr);
        footprint
    }

    fn registers(&mut self, instr: &Instr) {
        let (read, written) = (&mut self.registers_read, &mut self.registers_written);
        match instr {
            Instr::VShift(i) => read.add_scale(i.scale),
            Instr::VStochastic(i) => read.add_scale(i.scale),
            Instr::VMaxabs(i) => [read, written].into_iter().for_each(|r| r.add_scale(i.dst)),
            Instr::VSumsq(i) => [read, written].into_iter().for_each(|r| r.add_counter(i.dst)),
            Instr::VArgmax(i) => {
                for registers in [read, written] {
                    registers.add_counter(i.first);
                    registers.add_counter(i.ties);
                }
            }
            Instr::XSet(i) => written.add_scale(i.dst),
            Instr::XExponent(i) => {
                read.add_scale(i.a);
                written.add_scale(i.dst);
            }
            Instr::XSub(i) => {
                read.add_scale(i.a);
                read.add_scale(i.b);
                written.add_scale(i.dst);
            }
            Instr::CClear(i) => written.add_counter(i.dst),
            _ => {}
        }
    }

    /// Whether this instruction must see what an older one writes, or write after it.
    pub fn after_writes_of(&self, older: &Footprint) -> bool {
        let meets = |mine: &[Range]| mine.iter().any(|a| older.writes.iter().any(|b| a.meets(b)));
        meets(&self.reads)
            || meets(&self.writes)
            || self.registers_read.meets(older.registers_written)
            || self.registers_written.meets(older.registers_written)
    }

    /// Whether this instruction overwrites what an older one reads.
    pub fn after_reads_of(&self, older: &Footprint) -> bool {
        self.writes.iter().any(|a| older.reads.iter().any(|b| a.meets(b)))
            || self.registers_written.meets(older.registers_read)
    }

    /// Whether the instruction reads what `older` writes.
    pub fn reads_from(&self, older: &Footprint) -> bool {
        self.reads.iter().any(|a| older.writes.iter().any(|b| a.meets(b)))
            || self.registers_read.meets(older.registers_written)
    }

    /// Whether it writes a byte of a memory.
    pub fn writes_to(&self, memory: Memory) -> bool {
        self.writes.iter().any(|r| r.memory == memory)
    }

    /// Whether it reads or writes a byte of a memory.
    pub fn touches(&self, memory: Memory) -> bool {
        self.writes_to(memory) || self.reads.iter().any(|r| r.memory == memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Names, Scope, assemble};

    fn footprint(line: &str) -> Footprint {
        let (names, macros) = (Names::default(), std::iter::empty());
        let read = assemble(line, Scope::new(&names), macros);
        Footprint::of(&read.expect("a line").expect("an instruction"))
    }

    #[test]
    fn an_operand_is_a_range_from_its_first_byte_to_its_last() {
        let f = footprint("load dst=operand[16] src=dram[64] rows=3 bytes=8 src_row=100 dst_row=8");
        assert_eq!(f.writes, [Range { memory: Memory::Operand, first: 16, end: 40 }]);
        assert_eq!(f.reads, [Range { memory: Memory::Dram, first: 64, end: 272 }]);
    }

    #[test]
    fn maxima_read_what_they_raise_and_shifts_read_scales() {
        let max = footprint("v.maxabs dst=x1 src=accumulator[0] src_format=32 count=4");
        let shift = footprint(
            "v.shift dst=operand[0] dst_format=8 src=accumulator[0] src_format=32 shift=0 scale=x1 bits=8 count=4",
        );
        assert!(max.after_writes_of(&max) && shift.reads_from(&max) && !max.reads_from(&shift));
        assert!(max.after_reads_of(&shift));
    }
}
