//! Bytes that begin where a cache line does: tiles and registers are loaded much faster from whole lines, and rows that lie
//! on whole lines are fewer lines to move.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub(in crate::machine) const LINE: usize = 64;

/// Bytes from a cache line's beginning on, used as a slice of bytes.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the line begins.
    first: usize,
    length: usize,
}

impl Lines {
    /// So many zeros; pages of them that nobody writes take no memory.
    pub fn zeros(length: usize) -> Lines {
        let mut bytes = vec![0; length + LINE];
        lie_on_large_pages(&mut bytes);
        let at = bytes.as_ptr().addr();
        Lines { bytes, first: at.next_multiple_of(LINE) - at, length }
    }

    /// Makes them so many bytes at least; those that are new are zero.
    pub(in crate::machine) fn hold(&mut self, bytes: usize) {
        if self.length < bytes {
            let mut longer = Lines::zeros(bytes);
            longer[..self.length].copy_from_slice(self);
            *self = longer;
        }
    }
}

/// Has the system back many bytes by large pages, if it has them: rows that lie far apart then are few entries of the processor's
/// translation buffers.
fn lie_on_large_pages(bytes: &mut [u8]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 1 << 12;
        const LARGE_PAGE: usize = 1 << 21;
        let before = bytes.as_ptr().addr().next_multiple_of(PAGE) - bytes.as_ptr().addr();
        if bytes.len() < before + 2 * LARGE_PAGE {
            return;
        }
        let bytes = &mut bytes[before..];
        // SAFETY: advice on whole pages of bytes that are borrowed; it changes none of them, and refusing it is no error.
        unsafe { libc::madvise(bytes.as_mut_ptr().cast(), bytes.len(), libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut other = Lines::zeros(self.length);
        other.copy_from_slice(self);
        other
    }
}

impl PartialEq for Lines {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Lines {}

impl Deref for Lines {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.first..][..self.length]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.first..][..self.length]
    }
}

/// Has the processor fetch bytes that are soon to be read, or written; they need not be there.
#[inline(always)]
pub(in crate::machine) fn prefetch(bytes: &[u8], to_write: bool) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        let line = line.as_ptr().cast();
        // SAFETY: SSE is part of x86-64; a prefetch reads and writes nothing, and one that a processor does not know is none.
        unsafe {
            if to_write { _mm_prefetch::<_MM_HINT_ET0>(line) } else { _mm_prefetch::<_MM_HINT_T0>(line) }
        }
    }
}
