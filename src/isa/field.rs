//! The kinds of values instruction fields hold, and how each is a bit pattern.

use super::instr::{FieldSpec, Kind};
use crate::number::{Overflow, Rounding};

/// A memory of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Left operands of the array: activations, errors; input and output codes.
    Operand,
    /// Right operands of the array: weights, errors of a gradient.
    Weight,
    /// Accumulators.
    Accumulator,
    /// States and pool places.
    Mask,
    /// The memory outside.
    Dram,
}

impl Memory {
    /// Every memory, in the order of its encoding.
    pub const ALL: [Memory; 5] =
        [Memory::Operand, Memory::Weight, Memory::Accumulator, Memory::Mask, Memory::Dram];

    /// The four scratchpads.
    pub const SCRATCHPADS: [Memory; 4] = [Memory::Operand, Memory::Weight, Memory::Accumulator, Memory::Mask];

    /// Its name in assembly and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Memory::Operand => "operand",
            Memory::Weight => "weight",
            Memory::Accumulator => "accumulator",
            Memory::Mask => "mask",
            Memory::Dram => "dram",
        }
    }

    /// Its number in encodings and tables.
    pub fn index(self) -> usize {
        match self {
            Memory::Operand => 0,
            Memory::Weight => 1,
            Memory::Accumulator => 2,
            Memory::Mask => 3,
            Memory::Dram => 4,
        }
    }
}

/// A place in a memory: a byte offset plus a scalar register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// Which memory.
    pub memory: Memory,
    /// Scalar register added to the offset; `s0` is always 0.
    pub base: Scalar,
    /// Bytes, below 2^40.
    pub offset: u64,
}

/// Offsets have this many bits.
const OFFSET_BITS: u32 = 40;

impl Address {
    /// An absolute place.
    pub fn at(memory: Memory, offset: u64) -> Self {
        Address { memory, base: Scalar(0), offset }
    }

    /// A place relative to a scalar register.
    pub fn relative(memory: Memory, base: Scalar, offset: u64) -> Self {
        Address { memory, base, offset }
    }

    /// The same place, absolute.
    pub fn resolve(self, scalars: &[i64; 32]) -> Option<Self> {
        let sum = i64::try_from(self.offset).ok()?.checked_add(scalars[usize::from(self.base.0)])?;
        let offset = u64::try_from(sum).ok().filter(|&o| o < 1 << OFFSET_BITS)?;
        Some(Address { memory: self.memory, base: Scalar(0), offset })
    }
}

macro_rules! register {
    ($name:ident, $letter:literal, $count:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u8);

        impl $name {
            /// How many there are.
            pub const COUNT: u8 = $count;
            /// The letter assembly writes before the number.
            pub const LETTER: char = $letter;
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", $letter, self.0)
            }
        }

        impl Field for $name {
            fn raw(self, _: &FieldSpec) -> u64 {
                u64::from(self.0)
            }
            fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
                u8::try_from(raw).ok().filter(|&n| n < $count).map($name)
            }
        }
    };
}

register!(Scalar, 's', 32, "A scalar register, 64 bits; `s0` is always 0.");
register!(Scale, 'x', 16, "A scale register, 64 bits; `x0` is always 0. Only shifts read one.");
register!(Counter, 'c', 8, "A counter, 128 bits, that the host reads.");
register!(ModeIndex, 'm', 8, "An accumulator mode register.");

/// Bits an element occupies in memory, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct Format(u8);

impl From<Format> for u32 {
    fn from(format: Format) -> Self {
        format.bits()
    }
}

impl TryFrom<u32> for Format {
    type Error = String;

    fn try_from(bits: u32) -> Result<Self, String> {
        Format::new(bits).ok_or_else(|| format!("an element has 1 to 64 bits, not {bits}"))
    }
}

impl Format {
    /// A format of so many bits, 1 to 64.
    pub fn new(bits: u32) -> Option<Self> {
        u8::try_from(bits).ok().filter(|b| (1..=64).contains(b)).map(Format)
    }

