//! The left operand's codes in their frame, turned where what is reduced would not lie side by side.

use super::frame::ZERO;
use super::layout::{Layout, Turn};
use crate::machine::kernels::{Kernels, TURN_SLACK};

/// The left operand of one layout.
#[derive(Debug)]
pub(super) struct Left {
    /// Codes plus 128 as the frame has them, and what a last group or a block turned may read behind.
    frame: Vec<u8>,
    /// The same turned; empty where they are not.
    turned: Vec<u8>,
}

impl Left {
    /// All padding.
    pub(super) fn new(layout: &Layout) -> Left {
        let length = layout.frame.len() + TURN_SLACK;
        let turned = if layout.turn == Turn::None { Vec::new() } else { vec![0; length] };
        Left { frame: vec![ZERO; length], turned }
    }

    /// Takes the codes from memory, and turns them where that is how they are laid out.
    #[inline(always)]
    pub(super) fn take(&mut self, kernels: Kernels, layout: &Layout, codes: &[u8]) {
        let frame = &layout.frame;
        frame.fill(codes, &mut self.frame[..frame.len()]);
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

    /// As the frame has them.
    pub(super) fn in_frame(&self, layout: &Layout) -> &[u8] {
        &self.frame[..layout.frame.len()]
    }

    /// As the shape has them.
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
