//! Pooling windows: maxima with their places, and values sent back to them.

use rayon::prelude::*;

use super::lanes::{self, Lane};
use super::size;
use crate::isa::{VPool, VUnpool};
use crate::machine::{State, kernels};
use crate::number::max_code;

/// Values from which on images go to more threads than one.
const SPLIT: usize = 1 << 15;

/// Images a task takes, so that its elements of every format are whole bytes.
fn images_each(images: usize, values: usize) -> usize {
    if images * values < SPLIT {
        return images;
    }
    let each = images.div_ceil(rayon::current_num_threads());
    // Eight images are whole bytes whatever the format.
    each.next_multiple_of(8)
}

/// `v.pool`; `out` and `places` are scratch.
pub(super) fn pool<L: Lane>(i: &VPool, state: &mut State, out: &mut Vec<u8>, places: &mut Vec<u8>) {
    let (channels, window) = (size(i.channels), size(i.window));
    let (rows, columns) = (size(i.out_rows), size(i.out_cols));
    let (images, values) = (size(i.images), rows * columns * channels);
    let each = images_each(images, values);
    let bytes =
        |format: crate::isa::Format, n: usize| usize::try_from(format.bytes(n as u64)).unwrap_or(usize::MAX);
    out.clear();
    out.resize(bytes(i.format, images * values), 0);
    places.clear();
    places.resize(bytes(i.place_format, images * values), 0);
    let before = &*state;
    let task = |(task, (out, places)): (usize, (&mut [u8], &mut [u8]))| {
        let first = task * each;
        let count = each.min(images - first);
        let (mut best, mut place) = (vec![L::default(); count * values], vec![0i32; count * values]);
        kernels::widest(|| {
            let mut source = vec![L::default(); (columns - 1) * size(i.step) * channels + window * channels];
            for n in 0..count {
                for y in 0..rows {
                    let at = (n * rows + y) * columns * channels;
                    for down in 0..window {
                        let row = (first + n) * size(i.image_stride)
                            + (y * size(i.step) + down) * size(i.row_stride);
                        lanes::load(before, i.src, i.format, row, &mut source);
                        for across in 0..window {
                            let number = i32::try_from(down * window + across).unwrap_or(0);
                            for x in 0..columns {
                                let from = (x * size(i.step) + across) * channels;
                                let from = &source[from..from + channels];
                                let best = &mut best[at + x * channels..][..channels];
                                let place = &mut place[at + x * channels..][..channels];
                                if number == 0 {
                                    best.copy_from_slice(from);
                                    continue;
                                }
                                for ((best, place), &value) in best.iter_mut().zip(place).zip(from) {
                                    let higher = value > *best;
                                    *place = if higher { number } else { *place };
                                    *best = if higher { value } else { *best };
                                }
                            }
                        }
                    }
                }
            }
            lanes::save(&best, i.format, out);
            lanes::save(&place, i.place_format, places);
        });
    };
    let of_task = each * values;
    out.par_chunks_mut(bytes(i.format, of_task))
        .zip(places.par_chunks_mut(bytes(i.place_format, of_task)))
        .enumerate()
        .for_each(task);
    lanes::put(state, i.dst, i.format, images * values, out);
    lanes::put(state, i.place, i.place_format, images * values, places);
}

/// `v.unpool`: how many sums were clipped; `out` is scratch.
pub(super) fn unpool<L: Lane>(i: &VUnpool, state: &mut State, out: &mut Vec<u8>) -> u64 {
    let (channels, window, step) = (size(i.channels), size(i.window), size(i.step));
    let (rows, columns) = (size(i.in_rows), size(i.in_cols));
    let (height, width) = (size(i.height), size(i.width));
    let (images, sources, values) = (size(i.images), rows * columns * channels, height * width * channels);
    let each = images_each(images, values);
    let bytes = |n: usize| usize::try_from(i.format.bytes(n as u64)).unwrap_or(usize::MAX);
    out.clear();
    out.resize(bytes(images * values), 0);
    let before = &*state;
    let limit = L::held(max_code(i.bits));
    let task = |(task, out): (usize, &mut [u8])| {
        let first = task * each;
        let count = each.min(images - first);
        let mut source = vec![L::default(); count * sources];
        let mut place = vec![0u8; count * sources];
        let mut sums = vec![L::default(); count * values];
        kernels::widest(|| {
            lanes::load(before, i.src, i.format, first * sources, &mut source);
            lanes::load_unsigned(before, i.place, i.place_format, first * sources, &mut place);
            let pixels = source.chunks_exact(channels).zip(place.chunks_exact(channels));
            for (pixel, (source, place)) in pixels.enumerate() {
                let (image, y, x) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
                for number in 0..window * window {
                    let (y, x) = (y * step + number / window, x * step + number % window);
                    if y >= height || x >= width {
                        continue;
                    }
                    let number = u8::try_from(number).unwrap_or(u8::MAX);
                    let sums = &mut sums[((image * height + y) * width + x) * channels..][..channels];
                    for ((sum, &value), &place) in sums.iter_mut().zip(source).zip(place) {
                        *sum = sum.plus(if place == number { value } else { L::default() });
                    }
                }
            }
            let mut clipped = 0;
            for sum in &mut sums {
                let held = (*sum).clamp(-limit, limit);
                clipped += u64::from(held != *sum);
                *sum = held;
            }
            lanes::save(&sums, i.format, out);
            clipped
        })
    };
    let clipped = out.par_chunks_mut(bytes(each * values)).enumerate().map(task).sum();
    lanes::put(state, i.dst, i.format, images * values, out);
    clipped
}
