"""The plan: which frames at which times, at which size, for how many visual tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter

from core.errors import CheckpointError, SettingsError
from core.planning.card import ModelCard
from core.planning.family import Route
from core.planning.frame_size import Shape
from core.planning.measured import Measured, Sampled
from core.planning.sampling import sample
from core.planning.settings import Settings
from core.planning.sizing import size_frames
from core.video.info import VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the model will be given; readers and engines follow it to the letter.

    Attributes:
        indices: frames of the video, counted as shown, ascending; a family that needs an even
            number may take the last one twice.
        times: seconds at which they are shown.
        height, width: pixels of every frame.
        grid: patches in time, height and width.
        step_times: seconds written before each step in time (a step may be two frames merged).
        labels: those times as the model reads them; empty where it reads none.
        tokens_per_step: visual tokens of one step; their mean where they were measured.
        min_pixels, max_pixels, total_pixels: the limits the size was chosen by, as the route's own
            library names and counts them; 0 where it has none.
        duration_seconds: how long the whole video is.
        route: whose rules chose frames and size.
        measured: what the real processor said, for a family without rules of its own.
    """

    indices: tuple[int, ...]
    times: tuple[float, ...]
    height: int
    width: int
    grid: tuple[int, int, int]
    step_times: tuple[float, ...]
    labels: tuple[str, ...]
    tokens_per_step: int
    min_pixels: float
    max_pixels: float
    total_pixels: float
    duration_seconds: float
    route: str
    measured: Measured | None = None

    @property
    def video_tokens(self) -> int:
        """Visual tokens of the whole video; with labels and wrappers where they were measured."""
        if self.measured is not None:
            return self.measured.tokens
        return self.grid[0] * self.tokens_per_step


def make_plan(info: VideoInfo, settings: Settings, card: ModelCard) -> Plan:
    """Decide frames and size; arithmetic only.

    Raises:
        SettingsError: the settings cannot hold for this video or this model.
        VideoError: the picture has a shape the model cannot take.
    """
    route = card.route(settings.route)
    _check_meaning(settings, card, route)
    step = card.patches.temporal_patch_size
    indices = sample(info, settings, route.limits, step=step, rule=route.sampler)
    if route.sizer == "measured":
        return _measured_plan(info, indices, card)
    shape = Shape(
        height=info.height,
        width=info.width,
        frames=len(indices),
        patches=card.patches,
        limits=route.limits,
        highest=card.family_route(route.name).limits,
        frame_tokens=card.frame_tokens or 0,
        frame_side=card.frame_side or 0,
    )
    size = size_frames(route.sizer, shape, settings)
    times = tuple(info.time_of(index) for index in indices)
    step_times = _step_times(times, step, first=route.text.label_after)
    return Plan(
        indices=indices,
        times=times,
        height=size.height,
        width=size.width,
        grid=card.patches.grid(frames=len(indices), height=size.height, width=size.width),
        step_times=step_times,
        labels=_labels(route, step_times),
        tokens_per_step=size.tokens,
        min_pixels=size.least,
        max_pixels=size.most,
        total_pixels=size.total,
        duration_seconds=info.duration_seconds,
        route=route.name,
    )


def _measured_plan(info: VideoInfo, indices: tuple[int, ...], card: ModelCard) -> Plan:
    """The plan whose size and cost the real processor tells."""
    if card.measure is None:
        raise CheckpointError(
            f"There are no planning rules for {card.family.name}, and its processor was not asked.",
            remedy="Give core.measuring.measurable(card) instead of the card.",
        )
    times = tuple(info.time_of(index) for index in indices)
    found = card.measure(
        Sampled(
            times=times,
            height=info.height,
            width=info.width,
            duration_seconds=info.duration_seconds,
        )
    )
    return Plan(
        indices=indices,
        times=times,
        height=found.height,
        width=found.width,
        grid=found.grid,
        step_times=times,
        labels=(),
        tokens_per_step=found.tokens // found.grid[0],
        min_pixels=0,
        max_pixels=0,
        total_pixels=0,
        duration_seconds=info.duration_seconds,
        route="processor",
        measured=found,
    )


def _check_meaning(settings: Settings, card: ModelCard, route: Route) -> None:
    """Refuse settings that would be ignored.

    Raises:
        SettingsError: naming the setting that does what was meant.
    """
    if settings.max_tiles is not None and route.sizer != "tiles":
        raise SettingsError(
            f"max_tiles has no meaning for {card.family.name} by the route {route.name}: its "
            "frames are not cut into tiles.",
            remedy="Leave max_tiles out; max_frame_tokens is what bounds a frame."
            if card.frame_tokens is None
            else "Leave max_tiles out, or choose the route tiles where the family has it.",
        )
    if settings.max_frames is None and (settings.min_frames or 0) > route.limits.max_frames:
        raise SettingsError(
            f"min_frames is {settings.min_frames:,}; {card.family.name} takes at most "
            f"{route.limits.max_frames:,} frames where max_frames says nothing else.",
            remedy=f"Set min_frames to {route.limits.max_frames:,} or less, or max_frames to "
            f"{settings.min_frames:,} or more.",
        )
    given = [
        name
        for name in ("min_frame_tokens", "max_frame_tokens", "video_token_budget")
        if getattr(settings, name) is not None
    ]
    if given and route.sizer == "measured":
        raise SettingsError(
            f"{given[0]} has no meaning for {card.family.name}: its processor sizes the frames.",
            remedy=f"Leave {given[0]} out; max_frames is what bounds the cost.",
        )
    if given and card.frame_tokens is not None:
        raise SettingsError(
            f"{given[0]} has no meaning for {card.family.name}: a frame is always "
            f"{card.frame_tokens:,} tokens" + (" a tile." if route.sizer == "tiles" else "."),
            remedy=f"Leave {given[0]} out; max_frames (or max_tiles) is what bounds the cost.",
        )


def _step_times(times: tuple[float, ...], step: int, *, first: bool) -> tuple[float, ...]:
    """The time of each group of ``step`` frames: of its first frame, or the middle of the group.

    The middle as in ``Qwen3VLProcessor._calculate_timestamps``: the mean of the first and the last
    time; a last group that is not full repeats its last time. GLM-V takes the first.
    """
    if first:
        return times[::step]
    ends = (*times[step - 1 :: step], times[-1])
    return tuple((begin + end) / 2 for begin, end in zip(times[::step], ends, strict=False))


def _labels(route: Route, step_times: tuple[float, ...]) -> tuple[str, ...]:
    write = _label_writer(route.text.label)
    return tuple(map(write, step_times, range(1, len(step_times) + 1))) if write else ()


@lru_cache(maxsize=64)
def _label_writer(label: str) -> Callable[[float, int], str] | None:
    """From a step's seconds and number to its label; computes only what the label has in it."""
    if not label:
        return None
    fields = [_FIELDS[name] for _, name, _, _ in Formatter().parse(label) if name]
    form = re.sub(r"\{\w+", "{", label).format  # by place, which is quicker than by name
    return lambda seconds, number: form(*[field(seconds, number) for field in fields])


_FIELDS: dict[str, Callable[[float, int], float]] = {
    "seconds": lambda seconds, _: seconds,
    "whole": lambda seconds, _: int(seconds),
    "minutes": lambda seconds, _: int(seconds // 60),
    "rest": lambda seconds, _: int(seconds % 60),
    "number": lambda _, number: number,
}
