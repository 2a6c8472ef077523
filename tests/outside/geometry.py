"""Where things lie: windows, padding, pooling with place, and the way back through them.

Maps are [image, row, column, channel]. Knows positions only; what the sums of products are is `accumulator.py`'s.
"""

import numpy as np

from codes import clip


def extent(size, kernel, stride, pad):
    """Output size and padding before along one direction (ARITHMETIC: beyond the small nets)."""
    if pad == "same":
        out = -(-size // stride)
        return out, max((out - 1) * stride + kernel - size, 0) // 2
    if pad != "valid":
        raise ValueError(f"pad {pad!r}: same or valid")
    return (size - kernel) // stride + 1, 0


def _placed(source, rows, columns, top, left, spread=1):
    """`source` on a map of zeros from (top, left), `spread` apart; what falls outside is cut."""
    images, height, width, channels = source.shape
    result = np.zeros((images, rows, columns, channels), source.dtype)
    height = min(height, -(-(rows - top) // spread))
    width = min(width, -(-(columns - left) // spread))
    result[:, top : top + spread * height : spread, left : left + spread * width : spread] = source[:, :height, :width]
    return result


def _windows(padded, kernel, stride, out):
    """[image, row, column, window row, window column, channel], a copy."""
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    view = view[:, : (out[0] - 1) * stride + 1 : stride, : (out[1] - 1) * stride + 1 : stride]
    return np.ascontiguousarray(view.transpose(0, 1, 2, 4, 5, 3))


def patches(source, kernel, stride, pad):
    """What each output position multiplies: [outputs, kernel row · kernel column · channel], and the output's size."""
    rows, top = extent(source.shape[1], kernel[0], stride, pad)
    columns, left = extent(source.shape[2], kernel[1], stride, pad)
    needed = ((rows - 1) * stride + kernel[0], (columns - 1) * stride + kernel[1])
    padded = _placed(source, max(needed[0], top + source.shape[1]), max(needed[1], left + source.shape[2]), top, left)
    windows = _windows(padded, kernel, stride, (rows, columns))
    return windows.reshape(-1, kernel[0] * kernel[1] * source.shape[3]), (rows, columns)


def error_patches(error, size, kernel, stride, pad):
    """The same for the way back: the error map widened by stride - 1 zeros, one window for each place of `size`."""
    _, top = extent(size[0], kernel[0], stride, pad)
    _, left = extent(size[1], kernel[1], stride, pad)
    padded = _placed(
        error, size[0] + kernel[0] - 1, size[1] + kernel[1] - 1, kernel[0] - 1 - top, kernel[1] - 1 - left, stride
    )
    windows = _windows(padded, kernel, 1, size)
    return windows.reshape(-1, kernel[0] * kernel[1] * error.shape[3])


def flipped(weight):
    """HWIO kernel for the way back: [window row · window column · output channel, input channel]."""
    rows, columns, inputs, outputs = weight.shape
    return weight[::-1, ::-1].transpose(0, 1, 3, 2).reshape(rows * columns * outputs, inputs)


def _pool_views(source, pool, stride):
    """Each place of the window in row-major order, as a view [image, window row, window column, channel]."""
    rows, columns = ((n - pool) // stride + 1 for n in source.shape[1:3])
    for y in range(pool):
        for x in range(pool):
            yield source[:, y : y + (rows - 1) * stride + 1 : stride, x : x + (columns - 1) * stride + 1 : stride]


def max_pool(acc, pool, stride):
    """The maxima and the place of the first one (ARITHMETIC: forward 3)."""
    views = list(_pool_views(acc, pool, stride))
    best, place = views[0].copy(), np.zeros(views[0].shape, np.int64)
    for number, view in enumerate(views[1:], 1):
        better = view > best
        best[better], place[better] = view[better], number
    return best, place


def route(error, place, shape, pool, stride, width_bits):
    """The error at the places kept; where windows overlap, sums clipped to the code (ARITHMETIC: loss and error 4)."""
    result = np.zeros(shape, np.int64)
    for number, view in enumerate(_pool_views(result, pool, stride)):
        view += np.where(place == number, error, 0)
    return clip(result, width_bits)
