#!/usr/bin/env python3
"""Recomputes every tensor of dumped training steps from the contract alone and compares bit for bit.

    python3 tests/outside/recompute.py [--quiet] STEP.safetensors ...

Needs numpy only and shares nothing with the simulator. Each stage starts from the tensors *in the dump* that it reads
(its own recomputation stands in for one that is missing), so the first line that differs names the stage at fault and
does not spoil those behind it. Exit code 0: all equal; 1: something differs, is missing or cannot be read.
"""

import argparse
import sys

import numpy as np

from accumulator import accumulate
from codes import SHARE_BITS, clip, clip_to, greatest, peak, quantise_error, roomy, rsh, shares, weight_step
from dump import net_of, read
from geometry import error_patches, flipped, max_pool, patches, route

CODE_LIMIT = 1 << 15  # codes have at most 16 bits


class Check:
    """The dumped tensors, what was recomputed, and the lines that compare them."""

    def __init__(self, tensors, quiet):
        self.tensors, self.quiet, self.made, self.seen, self.failures = tensors, quiet, {}, set(), 0

    def say(self, name, verdict, failed=False):
        self.failures += failed
        if failed or not self.quiet:
            print(f"  {name:<22} {verdict}")

    def given(self, name, limit, shape=None):
        """A tensor that only the dump can supply."""
        self.seen.add(name)
        if name not in self.tensors:
            raise ValueError(f"{name} is missing, and nothing can be recomputed without it")
        x = self.tensors[name]
        if shape is not None and x.shape != shape:
            raise ValueError(f"{name} has shape {list(x.shape)}, not {list(shape)}")
        if peak(x) > limit:
            raise ValueError(f"{name} has a value of magnitude {peak(x)}, beyond {limit}")
        return x

    def compare(self, name, ours, note="", per_image=True):
        """Holds the dump's tensor against `ours`; a map may be dumped flattened."""
        self.seen.add(name)
        self.made[name] = ours
        theirs = self.tensors.get(name)
        if theirs is None:
            return self.say(name, "MISSING" + note, failed=True)
        flat = per_image and theirs.size == ours.size and theirs.shape[:1] == ours.shape[:1]
        if theirs.shape != ours.shape and not flat:
            return self.say(name, f"DIFFERS in shape: dump {list(theirs.shape)}, recomputed {list(ours.shape)}{note}", True)
        differs = np.asarray(theirs.reshape(ours.shape) != ours)
        if not differs.any():
            return self.say(name, f"equal    {'x'.join(map(str, theirs.shape))}{note}")
        place = np.unravel_index(int(np.flatnonzero(differs)[0]), ours.shape)
        self.say(
            name,
            f"DIFFERS first at {[int(i) for i in place]}: dump {theirs.reshape(ours.shape)[place]}, recomputed {ours[place]}; "
            f"{int(differs.sum())} of {ours.size} differ{note}",
            failed=True,
        )

    def value(self, name, limit=None):
        """The dump's tensor for the stages that read it, or ours where the dump has none of use."""
        ours, theirs = self.made[name], self.tensors.get(name)
        if theirs is None or theirs.size != ours.size or (limit is not None and peak(theirs) > limit):
            return ours
        return theirs.reshape(ours.shape)

    def code(self, name):
        return self.value(name, CODE_LIMIT)

    def compare_sums(self, name, sums, shape, rule, per_image=True):
        """Accumulators: also how many outputs the rule made wrong, and whether `trap` should have stopped."""
        wide = rule is None or (rule.overflow == "trap" and not sums.trapped)
        self.compare(name, sums.register.reshape(shape), "" if wide else f"; {sums.wrong} of {sums.exact.size} outputs wrong", per_image)
        if sums.trapped:
            self.say(name, f"OVERFLOWS at {sums.trapped} outputs, where `trap` stops the run", failed=True)


