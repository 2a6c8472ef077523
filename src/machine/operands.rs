//! The operands of a matrix instruction, gathered as a product's two factors, and put back: what vectors for hardware are
//! made of. Knows what the instruction means from the reference engine alone.

use super::State;
use super::reference::matrix::{left_operand, left_place, right_operand, right_place};
use super::state::{element, set_element};
use crate::isa::{Address, Format, Instr, Matrix};
use crate::program::Step;

/// The two factors of a matrix instruction and what its outputs hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operands {
    /// Rows of the product.
    pub rows: u32,
    /// Reduction indices.
    pub length: u32,
    /// Columns of the product.
    pub columns: u32,
    /// Rows by reduction indices; padding is 0.
    pub left: Vec<i64>,
    /// Reduction indices by columns.
    pub right: Vec<i64>,
    /// Rows by columns: what is held where outputs go.
    pub out: Vec<i64>,
}

fn matrix(instr: &Instr) -> Option<(&Matrix, bool)> {
    match instr {
        Instr::MTaps(m) => Some((m, false)),
        Instr::MPositions(m) => Some((m, true)),
        _ => None,
    }
}

fn start(address: Address) -> usize {
    usize::try_from(address.offset).unwrap_or(usize::MAX)
}

impl Operands {
    /// Of a matrix instruction whose accesses are verified; none of others.
    pub fn of(step: &Step, state: &State) -> Option<Self> {
        let (m, reduced) = matrix(&step.instr)?;
        let pairs = |a: u32, b: u32| (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)));
        let left = pairs(m.rows, m.length).map(|(row, k)| left_operand(m, reduced, state, row, k)).collect();
        let right = pairs(m.length, m.columns)
            .map(|(k, column)| right_operand(m, reduced, state, k, column))
            .collect();
        let held = |(row, column): (u32, u32)| {
            let index = u64::from(row) * u64::from(m.out_stride) + u64::from(column);
            element(state.memory(m.out.memory), start(m.out), m.out_format, index)
        };
        let out = pairs(m.rows, m.columns).map(held).collect();
        Some(Operands { rows: m.rows, length: m.length, columns: m.columns, left, right, out })
    }
}

/// Operands at the ends of their formats, chosen so that partial sums go as far as they can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stress {
    /// Every product is the greatest of two positive codes: the sum climbs to its end.
    Climb,
    /// Every product is the least: the sum falls to its end.
    Fall,
    /// The first half of the reduction climbs, the second falls back: the sum leaves its register on the way and would be 0, or
    /// one product, in the end.
    Return,
}

impl Stress {
    /// Every kind.
    pub const ALL: [Stress; 3] = [Stress::Climb, Stress::Fall, Stress::Return];

    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Stress::Climb => "climb",
            Stress::Fall => "fall",
            Stress::Return => "return",
        }
    }

    /// Puts its operands in the place of an instruction's; false where it has none for the instruction. An output that is gone
    /// on from keeps what it holds.
    pub fn put(self, step: &Step, state: &mut State) -> bool {
        if let Some((m, reduced)) = matrix(&step.instr) {
            let (m, highest) = (*m, greatest(m.left_format));
            for row in 0..m.rows {
                for k in 0..m.length {
                    if let Some(index) = left_place(&m, reduced, row, k) {
                        set_element(
                            state.memory_mut(m.left.memory),
                            start(m.left),
                            m.left_format,
                            index,
                            highest,
                        );
                    }
                }
            }
            for k in 0..m.length {
                let value = self.sign(k, m.length) * greatest(m.right_format);
                for column in 0..m.columns {
                    let index = right_place(&m, reduced, k, column);
                    set_element(
                        state.memory_mut(m.right.memory),
                        start(m.right),
                        m.right_format,
                        index,
                        value,
                    );
                }
            }
            return true;
        }
        let sources: Vec<(Address, Format, u32)> = match step.instr {
            Instr::VShift(i) => vec![(i.src, i.src_format, i.count)],
            Instr::VAdd(i) => vec![(i.a, i.format, i.count), (i.b, i.b_format, i.count)],
            Instr::VSub(i) => vec![(i.a, i.format, i.count), (i.b, i.b_format, i.count)],
            _ => return false,
        };
        for (address, format, count) in sources {
            for index in 0..count {
                let value = self.sign(index, count) * greatest(format);
                set_element(state.memory_mut(address.memory), start(address), format, index.into(), value);
            }
        }
        true
    }

    fn sign(self, index: u32, count: u32) -> i64 {
        match self {
            Stress::Climb => 1,
            Stress::Fall => -1,
            Stress::Return => {
                if index < count.div_ceil(2) {
                    1
                } else {
                    -1
                }
            }
        }
    }
}

/// The greatest code of a format, which its negative is one of too.
fn greatest(format: Format) -> i64 {
    i64::MAX >> (64 - format.bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::run_stepped;
    use crate::program::{Plan, Program};
    use crate::spec::Machine;

    #[test]
    fn a_sum_that_returns_left_its_register_on_the_way() {
        let text = "main:\n mode dst=m0 bits=16 overflow=wrap outer_bits=16\n m.taps out=accumulator[0] out_format=16 left=operand[0] left_format=8 right=weight[0] right_format=8 mode=m0 images=2 channels=64 rows=2 columns=3 length=64 image_stride=64 pixel_stride=64 right_stride_2=3 out_stride=3\n halt\n";
        let program = Program::from_text(text, "stress.s").unwrap();
        let plan = Plan::new(&program, "main").unwrap();
        let mut state = State::new([4096, 4096, 4096, 64, 64], 1);
        let step = &plan.steps[0];
        assert!(Stress::Return.put(step, &mut state));
        let operands = Operands::of(step, &state).unwrap();
        assert!(operands.left.iter().all(|&v| v == 127) && operands.left.len() == 128);
        assert_eq!(operands.right.iter().sum::<i64>(), 0);
        let trace = run_stepped(&plan, &Machine::default(), &mut state).unwrap();
        assert!(trace.joins[0].out_of_range > 0 && trace.outcomes[0].wrong_outputs == 0);
        assert_eq!(Operands::of(step, &state).unwrap().out, [0; 6]);
        assert!(!Stress::Climb.put(&Step { instr: crate::isa::Instr::Halt, ..*step }, &mut state));
    }
}
