//! The vector unit's operations on one element. The reference engine applies them one after another, the stepped one beat
//! by beat.

use crate::isa::{VDivide, VExp, VMask, VOnehot, VShift, VState, VStochastic, VUnpool};
use crate::machine::State;
use crate::number::{clip, exponent, fits, max_code, rsh, stochastic_step};

/// A value, and whether a clip changed it.
pub(in crate::machine) type Clipped = (i64, bool);

/// `v.shift`, with what its scale register holds.
pub(in crate::machine) fn shift(i: &VShift, scale: i64, x: i64) -> Clipped {
    let n = scale.saturating_add(i.shift.into()).clamp(-200, 200);
    let shifted = rsh(x.into(), i32::try_from(n).unwrap_or(0), i.rounding);
    let code = clip(shifted, i.bits);
    (code, i128::from(code) != shifted)
}

/// `v.state`: `|x| > c · 2^shift`, compared exactly: both sides times `2^-shift` where it is negative.
pub(in crate::machine) fn state(i: &VState, x: i64) -> i64 {
    let (limit, x) = (i128::from(max_code(i.bits)), i128::from(x));
    let clipped = match u32::try_from(i.shift) {
        Ok(up) => x.abs() > limit << up.min(90),
        Err(_) => x.abs() << i.shift.unsigned_abs().min(60) > limit,
    };
    if clipped { 2 } else { i64::from(x > 0) }
}

/// `v.mask`.
pub(in crate::machine) fn mask(i: &VMask, x: i64, state: u64) -> i64 {
    if i.keep >> state & 1 == 1 { x } else { 0 }
}

/// `v.onehot`.
pub(in crate::machine) fn onehot(i: &VOnehot, x: i64, label: u64, column: u64) -> i64 {
    // No sum of products comes near 2^63: what wraps here is a value that no product made.
    x.wrapping_sub(if label == column { 1 << i.shift } else { 0 })
}

/// One more element of a row of `v.reduce`.
pub(in crate::machine) fn reduced(sum: bool, so_far: i64, x: i64) -> i64 {
    if sum { so_far.wrapping_add(x) } else { so_far.max(x) }
}

/// log2(e) with 30 bits of fraction.
const LOG2_E: i128 = 1_549_082_005;

/// `v.exp`: the whole powers of two that are shifted out, the table's entry, and the weight of the one behind it.
fn power(i: &VExp, x: i64, greatest: i64) -> (u32, u64, i64) {
    let y = (i128::from(greatest) - i128::from(x)).max(0) * LOG2_E;
    let whole = u32::try_from((y >> (30 + i.fraction)).min(63)).unwrap_or(63);
    let fraction = u64::try_from((y >> (6 + i.fraction)) & 0xff_ffff).unwrap_or(0);
    (whole, fraction >> 16, i64::try_from(fraction & 0xffff).unwrap_or(0))
}

/// `v.exp`: the entry of the table that is read for an element; the one behind it is read too.
pub(in crate::machine) fn exp_entry(i: &VExp, x: i64, greatest: i64) -> u64 {
    power(i, x, greatest).1
}

/// `v.exp`, from the two entries of the table.
pub(in crate::machine) fn exp(i: &VExp, x: i64, greatest: i64, entries: [i64; 2]) -> i64 {
    let (whole, _, weight) = power(i, x, greatest);
    ((entries[0] * ((1 << 16) - weight) + entries[1] * weight) >> 16) >> whole
}

/// `v.divide`.
pub(in crate::machine) fn divide(i: &VDivide, x: i64, denominator: i64) -> i64 {
    if denominator <= 0 {
        return 0;
    }
    let denominator = i128::from(denominator);
    let quotient = ((i128::from(x) << (i.shift + 1)) + denominator).div_euclid(2 * denominator);
    // No share is greater than its row times 2^32: what wraps here is a value that no sum made.
    i64::try_from(quotient).unwrap_or(0)
}

/// The clip of `v.unpool`.
pub(in crate::machine) fn routed(i: &VUnpool, sum: i128) -> Clipped {
    let code = clip(sum, i.bits);
    (code, i128::from(code) != sum)
}

/// `v.sub`, `v.add`: what a sum is held to.
pub(in crate::machine) fn held(sum: i128, limit: u64) -> Clipped {
    let limit = i128::from(limit);
    let held = sum.clamp(-limit, limit);
    (i64::try_from(held).unwrap_or(0), held != sum)
}

/// `v.stochastic`, with what its scale register holds; nothing where the step does not fit.
pub(in crate::machine) fn stochastic(
    i: &VStochastic,
    state: &State,
    scale: i64,
    element: u64,
    x: i64,
) -> Option<i64> {
    let t = i32::try_from(scale.clamp(-200, 200)).unwrap_or(0);
    let random = state.rounding_words().word(i.number + element) >> (32 - i.random_bits);
    let step = stochastic_step(x, t, random, i.random_bits);
    i64::try_from(step).ok().filter(|&k| fits(k, i.dst_format.bits()))
}

/// What `v.maxabs` compares.
pub(in crate::machine) fn magnitude(x: i64) -> i64 {
    x.checked_abs().unwrap_or(i64::MAX)
}

/// What `v.sumsq` adds.
pub(in crate::machine) fn square(x: i64) -> u128 {
    u128::from(x.unsigned_abs()).pow(2)
}

/// `x.exponent`.
pub(in crate::machine) fn exponent_of(maximum: i64) -> i64 {
    exponent(u128::try_from(maximum).unwrap_or(0)).unwrap_or(0).into()
}
