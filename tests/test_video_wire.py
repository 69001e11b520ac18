"""VideoInfo over the wire: the same on the other side, and nothing but what a video can be."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from core.errors import VideoError
from core.video import VideoInfo, describe_video
from core.video.wire import info_from_json, info_to_json

INFO = VideoInfo(
    path=Path("/tmp/a clip, 100% ü \udcff.mp4"),
    width=1280,
    height=720,
    duration_seconds=0.1001,
    frame_rate=Fraction(30000, 1001),
    frame_count=3,
    frame_count_source="counted",
    codec="h264",
    container="mov",
    rotation=90,
    variable_rate=True,
    frame_times=[0.0, 0.033367, 0.1 + 0.2],
    start_seconds=-1.5,
    keyframes=[0, 2],
)


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        replace(INFO, frame_times=None),
        replace(INFO, keyframes=()),
        describe_video(width=8, height=6, duration_seconds=9, frame_rate=0.5),
    ],
    ids=["all", "no times", "no keyframes", "described"],
)
def test_the_same_on_the_other_side(info: VideoInfo) -> None:
    found = info_from_json(json.loads(json.dumps(info_to_json(info))))
    assert found == info
    assert found.frame_times == info.frame_times
    assert list(found.keyframes) == list(info.keyframes)


def _numbers(kind: str, *values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}{kind}", *values)).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0},
        {"width": 10**6, "height": 10**6},
        {"width": "1280"},
        {"height": 720.5},
        {"duration_seconds": 1e300},
        {"duration_seconds": float("nan")},
        {"frame_rate": [0, 1]},
        {"frame_rate": [30, 0]},
        {"frame_rate": 30},
        {"frame_count": 4},
        {"frame_count": 10**12},
        {"frame_times": _numbers("d", 0, 2, 1)},
        {"frame_times": _numbers("d", 0, float("nan"), 1)},
        {"frame_times": _numbers("d", 0, 1, float("inf"))},
        {"frame_times": "AAA"},
        {"frame_times": 7},
        {"keyframes": _numbers("q", 2, 0)},
        {"keyframes": _numbers("q", -1, 0)},
        {"keyframes": _numbers("q", 0, 3)},
        {"keyframes": None},
        {"rotation": 45},
        {"variable_rate": "yes"},
        {"codec": None},
        {"start_seconds": float("inf")},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_what_no_video_has_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(VideoError) as caught:
        info_from_json(info_to_json(INFO) | changes)
    assert caught.value.remedy


@pytest.mark.parametrize("name", info_to_json(INFO))
def test_what_is_missing_is_refused(name: str) -> None:
    data = info_to_json(INFO)
    del data[name]
    with pytest.raises(VideoError):
        info_from_json(data)
