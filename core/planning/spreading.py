"""Even spreads: the one way in which frames are taken evenly; knows no videos."""

from __future__ import annotations

import numpy as np

Indices = tuple[int, ...]


def spread(first: int, last: int, count: int) -> Indices:
    """``count`` indices from first to last, both included, evenly.

    Equal to ``torch.linspace(first, last, count).round()``, which counts in float32 with fused
    multiply-add: from the start in the first half, from the end in the second. Above 2^24, where
    float32 skips numbers, it can miss the last frame, but never goes beyond it.
    """
    if count == 1:
        return (first,)
    gap = float((np.float32(last) - np.float32(first)) / np.float32(count - 1))
    steps = np.arange(count)
    rising = float(np.float32(first)) + gap * steps
    falling = float(np.float32(last)) - gap * (count - 1 - steps)
    exact = np.where(steps < count // 2, rising, falling).astype(np.float32)
    return tuple(np.round(exact).astype(int).clip(first, last).tolist())
