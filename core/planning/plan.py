"""The plan: which frames at which times, at which size, for how many visual tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.errors import SettingsError
from core.planning.card import ModelCard
from core.planning.families import fit_to_pixels
from core.planning.sampling import sample
from core.planning.settings import Settings
from core.video.info import VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the model will be given; readers and engines follow it to the letter.

    Attributes:
        indices: frames of the video, counted as shown, ascending.
        times: seconds at which they are shown.
        height, width: pixels of every frame.
        grid: patches in time, height and width.
        step_times: seconds written before each step in time (one step is two frames merged).
        labels: those times as the model reads them.
        tokens_per_step: visual tokens of one step.
        min_pixels, max_pixels, total_pixels: the limits the size was chosen by, per frame, per
            frame and per video, as qwen-vl-utils names them.
        route: whose rules chose frames and size.
    """

    indices: tuple[int, ...]
    times: tuple[float, ...]
    height: int
    width: int
    grid: tuple[int, int, int]
    step_times: tuple[float, ...]
    labels: tuple[str, ...]
    tokens_per_step: int
    min_pixels: int
    max_pixels: float
    total_pixels: int
    route: str

    @property
    def video_tokens(self) -> int:
        """Visual tokens of the whole video."""
        return self.grid[0] * self.tokens_per_step


def make_plan(info: VideoInfo, settings: Settings, card: ModelCard) -> Plan:
    """Decide frames and size; arithmetic only.

    Raises:
        SettingsError: the settings cannot hold for this video or this model.
        VideoError: the picture has a shape the model cannot take.
    """
    if settings.max_tiles is not None:
        raise SettingsError(
            f"max_tiles has no meaning for {card.family.name}: its frames are not cut into tiles.",
            remedy="Leave max_tiles out; max_frame_tokens is what bounds a frame.",
        )
    step = card.patches.temporal_patch_size
    indices = sample(info, settings, card.limits, step=step)
    times = tuple(info.time_of(index) for index in indices)
    min_pixels, max_pixels, total_pixels = _pixel_limits(len(indices), settings, card)
    height, width = fit_to_pixels(
        info.height,
        info.width,
        factor=card.patches.factor,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    step_times = _step_times(times, step)
    return Plan(
        indices=indices,
        times=times,
        height=height,
        width=width,
        grid=card.patches.grid(frames=len(indices), height=height, width=width),
        step_times=step_times,
        labels=tuple(card.family.time_label.format(seconds) for seconds in step_times),
        tokens_per_step=card.patches.tokens_per_step(height=height, width=width),
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        total_pixels=total_pixels,
        route=card.family.route,
    )


def _pixel_limits(frames: int, settings: Settings, card: ModelCard) -> tuple[int, float, int]:
    """min_pixels and max_pixels of a frame and total_pixels of the video.

    ``fetch_video`` of qwen-vl-utils (the link is at families.FAMILIES). There a floor that the
    user did not ask for would push the video over a budget that the user did ask for, and an upper
    limit under it is an assertion error; here that floor gives way. A checkpoint's own upper limit
    is what is used where the user sets none; the family's can never be passed. All of them bound
    the area before it is rounded to whole patches: a small picture that is enlarged can pass them.
    """
    area, limits = card.patches.factor**2, card.limits
    budget = settings.video_token_budget or limits.video_tokens
    step = card.patches.temporal_patch_size
    per_frame = budget * area / frames * step
    if settings.video_token_budget and per_frame < area:
        steps = math.ceil(frames / step)
        raise SettingsError(
            f"A budget of {budget:,} tokens is less than one for each of {steps:,} steps of {step} "
            "frames.",
            remedy=f"Raise video_token_budget to {steps:,}, or take {budget * step:,} frames or "
            "less.",
        )
    floor = settings.min_frame_tokens
    most = settings.max_frame_tokens or max(limits.max_frame_tokens, 1.05 * (floor or 0))
    if floor is None:
        floor = min(limits.min_frame_tokens, int(most))
        if settings.video_token_budget:
            floor = max(1, min(floor, int(per_frame / 1.05 / area)))
    highest = card.family.limits.max_frame_tokens
    ceiling = max(min(highest * area, per_frame), int(floor * area * 1.05))
    return floor * area, min(most * area, ceiling), budget * area


def _step_times(times: tuple[float, ...], step: int) -> tuple[float, ...]:
    """The mean of the first and the last time of each group of ``step`` frames.

    ``Qwen3VLProcessor._calculate_timestamps``; a last group that is not full repeats its last time.
    """
    return tuple(
        (times[start] + times[min(start + step, len(times)) - 1]) / 2
        for start in range(0, len(times), step)
    )
