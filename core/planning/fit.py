"""The richest settings that fit: patches a frame are given up first, then frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.planning.card import ModelCard
from core.planning.forecast import Estimate, estimate
from core.planning.machine import Device
from core.planning.plan import make_plan
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.video.info import VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What to do about an estimate that does not fit.

    Attributes:
        message: in words.
        settings: settings that fit; None where none do.
    """

    message: str
    settings: Settings | None


def remedy_for(
    found: Estimate,
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    devices: tuple[Device, ...],
) -> Remedy | None:
    """None where the estimate fits, otherwise the way out."""
    if found.verdict == "fits":
        return None
    fitting = fit(info, settings, card, turns, devices)
    if fitting is not None:
        changes = [
            f"{name} to {value:,}"
            for name, value in fitting.changed().items()
            if value != getattr(settings, name)
        ]
        return Remedy(message=f"Set {' and '.join(changes)}.", settings=fitting)
    if found.verdict == "over_memory":
        message = "Even the smallest plan does not fit: choose a smaller model or more memory."
    else:
        message = (
            f"Question and history take {found.tokens.question + found.tokens.history:,} tokens "
            f"and {found.tokens.reply:,} are kept for the reply: shorten the question, start a new "
            "conversation, or set reply_tokens lower."
        )
    return Remedy(message=message, settings=None)


def fit(
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    devices: tuple[Device, ...],
) -> Settings | None:
    """The settings nearest to ``settings`` whose estimate fits, or None.

    More room never gives poorer settings: the number of frames stays while fewer patches a frame
    are enough, and then is as large as the smallest frames allow.
    """

    def fits(candidate: Settings) -> bool:
        plan = make_plan(info, candidate, card)
        found = estimate(plan, info, candidate, card, turns, devices=devices)
        return found.verdict == "fits"

    if fits(settings):
        return settings
    plan = make_plan(info, settings, card)
    most = max(1, int(plan.max_pixels / card.patches.factor**2))
    least = min(card.limits.min_frame_tokens, plan.tokens_per_step, most)
    best = _largest(least, most, lambda n: fits(_with_tokens(settings, n)))
    if best is not None:
        return _with_tokens(settings, best)
    smallest = _with_tokens(settings, least)
    step = card.patches.temporal_patch_size
    groups = _largest(
        1, max(1, len(plan.indices) // step), lambda n: fits(_with_frames(smallest, n * step))
    )
    return None if groups is None else _with_frames(smallest, groups * step)


def _with_tokens(settings: Settings, tokens: int) -> Settings:
    floor = settings.min_frame_tokens
    return replace(
        settings,
        max_frame_tokens=tokens,
        min_frame_tokens=None if floor is None else min(floor, tokens),
    )


def _with_frames(settings: Settings, frames: int) -> Settings:
    floor = settings.min_frames
    return replace(
        settings,
        max_frames=frames,
        min_frames=None if floor is None else min(floor, frames),
    )


def _largest(low: int, high: int, accepts: Callable[[int], bool]) -> int | None:
    """The largest accepted number from low to high, by halving; None if even low is not."""
    if not accepts(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if accepts(middle):
            low = middle
        else:
            high = middle - 1
    return low
