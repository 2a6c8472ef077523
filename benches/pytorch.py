#!/usr/bin/env python3
"""One training step of the LeNet and of the CIFAR-10 VGG in PyTorch, as its users imitate WAGE in floats, beside wagesim's own
in the same run; and the rate of oneDNN's int8 product beside the processor's ceiling.

    python3 benches/pytorch.py                      everything; many minutes
    python3 benches/pytorch.py --networks lenet --no-compile
    python3 benches/pytorch.py --json

Without PyTorch it says so and prints wagesim's figures alone; without cargo, PyTorch's alone.

The imitation is made to be fast: batches lie in memory as floats, each quantisation works in place where autograd allows, ReLU
is a part of the activation's clip, errors are quantised and masked by one function, and what can be is also measured compiled.
It quantises weights to 2 bits, activations and errors to 8, gradients to 8 by stochastic rounding, and updates stored weights
of 8 bits. It is not bit-exact with anything; that is what it is compared for.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BATCH = 128

# Layers: ("conv", in, out, kernel, padding, pooled) or ("dense", in, out); products of a whole step as wagesim's bench has them.
NETWORKS = {
    "lenet": ((1, 28, 28), [
        ("conv", 1, 32, 5, 0, True), ("conv", 32, 64, 5, 0, True), ("dense", 1024, 512), ("dense", 512, 10)]),
    "vgg": ((3, 32, 32), [
        ("conv", 3, 128, 3, 1, False), ("conv", 128, 128, 3, 1, True), ("conv", 128, 256, 3, 1, False),
        ("conv", 256, 256, 3, 1, True), ("conv", 256, 512, 3, 1, False), ("conv", 512, 512, 3, 1, True),
        ("dense", 8192, 1024), ("dense", 1024, 10)]),
}


def imitation(torch, shape, layers, dtype, channels_last, seed=1):
    """A function that trains on one batch of pictures and targets."""
    import torch.nn.functional as F

    class Weight(torch.autograd.Function):
        """Weights as used: -1/2, 0, 1/2. Gradients go straight to the stored weights."""

        @staticmethod
        def forward(ctx, stored):
            return stored.mul(2).round_().clamp_(-1, 1).mul_(0.5)

        @staticmethod
        def backward(ctx, grad):
            return grad

    class Activation(torch.autograd.Function):
        """Scaled, rounded to 8 bits, ReLU; on the way back errors are divided by their maximum's power of two, rounded
        to 8 bits, and masked where the activation was clipped or is zero."""

        @staticmethod
        def forward(ctx, sums, scale):
            y = sums.mul(128 * scale).round_().clamp_(0, 127).mul_(1 / 128)
            ctx.save_for_backward(y)
            ctx.scale = scale
            return y

        @staticmethod
        def backward(ctx, error):
            (y,) = ctx.saved_tensors
            shift = torch.exp2(torch.round(torch.log2(error.abs().amax().float().clamp_min(1e-30)))).to(error.dtype)
            error = error.mul(128 / shift).round_().clamp_(-127, 127).mul_(1 / 128)
            return error.mul_((y > 0) & (y < 127 / 128)), None

    class Error(torch.autograd.Function):
        """The last layer: its outputs as they are, errors quantised."""

        @staticmethod
        def forward(ctx, y):
            return y.view_as(y)

        @staticmethod
        def backward(ctx, error):
            shift = torch.exp2(torch.round(torch.log2(error.abs().amax().float().clamp_min(1e-30)))).to(error.dtype)
            return error.mul(128 / shift).round_().clamp_(-127, 127).mul_(1 / 128)

    torch.manual_seed(seed)
    stored, scales = [], []
    for layer in layers:
        size = (layer[2], layer[1], layer[3], layer[3]) if layer[0] == "conv" else (layer[2], layer[1])
        fan_in = size[1] * (layer[3] ** 2 if layer[0] == "conv" else 1)
        limit = math.sqrt(6 / fan_in)
        w = (torch.rand(size) * 2 - 1).mul_(max(0.75, limit)).mul_(128).round_().clamp_(-127, 127).mul_(1 / 128)
        if channels_last and w.dim() == 4:
            w = w.contiguous(memory_format=torch.channels_last)
        scales.append(min(1.0, 2.0 ** -round(math.log2(0.75 / limit))))
        stored.append(w.requires_grad_())

    def loss_of(pictures, targets):
        x = pictures
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            for i, (layer, w) in enumerate(zip(layers, stored)):
                w = Weight.apply(w)
                if layer[0] == "conv":
                    x = F.conv2d(x, w, padding=layer[4])
                    if layer[5]:
                        x = F.max_pool2d(x, 2)
                else:
                    x = F.linear(x.flatten(1), w)
                x = Activation.apply(x, scales[i]) if i + 1 < len(layers) else Error.apply(x * scales[i])
        return (x.float() - targets).square().sum() * 0.5

    @torch.no_grad()
    def update(w, grad, rate):
        grad = grad.float()
        shift = torch.exp2(torch.round(torch.log2(grad.abs().amax().clamp_min(1e-30))))
        # floor(g + u) with u uniform rounds g stochastically.
        delta = grad.mul(rate / shift).add_(torch.rand_like(grad)).floor_()
        w.sub_(delta.mul_(1 / 128)).clamp_(-127 / 128, 127 / 128)

    def step(pictures, targets):
        loss_of(pictures, targets).backward()
        for w in stored:
            update(w, w.grad, 8.0)
            w.grad = None

    def compiled():
        forward, change = torch.compile(loss_of), torch.compile(update)

        def step(pictures, targets):
            forward(pictures, targets).backward()
            for w in stored:
                change(w, w.grad, 8.0)
                w.grad = None
        return step

    return step, compiled


def rates_of(step, batches, seconds):
    """Images a second of single steps, after a warm-up of three."""
    for i in range(3):
        step(*batches[i % len(batches)])
    rates, began = [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - began < seconds:
        before = time.perf_counter()
        step(*batches[len(rates) % len(batches)])
        rates.append(BATCH / (time.perf_counter() - before))
    return rates


def measure_torch(torch, name, seconds, with_compile, say):
    """Median images a second by variant."""
    shape, layers = NETWORKS[name]
    found = {}
    for dtype, word in ((torch.float32, "float32"), (torch.bfloat16, "bf16")):
        for channels_last in (False, True):
            label = f"{word}{', channels last' if channels_last else ''}"
            batches = []
            for _ in range(4):
                pictures = torch.randint(0, 256, (BATCH, *shape)).float().div_(256)
                if channels_last:
                    pictures = pictures.contiguous(memory_format=torch.channels_last)
                batches.append((pictures, targets(torch)))
            eager, compiled = imitation(torch, shape, layers, dtype, channels_last)
            found[label] = rates_of(eager, batches, seconds)
            say(f"{name} {label}: {statistics.median(found[label]):.0f} images/s")
            if with_compile and channels_last:
                try:
                    found[label + ", compiled"] = rates_of(compiled(), batches, seconds)
                    say(f"{name} {label}, compiled: {statistics.median(found[label + ', compiled']):.0f} images/s")
                except Exception as error:  # whatever the compiler of this machine lacks
                    say(f"{name} {label}: torch.compile does not work here ({type(error).__name__})")
    return {label: statistics.median(rates) for label, rates in found.items()}


def targets(torch):
    return torch.nn.functional.one_hot(torch.randint(0, 10, (BATCH,)), 10).float()


def int8_rates(torch, say, size=4096):
    """GMAC/s of oneDNN's int8 product, by the ways PyTorch has to it."""
    a = torch.randint(-127, 128, (size, size), dtype=torch.int8)
    b = torch.randint(-127, 128, (size, size), dtype=torch.int8)
    ways = {"torch._int_mm": lambda: torch._int_mm(a, b)}
    try:
        from torch.ao.nn.quantized import Linear
        linear = Linear(size, size, bias_=False)
        weight = torch.quantize_per_tensor(torch.randn(size, size), 0.05, 0, torch.qint8)
        linear.set_weight_bias(weight, None)
        x = torch.quantize_per_tensor(torch.randn(size, size), 0.05, 128, torch.quint8)
        ways["quantized linear"] = lambda: linear(x)
    except Exception as error:
        say(f"no quantized linear here ({type(error).__name__}: {error})")
    found = {}
    for way, product in ways.items():
        try:
            product()
            times = []
            for _ in range(5):
                before = time.perf_counter()
                product()
                times.append(time.perf_counter() - before)
            found[way] = size ** 3 / statistics.median(times) / 1e9
            say(f"int8 {size}: {way}: {found[way]:.0f} GMAC/s")
        except Exception as error:
            say(f"int8 {size}: {way} does not work here ({type(error).__name__}: {error})")
    return found


