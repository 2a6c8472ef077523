//! Which instruction control executes next: loops alone, no registers. Plans are unrolled by it, and whoever tells rounds of
//! loops apart follows it beside a plan.

use super::Program;
use crate::isa::Instr;

/// A loop under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// The `loop` instruction.
    pub pc: usize,
    /// Rounds it has.
    pub count: u32,
    /// Rounds done: the number, from 0, of the one under way.
    pub done: u32,
}

/// The loops under way, outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rounds(pub(super) Vec<Round>);

impl Rounds {
    /// Executes what an instruction says of loops; the next instruction, none where the entry is over.
    ///
    /// # Errors
    /// What is wrong with the loops.
    pub(super) fn follow(&mut self, pc: usize, instr: &Instr) -> Result<Option<usize>, &'static str> {
        match instr {
            Instr::Halt if self.0.is_empty() => return Ok(None),
            Instr::Halt => return Err("`halt` inside a loop; close the loop with `end` first"),
            Instr::Loop(l) if l.count == 0 => return Err("a loop runs at least once; count is 0"),
            Instr::Loop(l) => self.0.push(Round { pc, count: l.count, done: 0 }),
            Instr::End => {
                let round = self.0.last_mut().ok_or("`end` without a `loop`")?;
                round.done += 1;
                if round.done < round.count {
                    return Ok(Some(round.pc + 1));
                }
                self.0.pop();
            }
            _ => {}
        }
        Ok(Some(pc + 1))
    }
}

/// The instructions an entry executes, control among them, in program order.
#[derive(Debug, Clone)]
pub struct Flow<'p> {
    program: &'p Program,
    next: Option<usize>,
    rounds: Rounds,
}

impl<'p> Flow<'p> {
    /// The flow of an entry; empty where there is no such entry.
    pub fn new(program: &'p Program, entry: &str) -> Self {
        Flow { program, next: program.entries.get(entry).copied(), rounds: Rounds::default() }
    }

    /// The loops under way after the last instruction, outermost first.
    pub fn rounds(&self) -> &[Round] {
        &self.rounds.0
    }
}

impl<'p> Iterator for Flow<'p> {
    /// An instruction and where it stands.
    type Item = (usize, &'p Instr);

    /// Ends behind the entry's `halt`, or where loops do not match.
    fn next(&mut self) -> Option<Self::Item> {
        let pc = self.next?;
        let instr = self.program.code.get(pc)?;
        self.next = self.rounds.follow(pc, instr).ok().flatten();
        Some((pc, instr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Unit;
    use crate::program::Plan;

    #[test]
    fn the_flow_is_the_plan_with_its_control_and_rounds() {
        let text = "main:\n nop\n loop count=2\n v.fill dst=operand[0] dst_format=8 count=4\n loop count=3\n x.set dst=x1\n end\n end\n x.set dst=x2\n halt\n";
        let program = Program::from_text(text, "flow.s").unwrap();
        let plan = Plan::new(&program, "main").unwrap();
        let mut flow = Flow::new(&program, "main");
        let (mut control, mut seen, mut rounds) = (0, Vec::new(), Vec::new());
        while let Some((pc, instr)) = flow.next() {
            if instr.unit() == Unit::Control {
                control += 1;
                continue;
            }
            seen.push((u32::try_from(pc).unwrap(), std::mem::take(&mut control)));
            rounds.push(flow.rounds().iter().map(|r| r.done).collect::<Vec<_>>());
        }
        let steps: Vec<_> = plan.steps.iter().map(|s| (s.pc, s.control_before)).collect();
        assert_eq!((seen, control), (steps, plan.control_after));
        assert_eq!(rounds[..5], [vec![0], vec![0, 0], vec![0, 1], vec![0, 2], vec![1]]);
        assert!(rounds.last().unwrap().is_empty());
    }
}
