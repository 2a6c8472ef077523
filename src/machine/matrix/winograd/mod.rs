//! Which instructions over taps are done by products of pairs of outputs ([`Filtering`]), and how: taps side by side in a row of
//! the window are taken by threes and twos, each of which has *inputs*, codes of a pair's columns alone, summed or subtracted,
//! and meets sums of weights.

mod inputs;
mod square;
mod weights;

use std::collections::BTreeMap;
use std::ops::Range;

use super::frame::{Frame, MOST_BYTES};
use super::layout::{Layout, Segments, met, taps};
use super::left::Left;
use super::right::Right;
use super::size;
use crate::isa::Matrix;
use crate::machine::kernels::{
    Extremes, Filtering, FilteringOperands, For, GROUP, Kernels, Mixing, Pair, Pairs, Segment,
};
pub(super) use inputs::Inputs;
pub(super) use square::{SquareWay, SquareWeights, of as squares_of};
pub(super) use weights::Weights;

/// Bits of weights whose sums, three of them or two of them twice, are bytes.
const MOST_BITS: u32 = 6;
/// Of ten products at least one is to be saved: what inputs and weights take is less.
const TENTHS: usize = 9;
/// Bytes of inputs for each that may be too great for one.
const FEW: usize = 256;

/// What stands at a place of the inputs: how it is made of codes of two columns, counted from the first that a pair meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mix {
    mixing: Mixing,
    columns: [usize; 2],
}

/// Inputs of all pairs, and of what rows and channels of the frame they are needed.
#[derive(Debug)]
struct Input {
    mix: Mix,
    rows: Range<usize>,
    channels: Range<usize>,
}

/// Products of an input with weights.
#[derive(Debug)]
struct Unit {
    whom: For,
    input: usize,
    tap_row: usize,
    channels: Range<usize>,
    /// Reduction index of the first channel of each tap whose weights are summed, and how often.
    weights: Vec<(usize, i8)>,
    /// Its first group in a panel.
    first_group: usize,
}

impl Unit {
    fn groups(&self) -> usize {
        self.channels.len() / GROUP
    }
}

/// How an instruction is done by products of pairs of outputs.
#[derive(Debug)]
pub(super) struct Way {
    filtering: Filtering,
    inputs: Vec<Input>,
    units: Vec<Unit>,
    /// Which units the pairs of each class meet.
    units_of: Vec<Vec<usize>>,
    /// Which inputs of each pair of a row are more than padding.
    inputs_of: Vec<Vec<usize>>,
}

/// Taps side by side: their columns, and the reduction index of the first channel of each.
struct Taps {
    row: usize,
    first_column: usize,
    channels: Range<usize>,
    indices: Vec<usize>,
}

/// How an instruction over taps is done by products of pairs of outputs; not where positions are no box, where taps or positions are
/// not a column apart or axes are widened, where weights are wide, and where it would not save products of `products`.
pub(super) fn of(m: &Matrix, frame: &Frame, products: usize) -> Option<Way> {
    let at = frame.covered;
    let narrow = m.right_format.bits() <= MOST_BITS && (m.column_stride == 1 || m.right_stride_2 == 1);
    if !of_box(m, frame) || !narrow || at.columns.count < 2 || at.tap_columns.count < 2 {
        return None;
    }
    let mut planner = Planner { m, frame, inputs: Vec::new(), units: Vec::new() };
    for taps in sections(m, frame)? {
        planner.add(&taps);
    }
    let way = planner.way();
    let pays = way.filtering.products() * 10 <= products * TENTHS;
    (pays && way.bytes(frame) <= MOST_BYTES).then_some(way)
}

/// Whether positions are a box, whose columns, as those of taps, are one apart, and rows of taps too.
fn of_box(m: &Matrix, frame: &Frame) -> bool {
    let at = frame.covered;
    let is_box = at.images.count * at.rows.count * at.columns.count == size(m.rows);
    is_box && [m.step_x, m.dilate_x, m.dilate_y, m.widen_x, m.widen_y] == [1; 5]
}

