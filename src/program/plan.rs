//! A plan: one entry of a program with its control executed once and for all.
//!
//! Addresses, lengths and trip counts come from the program alone, so the sequence of instructions is the same
//! at every step. A plan is that sequence, addresses absolute, modes and names looked up; engines execute it,
//! observers are told of it. It does not know what instructions do.

use std::sync::Arc;

use super::flow::Rounds;
use super::length::Length;
use super::{Phase, Program};
use crate::isa::{AccessError, Instr, Sizes, Unit, verify};
use crate::number::AccumulatorRule;

/// One entry of a program, unrolled.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The entry's name.
    pub entry: String,
    /// Its instructions in program order, control left out.
    pub steps: Arc<[Step]>,
    /// Probes of the steps; a step names a range of them.
    pub probes: Vec<PlanProbe>,
    /// Control instructions executed after the last step, `halt` among them.
    pub control_after: u32,
}

/// One executed instruction.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Where it stands in the program.
    pub pc: u32,
    /// The instruction, addresses absolute.
    pub instr: Instr,
    /// The accumulator rule of its mode (matrix instructions; the default rule otherwise).
    pub rule: AccumulatorRule,
    /// Whether its mode keeps weights in the array (matrix instructions).
    pub weight_stationary: bool,
    /// Control instructions executed since the step before.
    pub control_before: u32,
    /// Its phase.
    pub phase: Phase,
    /// Its layer.
    pub layer: Option<u32>,
    /// Its probes: `plan.probes[first_probe..first_probe + probes]`.
    pub first_probe: u32,
    /// How many probes it has.
    pub probes: u32,
}

/// A probe of one executed instruction: loops resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanProbe {
    /// Which of the program's probes.
    pub probe: u32,
    /// Element of the tensor that the first element of the box is.
    pub origin: i64,
}

/// Why a program has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The entry is not there.
    #[error("the program has no entry `{0}`")]
    NoEntry(String),
    /// Control left the code, or loops do not match.
    #[error("instruction {pc}: {what}")]
    Control {
        /// Where.
        pc: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// An address below 0 or beyond 2^40.
    #[error("instruction {pc}: an address leaves the 40 bits an address has")]
    Address {
        /// Where.
        pc: usize,
    },
    /// An instruction without meaning, or one that leaves its memories.
    #[error("instruction {pc}, `{instr}`: {error}")]
    Access {
        /// Where.
        pc: u32,
        /// The instruction, addresses absolute.
        instr: String,
        /// What is wrong.
        error: AccessError,
    },
    /// A register wider than its place in memory.
    #[error(
        "instruction {pc}: a register of {bits} bits is kept in {format}; give it an out_format of at least {bits} bits"
    )]
    Narrow {
        /// Where.
        pc: u32,
        /// Bits of the register.
        bits: u32,
        /// Bits in memory.
        format: u32,
    },
    /// A mode of an array with other rows.
    #[error(
        "instruction {pc}: its mode keeps weights in an array of {chunk} rows (chunk), the machine's has {rows}; \
         compile the network for this machine, or set array.rows to {chunk}"
    )]
    Rows {
        /// Where.
        pc: u32,
        /// Products the mode sums in a column.
        chunk: u32,
        /// Rows of the array.
        rows: u32,
    },
    /// Loops deeper than the machine's.
    #[error(
        "instruction {pc}: {depth} loops inside one another, the machine has {most}; \
         set control.loop_depth to at least {depth}, or nest less"
    )]
    Depth {
        /// Where.
        pc: usize,
        /// Loops around the instruction, itself among them.
        depth: u32,
        /// What the machine has.
        most: u32,
    },
    /// A scalar register the machine does not have.
    #[error(
        "instruction {pc}: scalar register s{register}, the machine has s0 to s{}; \
         set control.registers to at least {}, or use lower ones", most - 1, u32::from(*register) + 1
    )]
    Register {
        /// Where.
        pc: usize,
        /// The register.
        register: u8,
        /// How many the machine has.
        most: u32,
    },
    /// More instructions than a plan may hold.
    #[error("entry `{entry}` executes more than {limit} instructions; shorten its loops")]
    TooLong {
        /// Which entry.
        entry: String,
        /// How many a plan may hold.
        limit: usize,
    },
}

impl PlanError {
    /// The instruction it is about, by its number in the program.
    pub fn pc(&self) -> Option<usize> {
        match self {
            PlanError::NoEntry(_) | PlanError::TooLong { .. } => None,
            PlanError::Control { pc, .. }
            | PlanError::Address { pc }
            | PlanError::Depth { pc, .. }
            | PlanError::Register { pc, .. } => Some(*pc),
            PlanError::Access { pc, .. } | PlanError::Narrow { pc, .. } | PlanError::Rows { pc, .. } => {
                usize::try_from(*pc).ok()
            }
        }
    }
}

/// Instructions of control an entry may execute.
const PLAN_LIMIT: usize = 50_000_000;
/// Instructions a plan may hold: about 1 GiB of them.
const STEP_LIMIT: usize = 1 << 22;

