"""Codes and what turns sums into codes: shift with rounding, clip, exponent, stochastic rounding.

Written from the contract (ARITHMETIC: codes, three primitives, gradient and update) and from nothing else.
Arrays are int64; where 64 bits do not hold an intermediate the same expressions run on arrays of Python integers.
Knows no layers and no files.
"""

from decimal import Decimal

import numpy as np

_SAFE_BITS = 62  # magnitudes below 2^62 leave int64 room for one addition


def peak(x):
    """The largest magnitude in `x`, a Python integer; 0 when empty."""
    return max(abs(int(x.max())), abs(int(x.min()))) if x.size else 0


def roomy(x, extra_bits):
    """`x` in a type that holds `x * 2^extra_bits` and one addition to it."""
    fits = x.dtype != object and peak(x).bit_length() + extra_bits <= _SAFE_BITS
    return x if fits else x.astype(object)


def greatest(width_bits):
    """The greatest code of that width; the least is its negative."""
    return (1 << (width_bits - 1)) - 1


def clip_to(x, bound):
    """`x` clamped to `±bound`, as int64."""
    return np.minimum(np.maximum(x, -bound), bound).astype(np.int64)


def clip(x, width_bits):
    """ARITHMETIC: clip."""
    return clip_to(x, greatest(width_bits))


def rsh(x, places):
    """ARITHMETIC: shift with rounding, ties to even; an exact left shift where `places <= 0`."""
    if places <= 0:
        return roomy(x, -places) * (1 << -places)
    if places > _SAFE_BITS or peak(x).bit_length() > _SAFE_BITS:
        x = x.astype(object)
    floor = x >> places
    rest = x - floor * (1 << places)
    half = 1 << (places - 1)
    up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    return floor + up.astype(np.int64)


def exponent(m):
    """ARITHMETIC: exponent, `round(log2 m)` of a positive integer."""
    f = m.bit_length() - 1
    return f + 1 if m * m > 1 << (2 * f + 1) else f


def quantise_error(d, width_bits):
    """ARITHMETIC: loss and error 3. The maximum is over all of `d`, which is the whole mini-batch."""
    m = peak(d)
    if m == 0:
        return np.zeros(d.shape, np.int64)
    return clip(rsh(d, exponent(m) - (width_bits - 1)), width_bits)


def weight_step(g, words, lr_log2, word_bits):
    """ARITHMETIC: gradient and update 2 to 4. Returns the signed step `k` and how many words that are used
    do not have `word_bits` bits. A weight whose fraction is 0 needs no word: any word gives the same step."""
    m = peak(g)
    if m == 0:
        return np.zeros(g.shape, np.int64), 0
    t = exponent(m) - lr_log2
    magnitude = np.abs(g) if m < 1 << _SAFE_BITS else np.abs(g.astype(object))
    if t <= 0:
        return np.sign(g) * rsh(magnitude, t), 0
    if t + word_bits > _SAFE_BITS:
        magnitude, words = magnitude.astype(object), words.astype(object)
    whole = magnitude >> t
    fraction = magnitude - whole * (1 << t)
    stray = (fraction > 0) & ((words < 0) | (words >= 1 << word_bits))
    words = np.where((fraction > 0) & ~stray, words, 0)
    up = fraction * (1 << word_bits) > words * (1 << t)
    return (np.sign(g) * (whole + up.astype(np.int64))).astype(np.int64), int(stray.sum())


SHARE_BITS = 16  # bits of fraction of a share
_POWERS = [int(Decimal(2) ** (Decimal(30) - Decimal(i) / 256) + Decimal("0.5")) for i in range(257)]


def shares(outputs, fraction_bits):
    """Softmax of each row as `isa/arithmetic.md` has it; whole numbers of any size."""
    rows = []
    for row in outputs.tolist():
        powers = []
        for x in row:
            y = (max(row) - x) * 1549082005
            whole, part = y >> (30 + fraction_bits), (y >> (6 + fraction_bits)) & 0xFFFFFF
            i, w = part >> 16, part & 0xFFFF
            powers.append(((_POWERS[i] * (65536 - w) + _POWERS[i + 1] * w) >> 16) >> whole)
        total = sum(powers)
        rows.append([((p << (SHARE_BITS + 1)) + total) // (2 * total) for p in powers])
    return np.array(rows, dtype=np.int64)