/// Taps by rows, as many side by side as have the same channels; none where channels are no whole groups.
fn sections(m: &Matrix, frame: &Frame) -> Option<Vec<Taps>> {
    let at = frame.covered;
    let mut index = 0;
    let mut rows = BTreeMap::<usize, Vec<(usize, Range<usize>, usize)>>::new();
    for (y, x, c, count) in taps(m, m.first_k, m.length) {
        let channels = c - at.channels.first..c - at.channels.first + count;
        if !channels.start.is_multiple_of(GROUP) || !channels.end.is_multiple_of(GROUP) {
            return None;
        }
        rows.entry(y - at.tap_rows.first).or_default().push((x - at.tap_columns.first, channels, index));
        index += count;
    }
    let mut sections: Vec<Taps> = Vec::new();
    for (row, mut runs) in rows {
        runs.sort_by_key(|run| run.0);
        let mut cuts: Vec<usize> = runs.iter().flat_map(|(_, c, _)| [c.start, c.end]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        for cut in cuts.windows(2) {
            let here = runs.iter().filter(|(_, c, _)| c.start <= cut[0] && cut[1] <= c.end);
            let mut last = None;
            for (column, channels, index) in here {
                let index = index + cut[0] - channels.start;
                match sections.last_mut() {
                    Some(taps) if last.is_some_and(|last| last + 1 == *column) => taps.indices.push(index),
                    _ => sections.push(Taps {
                        row,
                        first_column: *column,
                        channels: cut[0]..cut[1],
                        indices: vec![index],
                    }),
                }
                last = Some(*column);
            }
        }
    }
    Some(sections)
}

/// A way under construction.
struct Planner<'a> {
    m: &'a Matrix,
    frame: &'a Frame,
    inputs: Vec<Input>,
    units: Vec<Unit>,
}

