"""What the programs in programs/*.s must compute, worked out with Python's whole numbers from the contract alone.

    python3 tests/outside/programs.py

writes tests/cases/programs/NAME.json: inputs from a small generator, and every tensor that must come out. Needs no packages.
"""

import json
import pathlib

FOLDER = pathlib.Path(__file__).parent.parent / "cases" / "programs"


class Numbers:
    """A small generator: its numbers mean nothing, but are the same every time."""

    def __init__(self, seed):
        self.state = seed

    def within(self, least, greatest):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return least + (self.state >> 33) % (greatest - least + 1)

    def list(self, count, least, greatest):
        return [self.within(least, greatest) for _ in range(count)]


# --- the contract ---------------------------------------------------------------------------------------------------


def rsh(x, n):
    """x / 2^n to the nearest whole number, ties to even; exactly x * 2^-n where n is not positive."""
    if n <= 0:
        return x * 2**-n
    whole, rest = divmod(x, 2**n)
    return whole + (2 * rest > 2**n or (2 * rest == 2**n and whole % 2 == 1))


def clip(x, bits):
    bound = 2 ** (bits - 1) - 1
    return max(-bound, min(bound, x))


def exponent(m):
    """round(log2 m): the e with 2^(2e-1) <= m^2 < 2^(2e+1)."""
    e = 0
    while m * m > 2 ** (2 * e + 1):
        e += 1
    return e


def greatest(values):
    return max(abs(v) for v in values)


def philox(counter, key):
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw: SC 2011)."""
    for _ in range(10):
        a, b = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [b >> 32 ^ counter[1] ^ key[0], b % 2**32, a >> 32 ^ counter[3] ^ key[1], a % 2**32]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


def rounding_word(seed, step, number, bits):
    """The top `bits` bits of word `number` of the rounding stream."""
    block = number // 4
    words = philox([block % 2**32, block >> 32, step, 0], [seed % 2**32, seed >> 32])
    return words[number % 4] >> (32 - bits)


def weight_step(g, t, word, word_bits):
    """The step of a weight: |g| * 2^-t with g's sign, the fraction rounded up where it beats the word."""
    if t <= 0:
        return g * 2**-t
    whole, fraction = divmod(abs(g), 2**t)
    step = whole + (fraction * 2**word_bits > word * 2**t)
    return -step if g < 0 else step


# --- the programs ---------------------------------------------------------------------------------------------------


def convolution_pool():
    numbers = Numbers(1)
    n, h, w, c, k, f, shift = 4, 8, 8, 3, 3, 8, 4
    images = numbers.list(n * h * w * c, -127, 127)
    weights = numbers.list(k * k * c * f, -1, 1)
    # One image of equal pixels: whole windows are ties, and the first place must win.
    images[h * w * c : 2 * h * w * c] = [100] * (h * w * c)
    codes, places = [], []
    for image in range(n):
        sums = {}
        for y in range(h):
            for x in range(w):
                for o in range(f):
                    total = 0
                    for i in range(k):
                        for j in range(k):
                            yy, xx = y + i - k // 2, x + j - k // 2
                            if 0 <= yy < h and 0 <= xx < w:
                                for channel in range(c):
                                    left = images[((image * h + yy) * w + xx) * c + channel]
                                    total += left * weights[((i * k + j) * c + channel) * f + o]
                    sums[y, x, o] = total
        for y in range(h // 2):
            for x in range(w // 2):
                for o in range(f):
                    window = [sums[2 * y + i, 2 * x + j, o] for i in (0, 1) for j in (0, 1)]
                    best = max(window)
                    places.append(window.index(best))
                    codes.append(clip(rsh(max(best, 0), shift), 8))
    inputs = {"images": images, "weights": weights}
    return inputs, {"codes": codes, "places": places}


def requantise():
    numbers = Numbers(2)
    # Most values small, a few large: the greatest stands in the fifth part.
    values = [numbers.within(-(2 ** numbers.within(1, 19)), 2 ** numbers.within(1, 19)) for _ in range(6 * 1024)]
    values[4 * 1024 + 17] = -(2**20) - 12345
    n = exponent(greatest(values)) - 7
    return {"values": values}, {"codes": [clip(rsh(v, n), 8) for v in values]}


def dense_step(seed):
    numbers = Numbers(3)
    images, inputs, classes, s, log2_rate = 16, 64, 10, 2, 3
    a = [max(0, v) for v in numbers.list(images * inputs, -127, 127)]
    labels = numbers.list(images, 0, classes - 1)
    stored = [64 * numbers.within(-1, 1) + numbers.within(-20, 20) for _ in range(inputs * classes)]
    stored = [max(-64, min(64, w)) for w in stored]

    t = [clip(rsh(w, 8 - 2), 2) for w in stored]
    outputs = [
        sum(a[i * inputs + k] * t[k * classes + j] for k in range(inputs))
        for i in range(images)
        for j in range(classes)
    ]
    one = 2 ** (8 - 1 + 2 - 1 + s)
    d = [outputs[i * classes + j] - one * (labels[i] == j) for i in range(images) for j in range(classes)]
    n = exponent(greatest(d))
    errors = [clip(rsh(x, n - (8 - 1)), 8) for x in d]
    below = [
        sum(errors[i * classes + j] * t[k * classes + j] for j in range(classes))
        for i in range(images)
        for k in range(inputs)
    ]
    gradient = [
        sum(a[i * inputs + k] * errors[i * classes + j] for i in range(images))
        for k in range(inputs)
        for j in range(classes)
    ]
    shift = exponent(greatest(gradient)) - log2_rate
    # `wagesim run` executes step 0.
    steps = [weight_step(g, shift, rounding_word(seed, 0, i, 16), 16) for i, g in enumerate(gradient)]
    after = [max(-64, min(64, w - step)) for w, step in zip(stored, steps)]
    return {"inputs": a, "labels": labels, "weights": stored}, {
        "outputs": outputs,
        "errors": errors,
        "below": below,
        "gradient": gradient,
        "steps": steps,
        "weights": after,
    }


FOLDER.mkdir(exist_ok=True)
for name, (inputs, outputs) in {
    "convolution-pool": convolution_pool(),
    "requantise": requantise(),
    "dense-step": dense_step(seed=7),
}.items():
    lines = [f'"{part}": {{\n' + ",\n".join(f'  "{k}": {json.dumps(v)}' for k, v in tensors.items()) + "\n}"
             for part, tensors in (("inputs", inputs), ("outputs", outputs))]
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
