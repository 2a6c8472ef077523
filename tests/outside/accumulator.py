"""Sums of products in registers of limited width (ARITHMETIC: the accumulator's rules).

Owns the exact sum, the proof that a register cannot leave its range, and the join-by-join order where there is no
proof. Knows matrices only: `left` [outputs, reduction] times `right` [reduction, columns]; what the reduction index
means and in which order it runs is the caller's `order`.
"""

from dataclasses import dataclass

import numpy as np

_FLOAT_EXACT = 1 << 53  # float64 adds integers below this without rounding, in any order
_BLOCK = 1 << 22  # elements of a float64 operand at a time
_REGISTERS = 1 << 15  # registers stepped at a time, so that they stay in cache


@dataclass(frozen=True)
class Rule:
    """One phase's accumulator. `order` is "kernel" or "channels:n"."""

    bits: int = 32
    overflow: str = "trap"
    tree: int = 1
    chunk: int = 0
    outer_bits: int = 32
    order: str = "kernel"

    def __post_init__(self):
        if self.overflow not in ("wrap", "saturate", "trap"):
            raise ValueError(f"accumulator overflow {self.overflow!r}: wrap, saturate or trap")
        if not (4 <= self.bits <= 64 and 4 <= self.outer_bits <= 64 and self.tree >= 1 and self.chunk >= 0):
            raise ValueError(f"accumulator out of range: {self}")
        if self.order != "kernel" and not (
            self.order.startswith("channels:") and self.order[9:].isdigit() and int(self.order[9:]) > 0
        ):
            raise ValueError(f"accumulator order {self.order!r}: kernel or channels:n")

    @property
    def result_bits(self):
        return self.outer_bits if self.chunk else self.bits

    @property
    def narrowest_bits(self):
        return min(self.bits, self.outer_bits) if self.chunk else self.bits

    def kernel_order(self, rows, columns, channels):
        """The places of the reduction in the order they join, or None where that is 0, 1, 2 …"""
        if self.order == "kernel":
            return None
        block = int(self.order[9:])
        index = np.arange(rows * columns * channels).reshape(rows, columns, channels)
        return np.concatenate([index[:, :, c : c + block].ravel() for c in range(0, channels, block)])


@dataclass
class Sums:
    """`register` is what the rule leaves, `exact` the true sum; `trapped` counts outputs at which `trap` stops."""

    register: np.ndarray
    exact: np.ndarray
    trapped: int = 0

    @property
    def wrong(self):
        return int((self.register != self.exact).sum())


def accumulate(left, right, rule, order=None):
    """All outputs under `rule` (None: wide enough to be exact)."""
    exact = _product(left, right)
    if rule is None:
        return Sums(exact, exact)
    limit = (1 << (rule.narrowest_bits - 1)) - 1
    if _peak(left) * _peak(right) * left.shape[1] <= limit:
        return Sums(exact, exact)
    if rule.overflow == "wrap" and (rule.chunk == 0 or rule.bits >= rule.outer_bits):
        return Sums(_wrap(exact, rule.result_bits), exact)
    unsafe = _product(left, right, magnitudes=True) > limit
    rows, columns = np.flatnonzero(unsafe.any(axis=1)), np.flatnonzero(unsafe.any(axis=0))
    sums = Sums(exact.copy(), exact)
    if rows.size:
        _step_all(sums, left, right[:, columns], rule, order, rows, columns)
    return sums


def _step_all(sums, left, right, rule, order, rows, columns):
    right = right if order is None else right[order]
    at_once = max(1, _REGISTERS // columns.size)
    for start in range(0, rows.size, at_once):
        some = rows[start : start + at_once]
        turned = left[some].T if order is None else left[some].T[order]
        register, trapped = _step(turned, right, rule)
        sums.register[np.ix_(some, columns)] = register.T
        sums.trapped += trapped


def _step(left, right, rule):
    """Join by join: `left` [reduction, outputs], `right` [reduction, columns]; registers [columns, outputs]."""
    length, outputs = left.shape
    group = _peak(left) * _peak(right) * rule.tree
    widest = max(rule.bits, rule.result_bits)
    # A saturating register never leaves its range, so 32 bits do where a register and a group fit together.
    small = rule.overflow == "saturate" and (1 << (widest - 1)) + max(group, 1 << (rule.bits - 1)) < 1 << 31
    kind = np.int32 if small else np.int64
    left, right = np.ascontiguousarray(left, kind), np.ascontiguousarray(right, kind)[:, :, None]
    shape = (right.shape[1], outputs)
    acc, outer, total, product = (np.zeros(shape, kind) for _ in range(4))
    left_range = np.zeros(shape, bool)
    joined = 0
    for start in range(0, length, rule.tree):
        np.multiply(right[start], left[start], out=total)
        for k in range(start + 1, min(start + rule.tree, length)):
            np.multiply(right[k], left[k], out=product)
            total += product
        _join(acc, total, rule.bits, rule.overflow, left_range)
        joined += 1
        if joined == rule.chunk:
            _join(outer, acc, rule.outer_bits, rule.overflow, left_range)
            acc.fill(0)
            joined = 0
    if rule.chunk and joined:
        _join(outer, acc, rule.outer_bits, rule.overflow, left_range)
    return (outer if rule.chunk else acc), int(left_range.sum())


def _join(x, y, bits, overflow, left_range):
    """`x` becomes `join(x, y, bits)`; `trap` keeps the exact sum and notes in `left_range` where it would stop."""
    x += y
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if overflow == "saturate":
        np.minimum(x, high, out=x)
        np.maximum(x, low, out=x)
    elif overflow == "wrap":
        x[...] = _wrap(x, bits)
    else:
        left_range |= (x < low) | (x > high)


def _wrap(x, bits):
    """Modulo `2^bits`, to the two's-complement range. Sums stay below 2^62, so 63 bits and more hold them."""
    if bits >= 63:
        return x
    half = 1 << (bits - 1)
    return ((x + half) & ((1 << bits) - 1)) - half


def _peak(x):
    return max(int(x.max()), -int(x.min())) if x.size else 0


def _product(left, right, magnitudes=False):
    """The exact product as int64, by float64 products of pieces none of whose sums reaches 2^53."""
    outputs, length = left.shape
    largest = max(1, _peak(left) * _peak(right))
    if largest * length >= 1 << 62 or largest >= _FLOAT_EXACT:
        raise ValueError("operands too large: the factors of a product are codes of at most 16 bits")
    depth = max(1, min(length, (_FLOAT_EXACT - 1) // largest, 1 << 14))
    height = max(1, _BLOCK // depth)
    result = np.zeros((outputs, right.shape[1]), np.int64)
    for k in range(0, length, depth):
        factor = right[k : k + depth].astype(np.float64)
        factor = np.abs(factor) if magnitudes else factor
        for row in range(0, outputs, height):
            piece = left[row : row + height, k : k + depth].astype(np.float64)
            piece = np.abs(piece) if magnitudes else piece
            result[row : row + height] += (piece @ factor).astype(np.int64)
    return result
