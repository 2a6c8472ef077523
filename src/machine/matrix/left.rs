//! The left operand's codes in their frame, turned where what is reduced would not lie side by side.

use super::frame::ZERO;
use super::layout::{Layout, Turn};
use crate::machine::kernels::{TURN_SLACK, turn};

/// The left operand of one layout.
#[derive(Debug)]
pub(super) struct Left {
    /// Codes plus 128 as the frame has them, and what a last group or a block turned may read behind.
    frame: Vec<u8>,
    /// The same turned; empty where they are not.
    turned: Vec<u8>,
}

/// Whole rows of a frame.
pub(super) struct Rows<'a> {
    /// Their first byte in the frame.
    begin: usize,
    frame: &'a mut [u8],
    turned: &'a mut [u8],
}

impl Left {
    /// All padding.
    pub(super) fn new(layout: &Layout) -> Left {
        let length = layout.frame.len() + TURN_SLACK;
        let turned = if layout.turn == Turn::None { Vec::new() } else { vec![0; length] };
        Left { frame: vec![ZERO; length], turned }
    }

    /// Nanoseconds that one thread takes to fill it, roughly.
    pub(super) fn nanoseconds(layout: &Layout) -> usize {
        let turned = if layout.turn == Turn::None { 0 } else { layout.frame.len() / 6 };
        layout.frame.len() / 24 + 4 * layout.frame.copies() + turned
    }

    /// Its rows, in so many pieces or less: each is to be taken, then [`Self::finish`] makes an end.
    pub(super) fn rows<'a>(&'a mut self, layout: &Layout, pieces: usize) -> impl Iterator<Item = Rows<'a>> {
        let row = layout.frame.row();
        let of_piece = (layout.frame.len() / row).div_ceil(pieces) * row;
        let by_rows = layout.turn == Turn::Rows;
        let mut turned = &mut self.turned[..if by_rows { layout.frame.len() + TURN_SLACK } else { 0 }];
        let mut frame = &mut self.frame[..];
        let mut begin = 0;
        std::iter::from_fn(move || {
            // The last has the slack behind.
            let left = layout_len(frame);
            if left == 0 {
                return None;
            }
            let take = if left <= of_piece { frame.len() } else { of_piece };
            let (here, later) = std::mem::take(&mut frame).split_at_mut(take);
            let (here_turned, later_turned) =
                std::mem::take(&mut turned).split_at_mut(if by_rows { take } else { 0 });
            (frame, turned) = (later, later_turned);
            let rows = Rows { begin, frame: here, turned: here_turned };
            begin += take;
            Some(rows)
        })
    }

    /// Turns what is turned as a whole.
    #[inline(always)]
    pub(super) fn finish(&mut self, layout: &Layout) {
        if layout.turn == Turn::Images {
            let frame = &layout.frame;
            turn(&self.frame, frame.covered.images.count, frame.image(), &mut self.turned);
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

/// Bytes of a rest of a frame, its slack left out.
fn layout_len(rest: &[u8]) -> usize {
    rest.len().saturating_sub(TURN_SLACK)
}

impl Rows<'_> {
    /// Takes the codes of these rows, and turns each where that is how they are turned.
    #[inline(always)]
    pub(super) fn take(&mut self, layout: &Layout, codes: &[u8]) {
        let frame = &layout.frame;
        let length = self.frame.len().min(frame.len() - self.begin);
        frame.fill(codes, &mut self.frame[..length], self.begin);
        if layout.turn != Turn::Rows {
            return;
        }
        let row = frame.row();
        let mut spare = Vec::new();
        for at in (0..length).step_by(row) {
            if self.frame.len() - at >= row + TURN_SLACK {
                turn(&self.frame[at..], frame.columns, frame.channels(), &mut self.turned[at..]);
            } else {
                // What a block may touch behind its row is another piece's.
                spare.resize(2 * (row + TURN_SLACK), 0);
                let (from, to) = spare.split_at_mut(row + TURN_SLACK);
                from[..row].copy_from_slice(&self.frame[at..at + row]);
                turn(from, frame.columns, frame.channels(), to);
                self.turned[at..at + row].copy_from_slice(&to[..row]);
            }
        }
    }
}
