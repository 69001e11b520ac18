"""Which frames: the strategies, as functions from counts to frame indices; decodes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from core.errors import SettingsError
from core.planning.families import Limits
from core.planning.settings import Settings
from core.video.info import VideoInfo


def sample(info: VideoInfo, settings: Settings, limits: Limits, *, step: int) -> tuple[int, ...]:
    """Indices of the frames to take, ascending.

    Args:
        info: the video.
        settings: strategy, fps, frames and range; what is None comes from ``limits``.
        limits: the checkpoint's defaults.
        step: frames the model merges in time; the number of frames is a multiple of it, except
            for a video (or range) with fewer frames than that.

    Raises:
        SettingsError: the range lies outside the video, or fewer than ``step`` frames are wanted.
    """
    first, last = frame_range(info, settings)
    available = last - first + 1
    count = _COUNTERS[settings.strategy](info, settings, limits, available, step)
    return spread(first, last, min(count, available))


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


def spread(first: int, last: int, count: int) -> tuple[int, ...]:
    """``count`` indices from first to last, both included, evenly.

    Equal to ``torch.linspace(first, last, count).round()``, which counts in float32 with fused
    multiply-add: from the start in the first half, from the end in the second. Above 2^24, where
    float32 skips numbers, it can miss the last frame, but never goes beyond it.
    """
    if count == 1:
        return (first,)
    gap = float((np.float32(last) - np.float32(first)) / np.float32(count - 1))
    steps = np.arange(count)
    rising = float(np.float32(first)) + gap * steps
    falling = float(np.float32(last)) - gap * (count - 1 - steps)
    exact = np.where(steps < count // 2, rising, falling).astype(np.float32)
    return tuple(np.round(exact).astype(int).clip(first, last).tolist())


def _count_by_fps(
    info: VideoInfo, settings: Settings, limits: Limits, available: int, step: int
) -> int:
    """``smart_nframes`` of qwen-vl-utils with ``fps``."""
    low = math.ceil((settings.min_frames or limits.min_frames) / step) * step
    high = _whole_steps(settings.max_frames or limits.max_frames, step)
    wanted = available / float(info.frame_rate) * (settings.fps or limits.fps)
    count = min(max(wanted, low), high, available)
    return math.floor(count / step) * step or 1


def _count_uniform(
    info: VideoInfo, settings: Settings, limits: Limits, available: int, step: int
) -> int:
    """``smart_nframes`` of qwen-vl-utils with ``nframes``, but never more than there are."""
    count = min(_whole_steps(settings.max_frames or limits.max_frames, step), available)
    return math.floor(count / step) * step or 1


def _whole_steps(max_frames: int, step: int) -> int:
    if max_frames < step:
        raise SettingsError(
            f"max_frames is {max_frames}; the model reads frames in groups of {step}.",
            remedy=f"Set max_frames to {step} or more.",
        )
    return max_frames // step * step


_Counter = Callable[[VideoInfo, Settings, Limits, int, int], int]
_COUNTERS: dict[str, _Counter] = {"fps": _count_by_fps, "uniform": _count_uniform}
