"""Frames that exist, as near as can be to those wanted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.planning.keyframes import indices_at, keyframes
from core.video import VideoInfo
from happenings import (
    even_video,
    uneven_video,
)


@pytest.mark.parametrize(
    ("times", "info", "indices"),
    [
        ((), even_video(10), ()),
        ((0.0, 0.13, 0.3), even_video(10), (0, 3, 8)),
        ((0.03, 0.04, 0.05), even_video(10), (0, 1, 2)),
        ((0.2, 0.2, 0.2), even_video(10), (4, 5, 6)),
        ((0.0, 0.0), even_video(10), (0, 1)),
        ((9.0, 9.0), even_video(10), (8, 9)),
        ((0.1,) * 12, even_video(10), tuple(range(10))),
        ((0.0, 14.0, 16.0, 90.0), uneven_video([0, 1, 2, 10, 20, 30]), (0, 3, 4, 5)),
        ((5.9, 6.1), uneven_video([0, 1, 2, 10, 20, 30]), (2, 3)),
    ],
    ids=[
        "none",
        "nearest",
        "side by side",
        "the same thrice",
        "not before the first",
        "not after the last",
        "more than there are",
        "by the frames' own times",
        "either side of the middle",
    ],
)
def test_frames_at_times(
    times: tuple[float, ...], info: VideoInfo, indices: tuple[int, ...]
) -> None:
    assert indices_at(times, info, first=0, last=info.frame_count - 1) == indices


@given(
    times=st.lists(st.floats(0, 50), max_size=80).map(sorted),
    ends=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    gaps=st.none() | st.lists(st.integers(1, 100), min_size=99, max_size=99),
)
@settings(max_examples=300)
def test_frames_at_times_are_nearest_where_they_can_be(
    times: list[float], ends: tuple[int, int], gaps: list[int] | None
) -> None:
    first, last = min(ends), max(ends)
    info = even_video(100, 2)
    if gaps is not None:
        info = uneven_video([0.0, *(total / 100 for total in itertools.accumulate(gaps))])
    indices = indices_at(times, info, first=first, last=last)
    assert len(indices) == min(len(times), last - first + 1)
    assert all(a < b for a, b in itertools.pairwise((first - 1, *indices, last + 1)))
    away = [[abs(info.time_of(i) - time) for i in range(first, last + 1)] for time in times]
    nearest = [row.index(min(row)) + first for row in away]
    if len(set(nearest)) == len(times):
        found = [away[order][index - first] for order, index in enumerate(indices)]
        assert found == pytest.approx([min(row) for row in away])


@pytest.mark.parametrize(
    ("candidates", "first", "last", "budget", "taken"),
    [
        (range(0, 100, 10), 0, 99, 10, tuple(range(0, 100, 10))),
        (range(0, 100, 10), 0, 99, 99, tuple(range(0, 100, 10))),
        (range(0, 100, 10), 0, 99, 3, (0, 50, 90)),
        (range(0, 100, 10), 0, 99, 1, (0,)),
        (range(0, 100, 10), 41, 69, 9, (50, 60)),
        (range(0, 100, 10), 41, 69, 1, (50,)),
        ((60,), 60, 60, 1, (60,)),
        ((50, 51, 52, 53, 100), 0, 100, 3, (50, 51, 100)),
        ((60, 61, 62, 63, 64), 0, 100, 4, (60, 61, 63, 64)),
        (range(11), 0, 30, 4, (0, 8, 9, 10)),
    ],
    ids=[
        "all",
        "fewer than wanted",
        "nearest",
        "one",
        "within a range",
        "one in a range",
        "one of one",
        "crowded",
        "crowded in the middle",
        "none at the end",
    ],
)
def test_keyframes_by_hand(
    candidates: range | tuple[int, ...], first: int, last: int, budget: int, taken: tuple[int, ...]
) -> None:
    assert keyframes(candidates, first=first, last=last, budget=budget) == taken


@pytest.mark.parametrize("candidates", [(), (0, 250)], ids=["none at all", "none in the range"])
def test_a_range_without_a_keyframe_is_refused(candidates: tuple[int, ...]) -> None:
    words = rf"None of the video's {len(candidates)} keyframes .* frames 10 to 200"
    with pytest.raises(SettingsError, match=words) as caught:
        keyframes(candidates, first=10, last=200, budget=8)
    assert "fps or uniform" in caught.value.remedy


@given(
    candidates=st.sets(st.integers(0, 5000), min_size=1, max_size=200).map(sorted),
    ends=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    budget=st.integers(1, 250),
)
@settings(max_examples=300)
def test_keyframes_are_nearest_to_an_even_spread_where_they_can_be(
    candidates: list[int], ends: tuple[int, int], budget: int
) -> None:
    first, last = min(ends), max(ends)
    inside = [index for index in candidates if first <= index <= last]
    if not inside:
        with pytest.raises(SettingsError):
            keyframes(candidates, first=first, last=last, budget=budget)
        return
    taken = keyframes(candidates, first=first, last=last, budget=budget)
    assert len(taken) == min(budget, len(inside))
    assert set(taken) <= set(inside)
    assert list(taken) == sorted(set(taken))
    if len(inside) > budget:
        targets = np.linspace(first, last, budget)
        least = [min(abs(index - target) for index in inside) for target in targets]
        nearest = [min(inside, key=lambda index: abs(index - target)) for target in targets]
        if len(set(nearest)) == budget:
            assert np.abs(targets - taken).tolist() == pytest.approx(least)
