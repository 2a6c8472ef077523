#!/usr/bin/env python3
"""Holds `recompute.py` against a second, plainer reading of the contract: explicit loops over Python integers.

    python3 tests/outside/test_recompute.py

Each case makes a tiny step, writes it as a dump, and expects all equal; then one value of each tensor is changed and
that tensor must be the first one named. The plain step below shares no code with what it tests.
"""

import contextlib
import io
import json
import random
import struct
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import recompute


# The plain step. Maps are dicts from index tuples to integers, with a shape beside them.


def plain_rsh(x, n):
    return round(Fraction(x) / Fraction(2) ** n)  # Python rounds a fraction's ties to even


def plain_clip(x, k):
    top = 2 ** (k - 1) - 1
    return top if x > top else -top if x < -top else x


def plain_exponent(m):
    n = -1
    while not (Fraction(2) ** (2 * n - 1) < m * m < Fraction(2) ** (2 * n + 1)):
        n += 1
    return n


def plain_join(x, y, bits, overflow, note):
    z, low, high = x + y, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if low <= z <= high:
        return z
    note["joins"] += 1
    if overflow == "trap":
        note["trapped"] += 1
        return z
    if overflow == "saturate":
        return high if z > high else low
    return (z - low) % 2**bits + low


def plain_sum(products, rule, note):
    if not rule:
        return sum(products)
    bits, overflow = rule.get("bits", 32), rule.get("overflow", "trap")
    tree, chunk, outer_bits = rule.get("tree", 1), rule.get("chunk", 0), rule.get("outer_bits", rule.get("bits", 32))
    acc = outer = n = 0
    for start in range(0, len(products), tree):
        acc = plain_join(acc, sum(products[start : start + tree]), bits, overflow, note)
        n += 1
        if chunk > 0 and n == chunk:
            outer = plain_join(outer, acc, outer_bits, overflow, note)
            acc = n = 0
    result = acc if chunk == 0 else outer if n == 0 else plain_join(outer, acc, outer_bits, overflow, note)
    note["wrong"] += result != sum(products)
    return result


def plain_positions(rows, columns, channels, rule):
    order = (rule or {}).get("order", "kernel")
    block = channels if order == "kernel" else int(order.split(":")[1])
    for first in range(0, channels, block):
        for r in range(rows):
            for c in range(columns):
                for channel in range(first, min(first + block, channels)):
                    yield r, c, channel


def plain_extent(size, kernel, stride, pad):
    if pad == "valid":
        return (size - kernel) // stride + 1, 0
    out = (size + stride - 1) // stride
    return out, max((out - 1) * stride + kernel - size, 0) // 2


def every(shape):
    if not shape:
        yield ()
        return
    for first in range(shape[0]):
        for rest in every(shape[1:]):
            yield (first, *rest)


