//! Bytes that begin where a cache line does: tiles and registers are loaded much faster from whole lines.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub(in crate::machine) const LINE: usize = 64;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Whole lines of bytes, as slices of bytes are used.
#[derive(Debug, Default, Clone)]
pub(in crate::machine) struct Lines(Vec<Line>);

impl Lines {
    /// Makes them so many bytes at least; those that are new are zero.
    pub(in crate::machine) fn hold(&mut self, bytes: usize) {
        if self.len() < bytes {
            self.0.resize(bytes.div_ceil(LINE), Line([0; LINE]));
        }
    }
}

impl Deref for Lines {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: a line is so many bytes and nothing else.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; they are borrowed as this is.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

/// Has the processor fetch bytes that are soon to be read or written; they need not be there.
#[inline(always)]
pub(in crate::machine) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64; a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}