impl Plan {
    /// Executes the control of an entry and keeps what it issued.
    ///
    /// # Errors
    /// When the entry is missing, control leaves the code or does not end within 50,000,000 instructions (4,194,304
    /// without control), or an address is out of range.
    pub fn new(program: &Program, entry: &str) -> Result<Plan, PlanError> {
        let start = *program.entries.get(entry).ok_or_else(|| PlanError::NoEntry(entry.to_owned()))?;
        let length = Length::of(program, start);
        for (count, limit) in [(length.steps, STEP_LIMIT), (length.control, PLAN_LIMIT)] {
            if count > limit as u64 {
                return Err(PlanError::TooLong { entry: entry.to_owned(), limit });
            }
        }
        Walk::new(program, entry, start).run()
    }

    /// Proves that every instruction means something and touches its memories only, whose sizes are given.
    ///
    /// # Errors
    /// The first instruction that does not.
    pub fn verify(&self, sizes: &Sizes) -> Result<(), PlanError> {
        for step in self.steps.iter() {
            let pc = step.pc;
            verify(&step.instr, sizes).map_err(|error| PlanError::Access {
                pc,
                instr: step.instr.to_string(),
                error,
            })?;
            if let Instr::MTaps(m) | Instr::MPositions(m) = &step.instr {
                let (bits, format) = (step.rule.result_bits(), m.out_format.bits());
                if bits > format {
                    return Err(PlanError::Narrow { pc, bits, format });
                }
            }
        }
        Ok(())
    }

    /// Proves that every product that keeps weights in the array is for an array of so many rows.
    ///
    /// # Errors
    /// The first that is not.
    pub fn verify_rows(&self, rows: u32) -> Result<(), PlanError> {
        let other = self.steps.iter().find(|s| s.weight_stationary && s.rule.chunk != rows);
        other.map_or(Ok(()), |s| Err(PlanError::Rows { pc: s.pc, chunk: s.rule.chunk, rows }))
    }

    /// The probes of a step.
    pub fn probes_of(&self, step: &Step) -> &[PlanProbe] {
        let first = usize::try_from(step.first_probe).unwrap_or(usize::MAX);
        let count = usize::try_from(step.probes).unwrap_or(0);
        self.probes.get(first..first + count).unwrap_or(&[])
    }
}

