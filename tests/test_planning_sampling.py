"""Which frames are taken: counts, ranges, uneven videos."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.planning import Settings
from core.planning.families import FAMILIES
from core.planning.sampling import sample
from core.planning.spreading import spread
from core.video import VideoInfo, describe_video

LIMITS = FAMILIES["qwen3_vl"].routes[0].limits


def _video(frames: int, rate: float = 25) -> VideoInfo:
    return describe_video(width=640, height=360, duration_seconds=frames / rate, frame_rate=rate)


def _uneven_video() -> VideoInfo:
    """Nine frames: five in the first second, then one each ten seconds."""
    times = [0.0, 0.2, 0.4, 0.6, 0.8, 10.0, 20.0, 30.0, 40.0]
    return VideoInfo(
        width=640,
        height=360,
        duration_seconds=50.0,
        frame_rate=Fraction(1, 5),
        frame_count=len(times),
        variable_rate=True,
        frame_times=times,
    )


@pytest.mark.parametrize(
    ("frames", "chosen", "count"),
    [
        (250, {}, 20),  # 10 s at 2 a second
        (250, {"fps": 0.1}, 4),  # the family's least
        (250, {"fps": 1.3}, 12),  # 13, down to pairs
        (250, {"fps": 25}, 250),
        (250, {"fps": 100}, 250),  # no frame twice
        (250, {"max_frames": 7}, 6),
        (250, {"min_frames": 25}, 26),
        (250, {"min_frames": 2, "fps": 0.01}, 2),
        (250, {"min_frames": 400}, 250),
        (50_000, {}, 768),  # the family's most
        (50_000, {"max_frames": 2000}, 2000),
        (3, {}, 2),
        (2, {}, 2),
        (1, {}, 1),
        (250, {"strategy": "uniform", "max_frames": 10}, 10),
        (250, {"strategy": "uniform", "max_frames": 11}, 10),
        (5, {"strategy": "uniform", "max_frames": 10}, 4),
        (250, {"strategy": "uniform"}, 250),
        (250, {"strategy": "uniform", "max_frames": 10, "fps": 9}, 10),
    ],
    ids=str,
)
def test_number_of_frames(frames: int, chosen: dict[str, Any], count: int) -> None:
    indices = sample(_video(frames), Settings(**chosen), LIMITS, step=2)
    assert len(indices) == count
    assert indices[0] == 0
    assert indices[-1] == (frames - 1 if count > 1 else 0)


@pytest.mark.parametrize(
    ("chosen", "first", "last"),
    [
        ({"start": 2}, 50, 249),
        ({"end": 4}, 0, 100),
        ({"start": 2, "end": 4}, 50, 100),
        ({"start": 2.01, "end": 3.99}, 51, 99),
        ({"start": 0, "end": 1000}, 0, 249),
        ({"start": 9.95}, 249, 249),
    ],
    ids=str,
)
def test_range(chosen: dict[str, Any], first: int, last: int) -> None:
    indices = sample(_video(250), Settings(**chosen), LIMITS, step=2)
    assert (indices[0], indices[-1]) == (first, last)


@pytest.mark.parametrize(
    "chosen", [{"start": 10}, {"start": 99.0}, {"start": 2.01, "end": 2.03}], ids=str
)
def test_range_without_a_frame_is_refused(chosen: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"no frame between .* is 10\.00 s long") as caught:
        sample(_video(250), Settings(**chosen), LIMITS, step=2)
    assert "between 0 and 10.00 s" in caught.value.remedy


@pytest.mark.parametrize(
    ("chosen", "indices"),
    [
        ({"start": 5}, (5, 6, 7, 8)),
        ({"start": 0.3, "end": 10}, (2, 3, 4, 5)),
        ({"end": 0.5}, (0, 2)),
        ({"start": 15, "end": 35}, (6, 7)),
    ],
    ids=str,
)
def test_range_of_an_uneven_video_goes_by_its_times(
    chosen: dict[str, Any], indices: tuple[int, ...]
) -> None:
    assert sample(_uneven_video(), Settings(**chosen), LIMITS, step=2) == indices


def test_fewer_frames_than_a_group_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"max_frames is 1; .* groups of 2"):
        sample(_video(250), Settings(max_frames=1), LIMITS, step=2)


@given(first=st.integers(0, 1000), length=st.integers(1, 2**24 - 1000), count=st.integers(1, 2000))
@settings(max_examples=300)
def test_indices_ascend_from_first_to_last(first: int, length: int, count: int) -> None:
    last, count = first + length - 1, min(count, length)
    indices = spread(first, last, count)
    assert len(indices) == count
    assert indices[0] == first
    assert indices[-1] == (last if count > 1 else first)
    assert all(a < b for a, b in itertools.pairwise(indices))


@given(length=st.integers(2**24, 2**29), count=st.integers(2, 2000))
@settings(max_examples=100)
def test_indices_of_an_endless_video_stay_inside_it(length: int, count: int) -> None:
    indices = spread(0, length - 1, count)
    assert len(indices) == count
    assert all(0 <= a <= b < length for a, b in itertools.pairwise(indices))
