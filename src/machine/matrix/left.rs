//! The left operand's codes in their frame; turned or woven where what is reduced would not lie side by side.
//!
//! Most instructions bring codes of their own, so all are laid out in the same few places, which stay in the caches; what is known to
//! be the codes of an instruction before is not laid out again.

use std::cell::Cell;

use super::frame::ZERO;
use super::layout::{Layout, Turn};
use super::nonzero::{Nonzero, dot, over_windows};
use super::norms::{RowNorm, RowNorms};
use super::winograd::{Inputs, SquareWay, Way};
use crate::machine::kernels::{Kernels, Lines, SquareInputs, TURN_SLACK, Woven};

/// Left operands that are not tried where too many of one's inputs are no bytes.
const PAUSE: u32 = 63;

/// The left operand of the instruction that is executed.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Codes plus 128 as the frame has them, and what a last group, register or block turned may read behind.
    frame: Lines,
    /// Whether none of them is negative.
    pub(super) natural: bool,
    /// The same turned.
    turned: Lines,
    /// What [`Layout::woven`] asks for.
    pub(super) woven: Lines,
    /// Whether that is [pooled](super::woven::Ways::pooled).
    pub(super) pooled: bool,
    /// What [`Layout::winograd`] asks for.
    pub(super) inputs: Inputs,
    /// What [`Layout::squares`] asks for.
    pub(super) squares: SquareInputs,
    norms: RowNorms,
    /// The greatest magnitude of a code, once it was asked for.
    greatest: Option<u8>,
    /// Which of the frames that are not alike it has the padding of.
    padded: Option<usize>,
    /// Which of these it is of, and [`Contents::left`](crate::program::Contents), if that is known.
    pub(super) content: Option<(usize, usize)>,
    /// What [`Left::mix`] came to, of these codes.
    mixed: Option<bool>,
    /// The same of [`Left::square`].
    squared: Option<bool>,
    /// How often codes of places alike are not zero ([`super::places::Places`]).
    nonzero: Vec<u32>,
    /// Scratch of that.
    few: Vec<u8>,
    /// How many of each position over all rows are not zero, where they are woven.
    windows: Vec<u32>,
    /// Whether these, or those, are counted.
    counted: bool,
}

impl Left {
    /// Forgets whose padding it has: another layout is to take codes.
    pub(super) fn forget(&mut self) {
        self.padded = None;
    }

    /// Takes codes from memory to a frame, which is one of those that are alike.
    #[inline(always)]
    pub(super) fn take(&mut self, alike: usize, layout: &Layout, codes: &[u8]) {
        let frame = &layout.frame;
        self.frame.hold(frame.len() + TURN_SLACK);
        if self.padded != Some(alike) {
            frame.pad(&mut self.frame[..frame.len()]);
            self.padded = Some(alike);
        }
        self.natural = frame.fill(codes, &mut self.frame[..frame.len()]);
        (self.content, self.mixed, self.squared) = (None, None, None);
        self.counted = false;
        self.norms.forget();
        self.greatest = None;
    }

    /// Lays out what was taken as the shape has it: turned, where that is how.
    #[inline(always)]
    pub(super) fn lay_out(&mut self, kernels: Kernels, layout: &Layout) {
        let frame = &layout.frame;
        if layout.turn != Turn::None {
            self.turned.hold(frame.len() + TURN_SLACK);
        }
        match layout.turn {
            Turn::None => {}
            Turn::Places => {
                let places = frame.rows * frame.columns;
                for at in (0..frame.len()).step_by(frame.image()) {
                    kernels.turn(&self.frame[at..], places, frame.channels(), &mut self.turned[at..]);
                }
            }
            Turn::Images => {
                kernels.turn(&self.frame, frame.covered.images.count, frame.image(), &mut self.turned)
            }
        }
    }

    /// Makes inputs of pairs of outputs of what was taken; false where too many are no bytes.
    #[inline(always)]
    pub(super) fn mix(&mut self, kernels: Kernels, way: &Way, layout: &Layout) -> bool {
        let codes = (&self.frame[..layout.frame.len()], self.natural);
        let inputs = &mut self.inputs;
        *self.mixed.get_or_insert_with(|| inputs.take(kernels, way, &layout.frame, codes))
    }

    /// Makes inputs of squares of outputs of what was taken; false where too many are no bytes. Where that is so, so many left operands
    /// of the instruction that come next are taken to be likewise.
    #[inline(always)]
    pub(super) fn square(
        &mut self,
        kernels: Kernels,
        way: &SquareWay,
        layout: &Layout,
        pause: &Cell<u32>,
    ) -> bool {
        if let Some(squared) = self.squared {
            return squared;
        }
        let paused = pause.get().checked_sub(1);
        let squared = paused.is_none() && {
            let codes = (&self.frame[..layout.frame.len()], self.natural);
            way.mix(kernels, &layout.frame, codes, &mut self.squares)
        };
        pause.set(if squared { 0 } else { paused.unwrap_or(PAUSE) });
        self.squared = Some(squared);
        squared
    }

    /// Takes codes from memory woven, and not in the frame.
    pub(super) fn weave(&mut self, kernels: Kernels, shape: &Woven, codes: &[u8]) {
        kernels.weave_left(shape, codes, &mut self.woven);
        (self.content, self.pooled, self.counted) = (None, shape.is_pooled(), false);
    }

    /// As the frame has them.
    pub(super) fn in_frame(&self, layout: &Layout) -> &[u8] {
        &self.frame[..layout.frame.len()]
    }

    /// As the shape has them, once they are laid out.
    pub(super) fn laid_out(&self, layout: &Layout) -> &[u8] {
        if layout.turn == Turn::None { &self.frame } else { &self.turned }
    }

    /// Products over taps with both operands not zero, given how many right operands that are not places alike meet.
    #[inline(always)]
    pub(super) fn nonzero_over_taps(&mut self, layout: &Layout, met: &[u32]) -> u64 {
        if !self.counted {
            let codes = &self.frame[..layout.frame.len()];
            layout.places().count(codes, &mut self.nonzero, &mut self.few);
            self.counted = true;
        }
        dot(&self.nonzero, met)
    }

    /// Products over positions with both operands not zero, where it is woven; `right` counts those of each reduction index.
    #[inline(always)]
    pub(super) fn nonzero_over_positions(
        &mut self,
        kernels: Kernels,
        layout: &Layout,
        (codes, right): (&[u8], &[u32]),
        nonzero: &mut Nonzero,
    ) -> u64 {
        if !self.counted {
            nonzero.windows_in_memory(kernels, layout, codes, &mut self.windows);
            self.counted = true;
        }
        over_windows(layout, &self.windows, right)
    }

    /// Measures the rows, over taps; the greatest of their norms.
    #[inline(always)]
    pub(super) fn measure(&mut self, kernels: Kernels, layout: &Layout) -> RowNorm {
        self.norms.measure(kernels, layout, &self.frame)
    }

    /// That of the row that begins at a base, once they are measured.
    #[inline(always)]
    pub(super) fn norm(&self, layout: &Layout, base: usize) -> RowNorm {
        self.norms.of(layout, base)
    }

    /// The greatest magnitude of a code.
    #[inline(always)]
    pub(super) fn greatest(&mut self, layout: &Layout) -> u8 {
        if let Some(greatest) = self.greatest {
            return greatest;
        }
        let codes = self.in_frame(layout).iter();
        let greatest = codes.map(|&b| (b ^ ZERO).cast_signed().unsigned_abs()).max().unwrap_or(0);
        *self.greatest.insert(greatest)
    }
}