def measure_wagesim(words, threads, say):
    """Runs the bench's lines that hold a word, and the ceilings; median nanoseconds and products by line."""
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, CRITERION_HOME=home, RAYON_NUM_THREADS=str(threads))
        command = ["cargo", "bench", "--quiet", "--bench", "speed", "--", words]
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        except FileNotFoundError:
            say("no cargo here: wagesim's own figures are left out")
            return {}
        if done.returncode != 0:
            say("`cargo bench` failed: wagesim's own figures are left out")
            return {}
        found = {}
        for file in Path(home).glob("**/new/estimates.json"):
            line = json.loads((file.parent / "benchmark.json").read_text())
            products = (line.get("throughput") or {}).get("Elements", 0)
            found[line["full_id"]] = (json.loads(file.read_text())["median"]["point_estimate"], products)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="lenet,vgg", help="which, with commas (lenet,vgg)")
    parser.add_argument("--seconds", type=float, default=8, help="time for each variant of the imitation")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                        help="of PyTorch and of wagesim (all cores)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--no-int8", action="store_true", help="leave the int8 product out")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    options = parser.parse_args()
    networks = [name for name in options.networks.split(",") if name]
    for name in networks:
        if name not in NETWORKS:
            parser.error(f"no network `{name}`; there are {', '.join(NETWORKS)}")

    def say(text):
        print(text, file=sys.stderr, flush=True)

    warnings.filterwarnings("ignore")
    try:
        import torch
        torch.set_num_threads(options.threads)
        version = torch.__version__
    except ImportError:
        torch, version = None, None
        say("PyTorch is not installed for this Python: wagesim's figures alone")
    result = {"threads": options.threads, "torch": version, "load_before": os.getloadavg()[0], "images_per_second": {}, "gmac_per_second": {}}
    for name in networks:
        # Before and after: what else the machine does meets both.
        rates = {}
        first = measure_torch(torch, name, options.seconds / 2, not options.no_compile, say) if torch else {}
        own = measure_wagesim(f"^step/{name}/wide", options.threads, say)
        second = measure_torch(torch, name, options.seconds / 2, not options.no_compile, say) if torch else {}
        for label in first:
            rates[label] = statistics.median([first[label], second.get(label, first[label])])
        for line, (nanoseconds, products) in own.items():
            if line.startswith("step/"):
                rates["wagesim"] = BATCH / nanoseconds * 1e9
            else:
                result["gmac_per_second"][line + ", one core"] = products / nanoseconds
        result["images_per_second"][name] = rates
    if not options.no_int8:
        if torch:
            for threads in sorted({1, options.threads}):
                torch.set_num_threads(threads)
                of_threads = {f"{way}, {threads} threads": rate for way, rate in int8_rates(torch, say).items()}
                result["gmac_per_second"].update(of_threads)
        for line, (nanoseconds, products) in measure_wagesim("matrix/avx512-vnni|matrix/amx", 1, say).items():
            result["gmac_per_second"][line + ", one core"] = products / nanoseconds
    result["load_after"] = os.getloadavg()[0]
    if options.json:
        return print(json.dumps(result, indent=1))
    print(f"{options.threads} threads, batch {BATCH}, PyTorch {version}; load {result['load_before']:.1f} before, {result['load_after']:.1f} after")
    for name, rates in result["images_per_second"].items():
        own, others = rates.get("wagesim"), [rate for label, rate in rates.items() if label != "wagesim"]
        fastest = max(others, default=None)
        print(f"\n{name:<36} {'images/s':>9} {'wagesim is':>12}")
        for label, rate in rates.items():
            ratio = f"{own / rate:.2f} times" if own and label != "wagesim" else ""
            print(f"{label + (' (fastest)' if rate == fastest and label != 'wagesim' else ''):<36} {rate:>9.0f} {ratio:>12}")
    if result["gmac_per_second"]:
        print(f"\n{'int8 product':<36} {'GMAC/s':>9}")
        for label, rate in result["gmac_per_second"].items():
            print(f"{label:<36} {rate:>9.0f}")


if __name__ == "__main__":
    main()
