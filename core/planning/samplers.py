"""The families' own rules of which frames: from a ``Clip`` to indices, as upstream counts them.

Knows no strategies, and no video but the stretch that it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.planning.spreading import Indices, spread

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What a sampler looks at: a stretch of a video, as if there were nothing else.

    Attributes:
        first: index of its first frame; what a sampler gives is counted from there.
        frames: how many frames there are.
        rate: frames a second.
        duration_seconds: how long they take.
        fps: wanted frames a second, or None for ``most`` frames.
        least, most: bounds on the number of frames.
        step: frames the model merges in time.
    """

    first: int
    frames: int
    rate: float
    duration_seconds: float
    fps: float | None
    least: int
    most: int
    step: int


def _smart_nframes(clip: Clip) -> Indices:
    """``smart_nframes`` of qwen-vl-utils, never more than there are, from first to last."""
    low = math.ceil(clip.least / clip.step) * clip.step
    wanted = clip.frames / clip.rate * (clip.fps or math.inf)
    count = min(max(wanted, low), clip.most, clip.frames)
    count = math.floor(count / clip.step) * clip.step or 1
    found = spread(clip.first, clip.first + clip.frames - 1, int(count))
    return tuple(index - clip.first for index in found)


def _qwen2_vl(clip: Clip) -> Indices:
    """``Qwen2VLVideoProcessor.sample_frames``, without the index too many that its ``arange``
    sometimes gives, which lies outside of the video.
    """
    high = math.floor(min(clip.most, clip.frames) / clip.step) * clip.step
    wanted = clip.frames / clip.rate * (clip.fps or math.inf)
    count = min(max(wanted, clip.least), high, clip.frames)
    return _arange(0, clip.frames, math.floor(count / clip.step) * clip.step or 1)


def _qwen3_vl(clip: Clip) -> Indices:
    """``Qwen3VLVideoProcessor.sample_frames``; the number of frames may be odd."""
    wanted = clip.most if clip.fps is None else int(clip.frames / clip.rate * clip.fps)
    count = min(max(wanted, clip.least), clip.most, clip.frames)
    return _listed(np.linspace(0, clip.frames - 1, count).round())


def _middles(clip: Clip) -> Indices:
    """``InternVLVideoProcessor.sample_frames``: the middle of as many equal stretches."""
    count = _plain_count(clip)
    return _arange(clip.frames / count / 2, clip.frames, count)


def _segments(clip: Clip) -> Indices:
    """``get_index`` of InternVL's model cards: much the same, but rounded otherwise."""
    count = _plain_count(clip)
    length = (clip.frames - 1) / count
    return _listed(np.floor(length / 2 + np.round(length * np.arange(count))))


