"""The richest settings that fit: patches a frame are given up first, then frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from core.planning.card import ModelCard
from core.planning.forecast import AS_STORED, Estimate, Execution, count_text, estimate
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
    *,
    execution: Execution = AS_STORED,
) -> Remedy | None:
    """None where the estimate fits, otherwise the way out."""
    if found.verdict == "fits":
        return None
    fitting = fit(info, settings, card, turns, devices, execution=execution)
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
    *,
    execution: Execution = AS_STORED,
) -> Settings | None:
    """The settings nearest to ``settings`` whose estimate fits, or None.

    The number of frames stays while fewer patches a frame are enough; otherwise it is as large as
    the family's smallest frames allow, and they take what is left. Neither goes below the family's
    minimum, nor above what was asked for.

    More room never gives poorer settings: whatever fits fits in more room too, so that a search by
    halving over the same range takes the same path until it turns towards more.
    """
    text = count_text(card, turns)

    def fits(candidate: Settings) -> bool:
        plan = make_plan(info, candidate, card)
        found = estimate(
            plan, info, candidate, card, turns, devices=devices, execution=execution, text=text
        )
        return found.verdict == "fits"

    if fits(settings):
        return settings
    plan = make_plan(info, settings, card)
    most = max(1, int(plan.max_pixels / card.patches.factor**2))
    least = min(card.limits.min_frame_tokens, plan.tokens_per_step, most)

    def richest_patches(kept: Settings) -> Settings | None:
        tokens = _largest(least, most, lambda n: fits(_with_tokens(kept, n)))
        return None if tokens is None else _with_tokens(kept, tokens)

    fewer_patches = richest_patches(settings)
    if fewer_patches is not None:
        return fewer_patches
    step, frames = card.patches.temporal_patch_size, len(plan.indices)
    fewest = min(ceil(card.limits.min_frames / step), max(1, frames // step))
    smallest = _with_tokens(settings, least)
    groups = _largest(
        fewest, max(1, frames // step), lambda n: fits(_with_frames(smallest, n * step))
    )
    return None if groups is None else richest_patches(_with_frames(settings, groups * step))


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
    """The largest accepted number from low to high, by halving; None if even low is not.

    The number above the one found, where there is one up to high, has been tried and refused.
    """
    if not accepts(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if accepts(middle):
            low = middle
        else:
            high = middle - 1
    return low
