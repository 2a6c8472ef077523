#!/usr/bin/env python3
"""Runs the simulator over the variants of the arithmetic and recomputes each dumped step outside.

    cargo build --release && python3 tests/outside/matrix.py [WAGESIM]

Trains the LeNet on the first 1,280 digits (40 steps of 32), dumps the first, the tenth and the last step, and prints for each
variant whether every tensor is equal and how many outputs each phase has wrong. Exit code 1 when a tensor differs, or
when a narrowed phase of a dumped step has no wrong output: then the variant proves nothing and its width must go down.
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
STEPS = (1, 10, 40)
PHASES = {"acc": "forward", "error_acc": "error", "grad": "gradient"}


def narrow(forward, error, gradient):
    """Settings of saturating forward, wrapping error and saturating gradient accumulators, a tree of 4 in the last."""
    return {
        "accumulators.forward.bits": forward,
        "accumulators.forward.overflow": "saturate",
        "accumulators.error.bits": error,
        "accumulators.error.overflow": "wrap",
        "accumulators.gradient.bits": gradient,
        "accumulators.gradient.overflow": "saturate",
        "accumulators.gradient.tree": 4,
    }


def chunked(settings, forward, error, gradient):
    outer = {"accumulators.chunk": 32}
    for phase, bits in (("forward", forward), ("error", error), ("gradient", gradient)):
        outer[f"accumulators.{phase}.outer_bits"] = bits
    return {**settings, **outer}


def blocked(settings, block, **groups):
    """Channels in blocks, forward and error; errors saturate, as sums that wrap do not tell one order from another."""
    ordered = {"accumulators.order": f"channels:{block}", "accumulators.error.overflow": "saturate"}
    return {**settings, **ordered, **{f"accumulators.{key}": value for key, value in groups.items()}}


PAPER, QUANTISED = {"wage.variant": "paper"}, {"wage.quantise_output": "true"}
WIDER = {"wage.bits.W": 3, "wage.bits.A": 6, "wage.bits.G": 8, "wage.bits.E": 6}
VARIANTS = {
    "2-8-8-8 code": {},
    "2-8-8-8 paper": PAPER,
    "2-8-8-8 code, outputs quantised": QUANTISED,
    "2-8-8-8 code, softmax": {"wage.loss": "softmax"},
    "3-6-8-6 code": WIDER,
    "3-6-8-6 paper, outputs quantised": {**WIDER, **PAPER, **QUANTISED},
    "2-8-8-8 code, widths of their own": {
        "layer.0.bits.A": 10,
        "layer.0.bits.E": 6,
        "layer.1.bits.W": 3,
        "layer.1.bits.G": 9,
        "layer.1.bits.A": 6,
        "layer.2.bits.E": 12,
        "layer.3.bits.W": 4,
        "layer.3.bits.G": 10,
        "layer.3.bits.E": 7,
    },
    "2-8-8-8 code, 12s 10w 16s": narrow(12, 10, 16),
    "2-8-8-8 paper, 12s 10w 16s": {**PAPER, **narrow(12, 10, 16)},
    "2-8-8-8 code, 10s 10w 14s, chunk 32, outer 12 12 16": chunked(narrow(10, 10, 14), 12, 12, 16),
    "3-6-8-6 code, 11s 8w 13s": {**WIDER, **narrow(11, 8, 13)},
    "3-6-8-6 code, 9s 6w 11s, chunk 32, outer 11 8 13": {**WIDER, **chunked(narrow(9, 6, 11), 11, 8, 13)},
    "2-8-8-8 code, 12s 10s 16s, channels:4": blocked(narrow(12, 10, 16), 4),
    "2-8-8-8 code, 10s 10s 14s, tree 3, chunk 5, outer 12 10 16, channels:3": blocked(
        chunked(narrow(10, 10, 14), 12, 10, 16), 3, tree=3, chunk=5
    ),
    "3-6-8-6 paper, 11s 6s 13s, tree 2, channels:4": blocked({**WIDER, **PAPER, **narrow(11, 6, 13)}, 4, tree=2),
}


def small_set(folder):
    """The first digits of the repository's MNIST, as plain IDX files."""
    source = os.path.join(ROOT, "data", "mnist")
    for stem, count in (("train", 1280), ("t10k", 64)):
        for kind, header, size in (("images-idx3-ubyte", 16, 784), ("labels-idx1-ubyte", 8, 1)):
            path = os.path.join(source, f"{stem}-{kind}")
            data = open(path, "rb").read() if os.path.exists(path) else gzip.open(path + ".gz").read()
            head = data[:4] + count.to_bytes(4, "big") + data[8:header]
            with open(os.path.join(folder, f"{stem}-{kind}"), "wb") as file:
                file.write(head + data[header : header + count * size])


def main():
    wagesim = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target", "release", "wagesim")
    program = os.path.join(ROOT, "programs", "lenet5-mnist.toml")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        small_set(folder)
        for number, (name, settings) in enumerate(VARIANTS.items()):
            dump = os.path.join(folder, f"dump{number}")
            command = [wagesim, "train", program, "--data", folder, "--epochs", "1", "--set", "recipe.batch=32", "--json"]
            command += ["--out", os.path.join(folder, f"run{number}"), "--dump-tensors", dump]
            command += ["--dump-steps", ",".join(map(str, STEPS))]
            for key, value in settings.items():
                command += ["--set", f"{key}={value}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            narrowed = [p for p in PHASES.values() if f"accumulators.{p}.bits" in settings]
            for step in STEPS:
                path = os.path.join(dump, f"step-{step:06}.safetensors")
                found = subprocess.run([sys.executable, os.path.join(HERE, "recompute.py"), path], capture_output=True, text=True)
                wrong = dict.fromkeys(PHASES.values(), 0)
                for tensor, count in re.findall(r"layer\.\d+\.(\w+) .*; (\d+) of \d+ outputs wrong", found.stdout):
                    wrong[PHASES[tensor]] += int(count)
                idle = [p for p in narrowed if wrong[p] == 0]
                verdict = "equal" if found.returncode == 0 else "DIFFERS"
                verdict += f", nothing wrong in {', '.join(idle)}" if idle else ""
                bad += found.returncode != 0 or bool(idle)
                counts = " ".join(f"{wrong[p]:>8}" for p in PHASES.values())
                print(f"{name:<72} step {step:>3}  wrong outputs {counts}  {verdict}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