def _floors(clip: Clip) -> Indices:
    """``default_sample_indices_fn`` of transformers: the first of as many equal stretches."""
    count = _plain_count(clip)
    return _listed(np.arange(count) * clip.frames // count)


def _plain_count(clip: Clip) -> int:
    wanted = clip.most if clip.fps is None else int(clip.frames / clip.rate * clip.fps)
    return min(max(1, wanted, clip.least), clip.most, clip.frames)


def _smolvlm(clip: Clip) -> Indices:
    """``SmolVLMVideoProcessor.sample_frames``: skips a second at each end of a long video."""
    fps = clip.fps or 1.0
    count = max(1, clip.least, min(round(fps * clip.duration_seconds), clip.most))
    first, last = 0, clip.frames - 1
    if clip.duration_seconds - 2 > clip.most * fps:
        first, last = int(clip.rate), min(int(clip.frames - clip.rate), last)
    if first >= last:
        first, last = 0, clip.frames - 1
    return _listed(np.unique(np.linspace(first, last, count, dtype=int)))


def _glm4v(clip: Clip) -> Indices:
    """``Glm4vVideoProcessor.sample_frames``: to 300 seconds at ``fps``, then as many in all."""
    fps, longest = clip.fps or 2.0, 300
    if clip.duration_seconds <= longest:
        count = max(1, math.floor(clip.duration_seconds * fps))
        wanted = np.ceil(np.arange(count) * clip.rate / fps)
    elif int(longest * fps) >= clip.frames:
        wanted = np.arange(clip.frames)
    else:
        wanted = np.ceil(np.linspace(0, clip.duration_seconds, int(longest * fps)) * clip.rate)
    return _even(_thinned(np.unique(np.minimum(wanted, clip.frames - 1)), clip))


def _glm46v(clip: Clip) -> Indices:
    """``Glm46VVideoProcessor.sample_frames``: 6, 2 or 1 frames a second, the longer the fewer.

    It knows no other rate; where the user wants one, GLM-4.1V's rule follows it.
    """
    if clip.fps is not None:
        return _glm4v(clip)
    known = min(clip.duration_seconds, 2400)
    fps = 3 if known <= 30 else 1 if known <= 300 else 0.5
    count = max(1, min(int(known * fps * 2), 640))
    if clip.frames < count:
        found = np.linspace(0, clip.frames - 1, count, dtype=int)
    else:
        found = _at_seconds(clip, gap=1 / (2 * fps))
    if len(found) < count:
        found = np.linspace(found[0], found[-1], count, dtype=int)
    elif len(found) > count:
        found = np.linspace(0, clip.frames - 1, count, dtype=int)
    return _even(_thinned(np.unique(found), clip))


def _molmo2(clip: Clip) -> Indices:
    """``Molmo2VideoProcessor.sample_frames``: two a second, without the index too many that its
    ``arange`` sometimes gives, which lies outside of the video.
    """
    wanted = clip.most
    if clip.fps is not None or clip.rate > 2:
        wanted = int(clip.duration_seconds * (clip.fps or 2))
    return _arange(0, clip.frames, min(max(1, wanted, clip.least), clip.most, clip.frames))


def _at_seconds(clip: Clip, *, gap: float) -> Numbers:
    """The first frame at or after every ``gap`` seconds, before the last whole second.

    There the mark moves on by one gap for every frame taken, summed up as floats; here likewise.
    """
    frame, last = 1 / clip.rate, int(clip.duration_seconds)
    taken: list[int] = []
    index, mark = 0, 0.0
    while index < clip.frames:
        taken.append(index)
        mark += gap
        if mark >= last:
            break
        index = max(index + 1, math.floor(mark / frame) - 1)
        while index * frame < mark and index < clip.frames:
            index += 1
    return np.array(taken)


def _thinned(found: Numbers, clip: Clip) -> Numbers:
    """No more than the user wants, evenly; upstream knows no such bound."""
    if len(found) <= clip.most:
        return found
    kept: Numbers = found[np.linspace(0, len(found) - 1, clip.most).round().astype(int)]
    return kept


def _even(found: Numbers) -> Indices:
    """The last frame twice where the number is odd."""
    indices = _listed(found)
    return indices + indices[-1:] if len(indices) % 2 else indices


def _listed(found: Numbers) -> Indices:
    return tuple(found.astype(int).tolist())


def _arange(start: float, stop: int, count: int) -> Indices:
    """The first ``count`` of ``torch.arange(start, stop, stop / count).int()``.

    Counts as torch 2.14 was seen to on x86-64: eight numbers at a time from a base in float32, what
    is left of sixteen from the start in double. Equal up to some 4 million frames; beyond, float32
    rounds by more than the frames are apart.
    """
    step = stop / count
    numbers = np.arange(count)
    length = math.ceil((stop - start) / step)
    lane = numbers % 8
    base = (start + step * (numbers - lane)).astype(np.float32)
    exact = np.where(
        numbers < length // 16 * 16, base + lane * step, start + step * numbers
    ).astype(np.float32)
    return tuple(exact.astype(int).clip(0, stop - 1).tolist())


# the others take an odd number of frames as well
IN_STEPS = ("smart_nframes", "qwen2_vl", "glm4v", "glm46v")
SAMPLERS: dict[str, Callable[[Clip], Indices]] = {
    "smart_nframes": _smart_nframes,
    "qwen2_vl": _qwen2_vl,
    "qwen3_vl": _qwen3_vl,
    "middles": _middles,
    "segments": _segments,
    "floors": _floors,
    "smolvlm": _smolvlm,
    "glm4v": _glm4v,
    "glm46v": _glm46v,
    "molmo2": _molmo2,
}