impl Planner<'_> {
    /// Adds the units of taps side by side: by threes, but four by twos. Of taps g0, g1, g2 and codes d0 to d3 twice the outputs are
    /// (d1 + d2)(g0 + g1 + g2) ± (d2 - d1)(g0 - g1 + g2), and 2(d0 - d2)g0 more for the first, 2(d1 - d3)g2 less for the second. Of two
    /// they are 2·d1(g0 + g1), and 2(d0 - d1)g0 more for the first, 2(d2 - d1)g1 for the second.
    fn add(&mut self, taps: &Taps) {
        let alone = |a| Mix { mixing: Mixing::Alone, columns: [a, a] };
        let sum = |a, b| Mix { mixing: Mixing::Sum, columns: [a, b] };
        let difference = |a, b| Mix { mixing: Mixing::Difference, columns: [a, b] };
        let (mut at, mut indices) = (taps.first_column, &taps.indices[..]);
        while !indices.is_empty() {
            match *indices {
                [a, b, c] | [a, b, c, _, ..] if indices.len() != 4 => {
                    self.unit(taps, For::Both, sum(at + 1, at + 2), &[(a, 1), (b, 1), (c, 1)]);
                    self.unit(taps, For::Opposed, difference(at + 2, at + 1), &[(a, 1), (b, -1), (c, 1)]);
                    self.unit(taps, For::First, difference(at, at + 2), &[(a, 2)]);
                    self.unit(taps, For::Second, difference(at + 1, at + 3), &[(c, -2)]);
                    (at, indices) = (at + 3, &indices[3..]);
                }
                [a, b, ..] => {
                    self.unit(taps, For::Both, alone(at + 1), &[(a, 2), (b, 2)]);
                    self.unit(taps, For::First, difference(at, at + 1), &[(a, 2)]);
                    self.unit(taps, For::Second, difference(at + 2, at + 1), &[(b, 2)]);
                    (at, indices) = (at + 2, &indices[2..]);
                }
                _ => {
                    self.unit(taps, For::First, alone(at), &[(indices[0], 2)]);
                    self.unit(taps, For::Second, alone(at + 1), &[(indices[0], 2)]);
                    indices = &[];
                }
            }
        }
    }

    fn unit(&mut self, taps: &Taps, whom: For, mix: Mix, weights: &[(usize, i8)]) {
        let (m, at) = (self.m, self.frame.covered);
        // Rows of the frame that this row of taps meets, of those in memory.
        let first_row = at.rows.first * size(m.step_y) + at.tap_rows.first;
        let memory = |row: i64| {
            let row = row + i64::from(m.pad_top) - i64::try_from(first_row).unwrap_or(i64::MAX);
            usize::try_from(row).unwrap_or(0)
        };
        let last = (at.rows.count - 1) * size(m.step_y);
        let rows = taps.row.max(memory(0))..(taps.row + last + 1).min(memory(m.height.into()));
        let known = self.inputs.iter().position(|input| input.mix == mix);
        let input = known.unwrap_or_else(|| {
            self.inputs.push(Input { mix, rows: rows.clone(), channels: taps.channels.clone() });
            self.inputs.len() - 1
        });
        let Input { rows: all, channels, .. } = &mut self.inputs[input];
        *all = all.start.min(rows.start)..all.end.max(rows.end);
        *channels = channels.start.min(taps.channels.start)..channels.end.max(taps.channels.end);
        let (tap_row, channels) = (taps.row, taps.channels.clone());
        self.units.push(Unit { whom, input, tap_row, channels, weights: weights.to_vec(), first_group: 0 });
    }

    /// The way, whose units are in the order that lets most of them follow each other.
    fn way(mut self) -> Way {
        let (m, frame, at) = (self.m, self.frame, self.frame.covered);
        self.units.sort_by_key(|u| (u.whom, u.input, u.tap_row, u.channels.start));
        let mut groups = 0;
        for unit in &mut self.units {
            unit.first_group = groups;
            groups += unit.groups();
        }
        let pairs = at.columns.count.div_ceil(2);
        let of_input = frame.rows * frame.channels();
        let met_by = |p: usize| -> Vec<usize> {
            (0..self.inputs.len()).filter(|&i| self.is_met(&self.inputs[i], p)).collect()
        };
        let inputs_of: Vec<Vec<usize>> = (0..pairs).map(met_by).collect();
        let mut members = BTreeMap::<_, Vec<Pair>>::new();
        for (n, y) in (0..at.images.count).flat_map(|n| (0..at.rows.count).map(move |y| (n, y))) {
            let (first, end) = met(at.rows.first + y, m.step_y, 1, m.pad_top, m.tap_rows, m.height);
            let tap_rows = [first, end].map(|tap| size(tap).saturating_sub(at.tap_rows.first));
            for (p, inputs) in inputs_of.iter().enumerate() {
                let whole = 2 * p + 1 < at.columns.count;
                let base =
                    (n * pairs + p) * self.inputs.len() * of_input + y * size(m.step_y) * frame.channels();
                let row = (n * at.rows.count + y) * at.columns.count + 2 * p;
                members.entry((tap_rows, inputs, whole)).or_default().push(Pair { base, row });
            }
        }
        let (mut all, mut classes, mut units_of) = (Vec::new(), Vec::new(), Vec::new());
        for (([first, end], inputs, whole), members) in members {
            let of_class: Vec<usize> = (0..self.units.len())
                .filter(|&u| (first..end).contains(&self.units[u].tap_row))
                .filter(|&u| inputs.contains(&self.units[u].input))
                .collect();
            let segments = For::ALL.map(|whom| {
                let units = of_class.iter().map(|&u| &self.units[u]).filter(|unit| unit.whom == whom);
                self.segments(units)
            });
            classes.push(Pairs { pairs: all.len()..all.len() + members.len(), whole, segments });
            units_of.push(of_class);
            all.extend(members);
        }
        let filtering = Filtering::new(all, classes, groups, size(m.columns));
        Way { filtering, inputs: self.inputs, units: self.units, units_of, inputs_of }
    }

    /// Whether inputs of a pair are more than padding.
    fn is_met(&self, input: &Input, pair: usize) -> bool {
        if input.rows.is_empty() {
            return false;
        }
        let (m, at) = (self.m, self.frame.covered);
        let first = at.columns.first + at.tap_columns.first + 2 * pair;
        let memory = i64::from(m.pad_left)..i64::from(m.pad_left) + i64::from(m.width);
        let inside = |column: usize| memory.contains(&i64::try_from(first + column).unwrap_or(i64::MAX));
        input.mix.columns.into_iter().any(inside)
    }

    /// The segments of units.
    fn segments<'u>(&self, units: impl Iterator<Item = &'u Unit>) -> Vec<Segment> {
        let mut segments = Segments::default();
        for unit in units {
            let row = unit.input * self.frame.rows + unit.tap_row;
            let offset = row * self.frame.channels() + unit.channels.start;
            segments.add(offset, unit.groups(), unit.first_group);
        }
        segments.all
    }
}