class Stage:
    """One layer of the step: its settings, its shapes and the stages of ARITHMETIC over it."""

    def __init__(self, check, net, number):
        self.check, self.net, self.layer, self.bits = check, net, net.layers[number], net.layers[number].bits
        self.number, self.last = number, number == len(net.layers) - 1
        self.weight = check.given(self.name("weight"), greatest(self.bits["G"]))
        if self.weight.ndim != (4 if self.layer.kind == "conv" else 2):
            raise ValueError(f"{self.name('weight')} has shape {list(self.weight.shape)}: HWIO or [in, out]")
        # A dense layer is a 1 x 1 kernel on one position.
        self.kernel = self.weight.shape if self.layer.kind == "conv" else (1, 1, *self.weight.shape)
        before = net.layers[number - 1].bits["A"] if number else net.input_bits
        self.point = before - 1 + self.bits["W"] - 1 + self.layer.scale_log2  # accumulators weigh 2^-point
        self.shift = self.point - (self.bits["A"] - 1)

    def name(self, tensor):
        return f"layer.{self.number}.{tensor}"

    def wide_weight(self):
        return self.check.code(self.name("weight_q")).reshape(self.kernel)

    def forward(self, source):
        """ARITHMETIC: forward 1 to 5. `source` is the layer's input; returns the input of the next."""
        check, bits = self.check, self.bits
        check.compare(self.name("weight_q"), clip(rsh(self.weight, bits["G"] - bits["W"]), bits["W"]), per_image=False)
        self.source_shape = source.shape
        images = source.shape[0]
        source = source if self.layer.kind == "conv" else source.reshape(images, 1, 1, -1)
        if source.ndim != 4 or source.shape[3] != self.kernel[2]:
            raise ValueError(f"{self.name('weight')}: shape {list(self.weight.shape)} does not take an input of {list(source.shape)}")
        self.size = source.shape[1:3]
        small = np.int8 if peak(source) < 128 else np.int32
        self.patches, (rows, columns) = patches(source.astype(small), self.kernel[:2], self.layer.stride, self.layer.pad)
        self.map_shape = (images, rows, columns, self.kernel[3])
        rule = self.layer.rules["forward"]
        order = rule and rule.kernel_order(*self.kernel[:3])
        sums = accumulate(self.patches, self.wide_weight().reshape(-1, self.kernel[3]), rule, order)
        shape = self.map_shape if self.layer.kind == "conv" else (images, self.kernel[3])
        check.compare_sums(self.name("acc"), sums, shape, rule)

        self.pooled, self.place = check.value(self.name("acc")).reshape(self.map_shape), None
        if self.layer.pool:
            self.pooled, self.place = max_pool(self.pooled, self.layer.pool, self.layer.pool_stride)
        self.positive = self.pooled > 0
        if self.layer.relu:
            self.pooled = np.maximum(self.pooled, 0)
        self.out_shape = self.pooled.shape if self.layer.kind == "conv" else shape
        activation = clip(rsh(self.pooled, self.shift), bits["A"]).reshape(self.out_shape)
        if self.last:
            self.output = activation
            return None
        check.compare(self.name("activation"), activation)
        return check.code(self.name("activation"))

    def passes(self):
        """Where an activation did not clip (ARITHMETIC: loss and error 2), on the accumulator before rounding."""
        bound = greatest(self.bits["A"])
        acc = self.pooled if self.shift >= 0 else roomy(self.pooled, -self.shift) * (1 << -self.shift)
        bound = min(bound << max(self.shift, 0), (1 << 63) - 1) if acc.dtype != object else bound
        return ((acc <= bound) & (acc >= -bound)).reshape(self.out_shape)

    def loss(self, label):
        """ARITHMETIC: loss and error 1 and 3, for the last layer."""
        images = self.out_shape[0]
        point, output = (self.bits["A"] - 1, self.output) if self.net.quantise_output else (self.point, self.pooled)
        output = output.reshape(images, -1)
        if self.net.loss == "softmax":
            point, output = SHARE_BITS, shares(output, self.point)
        if label.shape != (images,) or label.min() < 0 or label.max() >= output.shape[1]:
            raise ValueError(f"label: one of 0 to {output.shape[1] - 1} for each of {images} images")
        onehot = (np.arange(output.shape[1]) == label[:, None]).astype(np.int64)
        d = roomy(output, 0) - roomy(onehot, point) * (1 << point)
        self.check.compare(self.name("error"), quantise_error(d.reshape(self.out_shape), self.bits["E"]))

    def hidden_error(self, sums, rule):
        """ARITHMETIC: loss and error 2 and 3, for the others; `sums` came down from the layer above."""
        self.check.compare_sums(self.name("error_acc"), sums, self.out_shape, rule)
        acc = self.check.value(self.name("error_acc"))
        self.check.compare(self.name("error"), quantise_error(np.where(self.passes(), acc, 0), self.bits["E"]))

    def error_map(self):
        """ARITHMETIC: loss and error 4 (and 6 of forward, `quantise_output`): the error as products use it."""
        error = self.check.code(self.name("error"))
        if self.last and self.net.quantise_output:
            error = np.where(self.passes(), error, 0)
        error = error.reshape(self.pooled.shape)
        if self.layer.relu:
            error = np.where(self.positive, error, 0)
        if self.layer.pool:
            error = route(error, self.place, self.map_shape, self.layer.pool, self.layer.pool_stride, self.bits["E"])
        return error

    def update(self, error, words):
        """ARITHMETIC: gradient and update."""
        check, bits = self.check, self.bits
        sums = accumulate(self.patches.T, error.reshape(-1, self.kernel[3]), self.layer.rules["gradient"])
        check.compare_sums(self.name("grad"), sums, self.weight.shape, self.layer.rules["gradient"], per_image=False)
        k, stray = weight_step(check.value(self.name("grad")), words, self.net.lr_log2, bits["R"])
        if stray:
            check.say(self.name("random"), f"DIFFERS: {stray} words in use have more than {bits['R']} bits", failed=True)
        check.compare(self.name("delta"), k, per_image=False)
        limit = greatest(bits["G"]) if self.net.variant == "paper" else greatest(bits["W"]) << (bits["G"] - bits["W"])
        after = clip_to(roomy(self.weight, 0) - roomy(check.value(self.name("delta")), 0), limit)
        check.compare(self.name("weight_next"), after, per_image=False)

    def error_below(self, error):
        """ARITHMETIC: loss and error 5: the sums for this layer's input."""
        found = error_patches(error, self.size, self.kernel[:2], self.layer.stride, self.layer.pad)
        rule = self.layer.rules["error"]
        order = rule and rule.kernel_order(self.kernel[0], self.kernel[1], self.kernel[3])
        return accumulate(found, flipped(self.wide_weight()), rule, order), rule

    def check_scale(self):
        """ARITHMETIC: forward 5. `s` from `n_in`, held in squares: round(log2 x) is the exponent n with
        2^(2n-1) < x² < 2^(2n+1), x² = 9/4 · 4^(1-k_W) · n_in / (3 or 6); never a tie."""
        n_in = self.kernel[0] * self.kernel[1] * self.kernel[2]
        over = (3 if self.net.variant == "code" else 6) * 4 * 4 ** (self.bits["W"] - 1)
        s = 0
        while 9 * n_in * 2 > over * 4 ** (s + 1):
            s += 1
        same = s == self.layer.scale_log2
        self.check.say(self.name("scale_log2"), f"equal    {s}" if same else f"DIFFERS: dump {self.layer.scale_log2}, recomputed {s}", not same)


