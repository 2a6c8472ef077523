//! Products of squares of outputs by VNNI: four sums are kept for each register of columns. They begin as what is for both outputs and
//! what one gets subtracted, along rows and columns; adding and subtracting makes them the outputs' along columns, then along rows, then
//! twice the former along columns again, so every product finds sums that are its own.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_add_epi8, _mm_add_epi16, _mm_cvtepu8_epi16, _mm_cvtsi32_si128, _mm_cvtsi128_si32,
    _mm_dpbusd_epi32, _mm_loadu_si128, _mm_packs_epi16, _mm_set1_epi8, _mm_set1_epi16, _mm_set1_epi32,
    _mm_setzero_si128, _mm_shuffle_epi32, _mm_sign_epi8, _mm_srai_epi16, _mm_storeu_si128, _mm_sub_epi16,
    _mm512_add_epi8, _mm512_add_epi32, _mm512_adds_epi8, _mm512_adds_epu8, _mm512_broadcastd_epi32,
    _mm512_cmpneq_epi8_mask, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_mask_storeu_epi8,
    _mm512_maskz_loadu_epi8, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_slli_epi32,
    _mm512_srai_epi32, _mm512_sub_epi8, _mm512_sub_epi32, _mm512_subs_epi8, _mm512_xor_si512,
};

use super::{For, Image, PRODUCTS, Rest, Square, SquareInputs, SquareOperands, Squares, WHOM, added, twice};
use crate::machine::kernels::product::{Extremes, GROUP, LANES, Segment, Target};
use crate::machine::kernels::sums::{Columns, Held};
use crate::machine::kernels::vnni::{Panel, REGISTER, join, panels, shared_out};
use crate::machine::kernels::winograd::{ACROSS, MOST};

/// Codes that are mixed at once.
const AT_ONCE: usize = 64;

/// Where the codes of a square's four columns begin, of four rows each.
type Places = [[usize; 4]; 4];

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
    let panels = panels(shape.registers(), PRODUCTS * shape.groups());
    for panel in panels.flat_map(|panel| panel.parts(ACROSS)) {
        // SAFETY: a panel lies in the panels; what the caller proved holds for every square and panel.
        unsafe {
            let right = operands.panels.as_ptr().add(panel.at);
            let of = Of { shape, operands, target, panel, right };
            match panel.registers {
                1 => of.squares::<1>(&mut held),
                _ => of.squares::<ACROSS>(&mut held),
            }
        }
    }
    held.write(extremes);
}

/// A part of a panel.
struct Of<'a> {
    shape: &'a Squares,
    operands: SquareOperands<'a>,
    target: &'a Target<'a>,
    panel: Panel,
    /// Its codes of the first group.
    right: *const u8,
}

