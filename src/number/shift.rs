//! Shifts with rounding, clips, exponents and the stochastic step.

use serde::{Deserialize, Serialize};

/// How a shift to the right rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// To the nearest integer, ties to even: the contract.
    #[default]
    Even,
    /// To the nearest integer, ties upwards: add half, shift.
    Up,
    /// Downwards: shift.
    Truncate,
}

impl Rounding {
    /// Every rounding, in the order of its encoding.
    pub const ALL: [Self; 3] = [Self::Even, Self::Up, Self::Truncate];

    /// Its name in files and in assembly.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Up => "up",
            Self::Truncate => "truncate",
        }
    }
}

/// `x / 2^n`, rounded; for `n <= 0` the exact left shift, held at the ends of `i128`.
pub fn rsh(x: i128, n: i32, rounding: Rounding) -> i128 {
    let Ok(right) = u32::try_from(n) else { return left(x, n.unsigned_abs()) };
    if right == 0 {
        return x;
    }
    if right > 126 {
        // |x| <= 2^127 is at most half of 2^128: only 2^127 / 2^127 and its half can round away from 0 or -1.
        return rsh(rsh_sticky(x, right - 126), 126, rounding);
    }
    let floor = x >> right;
    let rest = x - (floor << right);
    let half = 1i128 << (right - 1);
    let up = match rounding {
        Rounding::Even => rest > half || (rest == half && floor & 1 == 1),
        Rounding::Up => rest >= half,
        Rounding::Truncate => false,
    };
    floor + i128::from(up)
}

/// A shift that keeps in the last bit whether anything was lost.
fn rsh_sticky(x: i128, n: u32) -> i128 {
    let n = n.min(127);
    let floor = x >> n;
    floor | i128::from(floor << n != x)
}

fn left(x: i128, n: u32) -> i128 {
    let limit = if x < 0 { i128::MIN } else { i128::MAX };
    if x == 0 {
        0
    } else if n > 126 || (x << n) >> n != x {
        limit
    } else {
        x << n
    }
}

/// The greatest code of `bits` bits, `2^(bits-1) - 1`.
pub fn max_code(bits: u32) -> i64 {
    (1 << (bits - 1)) - 1
}

/// `x` held to `±max_code(bits)`.
pub fn clip(x: i128, bits: u32) -> i64 {
    let limit = max_code(bits);
    i64::try_from(x).map_or(if x < 0 { -limit } else { limit }, |x| x.clamp(-limit, limit))
}

/// Whether `x` is a two's complement number of `bits` bits.
pub fn fits(x: i64, bits: u32) -> bool {
    needed_bits(x) <= bits
}

/// The least `k` with `-2^(k-1) <= x <= 2^(k-1) - 1`.
pub fn needed_bits(x: i64) -> u32 {
    let magnitude = if x < 0 { !x } else { x };
    i64::BITS - magnitude.leading_zeros() + 1
}

/// `round(log2 m)`; there is none of 0.
pub fn exponent(m: u128) -> Option<u32> {
    let floor = m.checked_ilog2()?;
    // m^2 > 2^(2f+1), compared without squaring beyond 128 bits.
    let above = if floor < 63 { m * m > 1u128 << (2 * floor + 1) } else { wide_above(m, floor) };
    Some(floor + u32::from(above))
}

/// `m^2 > 2^(2f+1)` for `m` of more than 63 bits: the square of its high half decides, exactly by long products.
fn wide_above(m: u128, floor: u32) -> bool {
    let (high, low) = (m >> 64, m & u128::from(u64::MAX));
    // m^2 = high^2 2^128 + 2 high low 2^64 + low^2, kept as (top, bottom) of 128 bits each.
    let (bottom, carry_low) = (low * low).overflowing_add((high * low) << 65);
    let top = high * high + ((high * low) >> 63) + u128::from(carry_low);
    let shift = 2 * floor + 1;
    if shift >= 128 {
        let bound = if shift - 128 < 128 { 1u128 << (shift - 128) } else { return false };
        top > bound || (top == bound && bottom > 0)
    } else {
        top > 0 || bottom > 1u128 << shift
    }
}

