//! Which right operands the places of a frame meet, over taps. Products with both operands not zero are a sum over places that are not
//! zero of the right operands they meet that are not; and of an image's pixels most meet the same, so what is counted
//! are channels of pixels alike.

use std::collections::HashMap;
use std::ops::Range;

use super::frame::ZERO;
use super::layout::Layout;
use super::size;

/// Channels of so few that pixels are not told apart by what they meet: runs of them that lie side by side are long.
const FEW: usize = 16;
/// As many places as a byte counts.
const MOST: usize = 255;

/// Reduction indices side by side that channels of a place meet: the first, and which channels.
type Meets = (usize, Range<usize>);

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
        let channels = frame.channels();
        let is_inside: Vec<Range<usize>> = frame.inside(image).collect();
        let pieces = layout.shape.classes().iter().flat_map(|class| layout.shape.bases_of(class));
        let pieces = pieces.filter(|base| **base < image).flat_map(|&base| {
            let mut index = 0;
            layout.pieces(base).map(move |(first, count)| {
                index += count;
                (first, count, index - count)
            })
        });
        let mut places = Places { image, all: Vec::new() };
        if channels < FEW {
            places.all.extend(is_inside.iter().map(|run| Alike {
                runs: vec![run.start],
                length: run.len(),
                meets: Vec::new(),
            }));
            for (first, count, index) in pieces {
                for alike in &mut places.all {
                    let run = alike.runs[0]..alike.runs[0] + alike.length;
                    alike.meets.extend(met(run, first..first + count, index));
                }
            }
            return places;
        }
        let mut of_pixels = vec![Vec::new(); image / channels];
        for (first, count, index) in pieces {
            for pixel in first / channels..(first + count).div_ceil(channels) {
                let run = pixel * channels..(pixel + 1) * channels;
                of_pixels[pixel].extend(met(run, first..first + count, index));
            }
        }
        let mut known = HashMap::<Vec<Meets>, usize>::new();
        for first in is_inside.into_iter().flat_map(|run| run.step_by(channels)) {
            let mut meets = std::mem::take(&mut of_pixels[first / channels]);
            meets.sort_unstable_by_key(|(index, channels)| (*index, channels.start, channels.end));
            let number = *known.entry(meets).or_insert_with_key(|meets| {
                let (runs, meets) = (Vec::new(), meets.clone());
                places.all.push(Alike { runs, length: channels, meets });
                places.all.len() - 1
            });
            places.all[number].runs.push(first);
        }
        places.all.retain(|alike| !alike.meets.is_empty());
        places
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

/// What a run of the frame meets of a piece of the reduction whose first index is this.
fn met(run: Range<usize>, piece: Range<usize>, index: usize) -> Option<Meets> {
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
