//! What loads and stores touch.

use super::{AccessError, Checked, Walk, at_least_one};
use crate::isa::instr::{Load, Store};

impl Walk<'_> {
    pub(super) fn load(&mut self, m: &Load) -> Checked {
        at_least_one(&[("planes", m.planes), ("rows", m.rows), ("bytes", m.bytes)])?;
        self.scratchpad("dst", m.dst)?;
        let planes = i128::from(m.planes - 1);
        let rows = i128::from(m.pad_top) + i128::from(m.rows) + i128::from(m.pad_bottom) - 1;
        let row = i128::from(m.pad_left) + i128::from(m.bytes) + i128::from(m.pad_right);
        let last = planes * i128::from(m.dst_plane) + rows * i128::from(m.dst_row) + row - 1;
        self.bytes("dst", m.dst, 0, last)?;
        apart(m, planes, rows, row)?;
        let steps = [(planes, m.src_plane), (i128::from(m.rows - 1), m.src_row)];
        let (least, greatest) = corners(&steps);
        self.bytes("src", m.src, least, greatest + i128::from(m.bytes) - 1)
    }

    pub(super) fn store(&mut self, m: &Store) -> Checked {
        at_least_one(&[("planes", m.planes), ("rows", m.rows), ("bytes", m.bytes)])?;
        self.scratchpad("src", m.src)?;
        let (planes, rows) = (i128::from(m.planes - 1), i128::from(m.rows - 1));
        let last = planes * i128::from(m.src_plane) + rows * i128::from(m.src_row) + i128::from(m.bytes) - 1;
        self.bytes("src", m.src, 0, last)?;
        let (least, greatest) = corners(&[(planes, m.dst_plane), (rows, m.dst_row)]);
        self.bytes("dst", m.dst, least, greatest + i128::from(m.bytes) - 1)
    }
}

/// That no byte of the scratchpad is written twice, as zeros come in any order: planes lie one behind the other, or the rows of
/// all planes do. `planes` and `rows` are those behind the first.
fn apart(m: &Load, planes: i128, rows: i128, row: i128) -> Checked {
    let (plane_step, row_step) = (i128::from(m.dst_plane), i128::from(m.dst_row));
    let reaches = |count: i128, step: i128, least: i128| count == 0 || step >= least;
    let planes_behind = reaches(rows, row_step, row) && reaches(planes, plane_step, rows * row_step + row);
    let rows_behind = reaches(planes, plane_step, row) && reaches(rows, row_step, planes * plane_step + row);
    if planes_behind || rows_behind {
        return Ok(());
    }
    let (field, value, allowed) = if reaches(rows, row_step, row) {
        ("dst_plane", m.dst_plane, "at least what a plane takes, padding too: planes would overlap")
    } else {
        ("dst_row", m.dst_row, "at least pad_left + bytes + pad_right: rows would overlap")
    };
    Err(AccessError::Field { field, value: value.into(), allowed })
}

/// Least and greatest sum of `0..=count` times each stride.
fn corners(steps: &[(i128, i64)]) -> (i128, i128) {
    let ends = steps.iter().map(|&(count, stride)| count * i128::from(stride));
    ends.fold((0, 0), |(least, greatest), end| (least + end.min(0), greatest + end.max(0)))
}
