//! Augmentation: which part of a training image is presented, and whether mirrored, drawn from the run's seed.
//!
//! Image `i` of an epoch draws block `i` of the augmentation stream (`isa/arithmetic.md`, random streams): word 0 the crop's
//! first row, word 1 its first column, the top bit of word 2 whether it is mirrored. So an image is presented alike in
//! whatever order, batch or thread it comes.

use crate::network::Augmentation;
use crate::number::{Stream, StreamKind};

/// What the images of an epoch draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 1.
    pub epoch: u32,
    /// What may be done.
    pub augment: Augmentation,
}

/// A part of an image: where it begins, mirrored or not. Places outside the image are bytes 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    /// First row, negative above the image.
    pub(super) row: isize,
    /// First column, negative left of the image.
    pub(super) column: isize,
    /// Rows and columns.
    pub(super) size: [usize; 2],
    /// Left to right.
    pub(super) mirrored: bool,
    /// Bytes of a pixel.
    pub(super) channels: usize,
}

/// A number below `bound` from a word: the word's share of the range (`⌊word · bound / 2^32⌋`).
fn below(word: u32, bound: usize) -> isize {
    let share = (u128::from(word) * bound as u128) >> 32;
    isize::try_from(share).unwrap_or(0)
}

impl Draw {
    /// The part of image `i`, of `rows` × `columns`, that is presented as `size`: anywhere within the image and its border.
    pub(super) fn patch(&self, i: u32, [rows, columns]: [usize; 2], size: [usize; 2]) -> Patch {
        let stream = Stream { seed: self.seed, step: self.epoch, kind: StreamKind::Augmentation };
        let words = stream.block(i.into());
        let pad = usize::try_from(self.augment.pad).unwrap_or(0);
        let border = isize::try_from(pad).unwrap_or(0);
        let places = |whole: usize, part: usize| (whole + 2 * pad).saturating_sub(part) + 1;
        Patch {
            row: below(words[0], places(rows, size[0])) - border,
            column: below(words[1], places(columns, size[1])) - border,
            size,
            mirrored: self.augment.flip && words[2] >> 31 == 1,
            channels: 1,
        }
    }
}

impl Patch {
    /// Copies the part out of an image of `rows` × `columns`.
    pub(super) fn cut(&self, image: &[u8], [rows, columns]: [usize; 2], out: &mut [u8]) {
        let [height, width] = self.size;
        let inside = |at: isize, end: usize| usize::try_from(at).ok().filter(|&at| at < end);
        let step = |from: isize, by: usize| from.saturating_add_unsigned(by);
        for y in 0..height {
            let row = inside(step(self.row, y), rows);
            for x in 0..width {
                let from = if self.mirrored { width - 1 - x } else { x };
                let column = inside(step(self.column, from), columns);
                let to = &mut out[(y * width + x) * self.channels..][..self.channels];
                match row.zip(column) {
                    Some((row, column)) => {
                        to.copy_from_slice(
                            &image[(row * columns + column) * self.channels..][..self.channels],
                        );
                    }
                    None => to.fill(0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Patch = Patch { row: 0, column: 0, size: [2, 3], mirrored: false, channels: 2 };

    fn cut(patch: Patch) -> Vec<u8> {
        let image: Vec<u8> = (1..=12).collect();
        let mut out = vec![99; 12];
        patch.cut(&image, [2, 3], &mut out);
        out
    }

    #[test]
    fn a_patch_is_a_part_of_the_image_and_zeros_outside() {
        assert_eq!(cut(WHOLE), (1..=12).collect::<Vec<u8>>());
        assert_eq!(cut(Patch { row: 1, ..WHOLE }), [7, 8, 9, 10, 11, 12, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cut(Patch { column: -1, ..WHOLE }), [0, 0, 1, 2, 3, 4, 0, 0, 7, 8, 9, 10]);
    }

    #[test]
    fn a_mirrored_patch_keeps_its_pixels_channels_in_order() {
        assert_eq!(cut(Patch { mirrored: true, ..WHOLE }), [5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8]);
        assert_eq!(
            cut(Patch { mirrored: true, column: 1, ..WHOLE }),
            [0, 0, 5, 6, 3, 4, 0, 0, 11, 12, 9, 10]
        );
    }

    #[test]
    fn every_place_of_the_border_is_drawn_about_as_often() {
        let draw = Draw { seed: 1, epoch: 1, augment: Augmentation { pad: 4, flip: true } };
        let (mut rows, mut columns, mut mirrored) = ([0; 9], [0; 9], 0);
        for i in 0..9_000 {
            let patch = draw.patch(i, [32, 32], [32, 32]);
            rows[usize::try_from(patch.row + 4).unwrap()] += 1;
            columns[usize::try_from(patch.column + 4).unwrap()] += 1;
            mirrored += usize::from(patch.mirrored);
        }
        assert!(rows.iter().chain(&columns).all(|n| (850..1150).contains(n)), "{rows:?} {columns:?}");
        assert!((4_300..4_700).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn what_an_image_draws_changes_with_epoch_and_seed_only() {
        let augment = Augmentation { pad: 4, flip: true };
        let draws = |seed, epoch| {
            let draw = Draw { seed, epoch, augment };
            (0..64).map(|i| draw.patch(i, [32, 32], [32, 32])).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, 1), draws(1, 1));
        assert_ne!(draws(1, 1), draws(1, 2));
        assert_ne!(draws(1, 1), draws(2, 1));
    }
}
