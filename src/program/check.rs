//! What must hold of any program, wherever it came from: names, ranges, sizes. What its instructions touch is the
//! verifier's.

use super::{Initial, Program};

/// What is wrong with a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Two tensors of one name.
    #[error("tensor `{0}` stands twice; give one of them another name")]
    TensorTwice(String),
    /// A tensor that does not lie in DRAM.
    #[error("tensor `{name}` ends at byte {end} of a DRAM of {dram_bytes}; move it or raise dram_bytes")]
    TensorOutside {
        /// The tensor.
        name: String,
        /// First byte behind it.
        end: u128,
        /// Bytes of DRAM.
        dram_bytes: u64,
    },
    /// Initial values that are not one an element, or elements they cannot be given to.
    #[error("tensor `{name}`: {what}")]
    Initial {
        /// The tensor.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// More DRAM than a program may have.
    #[error("the program needs {0} bytes of DRAM; at most 2^36 can be had")]
    TooMuchDram(u64),
    /// An entry, mark or probe that points at no instruction.
    #[error("{what} points at instruction {pc} of {length}")]
    NoInstruction {
        /// What points.
        what: String,
        /// Where to.
        pc: usize,
        /// Instructions there are.
        length: usize,
    },
    /// Marks out of order.
    #[error("the mark at instruction {0} stands behind a later one")]
    MarkOrder(usize),
    /// Nothing to execute.
    #[error("the program has no entry; begin one with a label, as `main:`")]
    NoEntry,
}

/// Bytes of DRAM a program may have.
const MOST_DRAM: u64 = 1 << 36;

impl Program {
    /// Proves what must hold of any program.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), ProgramError> {
        if self.dram_bytes > MOST_DRAM {
            return Err(ProgramError::TooMuchDram(self.dram_bytes));
        }
        if self.entries.is_empty() {
            return Err(ProgramError::NoEntry);
        }
        self.check_tensors()?;
        let length = self.code.len();
        let points = |what: &dyn Fn() -> String, pc: usize| {
            if pc < length { Ok(()) } else { Err(ProgramError::NoInstruction { what: what(), pc, length }) }
        };
        for (name, &pc) in &self.entries {
            points(&|| format!("entry `{name}`"), pc)?;
        }
        for probe in &self.probes {
            points(&|| format!("a probe of `{}`", probe.tensor), probe.pc)?;
            if probe.extents.len() > 4 || probe.strides.len() != probe.extents.len() {
                let what = "a probe has up to four extents, and a stride for each".to_owned();
                return Err(ProgramError::Initial { name: probe.tensor.clone(), what });
            }
        }
        for pair in self.marks.windows(2) {
            if pair[0].pc > pair[1].pc {
                return Err(ProgramError::MarkOrder(pair[0].pc));
            }
        }
        for mark in &self.marks {
            points(&|| "a mark".to_owned(), mark.pc)?;
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), ProgramError> {
        let mut names = std::collections::BTreeSet::new();
        for tensor in &self.tensors {
            let name = || tensor.name.clone();
            if !names.insert(&tensor.name) {
                return Err(ProgramError::TensorTwice(name()));
            }
            let elements = tensor.shape.iter().try_fold(1u128, |p, &d| p.checked_mul(d.into()));
            let bits =
                elements.and_then(|n| n.checked_mul(tensor.format.bits().into())).unwrap_or(u128::MAX >> 8);
            let end = u128::from(tensor.address) + bits.div_ceil(8);
            if end > self.dram_bytes.into() {
                return Err(ProgramError::TensorOutside { name: name(), end, dram_bytes: self.dram_bytes });
            }
            let whole_bytes = tensor.format.bits().is_multiple_of(8);
            let refuse = |what: String| Err(ProgramError::Initial { name: name(), what });
            match &tensor.initial {
                Initial::Zero => {}
                _ if !whole_bytes => {
                    return refuse("only elements of whole bytes have initial values".to_owned());
                }
                Initial::Values(values) if values.len() as u64 != tensor.elements() => {
                    let (given, wanted) = (values.len(), tensor.elements());
                    return refuse(format!("{given} initial values for {wanted} elements"));
                }
                Initial::Drawn { bits, shift, .. } if !(2..=32).contains(bits) || *shift > 31 => {
                    return refuse("weights are drawn with 2 to 32 bits, shifted by at most 31".to_owned());
                }
                Initial::Values(_) | Initial::Drawn { .. } => {}
            }
        }
        Ok(())
    }
}
