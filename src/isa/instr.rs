//! Instructions as the table makes them, and the table itself.

use super::field::Field;
use super::{Address, Counter, Format, Memory, ModeIndex, Scalar, Scale};
use crate::number::{Overflow, Rounding};

include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// The unit that executes an instruction; each works through its own queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Control: loops and scalar registers.
    Control,
    /// DMA from DRAM.
    Load,
    /// DMA to DRAM.
    Store,
    /// The MAC array.
    Array,
    /// The vector unit.
    Vector,
}

impl Unit {
    /// Every unit, in the order reports list them.
    pub const ALL: [Unit; 5] = [Unit::Control, Unit::Load, Unit::Store, Unit::Array, Unit::Vector];
}

impl Unit {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Control => "control",
            Unit::Load => "load",
            Unit::Store => "store",
            Unit::Array => "array",
            Unit::Vector => "vector",
        }
    }
}

/// What an instruction does with the memory an address field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A place in one memory, or in any (`None`).
    Address(Option<Memory>),
    /// An unsigned number of so many bits.
    Uint(u32),
    /// A two's complement number of so many bits.
    Int(u32),
    /// One bit.
    Flag,
    /// Bits of an element in memory, stored less one.
    Format,
    /// A scalar register.
    Scalar,
    /// A scale register.
    Scale,
    /// A counter.
    Counter,
    /// An accumulator mode.
    Mode,
    /// What a join does out of range.
    Overflow,
    /// How a shift rounds.
    Rounding,
}

/// One field of an instruction: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its name in assembly.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// First bit, counted from bit 0 of the first word.
    pub position: u32,
    /// Bits.
    pub width: u32,
    /// The value left out in assembly text means, if it may be.
    pub default: Option<i64>,
    /// For addresses: read or written.
    pub access: Option<Access>,
    /// What it is for.
    pub doc: &'static str,
}

/// One instruction of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstrSpec {
    /// Its name in assembly.
    pub mnemonic: &'static str,
    /// Bits 0 to 8 of the first word.
    pub opcode: u8,
    /// The unit that executes it.
    pub unit: Unit,
    /// Its length in 64-bit words.
    pub words: u32,
    /// One line.
    pub summary: &'static str,
    /// What it does, as a loop nest.
    pub meaning: &'static str,
    /// Its fields, in encoding order.
    pub fields: &'static [FieldSpec],
}

impl Instr {
    /// The table's row for this instruction.
    pub fn spec(&self) -> &'static InstrSpec {
        &TABLE[self.table_index()]
    }

    /// The unit that executes it.
    pub fn unit(&self) -> Unit {
        self.spec().unit
    }

    /// Products that it sums, padding's too.
    pub fn products(&self) -> u64 {
        match self {
            Instr::MTaps(m) | Instr::MPositions(m) => {
                u64::from(m.rows) * u64::from(m.columns) * u64::from(m.length)
            }
            _ => 0,
        }
    }

    /// The same instruction with every address absolute: its base register's value added to the offset.
    ///
    /// Returns `None` when an address would be negative or beyond 40 bits.
    pub fn resolve(&self, scalars: &[i64; 32]) -> Option<Instr> {
        let mut resolved = *self;
        for address in resolved.addresses_mut() {
            *address = address.resolve(scalars)?;
        }
        if let Instr::VStochastic(s) = &mut resolved {
            let number = i64::try_from(s.number).ok()?.checked_add(scalars[usize::from(s.number_base.0)])?;
            s.number = u64::try_from(number).ok().filter(|&n| n < 1 << 40)?;
            s.number_base = Scalar(0);
        }
        Some(resolved)
    }
}
