//! AMX: a tile of sixteen rows meets a tile of sixteen columns, sixty-four products for each of the 256 sums in one
//! instruction, modulo 2^32. Panels are what its right tiles want as they are; rows of the left operand are read in place
//! where they lie a constant step apart, and gathered where not. What a tile has too much is zero, or is not stored.
//!
//! The intrinsics are not stable in Rust, so the instructions stand in `asm!`. Rows too few to fill tiles go to VNNI.

#[cfg(all(test, target_os = "linux"))]
mod emulated;
mod instructions;
mod rows;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::arch::x86_64::_mm512_load_si512;
use std::cell::RefCell;

use super::product::{Class, Extremes, GROUP, LANES, Product, Segment};
use super::sums::{Columns, Held};
use super::vnni::{self, Panel, REGISTER};
#[cfg(all(test, target_os = "linux"))]
pub(super) use emulated::emulate;
#[cfg(all(test, target_os = "linux"))]
pub(in crate::machine) use emulated::emulated_products;
use instructions::{Configured, SIDE, Sums, Tiles};
pub(super) use instructions::{is_available, peak};
use rows::{Gathered, Rows};

/// Groups of a block: as deep as a tile is.
const GROUPS: usize = SIDE;
/// Rows and registers of columns that are summed side by side.
const ACROSS: usize = 2;

