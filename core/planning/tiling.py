"""Sizing rules of frames that have one cost, or one of few: squares, tiles, soft tokens."""

from __future__ import annotations

import math

from core.errors import SettingsError
from core.planning.frame_size import Shape, Size
from core.planning.settings import Settings

SOFT_TOKENS = (70, 140, 280, 560, 1120)  # what Gemma 4's processor takes


def square(shape: Shape, settings: Settings) -> Size:
    """A square of fixed side and cost, whatever the picture."""
    side = shape.frame_side
    return Size(height=side, width=side, tokens=shape.frame_tokens)


def soft(shape: Shape, settings: Settings) -> Size:
    """``get_aspect_ratio_preserving_size`` of transformers' Gemma 4: the most that a number of
    soft tokens allows, which is one of five.

    Raises:
        SettingsError: fewer are wanted than the smallest of them.
    """
    wanted = min(
        settings.max_frame_tokens or shape.limits.max_frame_tokens,
        shape.share_of(settings.video_token_budget) / shape.patches.area,
    )
    allowed = [number for number in SOFT_TOKENS if number <= wanted]
    if not allowed:
        raise SettingsError(
            f"{int(wanted)} tokens a frame are too few: this model takes "
            f"{', '.join(map(str, SOFT_TOKENS))}.",
            remedy=f"Set max_frame_tokens to {SOFT_TOKENS[0]} or more, or take fewer frames.",
        )
    factor, tokens = shape.patches.factor, allowed[-1]
    scale = math.sqrt(
        tokens * shape.patches.merge_size**2 * shape.patches.patch_size**2
        / (shape.height * shape.width)
    )  # fmt: skip
    height = math.floor(scale * shape.height / factor) * factor
    width = math.floor(scale * shape.width / factor) * factor
    if height == 0:
        height, width = factor, min(shape.width // shape.height, tokens) * factor
    elif width == 0:
        height, width = min(shape.height // shape.width, tokens) * factor, factor
    return shape.sized((height, width), least=0, most=tokens * shape.patches.area)


def tiles(shape: Shape, settings: Settings) -> Size:
    """``dynamic_preprocess`` of InternVL's model cards: tiles by aspect ratio, and a thumbnail.

    Of all grids of at most ``max_tiles`` tiles the one whose shape is nearest to the picture's; of
    two that are equally near the larger one if the picture has over half its pixels.
    """
    most, side = settings.max_tiles or 1, shape.frame_side
    ratio, area = shape.width / shape.height, shape.width * shape.height
    best, nearest = (1, 1), math.inf
    for columns, rows in _grids(most):
        gap = abs(ratio - columns / rows)
        if gap < nearest or (gap == nearest and area > 0.5 * side**2 * columns * rows):
            best, nearest = (columns, rows), gap
    columns, rows = best
    count = columns * rows
    shown = count + 1 if count > 1 else 1
    return Size(height=rows * side, width=columns * side, tokens=shown * shape.frame_tokens)


def _grids(most: int) -> list[tuple[int, int]]:
    """(columns, rows) of every grid of at most ``most`` tiles, those of few tiles first."""
    found = {
        (columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1)
    }
    return sorted(found, key=lambda grid: grid[0] * grid[1])
