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
    let (dst, place) = (Run::new(i.dst, i.format, values), Run::new(i.place, i.place_format, values));
    let Scratch { out, places, .. } = scratch;
    // What is there from before is overwritten, or behind the last element and not put.
    out.resize(bytes_of(i.format, values), 0);
    places.resize(bytes_of(i.place_format, values), 0);
    pool_rows::<L>(i, state, out, places);
    dst.put(state, out);
    place.put(state, places);
}

/// Rows of windows, eight of them at a time: whole bytes whatever the formats.
#[inline(always)]
fn pool_rows<L: Lane>(i: &VPool, state: &State, out: &mut [u8], places: &mut [u8]) {
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
                let (from, strides) = (&from[channel..], (length, channels));
                match window {
                    2 => greatest_of::<L, CHANNELS, 4>(from, strides, window, best, place),
                    3 => greatest_of::<L, CHANNELS, 9>(from, strides, window, best, place),
                    _ => greatest::<L, CHANNELS>(from, strides, window, best, place),
                }
                channel += CHANNELS;
            }
            for channel in channel..channels {
                let (mut one, mut number) = ([L::default()], [0]);
                greatest(&from[channel..], (length, channels), window, &mut one, &mut number);
                (best[to + channel], place[to + channel]) = (one[0], number[0]);
            }
        }
        if row % 8 == 7 || row + 1 == rows {
            let (first, count) = (row / 8 * 8 * of_row, at + of_row);
            lanes::save(&best[..count], i.format, &mut out[bytes_of(i.format, first)..]);
            lanes::save_unsigned(
                &place[..count],
                i.place_format,
                &mut places[bytes_of(i.place_format, first)..],
            );
        }
    }
}

/// The greatest of a window and its place, `N` channels side by side.
#[inline(always)]
fn greatest<L: Lane, const N: usize>(
    from: &[L],
    (row, pixel): (usize, usize),
    window: usize,
    best: &mut [L; N],
    place: &mut [u8; N],
) {
    let (mut most, mut places) =
        (from.first_chunk().copied().unwrap_or([L::default(); N]), [L::default(); N]);
    let mut number = 0;
    for down in 0..window {
        for across in 0..window {
            if let Some(values) = from[down * row + across * pixel..].first_chunk::<N>() {
                // Its low byte is what is kept.
                let number = L::of_i32(number);
                for j in 0..N {
                    let higher = values[j] > most[j];
                    places[j] = if higher { number } else { places[j] };
                    most[j] = if higher { values[j] } else { most[j] };
                }
            }
            number += 1;
        }
    }
    *best = most;
    for j in 0..N {
        place[j] = places[j].low().to_le_bytes()[0];
    }
}

/// The same of windows of `P` values, lane by lane, so that what is found so far stays in registers.
#[inline(always)]
fn greatest_of<L: Lane, const N: usize, const P: usize>(
    from: &[L],
    (row, pixel): (usize, usize),
    window: usize,
    best: &mut [L; N],
    place: &mut [u8; N],
) {
    let nothing = [L::default(); N];
    let mut values = [&nothing; P];
    for (number, values) in values.iter_mut().enumerate() {
        let at = number / window * row + number % window * pixel;
        *values = from[at..].first_chunk().expect("a window lies in its rows");
    }
    for j in 0..N {
        let (mut most, mut found) = (values[0][j], 0u8);
        for (number, values) in (0..).zip(values) {
            let higher = values[j] > most;
            found = if higher { number } else { found };
            most = if higher { values[j] } else { most };
        }
        (best[j], place[j]) = (most, found);
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
    let is_outside = |v: u8| v.cast_signed() < least || v.cast_signed() > limit;
    let mut clipped = 0;
    if source.iter().fold(false, |any, &v| any | is_outside(v)) {
        // Each value goes to one place or, outside the image, to none.
        for (pixel, (values, places)) in
            source.chunks_exact(channels).zip(places.chunks_exact(channels)).enumerate()
        {
            let (y, x) = (pixel / columns % rows * step, pixel % columns * step);
            let goes = |place: u8| {
                let (down, across) = (usize::from(place) / window, usize::from(place) % window);
                down < window && y + down < height && x + across < width
            };
            let outside = values.iter().zip(places).filter(|&(&v, &place)| is_outside(v) && goes(place));
            clipped += outside.count() as u64;
        }
        source.iter_mut().for_each(|v| *v = v.cast_signed().clamp(least, limit).cast_unsigned());
    }
    let of_row = columns * channels;
    let rows_of_pixels = source.chunks_exact(of_row).zip(places.chunks_exact(of_row));
    for (row, (values, places)) in rows_of_pixels.enumerate() {
        let (image, y) = (row / rows, row % rows * step);
        let mut number = 0u8;
        for down in 0..window {
            for across in 0..window {
                // Pixels whose place lies in the image.
                let inside = if y + down < height {
                    columns.min((width + step - 1).saturating_sub(across) / step)
                } else {
                    0
                };
                let mut first = ((image * height + y + down) * width + across) * channels;
                let pixels = values.chunks_exact(channels).zip(places.chunks_exact(channels));
                for (values, places) in pixels.take(inside) {
                    let out = &mut out[first..][..channels];
                    for ((o, &value), &place) in out.iter_mut().zip(values).zip(places) {
                        *o = if place == number { value } else { 0 };
                    }
                    first += step * channels;
                }
                number = number.saturating_add(1);
            }
        }
    }
    clipped
}