/// The weight step of a gradient (arithmetic: gradient and update): `|g| · 2^-t`, rounded stochastically by
/// `random` (its low `random_bits` bits), with the sign of `g`.
pub fn stochastic_step(g: i64, t: i32, random: u32, random_bits: u32) -> i128 {
    let magnitude = i128::from(g.unsigned_abs());
    let step = match u32::try_from(t) {
        Err(_) | Ok(0) => left(magnitude, t.unsigned_abs()),
        // Beyond 94 bits the fraction is less than any random word but 0, which it exceeds if it is not 0.
        Ok(t) if t > 94 => i128::from(magnitude > 0 && random == 0),
        Ok(t) => {
            let (whole, fraction) = (magnitude >> t, magnitude & ((1 << t) - 1));
            // fraction · 2^r > random · 2^t without leaving 128 bits: fraction > random · 2^(t - r).
            let up = if t >= random_bits {
                fraction > i128::from(random) << (t - random_bits)
            } else {
                fraction << (random_bits - t) > i128::from(random)
            };
            whole + i128::from(up)
        }
    };
    if g < 0 { -step } else { step }
}

/// Whether a gradient's step depends on a random word at all.
pub fn needs_random(g: i64, t: i32) -> bool {
    t > 0 && (t > 63 || g.unsigned_abs() & ((1 << t) - 1) != 0) && g != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_even() {
        let halves = [-5, -3, -1, 1, 3, 5].map(|x| rsh(x, 1, Rounding::Even));
        assert_eq!(halves, [-2, -2, 0, 0, 2, 2]);
        assert_eq!([-5, -3, -1, 1, 3, 5].map(|x| rsh(x, 1, Rounding::Up)), [-2, -1, 0, 1, 2, 3]);
        assert_eq!([-5, -3, -1, 1, 3, 5].map(|x| rsh(x, 1, Rounding::Truncate)), [-3, -2, -1, 0, 1, 2]);
    }

    #[test]
    fn shifts_beyond_the_width_keep_the_sign_of_truncation() {
        assert_eq!(rsh(i128::MAX, 200, Rounding::Even), 0);
        assert_eq!(rsh(-1, 200, Rounding::Truncate), -1);
        assert_eq!(rsh(i128::MIN, 127, Rounding::Even), -1);
        assert_eq!(rsh(i128::MIN, 128, Rounding::Even), 0);
        assert_eq!(rsh(3, -200, Rounding::Even), i128::MAX);
    }

    #[test]
    fn exponents_round_the_logarithm() {
        assert_eq!(
            [1, 2, 3, 5, 6, 11, 12, 90, 91].map(|m| exponent(m).unwrap()),
            [0, 1, 2, 2, 3, 3, 4, 6, 7]
        );
        assert_eq!(exponent(0), None);
        assert_eq!(exponent(1 << 100), Some(100));
        assert_eq!(exponent(u128::MAX), Some(128));
    }

    #[test]
    fn needed_bits_are_twos_complement() {
        assert_eq!([0, -1, 1, -2, 127, -128, 128].map(needed_bits), [1, 1, 2, 2, 8, 8, 9]);
    }

    proptest! {
        #[test]
        fn rsh_is_the_nearest_integer(x in any::<i64>(), n in 1i32..62) {
            let q = rsh(x.into(), n, Rounding::Even);
            let twice = 2 * (i128::from(x) - (q << n)).abs();
            prop_assert!(twice < 1 << n || twice == (1 << n) && q % 2 == 0);
        }

        #[test]
        fn exponent_of_wide_numbers_is_that_of_their_leading_bits(m in 1u128 << 20..1 << 62, up in 1u32..60) {
            prop_assert_eq!(exponent(m << up).unwrap(), exponent(m).unwrap() + up);
        }

        #[test]
        fn a_step_is_within_one_of_its_quotient(g in any::<i32>(), t in 1i32..40, r in any::<u16>()) {
            let k = stochastic_step(g.into(), t, r.into(), 16).unsigned_abs();
            let floor = u128::from(g.unsigned_abs()) >> t;
            prop_assert!(k == floor || k == floor + 1);
            if !needs_random(g.into(), t) {
                prop_assert_eq!(k, floor);
            }
        }
    }
}
