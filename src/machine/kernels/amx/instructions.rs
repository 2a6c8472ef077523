//! The instructions of AMX, as stable Rust reaches them; whether they are there and may be used.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::ACROSS;
use crate::machine::kernels::Extension;
use crate::machine::kernels::product::{GROUP, LANES};

/// Rows of a tile, and groups of four bytes or sums in each of them.
pub(super) const SIDE: usize = 16;

/// Whether processor and system have AMX for bytes, and the system lets this process use it: asked once, for the permission
/// is the process's.
pub(in crate::machine::kernels) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_vectors() && processor_has_it() && is_permitted())
}

/// What the kernel takes of vectors: bytes are permuted, which every processor with AMX has.
pub(in crate::machine::kernels) fn has_vectors() -> bool {
    Extension::Avx512Vnni.is_available() && is_x86_feature_detected!("avx512vbmi")
}

/// CPUID 7.0 EDX: tiles and their products of bytes. XCR0: the system keeps tiles' configuration and data.
fn processor_has_it() -> bool {
    const TILES_AND_BYTES: u32 = 1 << 24 | 1 << 25;
    const STATE_KEPT: u64 = 1 << 17 | 1 << 18;
    const OSXSAVE: u32 = 1 << 27;
    let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES_AND_BYTES == TILES_AND_BYTES;
    // SAFETY: OSXSAVE says that XGETBV is there and that the system has set XCR0.
    has && __cpuid(1).ecx & OSXSAVE != 0 && unsafe { _xgetbv(0) } & STATE_KEPT == STATE_KEPT
}

/// Asks Linux for the state of tiles, which it gives to those alone who ask.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: the call takes two numbers and touches no memory of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// LDTILECFG's operand: palette 1, all eight tiles whole.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    first_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static WHOLE: Configuration = Configuration {
    palette: 1,
    first_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Tiles of this thread are configured as long as it lives; released then, so that the system need not keep them.
pub(super) struct Configured {
    of_thread: PhantomData<*const ()>,
}

impl Configured {
    /// Configures all tiles as whole ones.
    ///
    /// # Safety
    /// Processor and system have AMX, and this process may use it.
    pub(super) unsafe fn new() -> Configured {
        // SAFETY: it reads 64 bytes; tiles belong to nobody else, for the compiler makes no code that uses them, and whatever
        // they held is declared lost.
        unsafe {
            asm!("ldtilecfg [{0}]", in(reg) &raw const WHOLE, options(nostack, preserves_flags),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
        }
        Configured { of_thread: PhantomData }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: tiles were configured on this thread by `new`, which had AMX.
        unsafe {
            asm!("tilerelease", options(nomem, nostack, preserves_flags),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
        }
    }
}

/// Sums of two tiles of rows, in two registers of columns: by tile of rows, register and row.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(in crate::machine::kernels) struct Sums(pub(super) [[[[i32; LANES]; SIDE]; ACROSS]; ACROSS]);

/// Where a tile's rows begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) first: *const u8,
    /// Bytes from row to row.
    pub(super) step: usize,
}

/// A block of the reduction, as deep as a tile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Block {
    /// Its bytes of a row, from where that begins on.
    pub(super) left: usize,
    /// The first group of columns that it meets.
    pub(super) group: usize,
}

/// Two tiles of rows, or one, and the blocks they meet.
pub(super) struct Tiles<'a> {
    pub(super) left: [Rows; ACROSS],
    pub(super) blocks: &'a [Block],
    /// Group 0 of the columns.
    pub(super) right: *const u8,
    /// Bytes from group to group.
    pub(super) right_step: usize,
}

/// Rows of the left operand are codes plus 128.
pub(super) const UNSIGNED: usize = 0;
/// They are codes.
pub(super) const SIGNED: usize = 1;

/// Sums go on from others.
pub(super) const GOING_ON: usize = 0;
/// They begin at zero.
pub(super) const AFRESH: usize = 1;

