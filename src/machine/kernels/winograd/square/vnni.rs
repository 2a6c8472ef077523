//! Products of squares of outputs by VNNI: four sums are kept for each register of columns. They begin as what is for both outputs and
//! what one gets subtracted, along rows and columns; adding and subtracting makes them the outputs' along columns, then along rows, then
//! twice the former along columns again, so every product finds sums that are its own.

use std::arch::x86_64::{
    __m512i, _mm_dpbusd_epi32, _mm_loadu_si128, _mm_set1_epi8, _mm_set1_epi32, _mm_setzero_si128,
    _mm_shuffle_epi32, _mm_sign_epi8, _mm_storeu_si128, _mm256_add_epi8, _mm256_mask_storeu_epi8,
    _mm256_maskz_loadu_epi8, _mm256_storeu_si256, _mm512_add_epi16, _mm512_add_epi32,
    _mm512_broadcastd_epi32, _mm512_cmpgt_epu16_mask, _mm512_cvtepi16_epi8, _mm512_cvtepu8_epi16,
    _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srai_epi16, _mm512_srai_epi32, _mm512_sub_epi16,
    _mm512_sub_epi32, _mm512_xor_si512,
};

use super::{For, Image, PRODUCTS, Rest, Square, SquareInputs, SquareOperands, Squares, WHOM, added, twice};
use crate::machine::kernels::product::{Extremes, GROUP, LANES, Segment, Target};
use crate::machine::kernels::sums::{Columns, Held};
use crate::machine::kernels::vnni::{REGISTER, join, panels};

/// Codes that are mixed at once.
const AT_ONCE: usize = 32;

/// The sums of `R` squares' first, or other, outputs.
type Sums<const R: usize, const V: usize> = [[__m512i; V]; R];

/// [`super::Kernels::square_product`].
///
/// # Safety
/// The processor has the features; the operands and the output hold all that the shape reaches; nobody else has the output's bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
pub(super) unsafe fn product(
    shape: &Squares,
    operands: SquareOperands<'_>,
    target: &Target<'_>,
    extremes: &mut Extremes,
) {
    let mut held = Held::new();
    for panel in panels(shape.registers(), PRODUCTS * shape.groups()) {
        for first in (0..panel.registers).step_by(2) {
            let column = panel.column + first * LANES;
            // SAFETY: a panel lies in the panels.
            let right = unsafe { operands.panels.as_ptr().add(panel.at + first * REGISTER) };
            let of = Of { shape, operands, target, column, right, step: panel.registers * REGISTER };
            for (number, squares) in (0..).step_by(3).zip(shape.squares.chunks(3)) {
                // SAFETY: what the caller proved holds for every square and panel.
                unsafe {
                    match (squares.len(), panel.registers - first) {
                        (1, 1) => of.tile::<1, 1>(number, squares, &mut held),
                        (2, 1) => of.tile::<2, 1>(number, squares, &mut held),
                        (_, 1) => of.tile::<3, 1>(number, squares, &mut held),
                        (1, _) => of.tile::<1, 2>(number, squares, &mut held),
                        (2, _) => of.tile::<2, 2>(number, squares, &mut held),
                        _ => of.tile::<3, 2>(number, squares, &mut held),
                    }
                }
            }
        }
    }
    held.write(extremes);
}

/// Some columns of a panel.
struct Of<'a> {
    shape: &'a Squares,
    operands: SquareOperands<'a>,
    target: &'a Target<'a>,
    column: usize,
    /// Their codes of the panel's first group.
    right: *const u8,
    /// Bytes from group to group.
    step: usize,
}

