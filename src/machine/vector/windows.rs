//! Pooling windows: maxima with their places, and values sent back to them.

use super::lanes::{self, Lane, Run, bytes_of, start};
use super::size;
use crate::isa::{VPool, VUnpool};
use crate::machine::State;
use crate::number::max_code;

/// Scratch of windows.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    out: Vec<u8>,
    places: Vec<u8>,
    bytes: Vec<u8>,
}

/// Channels worked on side by side.
const CHANNELS: usize = 32;

/// `v.pool`.
#[inline(always)]
pub(super) fn pool<L: Lane>(i: &VPool, state: &mut State, scratch: &mut Scratch) {
    let of_row = size(i.out_cols) * size(i.channels);
    let values = size(i.images) * size(i.out_rows) * of_row;
    let last = (size(i.images) - 1) * size(i.image_stride)
        + ((size(i.out_rows) - 1) * size(i.step) + size(i.window) - 1) * size(i.row_stride)
        + ((size(i.out_cols) - 1) * size(i.step) + size(i.window)) * size(i.channels);
    let source = Run::new(i.src, i.format, last);
    let (dst, place) = (Run::new(i.dst, i.format, values), Run::new(i.place, i.place_format, values));
    let in_place = dst.is_apart(source) && place.is_apart(source) && dst.is_apart(place);
    let Scratch { out, places, .. } = scratch;
    let places_to = place;
    if in_place {
        return pool_rows::<L>(i, state, |state, first, best, place| {
            lanes::save(best, i.format, dst.bytes_from(state, first));
            lanes::save_unsigned(place, i.place_format, places_to.bytes_from(state, first));
        });
    }
    out.clear();
    out.resize(bytes_of(i.format, values), 0);
    places.clear();
    places.resize(bytes_of(i.place_format, values), 0);
    pool_rows::<L>(i, state, |_, first, best, place| {
        lanes::save(best, i.format, &mut out[bytes_of(i.format, first)..]);
        lanes::save_unsigned(place, i.place_format, &mut places[bytes_of(i.place_format, first)..]);
    });
    dst.put(state, out);
    place.put(state, places);
}

/// Rows of windows; eight of them, whole bytes whatever the format, go to `put` with the number of their first value.
#[inline(always)]
fn pool_rows<L: Lane>(i: &VPool, state: &mut State, mut put: impl FnMut(&mut State, usize, &[L], &[u8])) {
    let (window, columns, channels, step) =
        (size(i.window), size(i.out_cols), size(i.channels), size(i.step));
    let of_row = columns * channels;
    let length = (columns - 1) * step * channels + window * channels;
    let mut source = vec![L::default(); window * length];
    let (mut best, mut place) = (vec![L::default(); 8 * of_row], vec![0u8; 8 * of_row]);
    let rows = size(i.images) * size(i.out_rows);
    for row in 0..rows {
        let (image, y) = (row / size(i.out_rows), row % size(i.out_rows));
        for (down, source) in source.chunks_exact_mut(length).enumerate() {
            let first = image * size(i.image_stride) + (y * step + down) * size(i.row_stride);
            lanes::load(state, i.src, i.format, first, source);
        }
        let at = row % 8 * of_row;
        for x in 0..columns {
            let from = &source[x * step * channels..];
            let to = at + x * channels;
            let mut channel = 0;
            while channel + CHANNELS <= channels {
                let to = to + channel;
                let (Some(best), Some(place)) = (best[to..].first_chunk_mut(), place[to..].first_chunk_mut())
                else {
                    break;
                };
                greatest::<L, CHANNELS>(&from[channel..], length, channels, window, best, place);
                channel += CHANNELS;
            }
            for channel in channel..channels {
                let (mut one, mut number) = ([L::default()], [0]);
                greatest(&from[channel..], length, channels, window, &mut one, &mut number);
                (best[to + channel], place[to + channel]) = (one[0], number[0]);
            }
        }
        if row % 8 == 7 || row + 1 == rows {
            put(state, row / 8 * 8 * of_row, &best[..at + of_row], &place[..at + of_row]);
        }
    }
}

