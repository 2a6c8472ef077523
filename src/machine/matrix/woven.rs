//! Which instructions over positions are done of woven operands, and how: taps as strips of what is woven.

use super::frame::Frame;
use super::layout::taps;
use super::size;
use crate::isa::Matrix;
use crate::machine::kernels::{GROUP, Kernels, LANES, NOWHERE, Strip, Weave, Woven};

/// Lanes of registers, and positions of groups, for each that is wanted: more do not pay.
const MOST_IDLE: usize = 2;
/// Pixels of the frame for each position: windows far apart leave most of it unmet.
const MOST_PIXELS: usize = 32;

/// An instruction over positions in its frame; none where positions or taps are no box or not a step apart, where channels do not
/// fill registers, where columns are not side by side.
///
/// Four positions that are woven are those of four images at one place, or, of fewer images, four of a row: then once for each
/// column of taps, for a tap's first need not be the first of four.
pub(super) fn of(kernels: Kernels, m: &Matrix, frame: &Frame, right_of: &[usize]) -> Option<Woven> {
    let at = frame.covered;
    let (images, rows, columns) = (at.images.count, at.rows.count, at.columns.count);
    let is_box = images * rows * columns == size(m.length);
    let one_apart = (m.step_y == 1 || rows == 1) && (m.step_x == 1 || columns == 1);
    if m.column_stride != 1 || !is_box || !one_apart {
        return None;
    }
    let taps_are_box = at.tap_rows.count * at.tap_columns.count * at.channels.count == size(m.rows);
    let channels = frame.channels();
    if !taps_are_box || !channels.is_multiple_of(LANES) {
        return None;
    }
    let by_images = columns.next_multiple_of(GROUP) * images >= images.next_multiple_of(GROUP) * columns;
    let across = if by_images { images } else { columns };
    let groups = across.div_ceil(GROUP);
    let dilate_x = size(m.dilate_x);
    let of_image = frame.rows * frame.columns;
    if of_image > MOST_PIXELS * rows * columns {
        return None;
    }
    let mut pixels = vec![NOWHERE; images * of_image];
    for (first, from, count) in frame.pixels() {
        for (pixel, from) in pixels[first..][..count].iter_mut().zip((from..).step_by(channels)) {
            *pixel = from;
        }
    }
    let pixel = |n: usize, y: usize, x: usize| {
        let inside = n < images && x < frame.columns;
        if inside { pixels[n * of_image + y * frame.columns + x] } else { NOWHERE }
    };
    let mut woven = Vec::new();
    let planes = if by_images { 1 } else { at.tap_columns.count };
    for plane in 0..planes {
        for y in 0..frame.rows {
            if by_images {
                for x in 0..frame.columns {
                    woven.extend((0..groups).map(|g| [0, 1, 2, 3].map(|t| pixel(g * GROUP + t, y, x))));
                }
            } else {
                let first = plane * dilate_x;
                for n in 0..images {
                    woven.extend(
                        (0..groups).map(|g| [0, 1, 2, 3].map(|t| pixel(n, y, first + g * GROUP + t))),
                    );
                }
            }
        }
    }
    let weave = Weave { groups: woven, planes, channels };
    let mut strips = Vec::new();
    let (mut row, mut lanes) = (0, 0);
    for (y, x, c, count) in taps(m, m.first_row, m.rows) {
        let down = (y - at.tap_rows.first) * size(m.dilate_y);
        let (x, channel) = (x - at.tap_columns.first, c - at.channels.first);
        let (plane, first) = if by_images {
            (0, (down * frame.columns + x * dilate_x) * groups)
        } else {
            (x, down * images * groups)
        };
        if !channel.is_multiple_of(LANES) {
            return None;
        }
        let (end, mut register) = (row + count, channel / LANES);
        while row < end {
            // Two registers that lie side by side, or the second of two.
            let registers = 2 - register % 2;
            let rows = row..end.min(row + registers * LANES);
            lanes += rows.len().next_multiple_of(LANES);
            row = rows.end;
            strips.push(Strip { at: weave.place(plane, register, first), rows });
            register += registers;
        }
    }
    if lanes > MOST_IDLE * size(m.rows) || groups * GROUP > MOST_IDLE * across {
        return None;
    }
    // Reduction indices are in the order image, row, column.
    let code = |n: usize, y: usize, x: usize| right_of.get((n * rows + y) * columns + x).copied();
    let filled = |wanted: usize, at: &dyn Fn(usize) -> Option<usize>| -> Vec<Option<usize>> {
        (0..groups * GROUP).map(|i| if i < wanted { at(i) } else { None }).collect()
    };
    let runs = (0..rows).map(|y| {
        if by_images {
            let of_row = (0..columns).flat_map(|x| filled(images, &|n| code(n, y, x)));
            (y * frame.columns * groups, of_row.collect())
        } else {
            let of_row = (0..images).flat_map(|n| filled(columns, &|x| code(n, y, x)));
            (y * images * groups, of_row.collect())
        }
    });
    if by_images {
        return Some(Woven::new(kernels, weave, strips, runs, size(m.columns)));
    }
    // Rows follow each other: one run.
    let all = (0, runs.flat_map(|run| run.1).collect());
    Some(Woven::new(kernels, weave, strips, std::iter::once(all), size(m.columns)))
}
