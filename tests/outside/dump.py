"""Reads one dumped step: the safetensors container by hand, and the header's `net` as checked settings.

Knows the form of the file (DESIGN: the check from outside), no arithmetic.
"""

import json
from dataclasses import dataclass, field

import numpy as np

from accumulator import Rule

_TYPES = {"BOOL": "u1", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8"}
PHASES = ("forward", "error", "gradient")
WIDTHS = ("W", "A", "G", "E", "R")
_NET_KEYS = {"bits", "lr_log2", "variant", "quantise_output", "layers", "accumulators", "loss"}
_LAYER_KEYS = {"kind", "pad", "pool", "relu", "scale_log2", "stride", "pool_stride", "bits", "accumulators"}
_RULE_KEYS = {"bits", "overflow", "tree", "chunk", "outer_bits", "order"}


@dataclass
class Layer:
    kind: str
    pad: str
    pool: int
    pool_stride: int
    stride: int
    relu: bool
    scale_log2: int
    bits: dict
    rules: dict  # phase -> Rule, or None where sums are exact


@dataclass
class Net:
    layers: list
    input_bits: int
    lr_log2: int
    variant: str
    quantise_output: bool
    loss: str
    notes: list = field(default_factory=list)  # keys this program does not know, so did not use


def read(path):
    """All tensors as int64 and the metadata, a dict of strings."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8], "little"):
        raise ValueError("not a safetensors file: too short for its header")
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__", {})
    return {name: _tensor(name, entry, data, start) for name, entry in header.items()}, metadata


def _tensor(name, entry, data, start):
    if entry["dtype"] not in _TYPES:
        raise ValueError(f"{name}: {entry['dtype']}, where the contract has integers")
    begin, end = entry["data_offsets"]
    if start + end > len(data):
        raise ValueError(f"{name}: its bytes end behind the file's end")
    values = np.frombuffer(data[start + begin : start + end], _TYPES[entry["dtype"]])
    if values.size and values.dtype == np.dtype("<u8") and int(values.max()) >= 1 << 63:
        raise ValueError(f"{name}: beyond 63 bits")
    return values.astype(np.int64).reshape(entry["shape"])


def net_of(metadata):
    """The header's `net`."""
    if "net" not in metadata:
        raise ValueError("the header's metadata has no `net`")
    raw = json.loads(metadata["net"])
    notes = [f"net.{key}" for key in raw if key not in _NET_KEYS]
    if raw["variant"] not in ("code", "paper"):
        raise ValueError(f"variant {raw['variant']!r}: code or paper")
    if raw.get("loss", "sse") not in ("sse", "softmax"):
        raise ValueError(f"loss {raw['loss']!r}: sse or softmax")
    layers = [_layer(f"net.layers[{i}]", entry, raw, notes) for i, entry in enumerate(raw["layers"])]
    if not layers or layers[-1].relu:
        raise ValueError("net.layers: at least one, and the last has no ReLU")
    if not isinstance(raw["lr_log2"], int):
        raise ValueError("net.lr_log2: an integer")
    return Net(layers, raw["bits"]["A"], raw["lr_log2"], raw["variant"], bool(raw.get("quantise_output")), raw.get("loss", "sse"), notes)


def _layer(where, entry, raw, notes):
    notes += [f"{where}.{key}" for key in entry if key not in _LAYER_KEYS]
    if entry["kind"] not in ("conv", "fc"):
        raise ValueError(f"{where}.kind {entry['kind']!r}: conv or fc")
    bits = {**raw["bits"], **(entry.get("bits") or {})}
    if not (2 <= bits["W"] <= bits["G"] <= 16 and 1 <= bits["R"] <= 32 and all(2 <= bits[k] <= 16 for k in "AE")):
        raise ValueError(f"{where}: widths outside the contract: {bits}")
    rules = {}
    for phase in PHASES:
        given = [(entry.get("accumulators") or {}).get(phase), (raw.get("accumulators") or {}).get(phase)]
        merged = {**(given[1] or {}), **(given[0] or {})}
        notes += [f"{where}.accumulators.{phase}.{key}" for key in merged if key not in _RULE_KEYS]
        known = {key: value for key, value in merged.items() if key in _RULE_KEYS and value is not None}
        rules[phase] = Rule(**{"outer_bits": known.get("bits", 32), **known}) if known else None
    pool = entry.get("pool") or 0
    return Layer(
        kind=entry["kind"],
        pad=entry.get("pad", "valid"),
        pool=pool,
        pool_stride=entry.get("pool_stride") or pool,
        stride=entry.get("stride") or 1,
        relu=bool(entry["relu"]),
        scale_log2=entry["scale_log2"],
        bits=bits,
        rules=rules,
    )