def check_step(tensors, metadata, quiet):
    """Compares one step, in the order of the computation; returns how many things differ."""
    check = Check(tensors, quiet)
    net = net_of(metadata)
    source = check.given("input", CODE_LIMIT)
    label = check.given("label", 1 << 31)
    if peak(source) > greatest(net.input_bits):
        check.say("input", f"DIFFERS: magnitude {peak(source)} is no code of {net.input_bits} bits", failed=True)
    stages = [Stage(check, net, number) for number in range(len(net.layers))]
    words = [check.given(stage.name("random"), 1 << 62, stage.weight.shape) for stage in stages]
    for stage in stages:
        stage.check_scale()
        source = stage.forward(source)
    stages[-1].loss(label.reshape(-1))
    for stage in reversed(stages):
        error = stage.error_map()
        stage.update(error, words[stage.number])
        if stage.number:
            stages[stage.number - 1].hidden_error(*stage.error_below(error))
    if net.quantise_output and stages[-1].name("activation") in tensors:
        check.compare(stages[-1].name("activation"), stages[-1].output)
    for name in sorted(set(tensors) - check.seen):
        check.say(name, "unknown: not in the contract, not compared")
    for key in net.notes:
        check.say(key, "unknown: not in the contract, not used")
    return check.failures


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("steps", nargs="+", metavar="STEP.safetensors")
    parser.add_argument("--quiet", action="store_true", help="print only what differs")
    options = parser.parse_args(arguments)
    total = 0
    for path in options.steps:
        print(path)
        try:
            failures = check_step(*read(path), options.quiet)
            print("  all equal" if failures == 0 else f"  {failures} differ")
        except (ValueError, KeyError, TypeError, OSError) as error:
            failures = 1
            print(f"  CANNOT BE CHECKED: {type(error).__name__}: {error}")
        total += failures
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
