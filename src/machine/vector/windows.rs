//! Pooling windows: maxima with their places, and values sent back to them.

use super::lanes::{Lane, load, load_unsigned, save, save_unsigned};
use super::runs::{Run, apart};
use super::size;
use crate::isa::{VPool, VUnpool};
use crate::machine::State;
use crate::number::max_code;

/// Channels worked on side by side.
const CHANNELS: usize = 32;

/// `v.pool`.
#[inline(always)]
pub(super) fn pool<L: Lane>(i: &VPool, state: &mut State, copy: &mut Vec<u8>, places: &mut Vec<u8>) {
    let (rows, channels) = (size(i.images) * size(i.out_rows), size(i.channels));
    let values = rows * size(i.out_cols) * channels;
    let below = (size(i.out_rows) - 1) * size(i.step) + size(i.window) - 1;
    let across = ((size(i.out_cols) - 1) * size(i.step) + size(i.window)) * channels;
    let sources = (size(i.images) - 1) * size(i.image_stride) + below * size(i.row_stride) + across;
    let dst = Run::new(i.dst, i.format, values);
    places.resize(values, 0);
    let (bytes, from) = apart(state, copy, dst, None, Run::new(i.src, i.format, sources));
    if i.format.bits() == L::BITS {
        maxima::<L>(i, L::chunks(from), L::chunks_mut(bytes), places);
    } else {
        let mut source = vec![L::Bytes::default(); sources];
        let mut best = vec![L::Bytes::default(); values];
        load::<L>(from, i.format, 0, &mut source);
        maxima::<L>(i, &source, &mut best, places);
        save::<L>(&best, i.format, bytes);
    }
    save_unsigned(places, i.place_format, Run::new(i.place, i.place_format, values).bytes_mut(state));
}

/// The maxima of all windows and their places.
#[inline(always)]
fn maxima<L: Lane>(i: &VPool, from: &[L::Bytes], best: &mut [L::Bytes], places: &mut [u8]) {
    let (rows, columns, channels) = (size(i.out_rows), size(i.out_cols), size(i.channels));
    let (window, step, row_stride) = (size(i.window), size(i.step), size(i.row_stride));
    let (of_row, strides) = (columns * channels, (row_stride, channels));
    let rows_of_pixels = best.chunks_exact_mut(of_row).zip(places.chunks_exact_mut(of_row));
    for (row, (best, places)) in rows_of_pixels.enumerate() {
        let mut first = row / rows * size(i.image_stride) + row % rows * step * row_stride;
        for (best, places) in best.chunks_exact_mut(channels).zip(places.chunks_exact_mut(channels)) {
            let mut from = &from[first..];
            let (many, others) = best.as_chunks_mut::<CHANNELS>();
            let (many_places, other_places) = places.as_chunks_mut::<CHANNELS>();
            for (best, places) in many.iter_mut().zip(many_places) {
                match window {
                    2 => greatest_of::<L, CHANNELS, 4>(from, strides, window, best, places),
                    3 => greatest_of::<L, CHANNELS, 9>(from, strides, window, best, places),
                    _ => greatest::<L, CHANNELS>(from, strides, window, best, places),
                }
                from = &from[CHANNELS..];
            }
            for (n, (best, place)) in others.iter_mut().zip(other_places).enumerate() {
                greatest::<L, 1>(
                    &from[n..],
                    strides,
                    window,
                    std::array::from_mut(best),
                    std::array::from_mut(place),
                );
            }
            first += step * channels;
        }
    }
}

/// The greatest of a window and its place, `N` channels side by side.
#[inline(always)]
fn greatest<L: Lane, const N: usize>(
    from: &[L::Bytes],
    (row, pixel): (usize, usize),
    window: usize,
    best: &mut [L::Bytes; N],
    place: &mut [u8; N],
) {
    let first: &[L::Bytes; N] = from.first_chunk().expect("a window lies in its rows");
    let (mut most, mut places) = (*first, [L::default(); N]);
    let mut number = 0;
    for down in 0..window {
        for across in 0..window {
            let values: &[L::Bytes; N] =
                from[down * row + across * pixel..].first_chunk().expect("a window lies in its rows");
            // Its low byte is what is kept.
            let here = L::low_of(number);
            for j in 0..N {
                let higher = L::of_bytes(values[j]) > L::of_bytes(most[j]);
                places[j] = if higher { here } else { places[j] };
                most[j] = if higher { values[j] } else { most[j] };
            }
            number += 1;
        }
    }
    *best = most;
    for j in 0..N {
        place[j] = places[j].wide().to_le_bytes()[0];
    }
}