impl Of<'_> {
    /// `R` squares from number `first` on, and `V` registers of columns.
    ///
    /// # Safety
    /// As [`product`]; there are `R` squares.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
    unsafe fn tile<const R: usize, const V: usize>(&self, first: usize, squares: &[Square], held: &mut Held) {
        let mut lacked = [[[_mm512_setzero_si512(); V]; 4]; R];
        for (square, lacked) in (first..).zip(&mut lacked) {
            let rests = self.operands.left.rests_of(square);
            if !rests.is_empty() {
                // SAFETY: the caller's promise.
                *lacked = unsafe { self.lacked(rests) };
            }
        }
        let zero = [[_mm512_setzero_si512(); V]; R];
        let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
        // SAFETY: the caller's promise.
        unsafe {
            self.join_four(first, 0, [&mut a, &mut b, &mut c, &mut d]);
            exchange(&mut a, &mut b);
            exchange(&mut c, &mut d);
            self.join_four(first, 4, [&mut a, &mut b, &mut c, &mut d]);
            exchange(&mut a, &mut c);
            exchange(&mut b, &mut d);
            self.join_four(first, 8, [&mut a, &mut b, &mut c, &mut d]);
            exchange(&mut a, &mut b);
            exchange(&mut c, &mut d);
            self.join_four(first, 12, [&mut a, &mut b, &mut c, &mut d]);
            exchange(&mut a, &mut b);
            exchange(&mut c, &mut d);
            self.put::<0, 0, R, V>(squares, (&a, &lacked), held);
            self.put::<0, 1, R, V>(squares, (&b, &lacked), held);
            self.put::<1, 0, R, V>(squares, (&c, &lacked), held);
            self.put::<1, 1, R, V>(squares, (&d, &lacked), held);
        }
    }

    /// Joins four products from number `product` on, each to sums of its own.
    ///
    /// # Safety
    /// As [`Of::tile`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn join_four<const R: usize, const V: usize>(
        &self,
        first: usize,
        product: usize,
        sums: [&mut Sums<R, V>; 4],
    ) {
        let (channels, groups) = (self.shape.channels, self.shape.groups());
        let inputs = self.operands.left.bytes.as_ptr();
        let rows = std::array::from_fn(|r| inputs.wrapping_add((first + r) * PRODUCTS * channels));
        for (product, sums) in (product..).zip(sums) {
            let segment = Segment { offset: product * channels, groups, first_group: product * groups };
            // What is lent may be anywhere: the loop would store every sum.
            let mut own = *sums;
            // SAFETY: the panel holds these registers for each group of each product, and squares four bytes.
            unsafe { join(rows, (self.right, self.step), &[segment], &mut own) };
            *sums = own;
        }
    }

    /// What each output of a square lacks for inputs that stand modulo 256.
    ///
    /// # Safety
    /// As [`product`].
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512vl,avx512vnni")]
    unsafe fn lacked<const V: usize>(&self, rests: &[Rest]) -> [[__m512i; V]; 4] {
        let mut sums = [[_mm512_setzero_si512(); V]; 4];
        let mut too_much = _mm_setzero_si128();
        for rest in rests {
            let at = self.right.wrapping_add(rest.group as usize * self.step);
            let mut codes = [_mm512_setzero_si512(); V];
            for (v, codes) in codes.iter_mut().enumerate() {
                // SAFETY: the panel holds these registers for each group. Codes plus 128 are unsigned.
                let register = unsafe { _mm512_loadu_si512(at.add(REGISTER * v).cast()) };
                *codes = _mm512_xor_si512(register, _mm512_set1_epi8(-128));
            }
            for (sums, times) in sums.iter_mut().zip(rest.times) {
                for (sum, codes) in sums.iter_mut().zip(codes) {
                    *sum = _mm512_dpbusd_epi32(*sum, codes, _mm512_set1_epi32(times));
                }
            }
            // SAFETY: sixteen bytes.
            let times = unsafe { _mm_loadu_si128(rest.times.as_ptr().cast()) };
            too_much = _mm_dpbusd_epi32(too_much, _mm_set1_epi8(-128), times);
        }
        let too_much = [
            _mm512_broadcastd_epi32(too_much),
            _mm512_broadcastd_epi32(_mm_shuffle_epi32::<1>(too_much)),
            _mm512_broadcastd_epi32(_mm_shuffle_epi32::<2>(too_much)),
            _mm512_broadcastd_epi32(_mm_shuffle_epi32::<3>(too_much)),
        ];
        for (sums, too_much) in sums.iter_mut().zip(too_much) {
            for sum in sums {
                *sum = _mm512_slli_epi32::<8>(_mm512_sub_epi32(*sum, too_much));
            }
        }
        sums
    }

    /// Puts the sums of one output of squares, so many rows below the first and columns beside it.
    ///
    /// # Safety
    /// As [`product`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn put<const BELOW: usize, const BESIDE: usize, const R: usize, const V: usize>(
        &self,
        squares: &[Square],
        (sums, lacked): (&Sums<R, V>, &[[[__m512i; V]; 4]; R]),
        held: &mut Held,
    ) {
        let lanes = self.shape.registers() * LANES;
        for v in 0..V {
            let column = self.column + v * LANES;
            let correction = &self.operands.corrections[(2 * BELOW + BESIDE) * lanes + column..][..LANES];
            // SAFETY: a register's lanes.
            let correction = unsafe { _mm512_loadu_si512(correction.as_ptr().cast()) };
            let columns = Columns::uncorrected(column, self.shape.columns);
            for ((square, sums), lacked) in squares.iter().zip(sums).zip(lacked) {
                if (BELOW == 0 || square.whole[0]) && (BESIDE == 0 || square.whole[1]) {
                    let row = square.row + BELOW * self.shape.below + BESIDE;
                    let sums = _mm512_add_epi32(sums[v], lacked[2 * BELOW + BESIDE][v]);
                    let sums = _mm512_srai_epi32::<3>(_mm512_sub_epi32(sums, correction));
                    // SAFETY: as the caller proved; the row is the caller's.
                    unsafe { columns.put(self.target, row, sums, held) };
                }
            }
        }
    }
}

