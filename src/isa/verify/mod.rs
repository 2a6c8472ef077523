//! Proves of one instruction, addresses absolute, that its fields mean something, that all it touches lies in its memories, and
//! that it overwrites nothing it has still to read. What it touches is bounded by boxes in closed form: no element is visited.

mod matrix;
mod moves;
mod order;
mod vector;

use super::field::{Address, Format, Memory};
use super::instr::Instr;

/// Why an instruction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A field without meaning.
    #[error("{field} is {value}; it is {allowed}")]
    Field {
        /// The field.
        field: &'static str,
        /// As it is.
        value: i64,
        /// As it may be.
        allowed: &'static str,
    },
    /// A place outside a memory.
    #[error("{field} reaches {memory} byte {byte}, but {memory} has {size} bytes")]
    Outside {
        /// The address field.
        field: &'static str,
        /// Name of the memory.
        memory: &'static str,
        /// The outermost byte, below 0 or beyond the last.
        byte: i128,
        /// Bytes there are.
        size: u64,
    },
    /// A memory an instruction of this unit cannot touch.
    #[error("{field} lies in {memory}: {allowed}")]
    Memory {
        /// The address field.
        field: &'static str,
        /// Name of the memory.
        memory: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// What is written runs over what is still to be read.
    #[error(
        "{written} overwrites what is still to be read of {read}; \
         let {written} begin no later than {read} and in no wider format, or lie elsewhere"
    )]
    Overtakes {
        /// The address field written.
        written: &'static str,
        /// The address field read.
        read: &'static str,
    },
    /// What is written meets what is read in no order, or what is written besides.
    #[error("{written} meets {other}; let the two lie apart")]
    Meets {
        /// The address field written.
        written: &'static str,
        /// The other.
        other: &'static str,
    },
}

/// Sizes of the memories, by [`Memory::index`].
pub type Sizes = [u64; 5];

pub(super) type Checked = Result<(), AccessError>;

fn at_least_one(fields: &[(&'static str, u32)]) -> Checked {
    match fields.iter().find(|(_, v)| *v == 0) {
        Some(&(field, _)) => Err(AccessError::Field { field, value: 0, allowed: "at least 1" }),
        None => Ok(()),
    }
}

fn within(field: &'static str, value: u32, least: u32, greatest: u32, allowed: &'static str) -> Checked {
    if (least..=greatest).contains(&value) {
        Ok(())
    } else {
        Err(AccessError::Field { field, value: value.into(), allowed })
    }
}

/// Walks over what an instruction touches: an address field, and the first and last byte from memory byte 0 on.
struct Walk<'a> {
    touch: &'a mut dyn FnMut(&'static str, Address, i128, i128) -> Checked,
}

/// Proves an instruction.
///
/// # Errors
/// The first field or access that is wrong.
pub fn verify(instr: &Instr, sizes: &Sizes) -> Checked {
    walk(instr, &mut |field, address, first, last| {
        let size = sizes[address.memory.index()];
        if first >= 0 && last < size.into() {
            return Ok(());
        }
        let byte = if first < 0 { first } else { last };
        Err(AccessError::Outside { field, memory: address.memory.name(), byte, size })
    })?;
    order::check(instr)
}

/// Checks an instruction's fields and tells `touch` of every operand: address field, first and last byte.
///
/// # Errors
/// The first field that means nothing, or what `touch` says.
pub(super) fn walk(
    instr: &Instr,
    touch: &mut dyn FnMut(&'static str, Address, i128, i128) -> Checked,
) -> Checked {
    Walk { touch }.instr(instr)
}

impl Walk<'_> {
    /// Bytes `least..=greatest` from an address.
    fn bytes(&mut self, field: &'static str, address: Address, least: i128, greatest: i128) -> Checked {
        let start = i128::from(address.offset);
        (self.touch)(field, address, start + least, start + greatest)
    }

    /// Elements `least..=greatest` from an address.
    fn elements(
        &mut self,
        field: &'static str,
        address: Address,
        format: Format,
        least: i128,
        greatest: i128,
    ) -> Checked {
        let bits = i128::from(format.bits());
        self.bytes(field, address, (least * bits).div_euclid(8), ((greatest + 1) * bits - 1).div_euclid(8))
    }

    /// `count` elements of a scratchpad.
    fn run(&mut self, field: &'static str, address: Address, format: Format, count: u128) -> Checked {
        self.scratchpad(field, address)?;
        self.elements(field, address, format, 0, i128::try_from(count).unwrap_or(i128::MAX >> 8) - 1)
    }

    fn scratchpad(&self, field: &'static str, address: Address) -> Checked {
        match address.memory {
            Memory::Dram => {
                let allowed = "only load and store touch DRAM; move it to a scratchpad first";
                Err(AccessError::Memory { field, memory: "dram", allowed })
            }
            _ => Ok(()),
        }
    }

    fn instr(&mut self, instr: &Instr) -> Checked {
        match instr {
            Instr::Load(m) => self.load(m),
            Instr::Store(m) => self.store(m),
            Instr::MTaps(m) => self.matrix(m, false),
            Instr::MPositions(m) => self.matrix(m, true),
            Instr::Mode(m) => {
                const WIDTH: &str = "4 to 64 bits";
                within("bits", m.bits, 4, 64, WIDTH)?;
                within("outer_bits", m.outer_bits, 4, 64, WIDTH)?;
                at_least_one(&[("tree", m.tree)])
            }
            _ => self.vector(instr),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::isa::instr::{Kind, TABLE, Unit};

    /// What makes "no branch on data" hold of every program: control reads neither memory nor what comes from it, and no
    /// other unit writes what control reads.
    #[test]
    fn control_reads_nothing_that_depends_on_data() {
        for spec in TABLE {
            for field in spec.fields {
                let from_data = matches!(field.kind, Kind::Address(_) | Kind::Scale | Kind::Counter);
                let place = format!("{} {}", spec.mnemonic, field.name);
                if spec.unit == Unit::Control {
                    assert!(!from_data, "{place}: control reads data");
                } else {
                    let written = field.kind == Kind::Scalar && field.name == "dst";
                    assert!(!written, "{place}: a scalar register is written");
                }
            }
        }
    }
}
