"""Conformance vectors of the arithmetic, worked out with Python's whole numbers and fractions alone.

    python3 isa/vectors/make.py        writes the .json files beside this one

Nothing here comes from the simulator: shifts are exact fractions rounded, exponents are compared in squares, registers are
joined by the definition in isa/arithmetic.md.
"""

import json
import math
import os
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))


class Dice:
    """A small generator, so that the files can be made again."""

    def __init__(self, seed):
        self.state = seed

    def word(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 33

    def within(self, least, greatest):
        return least + (self.word() << 31 | self.word()) % (greatest - least + 1)


def rounded(x, how):
    """A fraction to a whole number."""
    floor = math.floor(x)
    rest = x - floor
    if how == "truncate":
        return floor
    if how == "up":
        return floor + (rest >= Fraction(1, 2))
    return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))


def shift(x, n, how="even"):
    return rounded(Fraction(x) / Fraction(2) ** n, how)


def clip(x, bits):
    most = 2 ** (bits - 1) - 1
    return max(-most, min(most, x))


def exponent(m):
    """round(log2 m): the e with 2^(2e-1) < m^2 < 2^(2e+1); equality never happens for m > 1."""
    e = 0
    while m * m > 2 ** (2 * e + 1):
        e += 1
    return e


def join(register, x, bits, overflow):
    exact = register + x
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    out = not low <= exact <= high
    if overflow == "saturate":
        return max(low, min(high, exact)), out
    return (exact - low) % 2**bits + low, out


def accumulate(products, bits, overflow, tree, chunk, outer_bits, start):
    inner, outer = (0, start) if chunk else (start, 0)
    joins = overflows = 0
    for first in range(0, len(products), tree):
        inner, out = join(inner, sum(products[first : first + tree]), bits, overflow)
        overflows += out
        joins += 1
        if chunk and joins == chunk:
            outer, out = join(outer, inner, outer_bits, overflow)
            overflows += out
            inner = joins = 0
    if chunk and joins:
        outer, out = join(outer, inner, outer_bits, overflow)
        overflows += out
    return (outer if chunk else inner), overflows


