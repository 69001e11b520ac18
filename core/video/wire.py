"""VideoInfo as JSON and back: what crosses to a decoding process, and is checked on its return."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from core.errors import VideoError
from core.video.info import VideoInfo, check_count, check_duration, check_size

_PLAIN = ("width", "height", "duration_seconds", "frame_count", "frame_count_source", "codec",
          "container", "rotation", "variable_rate", "start_seconds")  # fmt: skip


def info_to_json(info: VideoInfo) -> dict[str, Any]:
    """Everything but the profile; times and keyframes as base64, a tenth of the work of text."""
    plain: dict[str, Any] = {name: getattr(info, name) for name in _PLAIN}
    return plain | {
        "path": None if info.path is None else str(info.path),
        "frame_rate": [info.frame_rate.numerator, info.frame_rate.denominator],
        "frame_times": None if info.frame_times is None else _packed("d", info.frame_times),
        "keyframes": _packed("q", info.keyframes),
    }


def info_from_json(data: dict[str, Any]) -> VideoInfo:
    """The value that ``data`` was made from.

    Raises:
        VideoError: it is none, or one that no video can have.
    """
    try:
        return _info(data)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise VideoError(
            f"What was found out about the video makes no sense: {str(error)[:200]}.",
            remedy="The file is damaged, or made to do harm. Convert it, or choose another.",
        ) from error


def _info(data: dict[str, Any]) -> VideoInfo:
    times, keyframes = data["frame_times"], _unpacked("q", data["keyframes"])
    seconds = None if times is None else _unpacked("d", times)
    numerator, denominator = data["frame_rate"]
    info = VideoInfo(
        path=None if data["path"] is None else Path(data["path"]),
        frame_rate=Fraction(int(numerator), int(denominator)),
        frame_times=seconds,
        keyframes=keyframes,
        **{name: _like(name, data[name]) for name in _PLAIN},
    )
    check_size(info.width, info.height)
    check_duration(info.duration_seconds)
    check_count(info.frame_count)
    count = info.frame_count
    if info.frame_rate <= 0 or info.rotation not in (0, 90, 180, 270):
        raise ValueError(f"a rate of {info.frame_rate}, turned by {info.rotation} degrees")
    if seconds is not None and not (len(seconds) == count and _ascend(seconds)):
        raise ValueError(f"{len(seconds):,} times of {count:,} frames, or unsorted ones")
    if keyframes and not (_ascend(keyframes) and 0 <= keyframes[0] <= keyframes[-1] < count):
        raise ValueError(f"keyframes that do not ascend from 0 to {count:,}")
    return info


def _like(name: str, value: Any) -> Any:
    """``value``, where it has the type of that field."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "duration_seconds": (int, float),
        "start_seconds": (int, float),
        "frame_count_source": str,
        "codec": str,
        "container": str,
        "variable_rate": bool,
    }
    if not isinstance(value, kinds.get(name, int)):
        raise TypeError(f"{name} is {str(value)[:40]!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return value


def _ascend(values: list[float]) -> bool:
    """Never falling, and all finite: in C, since there may be hundreds of thousands."""
    return values == sorted(values) and math.isfinite(sum(values))


def _packed(kind: str, values: Sequence[float]) -> str:
    return base64.b64encode(_little_endian(array(kind, values)).tobytes()).decode()


def _unpacked(kind: str, text: str) -> list[Any]:
    values = array(kind, base64.b64decode(text, validate=True))
    return _little_endian(values).tolist()


def _little_endian(values: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
