//! Which right operands the places of a frame meet, over taps. Products with both operands not zero are a sum over places that are not
//! zero of the right operands they meet that are not; and of an image's pixels most meet the same, so what is counted are
//! channels of pixels alike.

use std::collections::HashMap;
use std::ops::Range;

use super::frame::ZERO;
use super::layout::Layout;
use super::size;

/// Pixels alike, at least, on the average, and channels of each: or it is not worth while to count pixels one by one.
const LIKE: usize = 4;
const CHANNELS: usize = 16;
/// As many places as a byte counts.
const MOST: usize = 255;

/// Reduction indices side by side that channels of a place meet: the first, and which channels.
type Meets = (usize, Range<usize>);

/// Places side by side that meet a row's reduction indices from some first one on.
type Piece = (Range<usize>, usize);

/// Runs of codes all of which meet the same.
#[derive(Debug)]
struct Alike {
    /// First byte of each.
    runs: Vec<usize>,
    /// Bytes of each.
    length: usize,
    /// What they meet, once for each row that does.
    meets: Vec<Meets>,
}

/// The places of a frame that are no padding, by what they meet: of one image where all images meet the same, else of all.
#[derive(Debug)]
pub(super) struct Places {
    /// Bytes of what they are of.
    image: usize,
    all: Vec<Alike>,
}

impl Places {
    /// Those of an instruction over taps.
    pub(super) fn of(layout: &Layout) -> Places {
        let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
        let all_meet_the_same = at.images.count * at.rows.count * at.columns.count == size(m.rows);
        let image = if all_meet_the_same { frame.image() } else { frame.len() };
        let inside: Vec<Range<usize>> = frame.inside(image).collect();
        let bases = layout.shape.classes().iter().flat_map(|class| layout.shape.bases_of(class));
        let pieces = bases.filter(|base| **base < image).flat_map(|&base| {
            let mut index = 0;
            layout.pieces(base).map(move |(first, count)| {
                index += count;
                (first..first + count, index - count)
            })
        });
        let pieces: Vec<Piece> = pieces.collect();
        let channels = frame.channels();
        let all =
            pixels(&inside, &pieces, (channels, image / channels)).unwrap_or_else(|| runs(&inside, &pieces));
        Places { image, all }
    }

    /// Counts how often the codes of runs alike are not zero, one after another, over all images.
    #[inline(always)]
    pub(super) fn count(&self, codes: &[u8], counts: &mut Vec<u32>, few: &mut Vec<u8>) {
        counts.clear();
        for Alike { runs, length, .. } in &self.all {
            let first = counts.len();
            counts.resize(first + length, 0);
            few.clear();
            few.resize(*length, 0);
            let mut counted = 0;
            for image in codes.chunks_exact(self.image) {
                for &run in runs {
                    let run = &image[run..][..*length];
                    few.iter_mut().zip(run).for_each(|(n, &code)| *n += u8::from(code != ZERO));
                    counted += 1;
                    if counted == MOST {
                        take(few, &mut counts[first..]);
                        counted = 0;
                    }
                }
            }
            take(few, &mut counts[first..]);
        }
    }

    /// How many right operands that are not zero the codes of runs alike meet, given how many each reduction index has.
    pub(super) fn meet(&self, right: &[u32], met: &mut Vec<u32>) {
        met.clear();
        for Alike { length, meets, .. } in &self.all {
            let first = met.len();
            met.resize(first + length, 0);
            for (index, places) in meets {
                let met = met[first..][places.clone()].iter_mut();
                met.zip(&right[*index..]).for_each(|(met, n)| *met += n);
            }
        }
    }
}

/// Pixels by what they meet; none where few are alike.
fn pixels(
    inside: &[Range<usize>],
    pieces: &[Piece],
    (channels, count): (usize, usize),
) -> Option<Vec<Alike>> {
    if channels < CHANNELS {
        return None;
    }
    let mut meets = vec![Vec::new(); count];
    for piece in pieces {
        let of_piece = piece.0.start / channels..piece.0.end.div_ceil(channels);
        for (pixel, meets) in of_piece.clone().zip(&mut meets[of_piece]) {
            meets.extend(met(pixel * channels..(pixel + 1) * channels, piece));
        }
    }
    let mut known = HashMap::<Vec<Meets>, usize>::new();
    let mut all: Vec<Alike> = Vec::new();
    let mut pixels = 0;
    for first in inside.iter().cloned().flat_map(|run| run.step_by(channels)) {
        let mut meets = std::mem::take(&mut meets[first / channels]);
        meets.sort_unstable_by_key(|(index, channels)| (*index, channels.start, channels.end));
        let number = *known.entry(meets).or_insert_with_key(|meets| {
            all.push(Alike { runs: Vec::new(), length: channels, meets: meets.clone() });
            all.len() - 1
        });
        all[number].runs.push(first);
        pixels += 1;
    }
    (all.len() * LIKE <= pixels).then_some(all)
}

/// Each run for itself.
fn runs(inside: &[Range<usize>], pieces: &[Piece]) -> Vec<Alike> {
    let alike = |run: &Range<usize>| Alike {
        runs: vec![run.start],
        length: run.len(),
        meets: pieces.iter().filter_map(|piece| met(run.clone(), piece)).collect(),
    };
    inside.iter().map(alike).collect()
}

/// What a run of the frame meets of a piece of the reduction.
fn met(run: Range<usize>, (piece, index): &Piece) -> Option<Meets> {
    let (first, end) = (run.start.max(piece.start), run.end.min(piece.end));
    (first < end).then(|| (index + first - piece.start, first - run.start..end - run.start))
}

/// Adds counts of bytes, which begin anew.
#[inline(always)]
fn take(few: &mut [u8], counts: &mut [u32]) {
    for (count, few) in counts.iter_mut().zip(few) {
        *count += u32::from(*few);
        *few = 0;
    }
}
