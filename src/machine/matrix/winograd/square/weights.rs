//! Sums of nine taps' weights as the inputs of squares meet them, in panels.

use super::super::super::right::add_groups;
use super::super::weights::Summed;
use super::{SquareWay, TAPS};
use crate::isa::Matrix;
use crate::machine::kernels::{For, GROUP, Kernels, LANES, Lines, PRODUCTS, WHOM, added, twice};

/// Weights that are summed at once; as many codes lie behind a right operand's last.
const AT_ONCE: usize = 64;

/// Weights side by side.
type Line = [u8; AT_ONCE];

/// The sums of one right operand's weights.
#[derive(Debug, Default)]
pub(in crate::machine::matrix) struct SquareWeights {
    panels: Lines,
    /// As the kernels have them: where codes may be negative, and where none is.
    corrections: [Vec<i32>; 2],
}

impl SquareWeights {
    /// As the kernels have them.
    pub(super) fn panels(&self) -> &[u8] {
        &self.panels
    }

    /// As the kernels have them.
    pub(super) fn corrections(&self, natural: bool) -> &[i32] {
        &self.corrections[usize::from(natural)]
    }

    /// Takes them from a right operand's codes, the first of each reduction index where `right_of` says.
    #[inline(always)]
    pub(in crate::machine::matrix) fn take(
        &mut self,
        kernels: Kernels,
        way: &SquareWay,
        m: &Matrix,
        (codes, right_of): (&[u8], &[usize]),
    ) {
        let channels = way.squares.groups() * GROUP;
        let mut summed = Summed::new(m, vec![channels; PRODUCTS]);
        let (columns, row) = (summed.columns, summed.row);
        let from = |channel: usize| way.indices.map(|tap| right_of[tap + channel]);
        if summed.by_columns {
            for channel in 0..channels {
                for column in (0..columns).step_by(AT_ONCE) {
                    let to = &mut summed.codes[channel * row + column..];
                    let count = AT_ONCE.min(columns - column);
                    mix(codes, from(channel).map(|from| from + column), (to, channels * row, count));
                }
            }
        } else {
            let step = isize::try_from(m.column_stride).unwrap_or(0);
            let mut channel = 0;
            while channel < channels {
                let mut places = from(channel);
                let is_beside = |count: usize| from(channel + count) == places.map(|place| place + count);
                let most = AT_ONCE.min(channels - channel);
                let count = (1..most).find(|&count| !is_beside(count)).unwrap_or(most);
                for column in 0..columns {
                    mix(codes, places, (&mut summed.codes[column * row + channel..], channels, count));
                    places = places.map(|place| place.wrapping_add_signed(step));
                }
                channel += count;
            }
        }
        summed.pack(kernels, &mut self.panels);
        self.correct(kernels, way);
    }

    /// By how much eight times the sums are too great: what was added to inputs times the weights that they meet.
    #[inline(always)]
    fn correct(&mut self, kernels: Kernels, way: &SquareWay) {
        let (groups, lanes) = (way.squares.groups(), way.squares.registers() * LANES);
        for corrections in &mut self.corrections {
            corrections.clear();
            corrections.resize(4 * lanes, 0);
        }
        for (product, &whom) in WHOM.iter().enumerate() {
            let mut sums = vec![0; lanes];
            let panels = (&self.panels[..], PRODUCTS * groups);
            add_groups(kernels, panels, product * groups..(product + 1) * groups, &mut sums);
            let [rows, columns] = whom.map(For::times);
            let got = if twice(product) { 2 } else { 1 };
            for (natural, corrections) in [false, true].into_iter().zip(&mut self.corrections) {
                for (output, corrections) in corrections.chunks_exact_mut(lanes).enumerate() {
                    let times = rows[output / 2] * columns[output % 2] * got * added(whom, natural);
                    corrections.iter_mut().zip(&sums).for_each(|(c, sum)| *c += times * sum);
                }
            }
        }
    }
}

/// Sums nine taps' weights that begin at some places, for each product; so many of them, a step from product to product.
#[inline(always)]
fn mix(codes: &[u8], places: [usize; TAPS * TAPS], (to, step, count): (&mut [u8], usize, usize)) {
    let mut taps = [&[0; AT_ONCE]; TAPS * TAPS];
    for (tap, place) in taps.iter_mut().zip(places) {
        *tap = codes[place..].first_chunk().unwrap_or(tap);
    }
    let [a, b, c, d, e, f, g, h, i] = taps;
    let rows = [mix_three([a, b, c]), mix_three([d, e, f]), mix_three([g, h, i])];
    let mut columns = [[[0; AT_ONCE]; 4]; 4];
    for (column, mixed) in columns.iter_mut().enumerate() {
        *mixed = mix_three([&rows[0][column], &rows[1][column], &rows[2][column]]);
    }
    for (product, [row, column]) in WHOM.into_iter().enumerate() {
        let mut sums = columns[column as usize][row as usize];
        if !twice(product) {
            sums.iter_mut().for_each(|sum| *sum = sum.wrapping_add(*sum));
        }
        let to = &mut to[product * step..];
        match to.first_chunk_mut() {
            Some(to) if count == AT_ONCE => *to = sums,
            _ => to[..count].copy_from_slice(&sums[..count]),
        }
    }
}

/// Weights of three taps along one axis, as products for both outputs, for both opposed, for the first and for the second meet them.
#[inline(always)]
fn mix_three([a, b, c]: [&Line; TAPS]) -> [Line; 4] {
    let mut mixed = [[0; AT_ONCE]; 4];
    for at in 0..AT_ONCE {
        let [a, b, c] = [a[at], b[at], c[at]];
        let outer = a.wrapping_add(c);
        mixed[0][at] = outer.wrapping_add(b);
        mixed[1][at] = outer.wrapping_sub(b);
        mixed[2][at] = a.wrapping_add(a);
        mixed[3][at] = 0u8.wrapping_sub(c.wrapping_add(c));
    }
    mixed
}