/// Scratch of one thread.
#[derive(Default)]
struct Scratch {
    sums: Sums,
    gathered: Gathered,
    /// Where each block begins in rows that are read in place, and in gathered ones.
    in_place: Vec<usize>,
    packed: Vec<usize>,
    /// Where each block begins in the panel.
    right: Vec<usize>,
    /// The end of the panels, where tiles would leave them.
    tail: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// [`super::Kernels::product`].
///
/// # Safety
/// The processor has the features, AMX among them, and the system lets this process use it; the operands and the output
/// hold all that the shape reaches; nobody else has the output's bytes of these rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
pub(super) unsafe fn product(p: &Product<'_>, extremes: &mut Extremes) {
    // SAFETY: the caller's promise.
    unsafe { product_of(p, extremes, pays) }
}

/// The same; a class of so many rows and groups, in so many columns, goes to AMX where `pays` says so.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
unsafe fn product_of(p: &Product<'_>, extremes: &mut Extremes, pays: fn(usize, usize, usize) -> bool) {
    let mut held = Held::new();
    let mut configured = None;
    SCRATCH.with_borrow_mut(|scratch| {
        for (number, class) in p.shape.classes().iter().enumerate() {
            let rows = class.rows;
            let groups = p.shape.segments_of(class).iter().map(|s| s.groups).sum();
            // SAFETY: the caller's promise; tiles are configured.
            unsafe {
                if pays(rows, groups, p.shape.columns()) {
                    let configured = configured.get_or_insert_with(|| Configured::new());
                    of_class(p, number, class, configured, scratch, &mut held);
                } else {
                    vnni::panels(p).for_each(|panel| vnni::class(p, &panel, number, &mut held));
                }
            }
        }
    });
    held.write(extremes);
}

/// Whether tiles pay for a class: it is some tiles' work, and fills a quarter of them. (Not measured: the rates of the two
/// units and what their documents say it costs to set tiles up.)
fn pays(rows: usize, groups: usize, columns: usize) -> bool {
    let products = |rows: usize, groups: usize, columns: usize| rows * groups * GROUP * columns;
    let used = products(rows, groups, columns);
    let whole = [rows, groups, columns].map(|n| n.next_multiple_of(SIDE));
    used >= 1 << 16 && 4 * used >= products(whole[0], whole[1], whole[2])
}

/// The rows of one class, two tiles at a time, in every column.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
unsafe fn of_class(
    p: &Product<'_>,
    number: usize,
    class: &Class,
    configured: &Configured,
    scratch: &mut Scratch,
    held: &mut Held,
) {
    let (mut bases, mut places) = (p.shape.bases_of(class), p.shape.rows_of(class));
    let segments = p.shape.segments_of(class);
    let whole = segments.iter().all(|s| s.groups % GROUPS == 0);
    let reach = segments.iter().map(|s| s.offset + GROUP * s.groups).max().unwrap_or(0);
    let blocks: usize = runs(segments).map(|run| groups_of(run).div_ceil(GROUPS)).sum();
    scratch.in_place.clear();
    let bytes_of = |s: &Segment| (s.offset..s.offset + GROUP * s.groups).step_by(GROUP * GROUPS);
    scratch.in_place.extend(segments.iter().flat_map(bytes_of));
    scratch.packed.clear();
    scratch.packed.extend((0..blocks).map(|block| block * GROUP * GROUPS));
    while !bases.is_empty() {
        let first = if whole { Rows::in_place(p.operands.left, bases, reach) } else { None };
        let second = first.as_ref().and_then(|f| Rows::in_place(p.operands.left, &bases[f.count..], reach));
        let (rows, left) = match (first, second) {
            (Some(first), Some(second)) => ([Some(first), Some(second)], &scratch.in_place),
            (Some(first), None) if first.count == bases.len() => ([Some(first), None], &scratch.in_place),
            _ => {
                let bases = &bases[..bases.len().min(ACROSS * SIDE)];
                (scratch.gathered.take(p.operands.left, bases, segments, blocks), &scratch.packed)
            }
        };
        for panel in vnni::panels(p) {
            right_blocks(p, &panel, segments, &mut scratch.right, &mut scratch.tail);
            let step = panel.registers * REGISTER;
            for register in (0..panel.registers).step_by(ACROSS) {
                let registers = ACROSS.min(panel.registers - register);
                let right = p.operands.panels.as_ptr().wrapping_add(register * REGISTER);
                let tiles = Tiles { left, rows: &rows, right, right_at: &scratch.right, right_step: step };
                // SAFETY: blocks of rows lie in the left operand or in what was gathered, those of columns in the panels or
                // in the tail.
                unsafe { tiles.sums(configured, registers, &mut scratch.sums) };
                for v in 0..registers {
                    let columns = Columns::new(p, number, panel.column + (register + v) * LANES);
                    let places = places.iter();
                    let of_tiles = scratch.sums.0.iter().zip(rows.iter().flatten());
                    let sums = of_tiles.flat_map(|(sums, rows)| &sums[v][..rows.count]);
                    for (sums, &place) in sums.zip(places) {
                        // SAFETY: a row of sums is a register, aligned as such.
                        let sums = unsafe { _mm512_load_si512(sums.as_ptr().cast()) };
                        // SAFETY: the caller's promise.
                        unsafe { columns.put(p, place, sums, held) };
                    }
                }
            }
        }
        let done: usize = rows.iter().flatten().map(|rows| rows.count).sum();
        (bases, places) = (&bases[done..], &places[done..]);
    }
}

/// Runs of segments whose groups lie side by side in the panels.
fn runs(segments: &[Segment]) -> impl Iterator<Item = &[Segment]> {
    segments.chunk_by(|a, b| a.first_group + a.groups == b.first_group)
}

fn groups_of(run: &[Segment]) -> usize {
    run.iter().map(|s| s.groups).sum()
}

/// Where the blocks of a panel begin, from the panels' first byte on. Blocks whose tiles would leave the panels are copied, with
/// zeros behind: the left operand is zero there, but must meet something.
fn right_blocks(
    p: &Product<'_>,
    panel: &Panel,
    segments: &[Segment],
    at: &mut Vec<usize>,
    tail: &mut Vec<u8>,
) {
    let panels = p.operands.panels;
    let of_group = panel.registers * REGISTER;
    let of_block = GROUPS * of_group;
    at.clear();
    for run in runs(segments) {
        let first = panel.at + run[0].first_group * of_group;
        at.extend((first..first + groups_of(run) * of_group).step_by(of_block));
    }
    let leaves = |first: usize| first + of_block > panels.len();
    if at.iter().any(|&first| leaves(first)) {
        let start = panels.len().saturating_sub(of_block).max(panel.at);
        tail.clear();
        tail.extend_from_slice(&panels[start..]);
        tail.resize(tail.len() + of_block, 0);
        let moved = tail.as_ptr().addr().wrapping_sub(panels.as_ptr().addr());
        let leaving = at.iter_mut().filter(|first| leaves(**first));
        leaving.for_each(|first| *first = (*first - start).wrapping_add(moved));
    }
}