def plain_step(net, images, source, source_shape, labels, weights, weight_shapes, words, notes):
    """All tensors of the step, name -> (shape, dict). Dense layers are 1 x 1 kernels on one position here."""
    out = {}
    layers, states = net["layers"], []
    a, a_shape = source, source_shape
    width_in = net["bits"]["A"]
    for i, layer in enumerate(layers):
        bits = {**net["bits"], **layer.get("bits", {})}
        rules = {p: {**net.get("accumulators", {}).get(p, {}), **layer.get("accumulators", {}).get(p, {})} for p in notes}
        kh, kw, ic, oc = weight_shapes[i]
        stride, pad = layer.get("stride", 1), layer["pad"]
        if layer["kind"] == "fc":
            flat = {}
            for n, y, x, c in every(a_shape):
                flat[n, 0, 0, (y * a_shape[2] + x) * a_shape[3] + c] = a[n, y, x, c]
            a, flat_from, a_shape = flat, a_shape, (images, 1, 1, a_shape[1] * a_shape[2] * a_shape[3])
        else:
            flat_from = None
        w = weights[i]
        t = {p: plain_clip(plain_rsh(v, bits["G"] - bits["W"]), bits["W"]) for p, v in w.items()}
        oh, top = plain_extent(a_shape[1], kh, stride, pad)
        ow, left = plain_extent(a_shape[2], kw, stride, pad)
        acc_shape, acc = (images, oh, ow, oc), {}
        for n, y, x, o in every(acc_shape):
            products = [
                a.get((n, y * stride + r - top, x * stride + c - left, k), 0) * t[r, c, k, o]
                for r, c, k in plain_positions(kh, kw, ic, rules["forward"])
            ]
            acc[n, y, x, o] = plain_sum(products, rules["forward"], notes["forward"])
        pooled_shape, pooled, place = acc_shape, dict(acc), {p: p for p in acc}
        if layer["pool"]:
            size, step = layer["pool"], layer.get("pool_stride", layer["pool"])
            pooled_shape = (images, (oh - size) // step + 1, (ow - size) // step + 1, oc)
            pooled, place = {}, {}
            for n, y, x, o in every(pooled_shape):
                for r in range(size):
                    for c in range(size):
                        here = (n, y * step + r, x * step + c, o)
                        if (n, y, x, o) not in pooled or acc[here] > pooled[n, y, x, o]:
                            pooled[n, y, x, o], place[n, y, x, o] = acc[here], here
        before_relu = dict(pooled)
        if layer["relu"]:
            pooled = {p: max(v, 0) for p, v in pooled.items()}
        point = (width_in - 1) + (bits["W"] - 1) + layer["scale_log2"]
        shift = point - (bits["A"] - 1)
        act = {p: plain_clip(plain_rsh(v, shift), bits["A"]) for p, v in pooled.items()}
        bound = Fraction(2 ** (bits["A"] - 1) - 1) * Fraction(2) ** shift
        state = dict(a=a, a_shape=a_shape, flat_from=flat_from, t=t, acc_shape=acc_shape, pooled_shape=pooled_shape,
                     pooled=pooled, before_relu=before_relu, place=place, point=point, act=act, bits=bits, rules=rules,
                     clipped={p for p, v in pooled.items() if abs(v) > bound}, top=top, left=left, stride=stride)
        states.append(state)
        out[f"layer.{i}.weight_q"] = (weight_shapes[i], t)
        out[f"layer.{i}.acc"] = (acc_shape, acc)
        if i + 1 < len(layers):
            out[f"layer.{i}.activation"] = (pooled_shape, act)
        a, a_shape, width_in = act, pooled_shape, bits["A"]

    d = {}
    last = states[-1]
    quantised = net["quantise_output"]
    for p, v in (last["act"] if quantised else last["pooled"]).items():
        one = 2 ** (last["bits"]["A"] - 1) if quantised else 2 ** last["point"]
        d[p] = v - (one if labels[p[0]] == p[3] else 0)
    for i in reversed(range(len(layers))):
        layer, state = layers[i], states[i]
        bits, rules = state["bits"], state["rules"]
        kh, kw, ic, oc = weight_shapes[i]
        if i + 1 < len(layers):
            out[f"layer.{i}.error_acc"] = (state["pooled_shape"], d)
            d = {p: 0 if p in state["clipped"] else v for p, v in d.items()}
        m = max(abs(v) for v in d.values())
        e = {p: plain_clip(plain_rsh(v, plain_exponent(m) - (bits["E"] - 1)), bits["E"]) if m else 0 for p, v in d.items()}
        out[f"layer.{i}.error"] = (state["pooled_shape"], e)
        if i + 1 == len(layers) and quantised:
            e = {p: 0 if p in state["clipped"] else v for p, v in e.items()}
        if layer["relu"]:
            e = {p: v if state["before_relu"][p] > 0 else 0 for p, v in e.items()}
        spread = {}
        for p, v in e.items():
            spread[state["place"][p]] = spread.get(state["place"][p], 0) + v
        notes["error"]["overlaps"] = notes["error"].get("overlaps", 0) + sum(v != plain_clip(v, bits["E"]) for v in spread.values())
        e = {p: plain_clip(v, bits["E"]) for p, v in spread.items()}

        _, oh, ow, _ = state["acc_shape"]
        stride, top, left, a = state["stride"], state["top"], state["left"], state["a"]
        g = {}
        for r, c, k, o in every((kh, kw, ic, oc)):
            products = [
                a.get((n, y * stride + r - top, x * stride + c - left, k), 0) * e.get((n, y, x, o), 0)
                for n in range(images) for y in range(oh) for x in range(ow)
            ]
            g[r, c, k, o] = plain_sum(products, rules["gradient"], notes["gradient"])
        m = max(abs(v) for v in g.values())
        step, after = {}, {}
        for p, v in g.items():
            size = Fraction(abs(v)) / Fraction(2) ** (plain_exponent(m) - net["lr_log2"]) if m else Fraction(0)
            k = int(size)
            if (size - k) > Fraction(words[i][p], 2 ** bits["R"]):
                k += 1
            step[p] = k if v > 0 else -k
            limit = (2 ** (bits["W"] - 1) - 1) * 2 ** (bits["G"] - bits["W"])
            if net["variant"] == "paper":
                limit = 2 ** (bits["G"] - 1) - 1
            after[p] = min(max(weights[i][p] - step[p], -limit), limit)
        out[f"layer.{i}.grad"] = (weight_shapes[i], g)
        out[f"layer.{i}.delta"] = (weight_shapes[i], step)
        out[f"layer.{i}.weight_next"] = (weight_shapes[i], after)
        if i == 0:
            break
        # The widened error map: output (y, x) stands at (y, x) · stride; a window of the flipped kernel covers it.
        wide = {(n, y * stride, x * stride, o): v for (n, y, x, o), v in e.items()}
        d = {}
        for n, y, x, k in every(state["a_shape"]):
            products = [
                wide.get((n, y + r - (kh - 1 - top), x + c - (kw - 1 - left), o), 0) * state["t"][kh - 1 - r, kw - 1 - c, k, o]
                for r, c, o in plain_positions(kh, kw, oc, rules["error"])
            ]
            d[n, y, x, k] = plain_sum(products, rules["error"], notes["error"])
        if state["flat_from"]:
            _, _, width, channels = state["flat_from"]
            d = {(n, y, x, c): d[n, 0, 0, (y * width + x) * channels + c] for n, y, x, c in every(state["flat_from"])}
    return out


# Cases.


def scale_of(variant, w_bits, n_in):
    l_min, l_squared = Fraction(3, 2) / 2 ** (w_bits - 1), Fraction(3 if variant == "code" else 6, n_in)
    ratio, s = l_min**2 / l_squared, 0
    while ratio > Fraction(2) ** (2 * s + 1):
        s += 1
    return s


def make_case(seed, images, input_shape, layers, kernels, bits=(2, 8, 8, 8, 16), lr_log2=0, variant="code", quantise=False,
              accumulators=None, on_lattice=True, silent=False):
    """A step of a net: (net, tensors name -> (shape, values in row-major order), notes)."""
    draw = random.Random(seed)
    net = {"bits": dict(zip("WAGER", bits)), "lr_log2": lr_log2, "variant": variant, "quantise_output": quantise}
    notes = {p: {"joins": 0, "wrong": 0, "trapped": 0} for p in ("forward", "error", "gradient")}
    net["layers"] = []
    for layer, kernel in zip(layers, kernels):
        w_bits = layer.get("bits", {}).get("W", bits[0])
        scale = scale_of(variant, w_bits, kernel[0] * kernel[1] * kernel[2])
        net["layers"].append({"pad": "valid", "pool": None, "relu": True, "scale_log2": scale, **layer})
    net["layers"][-1]["relu"] = False
    if accumulators is not None:
        net["accumulators"] = accumulators
    top = 2 ** (bits[1] - 1) - 1
    shape = (images, *input_shape)
    source = {p: 0 if silent else draw.randint(-top, top) for p in every(shape)}
    labels = [draw.randrange(kernels[-1][3]) for _ in range(images)]
    weights, words = [], []
    for layer, kernel in zip(layers, kernels):
        widths = {**net["bits"], **layer.get("bits", {})}
        code, fine = 2 ** (widths["W"] - 1) - 1, widths["G"] - widths["W"]
        limit = code * 2**fine
        weights.append({p: draw.randint(-code, code) * 2**fine if on_lattice else draw.randint(-limit, limit) for p in every(kernel)})
        words.append({p: draw.getrandbits(widths["R"]) for p in every(kernel)})
    made = plain_step(net, images, source, shape, labels, weights, kernels, words, notes)
    tensors = {"input": (shape, list(source.values())), "label": ((images,), labels)}
    for i, kernel in enumerate(kernels):
        made[f"layer.{i}.weight"], made[f"layer.{i}.random"] = (kernel, weights[i]), (kernel, words[i])
    for name, (full, values) in made.items():
        dense = net["layers"][int(name.split(".")[1])]["kind"] == "fc"
        short = tuple(full[2:]) if name.rsplit(".")[-1] in ("weight", "weight_q", "grad", "random", "delta", "weight_next") else (full[0], full[3])
        tensors[name] = (short if dense else full, [values[p] for p in every(full)])
    return net, tensors, notes


def write(path, net, tensors):
    """As fits: i8, i32 or i64."""
    header, body = {"__metadata__": {"net": json.dumps(net)}}, b""
    for name, (shape, values) in tensors.items():
        low, high = min(values), max(values)
        kind, letter = ("I8", "b") if -128 <= low and high < 128 else ("I32", "i") if -(2**31) <= low and high < 2**31 else ("I64", "q")
        data = struct.pack(f"<{len(values)}{letter}", *values)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def run(net, tensors, *options):
    """Exit code and lines of `recompute.py` over this dump."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step-000001.safetensors"
        write(path, net, tensors)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = recompute.main([str(path), *options])
    return code, printed.getvalue().splitlines()


def conv(**keys):
    return {"kind": "conv", **keys}


FC = {"kind": "fc"}
LENET = dict(images=3, input_shape=(10, 10, 2), layers=[conv(pool=2), conv(pool=2), FC, FC],
             kernels=[(3, 3, 2, 4), (3, 3, 4, 5), (1, 1, 5, 6), (1, 1, 6, 4)])
STRIDED = dict(images=2, input_shape=(8, 7, 2), layers=[conv(pad="same", stride=2), conv(pad="same", pool=3, pool_stride=1), FC],
               kernels=[(3, 3, 2, 5), (4, 3, 5, 4), (1, 1, 16, 3)])


def phases(forward=None, error=None, gradient=None):
    return {"forward": forward or {}, "error": error or {}, "gradient": gradient or {}}


def rule(bits, overflow, tree=1, chunk=0, outer_bits=None, order="kernel"):
    return dict(bits=bits, overflow=overflow, tree=tree, chunk=chunk, outer_bits=outer_bits or bits, order=order)


# name: (case, phases in which some output must be wrong for the case to mean anything)
CASES = {
    "wide accumulators, LeNet's form": (make_case(1, **LENET), ""),
    "empty accumulators, widths 3-6-8-6, short random words": (make_case(2, **LENET, bits=(3, 6, 8, 6, 3), lr_log2=3, accumulators={}), ""),
    "paper's variant, weights off the lattice, small steps": (make_case(3, **LENET, variant="paper", lr_log2=-3, on_lattice=False), ""),
    "paper's variant, steps beyond the limit": (make_case(25, **LENET, variant="paper", lr_log2=7), ""),
    "stride with same padding, overlapping pool": (make_case(4, **STRIDED, on_lattice=False), ""),
    "stride that leaves a rest, pool that drops a row, no ReLU": (
        make_case(5, 2, (12, 13, 2), [conv(stride=2, relu=False), conv(stride=2, pad="valid"), conv(pad="same", pool=2), FC],
                  [(3, 3, 2, 4), (1, 2, 4, 3), (2, 2, 3, 3), (1, 1, 3, 3)]), ""),
    "quantised output": (make_case(6, **LENET, quantise=True), ""),
    "quantised output that clips": (make_case(123, **LENET, quantise=True, bits=(4, 3, 8, 4, 16)), ""),
    "widths per layer, exact left shifts": (
        make_case(8, 3, (8, 8, 2), [conv(pool=2, bits={"A": 14, "E": 5}), conv(bits={"W": 4, "A": 5, "G": 9, "R": 7}), FC],
                  [(3, 3, 2, 4), (3, 3, 4, 5), (1, 1, 5, 4)], on_lattice=False), ""),
    "an image of zeros": (make_case(9, **LENET, silent=True), ""),
    "widest codes, longest words, a step beyond 64 bits": (
        make_case(10, **LENET, bits=(16, 16, 16, 16, 32), lr_log2=-40), ""),
    "widest codes, longest words, a comparison beyond 64 bits": (make_case(26, **LENET, bits=(16, 16, 16, 16, 32)), ""),
    "a large left shift of the step": (make_case(11, **LENET, lr_log2=50), ""),
    "saturate, one product a step": (
        make_case(12, **LENET, accumulators=phases(rule(9, "saturate"), rule(8, "saturate"), rule(13, "saturate"))), "feg"),
    "saturate with tree and chunk in every phase": (
        make_case(13, **LENET, accumulators=phases(rule(9, "saturate", 3, 2, 10), rule(9, "saturate", 2, 3, 8), rule(12, "saturate", 4, 5, 14))), "feg"),
    "saturate with tree over strides and padding": (
        make_case(14, **STRIDED, on_lattice=False, accumulators=phases(rule(9, "saturate", 4), rule(9, "saturate", 4, 2), rule(12, "saturate", 7, 2))), "feg"),
    "saturate, channels in blocks": (
        make_case(15, **STRIDED, accumulators=phases(rule(9, "saturate", 2, 0, None, "channels:2"), rule(7, "saturate", 3, 2, 8, "channels:3"),
                                                      rule(13, "saturate", 1, 0, None, "channels:2"))), "feg"),
    "wrap": (make_case(16, **LENET, accumulators=phases(rule(9, "wrap"), rule(9, "wrap", 3), rule(12, "wrap"))), "feg"),
    "wrap, chunks narrower and wider than the outer register": (
        make_case(17, **LENET, accumulators=phases(rule(8, "wrap", 1, 4, 11), rule(11, "wrap", 2, 3, 9), rule(11, "wrap", 1, 7, 13))), "feg"),
    "one layer's own accumulator": (
        make_case(18, 3, (8, 8, 2), [conv(pool=2, accumulators={"forward": rule(8, "saturate")}), conv(), FC],
                  [(3, 3, 2, 4), (3, 3, 4, 5), (1, 1, 5, 4)], accumulators=phases(gradient=rule(12, "saturate"))), "fg"),
    "trap that never traps, not provable without steps": (
        make_case(19, **LENET, accumulators=phases(rule(13, "trap"), rule(13, "trap"), rule(17, "trap", 2, 3))), ""),
    "64-bit registers": (make_case(20, **LENET, accumulators=phases(rule(64, "wrap"), rule(64, "saturate"), rule(63, "trap"))), ""),
}


def test_every_case_is_equal():
    for name, ((net, tensors, notes), wrong) in CASES.items():
        for phase, letter in (("forward", "f"), ("error", "e"), ("gradient", "g")):
            assert bool(notes[phase]["wrong"]) == (letter in wrong), (name, phase, notes)
        code, lines = run(net, tensors)
        assert code == 0 and lines[-1] == "  all equal", (name, lines)
        compared = {line.split()[0] for line in lines if " equal " in line}
        expected = {n for n in tensors if n.rsplit(".")[-1] not in ("input", "label", "weight", "random")}
        assert expected <= compared, (name, expected - compared)


def test_the_cases_reach_what_they_are_for():
    """A clipped output with an error to zero, a weight held at the limit, a sum of overlapping windows that clips."""
    net, tensors, _ = CASES["quantised output that clips"][0]
    bound = 3 * 2 ** (net["bits"]["W"] - 1 + net["layers"][-1]["scale_log2"])
    assert any(abs(v) > bound and e for v, e in zip(tensors["layer.3.acc"][1], tensors["layer.3.error"][1]))
    _, tensors, _ = CASES["paper's variant, steps beyond the limit"][0]
    assert max(tensors["layer.0.weight_next"][1]) == 127
    assert CASES["stride with same padding, overlapping pool"][0][2]["error"]["overlaps"]


def test_wrong_outputs_are_counted():
    for name, ((net, tensors, notes), wrong) in CASES.items():
        counted = {"acc": 0, "error_acc": 0, "grad": 0}
        for line in run(net, tensors)[1]:
            if "outputs wrong" in line:
                counted[line.split()[0].rsplit(".")[-1]] += int(line.split("; ")[1].split()[0])
        assert list(counted.values()) == [notes[p]["wrong"] for p in ("forward", "error", "gradient")], (name, counted)


def test_one_changed_value_names_its_tensor_first():
    draw = random.Random(0)
    for name, ((net, tensors, _), _) in CASES.items():
        for changed, (shape, values) in tensors.items():
            if changed.rsplit(".")[-1] in ("input", "label", "weight", "random"):
                continue
            place = draw.randrange(len(values))
            values = values[:place] + [values[place] + draw.choice((-1, 1))] + values[place + 1 :]
            code, lines = run(net, {**tensors, changed: (shape, values)}, "--quiet")
            assert code == 1 and lines[1].split()[:3] == [changed, "DIFFERS", "first"], (name, changed, lines)
            assert "1 of " in lines[1] and f"dump {values[place]}," in lines[1], (name, changed, lines[1])


def test_a_later_stage_starts_from_the_dump():
    """A changed error spoils what is made from it directly, and nothing that is made from that."""
    net, tensors, _ = CASES["wide accumulators, LeNet's form"][0]
    shape, values = tensors["layer.3.error"]
    lines = run(net, {**tensors, "layer.3.error": (shape, [v + (i == 0) for i, v in enumerate(values)])}, "--quiet")[1]
    named = [line.split()[0] for line in lines[1:-1]]
    assert named[0] == "layer.3.error" and set(named) <= {"layer.3.error", "layer.3.grad", "layer.2.error_acc"}, named


def test_another_tree_chunk_or_order_differs():
    """Each setting of the rule decides: a header that says another one must not pass."""
    name = "saturate, channels in blocks"
    net, tensors, _ = CASES[name][0]
    for phase, key, value in (("forward", "order", "kernel"), ("forward", "order", "channels:3"), ("forward", "tree", 1),
                              ("forward", "bits", 10), ("forward", "overflow", "wrap"), ("error", "order", "kernel"),
                              ("error", "chunk", 1), ("error", "chunk", 0), ("error", "outer_bits", 7), ("gradient", "tree", 2), ("gradient", "chunk", 4)):
        other = json.loads(json.dumps(net))
        other["accumulators"][phase][key] = value
        first = {"forward": "acc", "error": "error_acc", "gradient": "grad"}[phase]
        code, lines = run(other, tensors, "--quiet")
        assert code == 1 and lines[1].split()[0].endswith("." + first), (phase, key, value, lines)


def test_missing_tensors_fail_and_unknown_ones_are_reported():
    net, tensors, _ = CASES["wide accumulators, LeNet's form"][0]
    for missing in tensors:
        code, lines = run(net, {n: t for n, t in tensors.items() if n != missing}, "--quiet")
        assert code == 1 and missing in lines[1], (missing, lines)
        if missing.rsplit(".")[-1] not in ("input", "label", "weight", "random"):
            assert len(lines) == 3, (missing, lines)  # the stages behind it go on without it
    code, lines = run(net, {**tensors, "layer.9.extra": ((1,), [1])})
    assert code == 0 and any("layer.9.extra" in line and "unknown" in line for line in lines), lines


def test_a_trap_that_should_have_stopped_fails():
    net, tensors, notes = make_case(21, **LENET, accumulators=phases(rule(9, "trap")))
    assert notes["forward"]["trapped"]
    code, lines = run(net, tensors, "--quiet")
    assert code == 1 and "OVERFLOWS" in lines[1], lines


def test_a_partial_sum_that_leaves_the_range_traps_though_the_sum_returns():
    net, tensors, _ = make_case(22, 1, (1, 1, 3), [FC], [(1, 1, 3, 2)], accumulators=phases(rule(8, "trap")))
    tensors["input"] = ((1, 1, 1, 3), [100, 100, 100])
    tensors["layer.0.weight_q"] = ((3, 2), [1, 0, 1, 0, -1, 0])
    _, lines = run(net, tensors, "--quiet")
    assert any("OVERFLOWS at 1 outputs" in line for line in lines), lines


def test_a_header_with_another_scale_exponent_or_word_fails():
    net, tensors, _ = make_case(23, **LENET)
    other = json.loads(json.dumps(net))
    other["layers"][1]["scale_log2"] += 1
    assert any("layer.1.scale_log2" in line and "DIFFERS" in line for line in run(other, tensors, "--quiet")[1])
    wide = {**tensors, "layer.0.random": (tensors["layer.0.random"][0], [1 << 16] * 72)}
    assert any("layer.0.random" in line for line in run(net, wide, "--quiet")[1])


def test_words_that_nobody_needs_do_not_matter():
    net, tensors, _ = make_case(24, **LENET, lr_log2=50)  # every step is whole
    strange = {n: (s, [12345] * len(v)) if n.endswith("random") else (s, v) for n, (s, v) in tensors.items()}
    assert run(net, strange)[0] == 0


def test_the_contracts_scale_exponents():
    lenet = [scale_of("code", 2, n) for n in (25, 800, 1024, 512)]
    vgg = [scale_of("code", 2, n) for n in (27, 1152, 1152, 2304, 2304, 4608, 8192, 1024)]
    assert (lenet, vgg) == ([1, 4, 4, 3], [1, 4, 4, 4, 4, 5, 5, 4])


def test_files_that_are_no_dump_say_so():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.safetensors"
        path.write_bytes(b"")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert recompute.main([str(path)]) == 1 and recompute.main([str(path) + "x"]) == 1
    assert printed.getvalue().count("CANNOT BE CHECKED") == 2


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok  ", name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
