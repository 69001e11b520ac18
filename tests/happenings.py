"""Made-up videos and what happens in them when, for tests of which frames are taken."""

from __future__ import annotations

import bisect
from fractions import Fraction

from hypothesis import strategies as st

from core.planning.scenes import scenes, scenes_indices
from core.video import VideoInfo, describe_video
from core.video.profile import Profile

EVEN = [1.0] * 10


def profile_of(activity: list[float], cuts: tuple[float, ...] = ()) -> Profile:
    """Activity second by second."""
    return Profile(
        seconds=list(map(float, range(len(activity)))),
        activity=activity,
        cuts=cuts,
        duration_seconds=float(len(activity)),
    )


def even_video(frames: int, rate: float = 25) -> VideoInfo:
    return describe_video(width=640, height=360, duration_seconds=frames / rate, frame_rate=rate)


def uneven_video(times: list[float]) -> VideoInfo:
    """A frame at each time."""
    return VideoInfo(
        width=640,
        height=360,
        duration_seconds=times[-1] + 1,
        frame_rate=Fraction(len(times)),
        frame_count=len(times),
        variable_rate=True,
        frame_times=times,
    )


@st.composite
def profiles(draw: st.DrawFn, *, most_cuts: int = 12) -> Profile:
    """Slices of unequal length, in hundredths of a second; still, even and wild activity."""
    starts = sorted(draw(st.sets(st.integers(1, 5999), max_size=60)) | {0})
    level = st.sampled_from([0.0, 1.0, 1.0, 1.5, 40.0]) | st.floats(0, 1e6)
    cuts = sorted(draw(st.sets(st.integers(1, 5999), max_size=most_cuts)))
    return Profile(
        seconds=[start / 100 for start in starts],
        activity=draw(st.lists(level, min_size=len(starts), max_size=len(starts))),
        cuts=[cut / 100 for cut in cuts],
        duration_seconds=60.0,
    )


def scene_times(profile: Profile, budget: int) -> tuple[float, ...]:
    """Times that are taken of the whole video."""
    return scenes(profile, start=0, end=profile.duration_seconds, budget=budget)


def scene_frames(info: VideoInfo, profile: Profile, budget: int) -> tuple[int, ...]:
    """Frames that are taken of the whole video."""
    return scenes_indices(info, profile, first=0, last=info.frame_count - 1, budget=budget)


def covered(profile: Profile, times: tuple[float, ...]) -> set[int]:
    """Numbers of the scenes that a time lies in."""
    return {bisect.bisect_right(profile.cuts, time) for time in times}
