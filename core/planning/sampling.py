"""Which frames: from a video and settings to frame indices; decodes nothing.

With ``strategy="fps"`` a family's own rule decides, as the library does that it names; with the
others the same rule serves all families, and each takes what it is given.
"""

from __future__ import annotations

import math

import numpy as np

from core.errors import SettingsError
from core.planning.family import Limits
from core.planning.keyframes import keyframes
from core.planning.samplers import IN_STEPS, SAMPLERS, Clip
from core.planning.scenes import scenes_indices
from core.planning.settings import Settings
from core.planning.spreading import Indices, spread
from core.video.info import VideoInfo
from core.video.profile import Profile


def sample(
    info: VideoInfo, settings: Settings, limits: Limits, *, step: int, rule: str = "smart_nframes"
) -> Indices:
    """Indices of the frames to take, ascending.

    Args:
        info: the video.
        settings: strategy, fps, frames and range; what is None comes from ``limits``.
        limits: the checkpoint's defaults.
        step: frames the model merges in time; qwen-vl-utils' rule takes a multiple of it, except
            from a video (or range) with fewer frames than that.
        rule: the family's rule for ``strategy="fps"``, a key of ``SAMPLERS``. Where it takes a
            frame twice to make an even number, so does this.

    Raises:
        SettingsError: the range lies outside the video, fewer than ``step`` frames are wanted, or
            the strategy needs what is not known of this video.
    """
    first, last = frame_range(info, settings)
    available = last - first + 1
    most = settings.max_frames or limits.max_frames
    if settings.strategy == "fps":
        whole = available == info.frame_count
        clip = Clip(
            first=first,
            frames=available,
            rate=float(info.frame_rate),
            duration_seconds=info.duration_seconds if whole else float(available / info.frame_rate),
            fps=settings.fps or limits.fps,
            least=settings.min_frames or limits.min_frames,
            most=_whole_steps(most, step if rule in IN_STEPS else 1),
            step=step,
        )
        return tuple(first + index for index in SAMPLERS[rule](clip))
    budget = min(_whole_steps(most, step), available) // step * step or 1
    if settings.strategy == "keyframes":
        return keyframes(info.keyframes, first=first, last=last, budget=budget)
    if settings.strategy == "scenes":
        return scenes_indices(info, _profile(info), first=first, last=last, budget=budget)
    return spread(first, last, budget)


def _profile(info: VideoInfo) -> Profile:
    if info.profile is None:
        raise SettingsError(
            "It is not known what happens when in this video, so no scenes can be told apart.",
            remedy="Choose fps or uniform.",
        )
    return info.profile


def frame_range(info: VideoInfo, settings: Settings) -> tuple[int, int]:
    """First and last index between ``start`` and ``end``.

    ``calculate_video_frame_range`` of qwen-vl-utils; where the rate varies, the frames' own times
    take the place of its index / rate.
    """
    if settings.start is None and settings.end is None:
        return 0, info.frame_count - 1
    start = settings.start or 0.0
    end = info.duration_seconds if settings.end is None else settings.end
    last = info.frame_count - 1
    if info.variable_rate and info.frame_times is not None:
        times = np.asarray(info.frame_times)
        first = int(np.searchsorted(times, start))
        last = min(last, int(np.searchsorted(times, end, side="right")) - 1)
    else:
        rate = float(info.frame_rate)
        first = math.ceil(start * rate)
        last = min(last, math.floor(end * rate))
    if first > last:
        raise SettingsError(
            f"There is no frame between {start:g} s and {end:g} s: the video is "
            f"{info.duration_seconds:.2f} s long at {float(info.frame_rate):g} frames a second.",
            remedy=f"Set start and end between 0 and {info.duration_seconds:.2f} s.",
        )
    return first, last


def _whole_steps(max_frames: int, step: int) -> int:
    if max_frames < step:
        raise SettingsError(
            f"max_frames is {max_frames}; the model reads frames in groups of {step}.",
            remedy=f"Set max_frames to {step} or more.",
        )
    return max_frames // step * step