/// The greatest of a window and its place, `N` channels side by side.
#[inline(always)]
fn greatest<L: Lane, const N: usize>(
    from: &[L],
    row: usize,
    pixel: usize,
    window: usize,
    best: &mut [L; N],
    place: &mut [u8; N],
) {
    let at = |number: usize| from[number / window * row + number % window * pixel..].first_chunk::<N>();
    let (mut most, mut places) = (at(0).copied().unwrap_or([L::default(); N]), [L::default(); N]);
    for number in 1..window * window {
        let Some(values) = at(number) else { continue };
        let number = L::of_i32(i32::try_from(number).unwrap_or(0));
        for j in 0..N {
            let higher = values[j] > most[j];
            places[j] = if higher { number } else { places[j] };
            most[j] = if higher { values[j] } else { most[j] };
        }
    }
    *best = most;
    for j in 0..N {
        place[j] = places[j].low().to_le_bytes()[0];
    }
}

/// `v.unpool`: how many sums were clipped.
#[inline(always)]
pub(super) fn unpool<L: Lane>(i: &VUnpool, state: &mut State, scratch: &mut Scratch) -> u64 {
    let (channels, window, step) = (size(i.channels), size(i.window), size(i.step));
    let (rows, columns, height, width) = (size(i.in_rows), size(i.in_cols), size(i.height), size(i.width));
    let (images, sources, values) = (size(i.images), rows * columns * channels, height * width * channels);
    let Scratch { out, places, bytes } = scratch;
    {
        places.resize(images * sources, 0);
        lanes::load_unsigned(state, i.place, i.place_format, 0, places);
        // Windows that do not overlap: what goes to a place is one value, and bytes stay bytes.
        if i.format.bits() == 8 && step >= window {
            let values = images * values;
            let source = &state.memory(i.src.memory)[start(i.src)..][..places.len()];
            bytes.clear();
            bytes.extend_from_slice(source);
            return unpool_bytes(
                i,
                places,
                bytes,
                &mut state.memory_mut(i.dst.memory)[start(i.dst)..][..values],
            );
        }
        let mut source = vec![L::default(); images * sources];
        let mut sums = vec![L::default(); images * values];
        lanes::load(state, i.src, i.format, 0, &mut source);
        let pixels = source.chunks_exact(channels).zip(places.chunks_exact(channels));
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
        let limit = L::held(max_code(i.bits));
        let mut clipped = 0;
        for sum in &mut sums {
            let held = (*sum).clamp(-limit, limit);
            clipped += u64::from(held != *sum);
            *sum = held;
        }
        out.clear();
        out.resize(bytes_of(i.format, images * values), 0);
        lanes::save(&sums, i.format, out);
        Run::new(i.dst, i.format, images * values).put(state, out);
        clipped
    }
}

/// Bytes sent back to places that no other goes to.
#[inline(always)]
fn unpool_bytes(i: &VUnpool, places: &[u8], source: &mut [u8], out: &mut [u8]) -> u64 {
    let (channels, window, step) = (size(i.channels), size(i.window), size(i.step));
    let (rows, columns, height, width) = (size(i.in_rows), size(i.in_cols), size(i.height), size(i.width));
    // Windows that cover everything leave no place without a value.
    if step > window || rows * step < height || columns * step < width {
        out.fill(0);
    }
    let limit = i8::try_from(max_code(i.bits.min(8))).unwrap_or(i8::MAX);
    let least = if i.bits > 8 { i8::MIN } else { -limit };
    // Each value goes to one place or, outside the image, to none.
    let held = |v: u8| v.cast_signed().clamp(least, limit).cast_unsigned();
    let is_outside = |v: u8| v.cast_signed() < least || v.cast_signed() > limit;
    let mut clipped = 0;
    let pixels = source.chunks_exact_mut(channels).zip(places.chunks_exact(channels));
    for (pixel, (values, place)) in pixels.enumerate() {
        let (image, y, x) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
        let inside = |number: u8| {
            let (y, x) = (y * step + usize::from(number) / window, x * step + usize::from(number) % window);
            (y < height && x < width).then(|| ((image * height + y) * width + x) * channels)
        };
        if values.iter().fold(false, |any, &v| any | is_outside(v)) {
            let goes = |number: u8| usize::from(number) < window * window && inside(number).is_some();
            let outside = values.iter().zip(place).filter(|&(&v, &p)| is_outside(v) && goes(p));
            clipped += outside.count() as u64;
            values.iter_mut().for_each(|v| *v = held(*v));
        }
        for number in 0..window * window {
            let number = u8::try_from(number).unwrap_or(u8::MAX);
            let Some(first) = inside(number) else { continue };
            let out = &mut out[first..][..channels];
            for ((o, &value), &place) in out.iter_mut().zip(&*values).zip(place) {
                *o = if place == number { value } else { 0 };
            }
        }
    }
    clipped
}