impl Tiles<'_> {
    /// Sums of so many tiles of rows, [`SIGNED`] or not, in so many registers of columns, one or two; [`AFRESH`], or what `to` has joined
    /// to them.
    ///
    /// # Safety
    /// So many tiles have sixteen rows with all blocks; of each block, sixteen groups in so many registers may be read.
    pub(super) unsafe fn sums<const S: usize, const A: usize>(
        &self,
        configured: &Configured,
        across: (usize, usize),
        to: &mut Sums,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match across {
                (1, 1) => self.multiply::<1, 1, S, A>(configured, to),
                (1, _) => self.multiply::<1, 2, S, A>(configured, to),
                (_, 1) => self.multiply::<2, 1, S, A>(configured, to),
                _ => self.multiply::<2, 2, S, A>(configured, to),
            }
        }
    }

    /// `R` tiles of rows, `C` of columns: sums in tiles 0 to 3, rows (of signed bytes where `S` is [`SIGNED`]) in 4 and 5, columns
    /// in 6 and 7.
    ///
    /// # Safety
    /// As [`Tiles::sums`].
    unsafe fn multiply<const R: usize, const C: usize, const S: usize, const A: usize>(
        &self,
        _: &Configured,
        to: &mut Sums,
    ) {
        if self.blocks.is_empty() {
            if A == AFRESH {
                *to = Sums::default();
            }
            return;
        }
        // SAFETY: it reads the list of blocks, from its beginning to its end, and of each what the caller speaks of; it reads and writes the sums, which have place for four tiles; tiles are configured as whole
        // ones on this thread, and what they hold does not outlive the block.
        unsafe {
            asm!(
                ".if {A}",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                ".else",
                "mov {x:e}, 64",
                "tileloadd tmm0, [{to} + 1*{x}]",
                ".if {C} > 1",
                "tileloadd tmm1, [{to} + 1*{x} + 1024]",
                ".endif",
                ".if {R} > 1",
                "tileloadd tmm2, [{to} + 1*{x} + 2048]",
                ".if {C} > 1",
                "tileloadd tmm3, [{to} + 1*{x} + 3072]",
                ".endif",
                ".endif",
                ".endif",
                "2:",
                "mov {x}, qword ptr [{block}]",
                "lea {y}, [{first} + {x}]",
                "tileloadd tmm4, [{y} + 1*{first_step}]",
                "mov {y}, qword ptr [{block} + 8]",
                "imul {y}, {right_step}",
                "add {y}, {right}",
                "tileloadd tmm6, [{y} + 1*{right_step}]",
                ".if {C} > 1",
                "tileloadd tmm7, [{y} + 1*{right_step} + 64]",
                ".endif",
                ".if {R} > 1",
                "add {x}, {second}",
                "tileloadd tmm5, [{x} + 1*{second_step}]",
                ".endif",
                ".if {S}",
                "tdpbssd tmm0, tmm4, tmm6",
                ".if {C} > 1",
                "tdpbssd tmm1, tmm4, tmm7",
                ".endif",
                ".if {R} > 1",
                "tdpbssd tmm2, tmm5, tmm6",
                ".if {C} > 1",
                "tdpbssd tmm3, tmm5, tmm7",
                ".endif",
                ".endif",
                ".else",
                "tdpbusd tmm0, tmm4, tmm6",
                ".if {C} > 1",
                "tdpbusd tmm1, tmm4, tmm7",
                ".endif",
                ".if {R} > 1",
                "tdpbusd tmm2, tmm5, tmm6",
                ".if {C} > 1",
                "tdpbusd tmm3, tmm5, tmm7",
                ".endif",
                ".endif",
                ".endif",
                "add {block}, 16",
                "cmp {block}, {end}",
                "jne 2b",
                "mov {x:e}, 64",
                "tilestored [{to} + 1*{x}], tmm0",
                ".if {C} > 1",
                "tilestored [{to} + 1*{x} + 1024], tmm1",
                ".endif",
                ".if {R} > 1",
                "tilestored [{to} + 1*{x} + 2048], tmm2",
                ".if {C} > 1",
                "tilestored [{to} + 1*{x} + 3072], tmm3",
                ".endif",
                ".endif",
                R = const R,
                C = const C,
                S = const S,
                A = const A,
                block = inout(reg) self.blocks.as_ptr() => _,
                end = in(reg) self.blocks.as_ptr_range().end,
                first = in(reg) self.left[0].first,
                first_step = in(reg) self.left[0].step,
                second = in(reg) self.left[1].first,
                second_step = in(reg) self.left[1].step,
                right = in(reg) self.right,
                right_step = in(reg) self.right_step,
                to = in(reg) &raw mut *to,
                x = out(reg) _,
                y = out(reg) _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack)
            );
        }
    }
}

/// Products that `rounds` rounds of a loop on tiles alone have: what the unit can do at best.
///
/// # Panics
/// Where AMX is not available.
pub(in crate::machine::kernels) fn peak(rounds: u64) -> u64 {
    assert!(is_available(), "no AMX here");
    if rounds == 0 {
        return 0;
    }
    // SAFETY: it is available.
    let _configured = unsafe { Configured::new() };
    // SAFETY: tiles are configured; nothing but they and a counter is touched.
    unsafe {
        asm!(
            "2:",
            "tdpbusd tmm0, tmm4, tmm6",
            "tdpbusd tmm1, tmm4, tmm7",
            "tdpbusd tmm2, tmm5, tmm6",
            "tdpbusd tmm3, tmm5, tmm7",
            "dec {i}",
            "jnz 2b",
            i = inout(reg) rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nomem, nostack)
        );
    }
    const PRODUCTS: usize = SIDE * SIDE * SIDE * GROUP;
    rounds * 4 * PRODUCTS as u64
}