impl Of<'_> {
    /// All squares, up to [`MOST`] at a time.
    ///
    /// # Safety
    /// As [`product`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
    unsafe fn squares<const V: usize>(&self, held: &mut Held) {
        let all = &self.shape.squares;
        let most = shared_out(all.len(), MOST);
        for (number, squares) in (0..).step_by(most).zip(all.chunks(most)) {
            // SAFETY: as the caller proved.
            unsafe {
                match squares.len() {
                    1 => self.tile::<1, V>(number, squares, held),
                    2 => self.tile::<2, V>(number, squares, held),
                    3 => self.tile::<3, V>(number, squares, held),
                    4 => self.tile::<4, V>(number, squares, held),
                    5 => self.tile::<5, V>(number, squares, held),
                    _ => self.tile::<MOST, V>(number, squares, held),
                }
            }
        }
    }

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
            // One place, for what is called from several is not inlined, and then sums are stored.
            for phase in 0..PRODUCTS / 4 {
                self.join_four(first, 4 * phase, [&mut a, &mut b, &mut c, &mut d]);
                if phase == 1 {
                    exchange(&mut a, &mut c);
                    exchange(&mut b, &mut d);
                } else {
                    exchange(&mut a, &mut b);
                    exchange(&mut c, &mut d);
                }
            }
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
            // SAFETY: the panel holds these registers for each group of each product, and squares four bytes.
            unsafe { join(rows, (self.right, self.panel.step), &[segment], sums) };
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
            let at = self.right.wrapping_add(rest.group as usize * self.panel.step);
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
            let column = self.panel.column + v * LANES;
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,sse4.1,ssse3")]
pub(super) unsafe fn mix<const NATURAL: bool>(
    image: Image<'_>,
    [down, across]: [usize; 2],
    first: usize,
    inputs: &mut SquareInputs,
) {
    let Image { codes, rows, columns, channels, .. } = image;
    let flip = _mm512_set1_epi8(-128);
    for square in 0..down * across {
        let (y, x) = (2 * (square / across), 2 * (square % across));
        // A square that is not whole may leave the image: what is there no output meets.
        let places: Places = std::array::from_fn(|dx| {
            std::array::from_fn(|dy| {
                ((y + dy).min(rows - 1) * columns + (x + dx).min(columns - 1)) * channels
            })
        });
        let to = inputs.bytes.as_mut_ptr().wrapping_add((first + square) * PRODUCTS * channels);
        for channel in (0..channels).step_by(AT_ONCE) {
            let mask = u64::MAX >> (AT_ONCE - AT_ONCE.min(channels - channel));
            // What rows are mixed to, by column; where that left a byte.
            let mut mixed = [[_mm512_setzero_si512(); 4]; 4];
            let mut left = [0; 4];
            for (column, places) in places.iter().enumerate() {
                let mut four = [_mm512_setzero_si512(); 4];
                for (codes_of, place) in four.iter_mut().zip(places) {
                    let from = codes.as_ptr().wrapping_add(place + channel).cast();
                    // SAFETY: bytes behind the last channel are masked.
                    *codes_of = _mm512_xor_si512(unsafe { _mm512_maskz_loadu_epi8(mask, from) }, flip);
                }
                let (wrapped, saturated) = (mix_four(four), mix_four_saturated(four));
                for along in 0..4 {
                    mixed[along][column] = wrapped[along];
                    // Of codes that are not negative none does, for sums are unsigned.
                    if !NATURAL {
                        left[along] |= _mm512_cmpneq_epi8_mask(wrapped[along], saturated[along]);
                    }
                }
            }
            for (along, products) in PRODUCT_OF.into_iter().enumerate() {
                let [a, b, c, d] = mixed[along];
                let is_unsigned = NATURAL && along == 0;
                let flipped = if is_unsigned { flip } else { _mm512_setzero_si512() };
                let signed = [
                    _mm512_xor_si512(a, flipped),
                    _mm512_xor_si512(b, flipped),
                    _mm512_xor_si512(c, flipped),
                    _mm512_xor_si512(d, flipped),
                ];
                let (mut wrapped, mut saturated) = (mix_four(signed), mix_four_saturated(signed));
                if is_unsigned {
                    (wrapped[0], saturated[0]) = (_mm512_add_epi8(b, c), _mm512_adds_epu8(b, c));
                }
                for (number, product) in products.into_iter().enumerate() {
                    let is_natural = is_unsigned && number == 0;
                    let added = if is_natural { _mm512_setzero_si512() } else { flip };
                    let input = _mm512_xor_si512(wrapped[number], added);
                    let at = to.wrapping_add(product * channels + channel);
                    // SAFETY: bytes behind the last channel are masked.
                    unsafe { _mm512_mask_storeu_epi8(at.cast(), mask, input) };
                    let beyond = _mm512_cmpneq_epi8_mask(wrapped[number], saturated[number]) | left[along];
                    if beyond & mask != 0 {
                        add_rests::<NATURAL>(
                            image,
                            (&places, channel),
                            beyond & mask,
                            product,
                            &mut inputs.rests,
                        );
                    }
                }
            }
        }
        inputs.end.push(u32::try_from(inputs.rests.len()).unwrap_or(u32::MAX));
    }
}