/// Makes two sums their sum and the first less the second.
#[inline]
#[target_feature(enable = "avx512f")]
fn exchange<const R: usize, const V: usize>(first: &mut Sums<R, V>, second: &mut Sums<R, V>) {
    for (first, second) in first.iter_mut().flatten().zip(second.iter_mut().flatten()) {
        (*first, *second) = (_mm512_add_epi32(*first, *second), _mm512_sub_epi32(*first, *second));
    }
}

/// [`super::Kernels::mix_squares`].
///
/// # Safety
/// The processor has the features; the image and the inputs are as long as that needs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn mix(
    image: Image<'_>,
    [down, across]: [usize; 2],
    first: usize,
    inputs: &mut SquareInputs,
) {
    let Image { codes, rows, columns, channels, natural } = image;
    for square in 0..down * across {
        let (y, x) = (2 * (square / across), 2 * (square % across));
        // A square that is not whole may leave the image: what is there no output meets.
        let places: [[usize; 4]; 4] = std::array::from_fn(|dx| {
            std::array::from_fn(|dy| {
                ((y + dy).min(rows - 1) * columns + (x + dx).min(columns - 1)) * channels
            })
        });
        let to = inputs.bytes.as_mut_ptr().wrapping_add((first + square) * PRODUCTS * channels);
        for channel in (0..channels).step_by(AT_ONCE) {
            let mask = u32::MAX >> (AT_ONCE - AT_ONCE.min(channels - channel));
            let mut mixed = [[_mm512_setzero_si512(); 4]; 4];
            for (mixed, places) in mixed.iter_mut().zip(places) {
                *mixed = mix_four(places.map(|place| {
                    let from = codes.as_ptr().wrapping_add(place + channel).cast();
                    // SAFETY: bytes behind the last channel are masked.
                    _mm512_cvtepu8_epi16(unsafe { _mm256_maskz_loadu_epi8(mask, from) })
                }));
            }
            let mut beyond = [0; PRODUCTS];
            for (along_rows, products) in PRODUCT_OF.into_iter().enumerate() {
                for (input, product) in inputs_of(&mixed, along_rows).into_iter().zip(products) {
                    let input = _mm512_add_epi16(input, _mm512_set1_epi16(much(product, natural)));
                    let at = to.wrapping_add(product * channels + channel);
                    // SAFETY: bytes behind the last channel are masked.
                    unsafe { _mm256_mask_storeu_epi8(at.cast(), mask, _mm512_cvtepi16_epi8(input)) };
                    beyond[product] = _mm512_cmpgt_epu16_mask(input, _mm512_set1_epi16(255)) & mask;
                }
            }
            if beyond != [0; PRODUCTS] {
                for (along_rows, products) in PRODUCT_OF.into_iter().enumerate() {
                    let of_rows = inputs_of(&mixed, along_rows).into_iter();
                    for (input, product) in of_rows.zip(products) {
                        if beyond[product] != 0 {
                            let input = _mm512_add_epi16(input, _mm512_set1_epi16(much(product, natural)));
                            let first_group = (product * channels + channel) / GROUP;
                            add_rests(input, beyond[product], (product, first_group), &mut inputs.rests);
                        }
                    }
                }
            }
        }
        inputs.end.push(u32::try_from(inputs.rests.len()).unwrap_or(u32::MAX));
    }
}

