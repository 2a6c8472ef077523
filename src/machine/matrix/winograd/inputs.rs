//! The inputs of pairs of outputs: `[image][pair][input][row][channel]`, bytes to which [`too_much`] was added.

use super::super::frame::{Frame, ZERO};
use super::super::size;
use super::{FEW, Input, Mix, Way};
use crate::isa::Matrix;
use crate::machine::kernels::{GROUP, Kernels, LANES, Lines, MAX_REGISTERS, Mixing, Rows};

/// The inputs of the instruction that is executed.
#[derive(Debug, Default)]
pub(in crate::machine::matrix) struct Inputs {
    bytes: Lines,
    overflows: Vec<Overflow>,
}

/// An input that is no byte, and so stands reduced modulo 256.
#[derive(Debug, Clone, Copy)]
struct Overflow {
    image: usize,
    pair: usize,
    input: usize,
    row: usize,
    channel: usize,
    /// 256 or -256.
    missing: i32,
}

/// How inputs are made of codes of which none is negative, if they are natural.
fn mixing(mix: Mix, natural: bool) -> Mixing {
    if natural && mix.mixing == Mixing::Sum { Mixing::NaturalSum } else { mix.mixing }
}

/// What is added to inputs, so that they are unsigned.
pub(super) fn too_much(mix: Mix, natural: bool) -> i32 {
    if mixing(mix, natural) == Mixing::NaturalSum { 0 } else { ZERO.into() }
}

impl Inputs {
    /// Makes them of codes in a frame, of which none is negative where they are natural; false where too many are no bytes.
    #[inline(always)]
    pub(in crate::machine::matrix) fn take(
        &mut self,
        kernels: Kernels,
        way: &Way,
        frame: &Frame,
        (codes, natural): (&[u8], bool),
    ) -> bool {
        let channels = frame.channels();
        let of_input = frame.rows * channels;
        self.bytes.hold(way.filtering.reach().max(way.bytes(frame)));
        self.overflows.clear();
        let mut made = 0;
        for (image, of_image) in codes.chunks_exact(frame.image()).enumerate() {
            for (pair, inputs) in way.inputs_of.iter().enumerate() {
                for &number in inputs {
                    let input = &way.inputs[number];
                    let before = (image * way.inputs_of.len() + pair) * way.inputs.len() + number;
                    let target = &mut self.bytes[before * of_input..][..of_input];
                    let (from, length) = (input.channels.start, input.channels.len());
                    // A pair without second output may leave the frame: what is there nobody meets.
                    let column = |c: usize| (2 * pair + c).min(frame.columns - 1) * channels + from;
                    let [a, b] = input.mix.columns.map(|c| {
                        &of_image[input.rows.start * frame.row()..input.rows.end * frame.row()][column(c)..]
                    });
                    let to = &mut target[input.rows.start * channels..input.rows.end * channels][from..];
                    made += input.rows.len() * length;
                    let rows = Rows { count: input.rows.len(), length, steps: [frame.row(), channels] };
                    let overflow = kernels.mix(mixing(input.mix, natural), rows, (a, b), to);
                    if overflow {
                        let of =
                            |row, channel| Overflow { image, pair, input: number, row, channel, missing: 0 };
                        find(input, (a, b), frame.row(), of, &mut self.overflows);
                    }
                }
            }
            if self.overflows.len() > made / FEW {
                return false;
            }
        }
        true
    }

    /// What kernels take.
    pub(in crate::machine::matrix) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether some are no bytes.
    pub(in crate::machine::matrix) fn overflow(&self) -> bool {
        !self.overflows.is_empty()
    }

    /// Adds what those that are no bytes lack to the sums of the pairs that meet them.
    #[inline(always)]
    pub(in crate::machine::matrix) fn add_missing(
        &self,
        way: &Way,
        (m, frame): (&Matrix, &Frame),
        panels: &[u8],
        (out, row_bytes): (&mut [u8], usize),
    ) {
        let at = frame.covered;
        for overflow in &self.overflows {
            let units = way.units.iter().filter(|u| u.input == overflow.input);
            for unit in units.filter(|u| u.channels.contains(&overflow.channel)) {
                let step = size(m.step_y);
                let Some(above) = overflow.row.checked_sub(unit.tap_row) else { continue };
                if !above.is_multiple_of(step) || above / step >= at.rows.count {
                    continue;
                }
                let channel = overflow.channel - unit.channels.start;
                let group = unit.first_group + channel / GROUP;
                let row = (overflow.image * at.rows.count + above / step) * at.columns.count;
                let outputs = (2 * overflow.pair..at.columns.count).zip(unit.whom.times());
                for (column, times) in outputs.filter(|(_, times)| *times != 0) {
                    let words = &mut out[(row + column) * row_bytes..][..4 * size(m.columns)];
                    // Sums are halves of what the products come to.
                    let times = times * overflow.missing / 2;
                    add_weights(way, (panels, group, channel % GROUP), times, words);
                }
            }
        }
    }
}

/// Adds the weights of one place of a group so many times to a row of words.
#[inline(always)]
fn add_weights(way: &Way, (panels, group, place): (&[u8], usize, usize), times: i32, words: &mut [u8]) {
    let (registers, groups) = (way.filtering.registers(), way.filtering.groups());
    let words = words.as_chunks_mut::<4>().0;
    for (register, words) in words.chunks_mut(LANES).enumerate() {
        let first = register / MAX_REGISTERS * MAX_REGISTERS;
        let width = MAX_REGISTERS.min(registers - first);
        let block = first * groups + group * width + register - first;
        let fours = panels[block * GROUP * LANES..].as_chunks::<GROUP>().0;
        for (word, &four) in words.iter_mut().zip(fours) {
            let weight = (i32::from_le_bytes(four) << (24 - 8 * place)) >> 24;
            *word = i32::from_le_bytes(*word).wrapping_add(times * weight).to_le_bytes();
        }
    }
}

/// Finds the overflows of an input made of columns that begin in its first row.
fn find(
    input: &Input,
    (a, b): (&[u8], &[u8]),
    step: usize,
    of: impl Fn(usize, usize) -> Overflow,
    overflows: &mut Vec<Overflow>,
) {
    for ((row, a), b) in input.rows.clone().zip(a.chunks(step)).zip(b.chunks(step)) {
        for (channel, (&a, &b)) in input.channels.clone().zip(a.iter().zip(b)) {
            let [a, b] = [a, b].map(|code| i32::from(code) - i32::from(ZERO));
            let exact = if input.mix.mixing == Mixing::Sum { a + b } else { a - b };
            if i8::try_from(exact).is_err() {
                overflows.push(Overflow { missing: 256 * exact.signum(), ..of(row, channel) });
            }
        }
    }
}