impl Program {
    /// Proves that a machine's control has the scalar registers and the loops that an entry uses. Every instruction up to the
    /// entry's `halt` is executed, so they are looked at one after the other.
    ///
    /// # Errors
    /// The first instruction that uses more, or an entry that is not there.
    pub fn verify_control(&self, entry: &str, registers: u32, loop_depth: u32) -> Result<(), PlanError> {
        let start = *self.entries.get(entry).ok_or_else(|| PlanError::NoEntry(entry.to_owned()))?;
        let mut depth = 0u32;
        for (pc, instr) in self.code.iter().enumerate().skip(start) {
            let register = highest_scalar(instr);
            if u32::from(register) >= registers {
                return Err(PlanError::Register { pc, register, most: registers });
            }
            match instr {
                Instr::Loop(_) if depth == loop_depth => {
                    return Err(PlanError::Depth { pc, depth: depth + 1, most: loop_depth });
                }
                Instr::Loop(_) => depth += 1,
                Instr::End => depth = depth.saturating_sub(1),
                Instr::Halt => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The highest scalar register an instruction names.
fn highest_scalar(instr: &Instr) -> u8 {
    let named = match instr {
        Instr::Set(i) => vec![i.dst],
        Instr::Addi(i) => vec![i.dst, i.a],
        Instr::Add(i) => vec![i.dst, i.a, i.b],
        Instr::Sub(i) => vec![i.dst, i.a, i.b],
        Instr::VStochastic(i) => vec![i.number_base],
        _ => Vec::new(),
    };
    let mut instr = *instr;
    let bases = instr.addresses_mut().into_iter().map(|address| address.base);
    bases.chain(named).map(|scalar| scalar.0).max().unwrap_or(0)
}

struct Walk<'a> {
    program: &'a Program,
    probes_at: Vec<Vec<u32>>,
    steps: Vec<Step>,
    plan: Plan,
    pc: usize,
    rounds: Rounds,
    scalars: [i64; 32],
    modes: [(AccumulatorRule, bool); 8],
    control: u32,
    executed: usize,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, entry: &str, start: usize) -> Self {
        let mut probes_at = vec![Vec::new(); program.code.len()];
        for (index, probe) in program.probes.iter().enumerate() {
            if let (Some(list), Ok(index)) = (probes_at.get_mut(probe.pc), u32::try_from(index)) {
                list.push(index);
            }
        }
        Walk {
            program,
            probes_at,
            steps: Vec::new(),
            plan: Plan { entry: entry.to_owned(), steps: [].into(), probes: Vec::new(), control_after: 0 },
            pc: start,
            rounds: Rounds::default(),
            scalars: [0; 32],
            modes: [(AccumulatorRule::default(), false); 8],
            control: 0,
            executed: 0,
        }
    }

    fn run(mut self) -> Result<Plan, PlanError> {
        loop {
            let instr = *self.program.code.get(self.pc).ok_or(PlanError::Control {
                pc: self.pc,
                what: "control runs past the end of the code; end the entry with `halt`",
            })?;
            self.executed += 1;
            if self.executed > PLAN_LIMIT {
                return Err(PlanError::TooLong { entry: self.plan.entry, limit: PLAN_LIMIT });
            }
            if instr.unit() == Unit::Control {
                self.control += 1;
                self.control(instr)?;
            } else {
                self.issue(instr)?;
            }
            let pc = self.pc;
            match self.rounds.follow(pc, &instr).map_err(|what| PlanError::Control { pc, what })? {
                Some(next) => self.pc = next,
                None => {
                    self.plan.control_after = self.control;
                    self.plan.steps = self.steps.into();
                    return Ok(self.plan);
                }
            }
        }
    }

    /// Executes what a control instruction does to registers and modes.
    fn control(&mut self, instr: Instr) -> Result<(), PlanError> {
        match instr {
            Instr::Set(i) => self.write(i.dst.0, Some(i.value))?,
            Instr::Addi(i) => self.write(i.dst.0, self.scalar(i.a.0).checked_add(i.value))?,
            Instr::Add(i) => self.write(i.dst.0, self.scalar(i.a.0).checked_add(self.scalar(i.b.0)))?,
            Instr::Sub(i) => self.write(i.dst.0, self.scalar(i.a.0).checked_sub(self.scalar(i.b.0)))?,
            Instr::Mode(m) => {
                verify(&instr, &[0; 5]).map_err(|error| PlanError::Access {
                    pc: u32::try_from(self.pc).unwrap_or(u32::MAX),
                    instr: instr.to_string(),
                    error,
                })?;
                let rule = AccumulatorRule {
                    bits: m.bits,
                    overflow: m.overflow,
                    tree: m.tree,
                    chunk: m.chunk,
                    outer_bits: m.outer_bits,
                };
                self.modes[usize::from(m.dst.0)] = (rule, m.weight_stationary);
            }
            _ => {}
        }
        Ok(())
    }

    fn scalar(&self, index: u8) -> i64 {
        self.scalars[usize::from(index)]
    }

    fn write(&mut self, index: u8, value: Option<i64>) -> Result<(), PlanError> {
        let value = value.ok_or(PlanError::Address { pc: self.pc })?;
        if index != 0 {
            self.scalars[usize::from(index)] = value;
        }
        Ok(())
    }

    fn issue(&mut self, instr: Instr) -> Result<(), PlanError> {
        let pc = self.pc;
        let resolved = instr.resolve(&self.scalars).ok_or(PlanError::Address { pc })?;
        let (rule, weight_stationary) = match resolved {
            Instr::MTaps(m) | Instr::MPositions(m) => self.modes[usize::from(m.mode.0)],
            _ => (AccumulatorRule::default(), false),
        };
        let mark = self.program.mark_at(pc);
        let first_probe = self.plan.probes.len();
        for &probe in &self.probes_at[pc] {
            let named = &self.program.probes[probe as usize];
            let moved = named.loops.iter().zip(&self.rounds.0).map(|(&s, l)| s.saturating_mul(l.done.into()));
            let origin = moved.fold(named.origin, i64::saturating_add);
            self.plan.probes.push(PlanProbe { probe, origin });
        }
        let too_long = || PlanError::TooLong { entry: self.plan.entry.clone(), limit: PLAN_LIMIT };
        self.steps.push(Step {
            pc: u32::try_from(pc).map_err(|_| too_long())?,
            instr: resolved,
            rule,
            weight_stationary,
            control_before: std::mem::take(&mut self.control),
            phase: mark.map_or(Phase::Other, |m| m.phase),
            layer: mark.and_then(|m| m.layer),
            first_probe: u32::try_from(first_probe).map_err(|_| too_long())?,
            probes: u32::try_from(self.plan.probes.len() - first_probe).map_err(|_| too_long())?,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &str, registers: u32, loop_depth: u32) -> Result<(), String> {
        let program = Program::from_text(text, "control.s").unwrap();
        program.verify_control("main", registers, loop_depth).map_err(|e| e.to_string())
    }

    #[test]
    fn a_program_uses_no_more_registers_and_loops_than_control_has() {
        let text = "main:\n set s9 value=4\n loop count=2\n loop count=2\n v.fill dst=operand[s9 + 0] dst_format=8 count=4\n end\n end\n halt\n";
        let text = text.replace("set s9 value=4", "set dst=s9 value=4");
        assert_eq!(control(&text, 10, 2), Ok(()));
        let error = control(&text, 9, 2).unwrap_err();
        assert!(error.contains("instruction 0") && error.contains("s9"), "{error}");
        let error = control(&text, 10, 1).unwrap_err();
        assert!(error.contains("instruction 2") && error.contains("control.loop_depth"), "{error}");
    }
}
