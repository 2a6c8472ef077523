//! Runs of elements read from and written to memory bytes, whole instructions at a time.

use super::state::{element, set_element, unsigned_element};
use crate::isa::{Address, Format};

fn start(address: Address) -> usize {
    usize::try_from(address.offset).unwrap_or(usize::MAX)
}

/// `count` two's complement elements.
pub(super) fn read(bytes: &[u8], address: Address, format: Format, count: usize, out: &mut Vec<i64>) {
    out.clear();
    let at = start(address);
    match format.bits() {
        2 => {
            // A pattern of two bits, sign extended: 0, 1, -2, -1.
            let quads = bytes[at..at + count.div_ceil(4)].iter();
            let codes = quads
                .flat_map(|&b| [b, b >> 2, b >> 4, b >> 6].map(|q| i64::from((q << 6).cast_signed() >> 6)));
            out.extend(codes.take(count));
        }
        8 => out.extend(bytes[at..at + count].iter().map(|&b| i64::from(b.cast_signed()))),
        16 => out.extend(words::<2>(bytes, at, count).map(|w| i64::from(i16::from_le_bytes(w)))),
        32 => out.extend(words::<4>(bytes, at, count).map(|w| i64::from(i32::from_le_bytes(w)))),
        64 => out.extend(words::<8>(bytes, at, count).map(i64::from_le_bytes)),
        _ => out.extend((0..count as u64).map(|i| element(bytes, at, format, i))),
    }
}

/// The low 32 bits of `count` two's complement elements, behind what `out` has.
#[inline(always)]
pub(super) fn read_i32(bytes: &[u8], address: Address, format: Format, count: usize, out: &mut Vec<i32>) {
    let at = start(address);
    match format.bits() {
        16 => out.extend(words::<2>(bytes, at, count).map(|w| i32::from(i16::from_le_bytes(w)))),
        24 => out.extend(words::<3>(bytes, at, count).map(|[a, b, c]| i32::from_le_bytes([0, a, b, c]) >> 8)),
        32 => out.extend(words::<4>(bytes, at, count).map(i32::from_le_bytes)),
        _ => {
            let mut wide = Vec::new();
            read(bytes, address, format, count, &mut wide);
            out.extend(wide.into_iter().map(|v| i32::from_le_bytes(low(v))));
        }
    }
}

/// `count` unsigned elements.
pub(super) fn read_unsigned(
    bytes: &[u8],
    address: Address,
    format: Format,
    count: usize,
    out: &mut Vec<u64>,
) {
    out.clear();
    let at = start(address);
    match format.bits() {
        2 => {
            let pairs = bytes[at..at + count.div_ceil(4)].iter();
            out.extend(
                pairs.flat_map(|&b| [b & 3, b >> 2 & 3, b >> 4 & 3, b >> 6].map(u64::from)).take(count),
            );
        }
        8 => out.extend(bytes[at..at + count].iter().map(|&b| u64::from(b))),
        16 => out.extend(words::<2>(bytes, at, count).map(|w| u64::from(u16::from_le_bytes(w)))),
        _ => out.extend((0..count as u64).map(|i| unsigned_element(bytes, at, format, i))),
    }
}

/// The low bytes of a value.
fn low<const N: usize>(value: i64) -> [u8; N] {
    let bytes = value.to_le_bytes();
    std::array::from_fn(|i| bytes[i])
}

fn words<const N: usize>(bytes: &[u8], at: usize, count: usize) -> impl Iterator<Item = [u8; N]> {
    bytes[at..at + count * N].as_chunks::<N>().0.iter().copied()
}

/// The low bits of `values`, one element each.
pub(super) fn write(bytes: &mut [u8], address: Address, format: Format, values: &[i64]) {
    let at = start(address);
    let low = |v: i64| v.to_le_bytes();
    match format.bits() {
        8 => bytes[at..at + values.len()].iter_mut().zip(values).for_each(|(b, &v)| *b = low(v)[0]),
        16 => chunks::<2>(bytes, at, values),
        32 => chunks::<4>(bytes, at, values),
        64 => chunks::<8>(bytes, at, values),
        2 if values.len().is_multiple_of(4) => {
            let quads = values.as_chunks::<4>().0;
            for (b, q) in bytes[at..at + quads.len()].iter_mut().zip(quads) {
                let [a, c, d, e] = q.map(|v| low(v)[0] & 3);
                *b = a | c << 2 | d << 4 | e << 6;
            }
        }
        _ => {
            for (i, &v) in values.iter().enumerate() {
                set_element(bytes, at, format, i as u64, v);
            }
        }
    }
}

/// The low bits of `values`, one element each.
#[inline(always)]
pub(super) fn write_i32(bytes: &mut [u8], address: Address, format: Format, values: &[i32]) {
    match format.bits() {
        16 => words_of_i32::<2>(bytes, address, values),
        24 => words_of_i32::<3>(bytes, address, values),
        32 => words_of_i32::<4>(bytes, address, values),
        _ => {
            let values: Vec<i64> = values.iter().map(|&v| v.into()).collect();
            write(bytes, address, format, &values);
        }
    }
}

#[inline(always)]
fn words_of_i32<const N: usize>(bytes: &mut [u8], address: Address, values: &[i32]) {
    let at = start(address);
    let places = bytes[at..at + values.len() * N].as_chunks_mut::<N>().0;
    for (place, v) in places.iter_mut().zip(values) {
        let low = v.to_le_bytes();
        *place = std::array::from_fn(|i| low[i]);
    }
}

fn chunks<const N: usize>(bytes: &mut [u8], at: usize, values: &[i64]) {
    let places = bytes[at..at + values.len() * N].as_chunks_mut::<N>().0;
    for (place, &v) in places.iter_mut().zip(values) {
        place.copy_from_slice(&v.to_le_bytes()[..N]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Memory;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_their_elements(
            bits in 1u32..=64, values in prop::collection::vec(any::<i64>(), 1..40), offset in 0u64..9,
        ) {
            let (format, count) = (Format::new(bits).unwrap(), values.len());
            let address = Address::at(Memory::Mask, offset);
            let mut bytes = vec![0x5a; 400];
            write(&mut bytes, address, format, &values);
            let (mut signed, mut unsigned) = (Vec::new(), Vec::new());
            read(&bytes, address, format, count, &mut signed);
            read_unsigned(&bytes, address, format, count, &mut unsigned);
            let at = start(address);
            for (i, &value) in (0u64..).zip(&values) {
                let unused = 64 - bits;
                let index = usize::try_from(i).unwrap();
                prop_assert_eq!(signed[index], value << unused >> unused);
                prop_assert_eq!(signed[index], element(&bytes, at, format, i));
                prop_assert_eq!(unsigned[index], unsigned_element(&bytes, at, format, i));
            }
            let mut narrow = Vec::new();
            read_i32(&bytes, address, format, count, &mut narrow);
            prop_assert_eq!(narrow, signed.iter().map(|&v| i32::from_le_bytes(low(v))).collect::<Vec<_>>());
            prop_assert!(bytes[..at].iter().all(|&b| b == 0x5a));
            let end = at + usize::try_from(format.bytes(count as u64)).unwrap();
            prop_assert!(bytes[end..].iter().all(|&b| b == 0x5a));
        }
    }
}
