"""What a sizing rule looks at and what it says: pictures in pixels, costs in tokens; values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.errors import SettingsError
from core.planning.family import Limits, PatchGrid


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

    def sized(self, size: tuple[int, int], *, least: float, most: float, total: float = 0) -> Size:
        """A height and width that were chosen by these limits, with what its patches cost."""
        height, width = size
        tokens = self.patches.tokens_per_step(height=height, width=width)
        return Size(height=height, width=width, tokens=tokens, least=least, most=most, total=total)

    def share_of(self, budget: int | None) -> float:
        """Pixels of a frame where a budget of tokens is shared out among all of them.

        Raises:
            SettingsError: that is less than one token for a step.
        """
        if budget is None:
            return math.inf
        step = self.patches.temporal_patch_size
        share = budget * self.patches.area / self.frames * step
        if share < self.patches.area:
            steps = math.ceil(self.frames / step)
            frames = "frames" if step == 1 else f"steps of {step} frames"
            raise SettingsError(
                f"A budget of {budget:,} tokens is less than one for each of {steps:,} {frames}.",
                remedy=f"Raise video_token_budget to {steps:,}, or take {budget * step:,} frames "
                "or less.",
            )
        return share
