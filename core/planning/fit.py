"""The richest settings that fit: patches a frame are given up first, then frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any, TypeVar

from core.planning.card import ModelCard
from core.planning.execution import QUANTISED
from core.planning.family import Route
from core.planning.forecast import AS_STORED, Estimate, Execution, count_text, estimate
from core.planning.machine import Device
from core.planning.plan import Plan, make_plan
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.planning.tiling import SOFT_TOKENS
from core.planning.weights import has_experts
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
        return Remedy(message=changes(settings, fitting), settings=fitting)
    held = any(each.weights + each.reserve > each.device.capacity_bytes for each in found.memory)
    if held or found.verdict == "over_memory":
        held_otherwise = _otherwise(info, settings, card, turns, devices, execution)
        message = (
            f"Even the smallest plan does not fit: choose {held_otherwise}a smaller model or more "
            "memory."
        )
    else:
        message = (
            f"Even the smallest plan does not fit: question and history take "
            f"{found.tokens.question + found.tokens.history:,} tokens, and {found.tokens.reply:,} "
            "are kept for the reply. Shorten the question, start a new conversation, set "
            "reply_tokens lower, or choose a model with a larger context."
        )
    return Remedy(message=message, settings=None)


def changes(settings: Settings, fitting: Settings) -> str:
    """What to do to get from the one to the other, in a sentence."""
    changed = [
        f"{name} to {value:,}"
        for name, value in fitting.changed().items()
        if value != getattr(settings, name)
    ]
    return f"Set {' and '.join(changed)}."


def _otherwise(
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    devices: tuple[Device, ...],
    execution: Execution,
) -> str:
    """Another placement and the mildest quantisation with which something fits, for a remedy."""
    anywhere = replace(execution, layers=None)

    def helps(other: Execution) -> bool:
        return fit(info, settings, card, turns, devices, execution=other) is not None

    usual, ways = replace(anywhere, placement="auto"), ""
    if execution.placement != "auto" and helps(usual):
        ways = "--placement auto, "
    if devices[0].kind != "cuda" or execution.precision in QUANTISED or has_experts(card):
        return ways
    packed = (each for each in QUANTISED if helps(replace(anywhere, precision=each)))
    found = next(packed, None)
    return ways if found is None else f"{ways}--quantize {found}, "


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
    route = card.route(settings.route)
    text = count_text(card, turns, route=route.name)

    def fits(candidate: Settings) -> bool:
        plan = make_plan(info, candidate, card)
        found = estimate(
            plan, info, candidate, card, turns, devices=devices, execution=execution, text=text
        )
        return found.verdict == "fits"

    if fits(settings):
        return settings
    plan = make_plan(info, settings, card)
    detail = _detail(plan, route, settings, area=card.patches.area)
    fewer_patches = _largest(detail, lambda each: fits(each(settings)))
    if fewer_patches is not None:
        return fewer_patches(settings)
    step, frames = card.patches.temporal_patch_size, len(plan.indices)
    fewest = min(ceil(route.limits.min_frames / step), max(1, frames // step))
    smallest = detail[0](settings)
    groups = _largest(
        range(fewest, max(1, frames // step) + 1),
        lambda n: fits(_with_frames(smallest, n * step)),
    )
    if groups is None:
        return None
    kept = _with_frames(settings, groups * step)
    best = _largest(detail, lambda each: fits(each(kept)))
    return (best or detail[0])(kept)


Change = Callable[[Settings], Settings]


def _detail(plan: Plan, route: Route, settings: Settings, *, area: int) -> Sequence[Change]:
    """Ways to give frames less detail, the least first; the last one changes nothing that counts.

    Frames of fixed cost have one way only, which is to stay as they are.
    """
    if route.sizer in ("square", "measured"):
        return [lambda chosen: chosen]
    if route.sizer == "tiles":
        return [partial(_with_tiles, tiles=n) for n in range(1, (settings.max_tiles or 1) + 1)]
    if route.sizer == "soft":
        most = settings.max_frame_tokens or route.limits.max_frame_tokens
        return [partial(_with_tokens, tokens=n) for n in SOFT_TOKENS if n <= most]
    most = plan.tokens_per_step
    if route.sizer in ("qwen_vl_utils", "per_frame"):  # a picture may be smaller than its limit
        most = max(1, int(plan.max_pixels / area))
    least = max(1, int(min(route.limits.min_frame_tokens, plan.tokens_per_step, most)))
    return _Range(least, most)


class _Range(Sequence[Change]):
    """Every number of tokens a frame from least to most, made only when asked for."""

    def __init__(self, least: int, most: int) -> None:
        self._numbers = range(least, most + 1)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: Any) -> Any:
        return partial(_with_tokens, tokens=self._numbers[place])


def _with_tiles(settings: Settings, *, tiles: int) -> Settings:
    return replace(settings, max_tiles=tiles)


def _with_tokens(settings: Settings, *, tokens: int) -> Settings:
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


T = TypeVar("T")


def _largest(ascending: Sequence[T], accepts: Callable[[T], bool]) -> T | None:
    """The last accepted entry, by halving; None if even the first is not.

    The entry after the one found, where there is one, has been tried and refused.
    """
    low, high = 0, len(ascending) - 1
    if not accepts(ascending[low]):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if accepts(ascending[middle]):
            low = middle
        else:
            high = middle - 1
    return ascending[low]
