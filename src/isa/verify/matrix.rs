//! What matrix instructions touch.

use super::{AccessError, Checked, Walk, at_least_one, within};
use crate::isa::instr::Matrix;
use crate::isa::window::{Covered, TapOrder, boxes};

impl Walk<'_> {
    pub(super) fn matrix(&mut self, m: &Matrix, positions_reduced: bool) -> Checked {
        at_least_one(&[
            ("images", m.images),
            ("out_rows", m.out_rows),
            ("out_cols", m.out_cols),
            ("tap_rows", m.tap_rows),
            ("tap_cols", m.tap_cols),
            ("channels", m.channels),
            ("rows", m.rows),
            ("columns", m.columns),
            ("length", m.length),
            ("height", m.height),
            ("width", m.width),
            ("step_y", m.step_y),
            ("step_x", m.step_x),
            ("dilate_y", m.dilate_y),
            ("dilate_x", m.dilate_x),
            ("widen_y", m.widen_y),
            ("widen_x", m.widen_x),
        ])?;
        const CODES: &str = "at most 16 bits: operands are codes";
        within("left_format", m.left_format.bits(), 2, 16, CODES)?;
        within("right_format", m.right_format.bits(), 2, 16, CODES)?;
        within("out_format", m.out_format.bits(), 4, 64, "4 to 64 bits")?;
        if positions_reduced {
            const ALL: &str = "0: m.positions reduces over positions, which have no blocks of channels";
            within("channel_block", m.channel_block, 0, 0, ALL)?;
        }
        let positions = u64::from(m.images) * u64::from(m.out_rows) * u64::from(m.out_cols);
        let taps = u64::from(m.tap_rows) * u64::from(m.tap_cols) * u64::from(m.channels);
        let (rows, reduced) = if positions_reduced { (taps, positions) } else { (positions, taps) };
        let numbers = |field, first: u32, count: u32, all: u64, allowed| {
            let last = u64::from(first) + u64::from(count);
            let value = i64::try_from(last).unwrap_or(i64::MAX);
            if last <= all { Ok(()) } else { Err(AccessError::Field { field, value, allowed }) }
        };
        numbers(
            "first_row + rows",
            m.first_row,
            m.rows,
            rows,
            "at most the positions (m.taps) or taps (m.positions) there are",
        )?;
        numbers(
            "first_k + length",
            m.first_k,
            m.length,
            reduced,
            "at most the taps (m.taps) or positions (m.positions) there are",
        )?;
        if m.rows > 1 && m.out_stride < m.columns {
            let value = m.out_stride.into();
            return Err(AccessError::Field {
                field: "out_stride",
                value,
                allowed: "at least columns: rows would overlap",
            });
        }
        let last = i128::from(m.rows - 1) * i128::from(m.out_stride) + i128::from(m.columns) - 1;
        self.elements("out", m.out, m.out_format, 0, last)?;
        let covered = Covered::of(m, positions_reduced);
        self.left(m, &covered)?;
        self.right(m, positions_reduced)
    }

    fn left(&mut self, m: &Matrix, c: &Covered) -> Checked {
        let wide = |n: usize| i128::try_from(n).unwrap_or(i128::MAX >> 8);
        // The first and last row (column) of memory that the reach meets, if any.
        let met = |first: usize, last: usize, pad: i32, widen: u32, size: u32| {
            let (widen, pad) = (i128::from(widen), i128::from(pad));
            let low = (wide(first) - pad).max(0);
            let high = (wide(last) - pad).min((i128::from(size) - 1) * widen);
            let (low, high) = ((low + widen - 1).div_euclid(widen), high.div_euclid(widen));
            (low <= high).then_some((low, high))
        };
        let (y, x) = (
            c.rows.reach(m.step_y, c.tap_rows, m.dilate_y),
            c.columns.reach(m.step_x, c.tap_columns, m.dilate_x),
        );
        let rows = met(y.first, y.last(), m.pad_top, m.widen_y, m.height);
        let columns = met(x.first, x.last(), m.pad_left, m.widen_x, m.width);
        let (Some((y0, y1)), Some((x0, x1))) = (rows, columns) else { return Ok(()) };
        let place = |image: usize, y: i128, x: i128, channel: usize| {
            i128::from(m.left_first)
                + wide(image) * i128::from(m.image_stride)
                + y * i128::from(m.row_stride)
                + x * i128::from(m.pixel_stride)
                + wide(channel)
        };
        let least = place(c.images.first, y0, x0, c.channels.first);
        let greatest = place(c.images.last(), y1, x1, c.channels.last());
        self.elements("left", m.left, m.left_format, least, greatest)
    }

    fn right(&mut self, m: &Matrix, positions_reduced: bool) -> Checked {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let reduced = if positions_reduced {
            boxes(size(m.first_k), size(m.length), [m.images, m.out_rows, m.out_cols].map(size))
        } else {
            TapOrder::of(m).boxes(size(m.first_k), size(m.length))
        };
        let wide = |n: usize| i128::try_from(n).unwrap_or(i128::MAX >> 8);
        let strides = [m.right_stride_0, m.right_stride_1, m.right_stride_2];
        let (mut least, mut greatest) = (i128::MAX, i128::MIN);
        for spans in reduced {
            let (mut low, mut high) = (i128::from(m.right_first), i128::from(m.right_first));
            for (span, stride) in spans.into_iter().zip(strides) {
                let ends = [span.first, span.last()].map(|n| wide(n) * i128::from(stride));
                low += ends[0].min(ends[1]);
                high += ends[0].max(ends[1]);
            }
            (least, greatest) = (least.min(low), greatest.max(high));
        }
        let columns = i128::from(m.columns - 1) * i128::from(m.column_stride);
        self.elements("right", m.right, m.right_format, least + columns.min(0), greatest + columns.max(0))
    }
}