    /// Bits of an element.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Element `index` of those that start at byte `at`, as an unsigned pattern.
    ///
    /// # Panics
    /// When the element lies outside `bytes`.
    pub fn pattern(self, bytes: &[u8], at: usize, index: u64) -> u64 {
        let bits = u64::from(self.0);
        let first = index * bits;
        let byte = at + usize::try_from(first / 8).unwrap_or(usize::MAX);
        let shift = first % 8;
        let count = usize::try_from((shift + bits).div_ceil(8)).unwrap_or(usize::MAX);
        let mut wide = [0u8; 16];
        wide[..count].copy_from_slice(&bytes[byte..byte + count]);
        let pattern = u128::from_le_bytes(wide) >> shift & (u128::MAX >> (128 - bits));
        u64::try_from(pattern).unwrap_or(u64::MAX)
    }

    /// Bytes that `count` elements from a byte address on occupy, the last one rounded up.
    pub fn bytes(self, count: u64) -> u64 {
        (count * u64::from(self.0)).div_ceil(8)
    }
}

/// A value a field can hold, and its bit pattern.
pub(crate) trait Field: Sized {
    /// The pattern, in the low `spec.width` bits.
    fn raw(self, spec: &FieldSpec) -> u64;
    /// The value of a pattern, if it has one.
    fn from_raw(raw: u64, spec: &FieldSpec) -> Option<Self>;
}

impl Field for Address {
    fn raw(self, spec: &FieldSpec) -> u64 {
        let low = self.offset | u64::from(self.base.0) << OFFSET_BITS;
        match spec.kind {
            Kind::Address(None) => low | (self.memory.index() as u64) << (OFFSET_BITS + 5),
            _ => low,
        }
    }

    fn from_raw(raw: u64, spec: &FieldSpec) -> Option<Self> {
        let offset = raw & ((1 << OFFSET_BITS) - 1);
        let base = Scalar(u8::try_from(raw >> OFFSET_BITS & 31).ok()?);
        let memory = match spec.kind {
            Kind::Address(Some(memory)) => memory,
            _ => *Memory::ALL.get(usize::try_from(raw >> (OFFSET_BITS + 5)).ok()?)?,
        };
        Some(Address { memory, base, offset })
    }
}

impl Field for u32 {
    fn raw(self, _: &FieldSpec) -> u64 {
        u64::from(self)
    }
    fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
        u32::try_from(raw).ok()
    }
}

impl Field for u64 {
    fn raw(self, _: &FieldSpec) -> u64 {
        self
    }
    fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
        Some(raw)
    }
}

impl Field for i64 {
    fn raw(self, spec: &FieldSpec) -> u64 {
        let unused = 64 - spec.width;
        let pattern = self.cast_unsigned();
        // A number beyond its field keeps its high bits: the encoder refuses it.
        if self << unused >> unused == self { pattern & (u64::MAX >> unused) } else { pattern }
    }
    fn from_raw(raw: u64, spec: &FieldSpec) -> Option<Self> {
        let unused = 64 - spec.width;
        Some((raw << unused).cast_signed() >> unused)
    }
}

impl Field for i32 {
    fn raw(self, spec: &FieldSpec) -> u64 {
        i64::from(self).raw(spec)
    }
    fn from_raw(raw: u64, spec: &FieldSpec) -> Option<Self> {
        i64::from_raw(raw, spec).and_then(|v| i32::try_from(v).ok())
    }
}

impl Field for bool {
    fn raw(self, _: &FieldSpec) -> u64 {
        u64::from(self)
    }
    fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
        Some(raw != 0)
    }
}

impl Field for Format {
    fn raw(self, _: &FieldSpec) -> u64 {
        u64::from(self.0) - 1
    }
    fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
        u32::try_from(raw).ok().and_then(|r| Format::new(r + 1))
    }
}

impl Field for Overflow {
    fn raw(self, _: &FieldSpec) -> u64 {
        match self {
            Overflow::Wrap => 0,
            Overflow::Saturate => 1,
            Overflow::Trap => 2,
        }
    }
    fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
        [Overflow::Wrap, Overflow::Saturate, Overflow::Trap].get(usize::try_from(raw).ok()?).copied()
    }
}

impl Field for Rounding {
    fn raw(self, _: &FieldSpec) -> u64 {
        match self {
            Rounding::Even => 0,
            Rounding::Up => 1,
            Rounding::Truncate => 2,
        }
    }
    fn from_raw(raw: u64, _: &FieldSpec) -> Option<Self> {
        [Rounding::Even, Rounding::Up, Rounding::Truncate].get(usize::try_from(raw).ok()?).copied()
    }
}
