//! How many instructions an entry executes, from its loops alone: a program's end is proved by counting to it, before
//! anything is unrolled.

use super::Program;
use crate::isa::{Instr, Unit};

/// Instructions an entry executes, up to its `halt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length {
    /// Of control.
    pub(super) control: u64,
    /// Of the other units.
    pub(super) steps: u64,
}

impl Length {
    /// Of the entry that begins at an instruction; numbers that are too large for 64 bits are the largest. Counts up to the
    /// end of the code where loops do not match: unrolling finds the place.
    pub(super) fn of(program: &Program, start: usize) -> Length {
        let mut length = Length { control: 0, steps: 0 };
        let (mut times, mut around) = (1u64, Vec::new());
        for instr in program.code.iter().skip(start) {
            let counted = if instr.unit() == Unit::Control { &mut length.control } else { &mut length.steps };
            match instr {
                Instr::Loop(l) => {
                    // A loop is begun once a round of the loops around it.
                    *counted = counted.saturating_add(times);
                    around.push(times);
                    times = times.saturating_mul(l.count.into());
                }
                Instr::Halt if around.is_empty() => {
                    *counted = counted.saturating_add(1);
                    return length;
                }
                _ => *counted = counted.saturating_add(times),
            }
            if *instr == Instr::End {
                times = around.pop().unwrap_or(times);
            }
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Plan;

    #[test]
    fn the_count_is_what_unrolling_executes() {
        let text = "main:\n nop\n loop count=3\n v.fill dst=operand[0] dst_format=8 count=4\n loop count=5\n x.set dst=x1\n nop\n end\n end\n x.set dst=x2\n halt\n nop\n";
        let program = Program::from_text(text, "length.s").unwrap();
        let plan = Plan::new(&program, "main").unwrap();
        let control: u32 = plan.steps.iter().map(|s| s.control_before).sum();
        let length = Length::of(&program, 0);
        assert_eq!(length.steps, plan.steps.len() as u64);
        assert_eq!(length.control, u64::from(control + plan.control_after));
    }

    #[test]
    fn counts_beyond_any_number_are_the_largest() {
        let loops = " loop count=4294967295\n".repeat(4);
        let text = format!("main:\n{loops} x.set dst=x1\n{} halt\n", " end\n".repeat(4));
        let program = Program::from_text(&text, "length.s").unwrap();
        assert_eq!(Length::of(&program, 0).steps, u64::MAX);
    }
}
