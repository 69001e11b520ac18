"""How large frames become and what they cost: the rules that families name, as pure functions.

Every rule turns a picture's shape, a number of frames and bounds into a ``Size``. Knows no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import SettingsError, VideoError
from core.planning.family import Limits, PatchGrid
from core.planning.settings import Settings

MAX_ASPECT = 200
SOFT_TOKENS = (70, 140, 280, 560, 1120)  # what Gemma 4's processor takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a sizing rule looks at: the picture in pixels, the number of frames, the model's side.

    ``frame_tokens`` and ``frame_side`` are those of frames (or tiles) of fixed cost.
    """

    height: int
    width: int
    frames: int
    patches: PatchGrid
    limits: Limits
    highest: Limits
    frame_tokens: int = 0
    frame_side: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a sizing rule says.

    Attributes:
        height, width: pixels of every frame that is read.
        tokens: visual tokens of one step in time.
        least, most: the limits in pixels by which the size was chosen, as the route's own
            library names them (``min_pixels`` and ``max_pixels``, or ``shortest_edge`` and
            ``longest_edge``); 0 where the size is fixed.
        total: qwen-vl-utils' ``total_pixels``, or 0.
    """

    height: int
    width: int
    tokens: int
    least: float = 0
    most: float = 0
    total: float = 0


def size_frames(rule: str, shape: Shape, settings: Settings) -> Size:
    """The size of every frame under ``rule``, a key of ``SIZERS``.

    Raises:
        VideoError: one side is over 200 times the other.
        SettingsError: the settings leave less than one token for a step.
    """
    return SIZERS[rule](shape, settings)


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


def _patched(shape: Shape, size: tuple[int, int], *, least: float, most: float) -> Size:
    height, width = size
    tokens = shape.patches.tokens_per_step(height=height, width=width)
    return Size(height=height, width=width, tokens=tokens, least=least, most=most)


def _share(shape: Shape, settings: Settings) -> float:
    """Pixels of a frame where the user's budget is shared out among all of them.

    Raises:
        SettingsError: that is less than one token for a step.
    """
    budget = settings.video_token_budget
    if budget is None:
        return math.inf
    step = shape.patches.temporal_patch_size
    share = budget * shape.patches.area / shape.frames * step
    if share < shape.patches.area:
        steps = math.ceil(shape.frames / step)
        frames = "frames" if step == 1 else f"steps of {step} frames"
        raise SettingsError(
            f"A budget of {budget:,} tokens is less than one for each of {steps:,} {frames}.",
            remedy=f"Raise video_token_budget to {steps:,}, or take {budget * step:,} frames or "
            "less.",
        )
    return share


def qwen_vl_utils(shape: Shape, settings: Settings) -> Size:
    """``fetch_video`` of qwen-vl-utils (the link is in families/qwen_vl.py).

    There a floor that the user did not ask for would push the video over a budget that the user
    did ask for, and an upper limit under it is an assertion error; here that floor gives way. A
    checkpoint's own upper limit is what is used where the user sets none; the family's can never
    be passed. All of them bound the area before it is rounded to whole patches: a small picture
    that is enlarged can pass them.
    """
    area, limits = shape.patches.area, shape.limits
    share = _share(shape, settings)
    total = (settings.video_token_budget or limits.video_tokens) * area
    per_frame = min(share, total / shape.frames * shape.patches.temporal_patch_size)
    floor: float | None = settings.min_frame_tokens
    most = settings.max_frame_tokens or max(limits.max_frame_tokens, 1.05 * (floor or 0))
    if floor is None:
        floor = min(limits.min_frame_tokens, int(most))
        if settings.video_token_budget:
            floor = max(1, min(floor, int(per_frame / 1.05 / area)))
    highest = shape.highest.max_frame_tokens
    ceiling = max(min(highest * area, per_frame), int(floor * area * 1.05))
    least, most = floor * area, min(most * area, ceiling)
    size = round_to_factor(
        shape.height, shape.width, factor=shape.patches.factor, least=least, most=most
    )
    height, width = size
    tokens = shape.patches.tokens_per_step(height=height, width=width)
    return Size(height=height, width=width, tokens=tokens, least=least, most=most, total=total)


def per_frame(shape: Shape, settings: Settings) -> Size:
    """``Qwen2VLVideoProcessor.resize`` of transformers: limits on the area of a frame.

    Where the checkpoint asks for ``cap_pixels_per_frame``, ``limits.video_tokens`` is its budget
    for all frames (90% of ``max_video_tokens``), shared out evenly.
    """
    area, limits = shape.patches.area, shape.limits
    least, most = _area_limits(shape, settings)
    if math.isfinite(limits.video_tokens):
        total = round(limits.video_tokens * area)
        share = total * shape.patches.temporal_patch_size // shape.frames
        most = max(min(most, share), int(least * 1.05))
    return _patched(shape, _rounded(shape, least, most), least=least, most=most)


def share(shape: Shape, settings: Settings) -> Size:
    """``VideoLlama3VideoProcessor.resize``: the longest edge is shared out among the frames."""
    area, limits = shape.patches.area, shape.limits
    most = round(limits.video_tokens * area)
    if settings.max_frame_tokens is not None:
        most = min(most, settings.max_frame_tokens * area * shape.frames)
    if settings.video_token_budget is not None:
        most = min(most, int(_share(shape, settings) * shape.frames))
    least = min(round((settings.min_frame_tokens or limits.min_frame_tokens) * area), most)
    each = max(1, most // shape.frames)
    return _patched(shape, _rounded(shape, least, each), least=least, most=most)


def _area_limits(shape: Shape, settings: Settings) -> tuple[int, int]:
    """The least and most pixels of a frame; a floor nobody asked for gives way to a ceiling."""
    area, limits = shape.patches.area, shape.limits
    most = limits.max_frame_tokens
    if settings.max_frame_tokens is not None:
        most = settings.max_frame_tokens
    elif settings.min_frame_tokens is not None:
        most = max(most, settings.min_frame_tokens)
    most = max(area, int(min(round(most * area), _share(shape, settings))))
    least = settings.min_frame_tokens or limits.min_frame_tokens
    return min(round(least * area), most), most


def _rounded(shape: Shape, least: float, most: float) -> tuple[int, int]:
    """As round_to_factor, but a side that rounds to 0 grows with the whole picture.

    ``smart_resize`` of transformers' Qwen2-VL does not hold the sides up before it compares.
    """
    _check_aspect(shape.height, shape.width)
    factor = shape.patches.factor
    fitted = (
        round(shape.height / factor) * factor,
        round(shape.width / factor) * factor,
    )
    height, width = _within(
        fitted, shape.height, shape.width, frames=1, steps=1, factor=factor, least=least, most=most
    )
    return max(factor, height), max(factor, width)


def per_video(shape: Shape, settings: Settings) -> Size:
    """``smart_resize`` of transformers' Qwen3-VL and GLM-V: limits on the area of all frames.

    A video of one frame counts as one of two, which is what it is patched as; there it is refused.
    Where the checkpoint asks for ``cap_pixels_per_frame`` (``limits.capped``),
    ``limits.max_frame_tokens`` bounds a frame as well.
    """
    area, limits = shape.patches.area, shape.limits
    step = shape.patches.temporal_patch_size
    frames = max(step, shape.frames)
    per_token = area * step  # pixels that a token covers in a step
    most = round(limits.video_tokens * per_token)
    if settings.video_token_budget is not None:
        _share(shape, settings)
        steps = math.ceil(frames / step)  # the rule counts frames, and an odd one is paid as two
        counted = min(frames, round(frames / step) * step)
        most = min(most, settings.video_token_budget // steps * area * counted)
    if settings.max_frame_tokens is not None:
        most = min(most, settings.max_frame_tokens * area * frames)
    least = round(limits.min_video_tokens * per_token)
    if settings.min_frame_tokens is not None:
        least = settings.min_frame_tokens * area * frames
    least, highest = min(least, most), most
    if limits.capped:  # the floor is a frame's there
        ceiling = round(limits.max_frame_tokens * area)
        highest = max(min(ceiling, most // frames), int(least * 1.05)) * frames
    size = _of_video(shape, frames, least, highest)
    return _patched(shape, size, least=least, most=most)


def _of_video(shape: Shape, frames: int, least: float, most: float) -> tuple[int, int]:
    height, width, factor = shape.height, shape.width, shape.patches.factor
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    _check_aspect(height, width)
    step = shape.patches.temporal_patch_size
    fitted = round(height / factor) * factor, round(width / factor) * factor
    return _within(
        fitted,
        height,
        width,
        frames=frames,
        steps=round(frames / step) * step,
        factor=factor,
        least=least,
        most=most,
    )


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
        _share(shape, settings) / shape.patches.area,
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
    return _patched(shape, (height, width), least=0, most=tokens * shape.patches.area)


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


SIZERS: dict[str, Callable[[Shape, Settings], Size]] = {
    "qwen_vl_utils": qwen_vl_utils,
    "per_frame": per_frame,
    "share": share,
    "per_video": per_video,
    "square": square,
    "soft": soft,
    "tiles": tiles,
}
