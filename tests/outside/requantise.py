"""The numbers of programs/requantise-product.s, worked out with Python's whole numbers alone.

Prints a case: inputs from a small generator, then the sums and codes that are right. `tests/cases/requantise.json` is its output.
"""

import json

ROWS, DEPTH, COLUMNS = 16, 64, 32


def codes(count, word):
    """Codes from -127 to 127, with a fair share of zeros and ends."""
    out = []
    for _ in range(count):
        word = (word * 1103515245 + 12345) % 2**31
        value = (word >> 16) % 300 - 150
        out.append(0 if abs(value) > 140 else max(-127, min(127, value)))
    return out, word


def nearest_even(x, n):
    """x / 2^n to the nearest whole number, ties to even; x * 2^-n where n is negative."""
    if n <= 0:
        return x << -n
    whole, rest = divmod(x, 2**n)
    twice = 2 * rest - 2**n
    return whole + (twice > 0 or (twice == 0 and whole % 2 == 1))


def exponent(m):
    """round(log2 m): the e for which 2^(e - 1/2) <= m < 2^(e + 1/2), compared in squares."""
    e = 0
    while m * m > 2 ** (2 * e + 1):
        e += 1
    return e


a, word = codes(ROWS * DEPTH, 1)
b, word = codes(DEPTH * COLUMNS, word)
sums = [
    sum(a[r * DEPTH + k] * b[k * COLUMNS + j] for k in range(DEPTH))
    for r in range(ROWS)
    for j in range(COLUMNS)
]
n = exponent(max(map(abs, sums))) - 6
out = [max(-127, min(127, nearest_even(s, n))) for s in sums]
print(json.dumps({"a": a, "b": b, "sums": sums, "codes": out}))