impl Way {
    /// Products that are done.
    pub(super) fn products(&self) -> usize {
        self.filtering.products()
    }

    /// Bytes of all inputs of a frame.
    fn bytes(&self, frame: &Frame) -> usize {
        let of_image = self.inputs_of.len() * self.inputs.len() * frame.rows * frame.channels();
        frame.covered.images.count * of_image
    }

    /// The instruction's sums, once its inputs are made.
    #[inline(always)]
    pub(super) fn product(
        &self,
        kernels: Kernels,
        layout: &Layout,
        (left, right): (&Left, &mut Right),
        (out, row_bytes): (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        let weights = right.filter(kernels, layout, self);
        let inputs = &left.inputs;
        let overflow = inputs.overflow();
        if overflow {
            let m = &layout.m;
            if !accumulate {
                let rows = out.chunks_mut(row_bytes).take(size(m.rows));
                rows.for_each(|row| row[..4 * size(m.columns)].fill(0));
            }
            inputs.add_missing(self, (m, &layout.frame), &weights.panels, (out, row_bytes));
        }
        let operands = FilteringOperands {
            left: inputs.bytes(),
            panels: &weights.panels,
            corrections: weights.corrections(left.natural),
        };
        kernels.filtering_product(&self.filtering, operands, (out, row_bytes), accumulate || overflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Covered, Instr};
    use crate::machine::kernels::Extension;
    use crate::program::{Plan, Program};

    /// Products of pairs of outputs and of outputs alone, of what `more` says of a window over two images of 8×8 pixels of 16 channels.
    fn products(more: &str) -> Option<(usize, usize)> {
        let text = format!(
            "main:\n mode dst=m0 bits=32 overflow=wrap outer_bits=32\n m.taps out=accumulator[0] out_format=32 \
             left=operand[0] left_format=8 right=weight[0] right_format=2 mode=m0 images=2 channels=16 columns=16 height=8 width=8 \
             image_stride=1024 row_stride=128 pixel_stride=16 right_stride_2=16 out_stride=16 {more}\n halt\n"
        );
        let plan = Plan::new(&Program::from_text(&text, "window.s").unwrap(), "main").unwrap();
        let Instr::MTaps(m) = &plan.steps[0].instr else { panic!("no window") };
        let dense = Layout::new(m, false, Kernels::of(Extension::Portable)).unwrap().shape.products();
        let way = of(m, &Frame::new(m, Covered::of(m, false), 1), dense)?;
        Some((way.filtering.products(), dense))
    }

    #[test]
    fn taps_in_a_row_save_products() {
        let strides = |taps: usize| format!("right_stride_0={} right_stride_1=256", taps * 256);
        // Rows, of outputs in a row, of taps in a row: products of two outputs, by fours of sixteen channels.
        for (taps, outputs, two) in [(2, 6, 3), (3, 6, 4), (5, 4, 7)] {
            let shape = format!(
                "out_rows=4 out_cols={outputs} tap_rows=2 tap_cols={taps} rows={} length={} {}",
                8 * outputs,
                2 * taps * 16,
                strides(taps)
            );
            let pairs = 2 * 4 * outputs / 2;
            assert_eq!(products(&shape), Some((pairs * 2 * two * 4, 2 * pairs * 2 * taps * 4)));
        }
        // Padding takes no products, of an image's edge and of a pair's.
        let padded = format!(
            "out_rows=12 out_cols=12 tap_rows=5 tap_cols=5 pad_top=4 pad_left=4 rows=288 length=400 {}",
            strides(5)
        );
        assert_eq!(products(&padded), Some((2 * 40 * 33 * 4, 2 * 40 * 40 * 4)));
        // One tap in a row, or outputs two columns apart, share none.
        let one = format!("out_rows=4 out_cols=8 tap_rows=3 tap_cols=1 rows=64 length=48 {}", strides(1));
        let apart =
            format!("out_rows=4 out_cols=3 tap_rows=3 tap_cols=3 step_x=2 rows=24 length=144 {}", strides(3));
        assert_eq!((products(&one), products(&apart)), (None, None));
    }
}
