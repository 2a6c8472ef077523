//! The left operand's codes in their frame; turned or woven where what is reduced would not lie side by side.

use super::frame::ZERO;
use super::layout::{Layout, Turn};
use crate::machine::kernels::{Kernels, Lines, TURN_SLACK, Transposed};

/// The left operand of one layout.
#[derive(Debug)]
pub(super) struct Left {
    /// Codes plus 128 as the frame has them, and what a last group, register or block turned may read behind.
    frame: Vec<u8>,
    /// The same turned; empty where they are not.
    turned: Vec<u8>,
    /// What [`Layout::transposed`] asks for.
    pub(super) woven: Lines,
}

impl Left {
    /// All padding.
    pub(super) fn new(layout: &Layout) -> Left {
        Left {
            frame: vec![ZERO; layout.frame.len() + TURN_SLACK],
            turned: Vec::new(),
            woven: Lines::default(),
        }
    }

    /// Takes the codes from memory.
    #[inline(always)]
    pub(super) fn take(&mut self, layout: &Layout, codes: &[u8]) {
        layout.frame.fill(codes, &mut self.frame[..layout.frame.len()]);
    }

    /// Lays out what was taken as the shape has it: turned, where that is how.
    #[inline(always)]
    pub(super) fn lay_out(&mut self, kernels: Kernels, layout: &Layout) {
        let frame = &layout.frame;
        if layout.turn != Turn::None {
            self.turned.resize(self.frame.len(), 0);
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

    /// Weaves what was taken.
    pub(super) fn weave(&mut self, kernels: Kernels, shape: &Transposed) {
        kernels.weave(shape, &self.frame, &mut self.woven);
    }

    /// As the frame has them.
    pub(super) fn in_frame(&self, layout: &Layout) -> &[u8] {
        &self.frame[..layout.frame.len()]
    }

    /// As the shape has them, once they are laid out.
    pub(super) fn laid_out(&self) -> &[u8] {
        if self.turned.is_empty() { &self.frame } else { &self.turned }
    }

    /// The greatest magnitude of a code.
    #[inline(always)]
    pub(super) fn greatest(&self, layout: &Layout) -> u8 {
        let codes = self.in_frame(layout).iter();
        codes.map(|&b| (b ^ ZERO).cast_signed().unsigned_abs()).max().unwrap_or(0)
    }
}
