"""How large frames become and what they cost: the rules that families name, as pure functions.

Every rule turns a picture's shape, a number of frames and bounds into a ``Size``. Those here bound
the area of patch grids; those of fixed cost are in tiling.py. Knows no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from core.planning.frame_size import Shape, Size
from core.planning.rounding import round_then_grow, round_to_factor, round_video
from core.planning.settings import Settings
from core.planning.tiling import soft, square, tiles


def size_frames(rule: str, shape: Shape, settings: Settings) -> Size:
    """The size of every frame under ``rule``, a key of ``SIZERS``.

    Raises:
        VideoError: one side is over 200 times the other.
        SettingsError: the settings leave less than one token for a step.
    """
    return SIZERS[rule](shape, settings)


def qwen_vl_utils(shape: Shape, settings: Settings) -> Size:
    """``fetch_video`` of qwen-vl-utils (the link is in families/qwen_vl.py).

    There a floor that the user did not ask for would push the video over a budget that the user
    did ask for, and an upper limit under it is an assertion error; here that floor gives way. A
    checkpoint's own upper limit is what is used where the user sets none; the family's can never
    be passed. All of them bound the area before it is rounded to whole patches: a small picture
    that is enlarged can pass them.
    """
    area, limits = shape.patches.area, shape.limits
    share = shape.share_of(settings.video_token_budget)
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
    return shape.sized(size, least=least, most=most, total=total)


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
    size = round_then_grow(
        shape.height, shape.width, factor=shape.patches.factor, least=least, most=most
    )
    return shape.sized(size, least=least, most=most)


def _area_limits(shape: Shape, settings: Settings) -> tuple[int, int]:
    """The least and most pixels of a frame; a floor nobody asked for gives way to a ceiling."""
    area, limits = shape.patches.area, shape.limits
    most = limits.max_frame_tokens
    if settings.max_frame_tokens is not None:
        most = settings.max_frame_tokens
    elif settings.min_frame_tokens is not None:
        most = max(most, settings.min_frame_tokens)
    most = max(area, int(min(round(most * area), shape.share_of(settings.video_token_budget))))
    least = settings.min_frame_tokens or limits.min_frame_tokens
    return min(round(least * area), most), most


def share(shape: Shape, settings: Settings) -> Size:
    """``VideoLlama3VideoProcessor.resize``: the longest edge is shared out among the frames."""
    area, limits = shape.patches.area, shape.limits
    most = round(limits.video_tokens * area)
    if settings.max_frame_tokens is not None:
        most = min(most, settings.max_frame_tokens * area * shape.frames)
    if settings.video_token_budget is not None:
        most = min(most, int(shape.share_of(settings.video_token_budget) * shape.frames))
    least = min(round((settings.min_frame_tokens or limits.min_frame_tokens) * area), most)
    each = max(1, most // shape.frames)
    size = round_then_grow(
        shape.height, shape.width, factor=shape.patches.factor, least=least, most=each
    )
    return shape.sized(size, least=least, most=most)


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
        shape.share_of(settings.video_token_budget)  # refuses one that is too small
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
    size = round_video(
        shape.height,
        shape.width,
        frames=frames,
        step=step,
        factor=shape.patches.factor,
        least=least,
        most=highest,
    )
    return shape.sized(size, least=least, most=most)


SIZERS: dict[str, Callable[[Shape, Settings], Size]] = {
    "qwen_vl_utils": qwen_vl_utils,
    "per_frame": per_frame,
    "share": share,
    "per_video": per_video,
    "square": square,
    "soft": soft,
    "tiles": tiles,
}
