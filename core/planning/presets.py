"""Fast, Balanced, Detailed: settings in proportion to what a family can take."""

from __future__ import annotations

import math
from typing import Any

from core.errors import SettingsError
from core.planning.family import Limits

# How far up its family's range each preset goes, for frames and for patches alike.
PRESETS: dict[str, float] = {"fast": 1 / 4, "balanced": 1 / 2, "detailed": 1.0}


def preset(name: str, limits: Limits) -> dict[str, Any]:
    """The settings of a preset, to be laid over others: ``replace(settings, **preset(...))``.

    A preset goes a share of the way up the family's own range, counted in doublings: from ``low``
    to ``high`` it is ``low * (high / low) ** share``. Fast goes a quarter of the way, Balanced half
    of it, Detailed to the family's own upper limits. From 4 to 768 frames that is 15, 55, 768.
    Frames a second, the lower limits and the tokens of the whole video are the family's own in all
    three; where a long video meets that last limit, it bounds the patches of a frame further.

    Args:
        name: a key of ``PRESETS``.
        limits: the checkpoint's.

    Returns:
        Every setting that frames and patches depend on, except for strategy and range; None leaves
        it to the checkpoint. Where a frame has a fixed cost, no patch limit is set.

    Raises:
        SettingsError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise SettingsError(
            f"There is no preset {name!r}.", remedy=f"Choose one of: {', '.join(PRESETS)}."
        )
    share = PRESETS[name]
    fixed = limits.min_frame_tokens == limits.max_frame_tokens
    tokens = _between(limits.min_frame_tokens, limits.max_frame_tokens, share)
    return {
        "fps": None,
        "min_frames": None,
        "max_frames": _between(limits.min_frames, limits.max_frames, share),
        "min_frame_tokens": None,
        "max_frame_tokens": None if fixed else tokens,
        "video_token_budget": None,
    }


def _between(low: float, high: float, share: float) -> int:
    return max(1, round(low * math.pow(high / low, share)))