def philox(counter, key):
    """Philox4x32-10 of Salmon, Moraes, Dror and Shaw (SC 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b % 2**32, (a >> 32) ^ c[3] ^ k[1], a % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


STREAMS = {"rounding": 0, "weights": 1, "order": 2, "augmentation": 3}


def word(seed, step, stream, index):
    block = index // 4
    counter = [block % 2**32, block >> 32, step, STREAMS[stream]]
    return philox(counter, [seed % 2**32, seed >> 32])[index % 4]


def permutation(seed, epoch, n):
    order, index = list(range(n)), 0
    for last in range(n - 1, 0, -1):
        bound = last + 1
        while True:
            w = word(seed, epoch, "order", index)
            index += 1
            if w < 2**32 // bound * bound:
                break
        order[last], order[w % bound] = order[w % bound], order[last]
    return order


def stochastic(g, t, random, bits):
    exact = Fraction(abs(g)) / Fraction(2) ** t
    whole = math.floor(exact)
    step = whole + (exact - whole > Fraction(random, 2**bits))
    return -step if g < 0 else step


def write(name, about, cases):
    with open(os.path.join(HERE, name), "w") as file:
        lines = ",\n  ".join(json.dumps(case) for case in cases)
        file.write('{\n "about": %s,\n "cases": [\n  %s\n ]\n}\n' % (json.dumps(about), lines))


def main():
    d = Dice(2018)
    edges = [0, 1, -1, 2, -2, 3, -3, 5, -5, 63, 64, 65, -64, 127, -127, 2**31 - 1, -(2**31), 2**62, -(2**62)]

    cases = []
    for how in ("even", "up", "truncate"):
        for n in (-3, 0, 1, 2, 6, 31, 32, 40, 63):
            for x in edges + [d.within(-(2**20), 2**20) for _ in range(6)] + [d.within(-400, 400) * 2 ** max(min(n - 1, 50), 0) for _ in range(6)]:
                cases.append({"x": x, "n": n, "rounding": how, "is": str(shift(x, n, how))})
    write("shift.json", "x times 2^-n, rounded; `is` may need 128 bits", cases)

    write("clip.json", "x held to the codes of a width", [{"x": x, "bits": b, "is": clip(x, b)} for b in (2, 3, 8, 16, 32) for x in edges])

    ms = sorted({1, 2, 3, 5, 6, 11, 12, 45, 46, 90, 91, 181, 182, 362, 363, 2**31 - 1, 2**63 - 1} | {d.within(1, 2**40) for _ in range(60)})
    write("exponent.json", "log2 of m, rounded", [{"m": m, "is": exponent(m)} for m in ms])

    cases = []
    for overflow in ("wrap", "saturate"):
        for bits, tree, chunk, outer in [(8, 1, 0, 8), (12, 1, 0, 12), (10, 4, 0, 10), (8, 1, 3, 12), (10, 2, 5, 9), (16, 3, 2, 16), (4, 1, 1, 64), (33, 5, 4, 40)]:
            for _ in range(6):
                count, most = d.within(1, 40), [3, 127, 16129][d.within(0, 2)]
                products = [d.within(-most, most) for _ in range(count)]
                result = outer if chunk else bits
                start = [0, d.within(-(2 ** (result - 1)), 2 ** (result - 1) - 1)][d.within(0, 1)]
                register, overflows = accumulate(products, bits, overflow, tree, chunk, outer, start)
                rule = {"bits": bits, "overflow": overflow, "tree": tree, "chunk": chunk, "outer_bits": outer}
                cases.append({"rule": rule, "start": start, "products": products, "register": register, "exact": start + sum(products), "overflows": overflows})
    write("accumulator.json", "products joined to a register under a rule; joins that left a range", cases)

    cases = []
    for seed in (0, 1, 2**64 - 1, 0x0123456789ABCDEF):
        for step, stream, index in [(0, "weights", 0), (1, "rounding", 5), (468, "rounding", 2**33 + 3), (3, "order", 1), (7, "augmentation", 2)]:
            cases.append({"seed": seed, "step": step, "stream": stream, "index": index, "is": word(seed, step, stream, index)})
    write("random.json", "words of the random streams", cases)

    cases = [{"seed": s, "epoch": e, "n": n, "is": permutation(s, e, n)} for s, e, n in [(1, 1, 1), (1, 1, 10), (1, 2, 10), (7, 3, 57)]]
    write("order.json", "the order of n images in an epoch", cases)

    cases = []
    for bits, limit in [(2, 0.75), (2, 1.3), (3, 0.375), (8, 0.05)]:
        fixed = round(limit * 2 ** (bits - 1 + 24))
        for w in [0, 1, 2**31 - 1, 2**31, 2**32 - 1] + [d.within(0, 2**32 - 1) for _ in range(8)]:
            value = Fraction(2 * w + 1 - 2**32, 2**32) * Fraction(fixed, 2**24)
            cases.append({"word": w, "limit": fixed, "bits": bits, "is": clip(rounded(value, "even"), bits)})
    write("weights.json", "initial weights: uniform within a limit given in units of 2^-(bits-1+24), as codes", cases)

    cases = []
    for t in (-2, 0, 1, 5, 16, 17, 30, 40):
        for bits in (1, 8, 16, 32):
            for g in (0, 1, -1, 12345, -12345, 2**31 - 1, d.within(-(2**30), 2**30)):
                random = d.within(0, 2**bits - 1)
                cases.append({"g": g, "t": t, "random": random, "random_bits": bits, "is": stochastic(g, t, random, bits)})
    write("stochastic.json", "a gradient times 2^-t, rounded by a random word", cases)

    tables = {"p/256": lambda p: Fraction(p, 256), "p/128-1": lambda p: Fraction(p, 128) - 1, "p/127.5-1": lambda p: Fraction(2 * p, 255) - 1}
    cases = []
    for name, value in tables.items():
        for bits in (2, 4, 8):
            codes = [clip(rounded(value(p) * 2 ** (bits - 1), "even"), bits) for p in range(256)]
            cases.append({"table": name, "bits": bits, "is": codes})
    write("input.json", "input bytes 0 to 255 as codes", cases)


if __name__ == "__main__":
    main()