/// Codes of four rows or columns: what is for both outputs, what one gets subtracted, what is for the first alone and for the second.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mix_four([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    [_mm512_add_epi8(b, c), _mm512_sub_epi8(c, b), _mm512_sub_epi8(a, c), _mm512_sub_epi8(b, d)]
}

/// The same where none leaves a byte, another where one does.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mix_four_saturated([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    [_mm512_adds_epi8(b, c), _mm512_subs_epi8(c, b), _mm512_subs_epi8(a, c), _mm512_subs_epi8(b, d)]
}

/// Which two of four rows or columns are mixed so, and whether the second is subtracted.
const fn pair(whom: For) -> (usize, usize, bool) {
    match whom {
        For::Both => (1, 2, false),
        For::Opposed => (2, 1, true),
        For::First => (0, 2, true),
        For::Second => (1, 3, true),
    }
}

/// The number of the product that has inputs mixed so along rows and columns.
const PRODUCT_OF: [[usize; 4]; 4] = [[0, 1, 4, 5], [2, 3, 6, 7], [12, 13, 8, 9], [14, 15, 10, 11]];

/// Adds those of a product's inputs that are no bytes, among those that may be, from a channel on.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,sse4.1,ssse3")]
fn add_rests<const NATURAL: bool>(
    image: Image<'_>,
    (places, channel): (&Places, usize),
    beyond: u64,
    product: usize,
    rests: &mut Vec<Rest>,
) {
    let [(row, other_row, minus_row), (column, other_column, minus_column)] = WHOM[product].map(pair);
    let both = WHOM[product] == [For::Both; 2];
    let added = added(WHOM[product], NATURAL) - if both { 4 * 128 } else { 0 };
    let added = _mm_set1_epi16(i16::try_from(added).unwrap_or(0));
    // SAFETY: sixteen signs.
    let signs = unsafe { _mm_loadu_si128(SIGNS[product].as_ptr().cast()) };
    let mut groups = (beyond | beyond >> 1 | beyond >> 2 | beyond >> 3) & 0x1111_1111_1111_1111;
    while groups != 0 {
        let group = (channel + groups.trailing_zeros() as usize) / GROUP;
        groups &= groups - 1;
        let mut of_rows = [_mm_setzero_si128(); 2];
        for (sum, row) in of_rows.iter_mut().zip([row, other_row]) {
            let [one, other] = [places[column][row], places[other_column][row]];
            *sum = mix_two(four(image.codes, one, group), four(image.codes, other, group), minus_column);
        }
        let input = _mm_add_epi16(mix_two(of_rows[0], of_rows[1], minus_row), added);
        let mut over = _mm_srai_epi16::<8>(input);
        over = _mm_packs_epi16(over, over);
        if twice(product) {
            over = _mm_add_epi8(over, over);
        }
        let over = _mm_cvtsi128_si32(over);
        if over != 0 {
            let mut times = [0; 4];
            let signed = _mm_sign_epi8(_mm_set1_epi32(over), signs);
            // SAFETY: sixteen bytes.
            unsafe { _mm_storeu_si128(times.as_mut_ptr().cast(), signed) };
            let group = product * (image.channels / GROUP) + group;
            rests.push(Rest { group: u32::try_from(group).unwrap_or(u32::MAX), times });
        }
    }
}

/// A group's codes from a place on.
#[inline]
#[target_feature(enable = "sse4.1")]
fn four(codes: &[u8], place: usize, group: usize) -> __m128i {
    let four = codes[place + group * GROUP..].first_chunk().copied().unwrap_or_default();
    _mm_cvtepu8_epi16(_mm_cvtsi32_si128(i32::from_le_bytes(four)))
}

/// The sum of two, or the first less the second.
#[inline]
#[target_feature(enable = "sse4.1")]
fn mix_two(one: __m128i, other: __m128i, minus: bool) -> __m128i {
    if minus { _mm_sub_epi16(one, other) } else { _mm_add_epi16(one, other) }
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
