"""How much happens when in a video, as a value; knows nothing of how it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.errors import VideoError
from core.video.info import check_duration


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """How much the picture of a video changes, slice by slice.

    Attributes:
        seconds: when each slice begins, the first at 0, ascending; it lasts until the next one
            begins, the last one until the end of the video.
        activity: how much the picture changes during each slice, 0 or more, in any unit.
        cuts: seconds at which a new scene begins, ascending, without 0.
        duration_seconds: of the whole video.

    Raises:
        VideoError: values that no video has, or lengths that do not match.
    """

    seconds: Sequence[float] = field(repr=False)
    activity: Sequence[float] = field(repr=False)
    cuts: Sequence[float] = field(default=(), repr=False)
    duration_seconds: float

    def __post_init__(self) -> None:
        check_duration(self.duration_seconds)
        seconds = np.asarray(self.seconds, dtype=np.float64)
        activity = np.asarray(self.activity, dtype=np.float64)
        cuts = np.asarray(self.cuts, dtype=np.float64)
        if not len(seconds) == len(activity) >= 1:
            raise _unusable(f"{len(seconds):,} slices and {len(activity):,} values of activity")
        if seconds[0] != 0 or not _ascend(seconds, self.duration_seconds):
            raise _unusable(f"slices that do not ascend from 0 to {self.duration_seconds:g} s")
        if not (np.isfinite(activity) & (activity >= 0)).all():
            raise _unusable(f"activity from {activity.min():g} to {activity.max():g}")
        if len(cuts) and not (cuts[0] > 0 and _ascend(cuts, self.duration_seconds)):
            raise _unusable(f"cuts that do not ascend between 0 and {self.duration_seconds:g} s")


def _ascend(seconds: NDArray[np.float64], end: float) -> bool:
    return bool((np.diff(seconds) > 0).all() and seconds[-1] < end)


def _unusable(found: str) -> VideoError:
    return VideoError(
        f"The profile of the video has {found}.",
        remedy="Measure it again, or choose the strategy fps or uniform, which need none.",
    )
