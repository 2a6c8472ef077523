//! AMX: a tile of sixteen rows meets a tile of sixteen columns, sixty-four products for each of the 256 sums in one
//! instruction, modulo 2^32. Panels are what its right tiles want as they are; rows of the left operand are loaded from where
//! they lie, or gathered. What a tile has too much is zero, or is not stored.
//!
//! The intrinsics are not stable in Rust, so the instructions stand in `asm!`. Rows too few to fill tiles go to VNNI.

mod blocks;
#[cfg(all(test, target_os = "linux"))]
mod emulated;
mod instructions;
#[cfg(all(test, target_os = "linux"))]
mod tests;
pub(super) mod transposed;

use std::arch::x86_64::_mm512_load_si512;
use std::cell::RefCell;

use super::lines::Lines;
use super::product::{Extremes, GROUP, LANES, Product};
use super::sums::{Columns, Held};
use super::vnni;
use super::woven::ACROSS;
pub(super) use blocks::Blocks;
#[cfg(all(test, target_os = "linux"))]
pub(super) use emulated::emulate;
#[cfg(all(test, target_os = "linux"))]
pub(in crate::machine) use emulated::emulated_products;
pub(super) use instructions::Sums;
#[cfg(all(test, target_os = "linux"))]
pub(super) use instructions::has_vectors;
use instructions::{AFRESH, Configured, SIDE, Tiles, UNSIGNED};
pub(super) use instructions::{is_available, peak};

/// Groups of a block: as deep as a tile is.
pub(super) const GROUPS: usize = SIDE;

/// Scratch of one thread.
#[derive(Default)]
struct Scratch {
    /// Of tiles, and of those before.
    sums: [Box<Sums>; 2],
    gathered: Lines,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// [`super::Kernels::product`].
///
/// # Safety
/// The processor has the features, AMX among them, and the system lets this process use it; the operands and the output
/// hold all that the shape reaches; nobody else has the output's bytes of these rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni,popcnt")]
pub(super) unsafe fn product(p: &Product<'_>, extremes: &mut Extremes) {
    // SAFETY: the caller's promise.
    unsafe { product_of(p, extremes, pays) }
}

/// The same; a class of so many rows and groups goes to AMX where `pays` says so.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni,popcnt")]
unsafe fn product_of(p: &Product<'_>, extremes: &mut Extremes, pays: fn(usize, usize) -> bool) {
    let mut held = Held::new();
    let mut configured = None;
    SCRATCH.with_borrow_mut(|scratch| {
        for (number, blocks) in p.shape.blocks().iter().enumerate() {
            let rows = p.shape.classes()[number].rows;
            // SAFETY: the caller's promise; tiles are configured.
            unsafe {
                if pays(rows, blocks.depth()) {
                    let configured = configured.get_or_insert_with(|| Configured::new());
                    of_class(p, number, blocks, configured, scratch, &mut held);
                } else {
                    vnni::panels(p.shape.registers(), p.shape.groups())
                        .for_each(|panel| vnni::class(p, &panel, number, &mut held));
                }
            }
        }
    });
    held.write(extremes);
}

/// Whether tiles pay for a class: a sixteenth of a tile is some twenty times what VNNI does in the same time, and what it takes to
/// set tiles up and to gather rows is soon less than that. (Measured: sixteen rows of three groups are too few.)
fn pays(rows: usize, groups: usize) -> bool {
    rows * groups >= SIDE * GROUP
}

/// The rows of one class, two tiles at a time, in every column. Sums are put where they belong behind the next tiles' products, so that
/// the processor does both at once.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni,popcnt")]
unsafe fn of_class(
    p: &Product<'_>,
    number: usize,
    blocks: &Blocks,
    configured: &Configured,
    scratch: &mut Scratch,
    held: &mut Held,
) {
    let class = &p.shape.classes()[number];
    let rows = p.shape.bases_of(class).chunks(ACROSS * SIDE);
    let [sums, sums_before] = &mut scratch.sums;
    let mut before: Option<Summed<'_>> = None;
    for (pair, (bases, places)) in rows.zip(p.shape.rows_of(class).chunks(ACROSS * SIDE)).enumerate() {
        let bases = (pair * ACROSS * SIDE, bases);
        // SAFETY: the caller's promise.
        let left = unsafe { blocks.rows(p.operands.left, bases, &mut scratch.gathered) };
        let panels = vnni::panels(p.shape.registers(), p.shape.groups());
        for panel in panels.flat_map(|panel| panel.parts(ACROSS)) {
            let tiles = Tiles {
                left,
                blocks: blocks.all(),
                right: p.operands.panels.as_ptr().wrapping_add(panel.at),
                right_step: panel.step,
            };
            let across = (places.len().div_ceil(SIDE), panel.registers);
            // SAFETY: so many tiles have their rows; groups past the panel's last lie in the next one or the slack.
            unsafe { tiles.sums::<UNSIGNED, AFRESH>(configured, across, sums) };
            let summed = Summed { number, places, first_column: panel.column, registers: panel.registers };
            if let Some(before) = before.replace(summed) {
                // SAFETY: the caller's promise.
                unsafe { before.put(p, sums_before, held) };
            }
            std::mem::swap(sums, sums_before);
        }
    }
    if let Some(before) = before {
        // SAFETY: the caller's promise.
        unsafe { before.put(p, sums_before, held) };
    }
}

/// Rows and columns of a class whose sums are done.
struct Summed<'a> {
    /// The class.
    number: usize,
    places: &'a [usize],
    first_column: usize,
    registers: usize,
}

impl Summed<'_> {
    /// Puts the sums where they belong.
    ///
    /// # Safety
    /// As [`product`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn put(&self, p: &Product<'_>, sums: &Sums, held: &mut Held) {
        for (places, tile) in self.places.chunks(SIDE).zip(&sums.0) {
            for (v, sums) in tile.iter().enumerate().take(self.registers) {
                let columns = Columns::new(p, self.number, self.first_column + v * LANES);
                for (&place, sums) in places.iter().zip(sums) {
                    // SAFETY: a row of sums is a register, aligned as such; the caller's promise.
                    unsafe { columns.put(&p.target, place, _mm512_load_si512(sums.as_ptr().cast()), held) };
                }
            }
        }
    }
}