/// The same of windows of `P` values, lane by lane, so that what is found so far stays in registers.
#[inline(always)]
fn greatest_of<L: Lane, const N: usize, const P: usize>(
    from: &[L::Bytes],
    (row, pixel): (usize, usize),
    window: usize,
    best: &mut [L::Bytes; N],
    place: &mut [u8; N],
) {
    let nothing = [L::Bytes::default(); N];
    let mut values = [&nothing; P];
    for (number, values) in values.iter_mut().enumerate() {
        let at = number / window * row + number % window * pixel;
        *values = from[at..].first_chunk().expect("a window lies in its rows");
    }
    for j in 0..N {
        let (mut most, mut found) = (L::of_bytes(values[0][j]), 0u8);
        for (number, values) in (0..).zip(values) {
            let value = L::of_bytes(values[j]);
            let higher = value > most;
            found = if higher { number } else { found };
            most = if higher { value } else { most };
        }
        (best[j], place[j]) = (most.bytes(), found);
    }
}

/// `v.unpool`: how many sums were clipped.
#[inline(always)]
pub(super) fn unpool<L: Lane>(
    i: &VUnpool,
    state: &mut State,
    copy: &mut Vec<u8>,
    places: &mut Vec<u8>,
) -> u64 {
    let (channels, window, step) = (size(i.channels), size(i.window), size(i.step));
    let (rows, columns, height, width) = (size(i.in_rows), size(i.in_cols), size(i.height), size(i.width));
    let (sources, values) =
        (size(i.images) * rows * columns * channels, size(i.images) * height * width * channels);
    let place = Run::new(i.place, i.place_format, sources);
    places.resize(sources, 0);
    load_unsigned(place.bytes(state), i.place_format, 0, places);
    let dst = Run::new(i.dst, i.format, values);
    let (bytes, from) = apart(state, copy, dst, None, Run::new(i.src, i.format, sources));
    // Windows that do not overlap: what goes to a place is one value, and bytes stay bytes.
    if i.format.bits() == 8 && step >= window {
        return unpool_bytes(i, places, from, bytes);
    }
    let mut source = vec![L::Bytes::default(); sources];
    let mut sums = vec![L::default(); values];
    load::<L>(from, i.format, 0, &mut source);
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
                *sum = sum.plus(if place == number { L::of_bytes(value) } else { L::default() });
            }
        }
    }
    let limit = L::held(max_code(i.bits));
    let mut clipped = 0;
    let mut held = vec![L::Bytes::default(); values];
    for (held, &sum) in held.iter_mut().zip(&sums) {
        let value = sum.clamp(-limit, limit);
        clipped += u64::from(value != sum);
        *held = value.bytes();
    }
    save::<L>(&held, i.format, bytes);
    clipped
}

/// Bytes sent back to places that no other goes to.
#[inline(always)]
fn unpool_bytes(i: &VUnpool, places: &[u8], source: &[u8], out: &mut [u8]) -> u64 {
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
    }
    match channels {
        _ if channels.is_multiple_of(CHANNELS) => send::<CHANNELS>(i, places, source, (least, limit), out),
        _ if channels.is_multiple_of(4) => send::<4>(i, places, source, (least, limit), out),
        _ => send::<1>(i, places, source, (least, limit), out),
    }
    clipped
}

/// Bytes held to limits at places that no other goes to, zeros at the others of a window; `N` channels side by side.
#[inline(always)]
fn send<const N: usize>(i: &VUnpool, places: &[u8], source: &[u8], (least, most): (i8, i8), out: &mut [u8]) {
    let (window, step, blocks) = (size(i.window), size(i.step), size(i.channels) / N);
    let (rows, columns, height, width) = (size(i.in_rows), size(i.in_cols), size(i.height), size(i.width));
    let out = out.as_chunks_mut::<N>().0;
    let of_row = columns * blocks;
    let (source, places) = (source.as_chunks::<N>().0, places.as_chunks::<N>().0);
    for (row, (values, places)) in source.chunks_exact(of_row).zip(places.chunks_exact(of_row)).enumerate() {
        let (image, y) = (row / rows, row % rows * step);
        for down in 0..window.min(height.saturating_sub(y)) {
            let out = &mut out[(image * height + y + down) * width * blocks..][..width * blocks];
            for across in 0..window {
                let here = u8::try_from(down * window + across).unwrap_or(u8::MAX);
                for block in 0..blocks {
                    // What lies behind the row is not in the image.
                    let (mut from, mut to) = (block, across * blocks + block);
                    while from < of_row && to < out.len() {
                        let (values, places) = (&values[from], &places[from]);
                        let mut sent = [0; N];
                        for j in 0..N {
                            let value = values[j].cast_signed().max(least).min(most).cast_unsigned();
                            sent[j] = if places[j] == here { value } else { 0 };
                        }
                        out[to] = sent;
                        (from, to) = (from + blocks, to + step * blocks);
                    }
                }
            }
        }
    }
}
