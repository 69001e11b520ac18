"""Height and width in whole patches, with an area within bounds: the arithmetic of upstream.

Three libraries round in three ways that differ for small and for very long pictures only. Knows
numbers alone: no family, no settings, no tokens.
"""

from __future__ import annotations

import math

from core.errors import VideoError

MAX_ASPECT = 200


def round_to_factor(
    height: int, width: int, *, factor: int, least: float, most: float
) -> tuple[int, int]:
    """Height and width in multiples of ``factor`` with an area between ``least`` and ``most``.

    ``smart_resize`` of qwen-vl-utils (the link is in families/qwen_vl.py), except that a side
    never becomes 0: there a very long picture under a small limit loses one, and the model fails.
    """
    _check_aspect(height, width)
    fitted = (
        max(factor, round(height / factor) * factor),
        max(factor, round(width / factor) * factor),
    )
    return _within(fitted, height, width, frames=1, steps=1, factor=factor, least=least, most=most)


def round_then_grow(
    height: int, width: int, *, factor: int, least: float, most: float
) -> tuple[int, int]:
    """As round_to_factor, but a side that rounds to 0 grows with the whole picture.

    ``smart_resize`` of transformers' Qwen2-VL does not hold the sides up before it compares.
    """
    _check_aspect(height, width)
    fitted = round(height / factor) * factor, round(width / factor) * factor
    high, wide = _within(
        fitted, height, width, frames=1, steps=1, factor=factor, least=least, most=most
    )
    return max(factor, high), max(factor, wide)


def round_video(
    height: int, width: int, *, frames: int, step: int, factor: int, least: float, most: float
) -> tuple[int, int]:
    """The same with bounds on the area of all frames, which are patched ``step`` at a time.

    ``smart_resize`` of transformers' Qwen3-VL and GLM-V: a picture smaller than a patch is
    enlarged to one before anything else.
    """
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    _check_aspect(height, width)
    fitted = round(height / factor) * factor, round(width / factor) * factor
    steps = round(frames / step) * step
    return _within(
        fitted, height, width, frames=frames, steps=steps, factor=factor, least=least, most=most
    )


def _within(
    fitted: tuple[int, int],
    height: int,
    width: int,
    *,
    frames: int,
    steps: int,
    factor: int,
    least: float,
    most: float,
) -> tuple[int, int]:
    """``fitted`` if ``steps`` frames of it lie within the limits, else shrunk or grown."""
    area = steps * fitted[0] * fitted[1]
    if area > most:
        shrink = math.sqrt(frames * height * width / most)
        return (
            max(factor, math.floor(height / shrink / factor) * factor),
            max(factor, math.floor(width / shrink / factor) * factor),
        )
    if area < least:
        grow = math.sqrt(least / (frames * height * width))
        return (
            math.ceil(height * grow / factor) * factor,
            math.ceil(width * grow / factor) * factor,
        )
    return fitted


def _check_aspect(height: int, width: int) -> None:
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise VideoError(
            f"The picture is {width}x{height}: one side is over {MAX_ASPECT} times the other.",
            remedy="Crop or pad the video to a more usual shape.",
        )