/// Inputs of four products, of what rows were mixed to.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn inputs_of(mixed: &[[__m512i; 4]; 4], along_rows: usize) -> [__m512i; 4] {
    mix_four(mixed.map(|column| column[along_rows]))
}

/// What is added to an input that is mixed of codes plus 128.
#[inline]
fn much(product: usize, natural: bool) -> i16 {
    let both = if WHOM[product] == [For::Both; 2] { 4 * 128 } else { 0 };
    i16::try_from(added(WHOM[product], natural) - both).unwrap_or(0)
}

/// Codes of four rows or columns: what is for both outputs, what one gets subtracted, what is for the first alone and for the second.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mix_four([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    [_mm512_add_epi16(b, c), _mm512_sub_epi16(c, b), _mm512_sub_epi16(a, c), _mm512_sub_epi16(b, d)]
}

/// The number of the product that has inputs mixed so along rows and columns.
const PRODUCT_OF: [[usize; 4]; 4] = [[0, 1, 4, 5], [2, 3, 6, 7], [12, 13, 8, 9], [14, 15, 10, 11]];

/// Adds those of a product's inputs that are beyond a byte, each four from a group on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,ssse3")]
fn add_rests(input: __m512i, beyond: u32, (product, first_group): (usize, usize), rests: &mut Vec<Rest>) {
    let mut over = _mm512_cvtepi16_epi8(_mm512_srai_epi16::<8>(input));
    if twice(product) {
        over = _mm256_add_epi8(over, over);
    }
    let mut fours = [0; AT_ONCE / GROUP];
    // SAFETY: a register's bytes, and sixteen signs.
    let signs = unsafe {
        _mm256_storeu_si256(fours.as_mut_ptr().cast(), over);
        _mm_loadu_si128(SIGNS[product].as_ptr().cast())
    };
    let mut groups = (beyond | beyond >> 1 | beyond >> 2 | beyond >> 3) & 0x1111_1111;
    while groups != 0 {
        let group = groups.trailing_zeros() as usize / GROUP;
        let four = _mm_set1_epi32(fours[group]);
        let mut times = [0; 4];
        // SAFETY: sixteen bytes.
        unsafe { _mm_storeu_si128(times.as_mut_ptr().cast(), _mm_sign_epi8(four, signs)) };
        rests.push(Rest { group: u32::try_from(first_group + group).unwrap_or(0), times });
        groups &= groups - 1;
    }
}

/// How often each output gets each product, for four bytes each; no matter whether twice.
const SIGNS: [[[i8; GROUP]; 4]; PRODUCTS] = {
    let mut signs = [[[0; GROUP]; 4]; PRODUCTS];
    let mut place = 0;
    while place < PRODUCTS * 4 {
        let (product, output) = (place / 4, place % 4);
        let [rows, columns] = WHOM[product];
        #[expect(clippy::cast_possible_truncation, reason = "one or none")]
        let sign = (rows.times()[output / 2] * columns.times()[output % 2]) as i8;
        signs[product][output] = [sign; GROUP];
        place += 1;
    }
    signs
};
