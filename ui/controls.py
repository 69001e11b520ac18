"""Which controls a model has, how far they go, and the Settings they stand for; knows no page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from core.planning import ModelCard, Settings
from core.planning.family import Route
from core.planning.tiling import SOFT_TOKENS
from core.video.info import VideoInfo

SLIDERS = ("fps", "max_frames", "max_frame_tokens", "max_tiles", "min_frames")
OF_A_FRAME = ("max_frame_tokens", "max_tiles", "min_frame_tokens")
OF_A_RATE = ("fps", "min_frames")
MOST_TILES = 12  # of max_dynamic_patch in InternVL's checkpoints
USUAL_FPS, MOST_FPS = 1.0, 8.0
FEW_FRAMES = 128  # a default of fewer frames is no upper limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where a slider begins, ends and stands at first."""

    low: float
    high: float
    value: float
    step: float

    def nearest(self, value: float | None) -> float:
        """The place for ``value``, not above it; where the slider stands at first for None."""
        if value is None:
            return self.value
        return self.low + (min(max(value, self.low), self.high) - self.low) // self.step * self.step


def ranges(card: ModelCard, route: Route) -> dict[str, Range]:
    """The range of every slider that means something for a model and a route."""
    limits, step = route.limits, card.patches.temporal_patch_size
    fps = limits.fps or USUAL_FPS
    most = max(limits.max_frames, FEW_FRAMES)
    least = max(step, limits.min_frames)
    floor = max(2 * step, min(limits.max_frames, FEW_FRAMES))
    found = {
        "fps": Range(low=0.05, high=max(MOST_FPS, fps), value=fps, step=0.05),
        "max_frames": Range(low=step, high=most, value=limits.max_frames, step=step),
        "min_frames": Range(low=step, high=floor, value=least, step=step),
    }
    if route.sizer == "tiles":
        found["max_tiles"] = Range(low=1, high=MOST_TILES, value=1, step=1)
    elif card.frame_tokens is None:
        found["max_frame_tokens"] = _patches(card, route)
    return found


def _patches(card: ModelCard, route: Route) -> Range:
    usual = route.limits.max_frame_tokens
    high = min(card.family_route(route.name).limits.max_frame_tokens, 4 * usual)
    if route.sizer == "soft":
        low = SOFT_TOKENS[0]
        return Range(low=low, high=SOFT_TOKENS[-1], value=usual, step=low)
    return Range(low=4, high=int(max(high, usual)), value=int(usual), step=1)


def strategies(info: VideoInfo | None) -> list[str]:
    """The sampling strategies that this video allows."""
    found = ["fps", "uniform"]
    if info is not None and info.keyframes:
        found.append("keyframes")
    if info is not None and info.profile is not None:
        found.append("scenes")
    return found


def usual_strategy(route: Route) -> str:
    """The strategy to begin with: the model's own rate, where it has one."""
    return "uniform" if route.limits.fps is None else "fps"


def route_of(card: ModelCard, name: str | None) -> Route:
    """The model's route of that name; its usual one if it is another model's."""
    return next((route for route in card.routes if route.name == name), card.routes[0])


def meaningful(card: ModelCard, route: Route, strategy: str) -> set[str]:
    """The settings that would not be ignored, or refused, by their names."""
    found = {each.name for each in fields(Settings)} - {*OF_A_FRAME, *OF_A_RATE}
    found |= ranges(card, route).keys()
    if "max_frame_tokens" in found:
        found.add("min_frame_tokens")
    return found if strategy == "fps" else found - {*OF_A_RATE}


def settings_of(values: Mapping[str, Any], card: ModelCard) -> Settings:
    """What the controls' values mean for a model.

    Raises:
        SettingsError: they contradict each other, or can be right for no model.
    """
    route = route_of(card, values.get("route"))
    kept = meaningful(card, route, values.get("strategy") or "fps")
    chosen = {name: value for name, value in values.items() if name in kept}
    return Settings(**{**chosen, "route": route.name})
