"""Scenes and keyframes: what is covered, in what order, at which budget."""

from __future__ import annotations

import bisect
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError, VideoError
from core.planning.keyframes import indices_at, keyframes
from core.planning.scenes import scenes, scenes_indices
from core.planning.spreading import spread
from core.video import VideoInfo, describe_video
from core.video.profile import Profile


def _profile(
    activity: list[float], cuts: tuple[float, ...] = (), slice_seconds: float = 1
) -> Profile:
    return Profile(
        seconds=[number * slice_seconds for number in range(len(activity))],
        activity=activity,
        cuts=cuts,
        duration_seconds=len(activity) * slice_seconds,
    )


def _video(frames: int, rate: float = 25) -> VideoInfo:
    return describe_video(width=640, height=360, duration_seconds=frames / rate, frame_rate=rate)


def _uneven_video(times: list[float]) -> VideoInfo:
    return VideoInfo(
        width=640,
        height=360,
        duration_seconds=times[-1] + 1,
        frame_rate=Fraction(len(times)),
        frame_count=len(times),
        variable_rate=True,
        frame_times=times,
    )


def _take(profile: Profile, budget: int) -> tuple[float, ...]:
    return scenes(profile, start=0, end=profile.duration_seconds, budget=budget)


def _take_indices(info: VideoInfo, profile: Profile, budget: int) -> tuple[int, ...]:
    return scenes_indices(info, profile, first=0, last=info.frame_count - 1, budget=budget)


def _covered(profile: Profile, times: tuple[float, ...]) -> set[int]:
    """Numbers of the scenes that a time lies in."""
    return {bisect.bisect_right(profile.cuts, time) for time in times}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"activity": [1.0]}, "2 slices and 1 values"),
        ({"seconds": [], "activity": []}, "0 slices and 0 values"),
        ({"seconds": [1.0, 5.0]}, "do not ascend from 0 to 10 s"),
        ({"seconds": [0.0, 0.0]}, "do not ascend from 0 to 10 s"),
        ({"seconds": [0.0, math.nan]}, "do not ascend from 0 to 10 s"),
        ({"seconds": [0.0, 10.0]}, "do not ascend from 0 to 10 s"),
        ({"activity": [1.0, -1.0]}, "activity from -1 to 1"),
        ({"activity": [1.0, math.inf]}, "activity from 1 to inf"),
        ({"activity": [1.0, math.nan]}, "activity from nan"),
        ({"cuts": [0.0]}, "cuts that do not ascend between 0 and 10 s"),
        ({"cuts": [3.0, 2.0]}, "cuts that do not ascend"),
        ({"cuts": [10.0]}, "cuts that do not ascend"),
        ({"duration_seconds": math.inf}, "duration of inf"),
    ],
    ids=str,
)
def test_profiles_of_no_video_are_refused(changed: dict[str, Any], words: str) -> None:
    usual = {"seconds": [0.0, 5.0], "activity": [1.0, 2.0], "duration_seconds": 10.0}
    with pytest.raises(VideoError, match=words) as caught:
        Profile(**{**usual, **changed})
    assert caught.value.remedy


EVEN = [1.0] * 10
BURST_AT_37 = [50.0 if second == 37 else 1.0 for second in range(100)]


@pytest.mark.parametrize(
    ("profile", "budget", "times"),
    [
        (_profile(EVEN), 1, (0,)),
        (_profile(EVEN), 2, (0, 10)),
        (_profile(EVEN), 5, (0, 2.5, 5, 7.5, 10)),
        (_profile([0.0] * 10), 5, (0, 2.5, 5, 7.5, 10)),
        (_profile(EVEN, (5,)), 4, (0, 10 / 3, 20 / 3, 10)),
        (_profile(EVEN, (2,)), 2, (0, 10)),
        (_profile(EVEN, (2,)), 3, (0, 2 + 8 / 3, 10)),
        (_profile(EVEN, (2,)), 8, (0, 4 / 3, *(2 + 8 * n / 11 for n in (1, 3, 5, 7, 9, 11)))),
        (_profile(EVEN, (2, 8)), 3, (0, 5, 10)),
        (_profile(EVEN, (2, 8)), 4, (0, 3.5, 6.5, 10)),
        (_profile([1.0] * 8, (1, 2, 3, 4, 5, 6, 7)), 3, (0, 4.5, 8)),
        (_profile([1.0] * 8, (1, 2, 3, 4, 5, 6, 7)), 5, (0, 2.5, 4.5, 6.5, 8)),
        (_profile(BURST_AT_37), 1, (37.5,)),
        (_profile(BURST_AT_37), 2, (37.5, 100)),
        (_profile(BURST_AT_37), 3, (0, 37.5, 100)),
        (_profile([0.0] * 5 + [1.0] * 5), 2, (5 + 5 / 3, 10)),
    ],
    ids=[
        "one frame",
        "both ends",
        "even",
        "nothing happens",
        "two equal scenes are even too",
        "a frame each",
        "the third to the longer one",
        "the eighth to the shorter one",
        "the middle of a scene",
        "two in the longest",
        "too few: the ends, then the middle",
        "too few: then the quarters",
        "the burst before all else",
        "then the longer side of it",
        "then the other side",
        "nothing for what stands still",
    ],
)
def test_times_by_hand(profile: Profile, budget: int, times: tuple[float, ...]) -> None:
    assert _take(profile, budget) == pytest.approx(times)


def test_a_part_of_the_video() -> None:
    profile = _profile([1.0] * 100, (50,))
    assert scenes(profile, start=10, end=20, budget=3) == pytest.approx((10, 15, 20))
    assert scenes(profile, start=48, end=52, budget=2) == pytest.approx((48, 52))
    assert scenes(profile, start=7, end=7, budget=5) == (7,)


@pytest.mark.parametrize(
    ("start", "end", "budget"), [(5, 4, 1), (-1, 4, 1), (0, 4, 0), (0, math.nan, 1)], ids=str
)
def test_impossible_ranges_are_refused(start: float, end: float, budget: int) -> None:
    with pytest.raises(SettingsError, match="cannot be taken") as caught:
        scenes(_profile(EVEN), start=start, end=end, budget=budget)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "noise", [0.0, 0.001, 0.02], ids=["nothing moves", "a little noise", "noise"]
)
@pytest.mark.parametrize("cuts", [(), (1200.0, 1500.0)], ids=["no cuts", "cuts"])
@pytest.mark.parametrize("start", [0, 1200, 3300])
def test_a_static_hour_does_not_eat_the_budget(
    start: int, cuts: tuple[float, ...], noise: float
) -> None:
    activity = [1.0 if start <= second < start + 300 else noise for second in range(3600)]
    times = _take(_profile(activity, cuts), 64)
    active = [time for time in times if start <= time <= start + 300]
    assert 40 <= len(active) < len(times) == 64


def test_a_burst_is_measured_by_its_own_surroundings() -> None:
    lively, quiet = [10.0] * 1800, [0.5] * 1800
    quiet[900:902] = [10.0, 10.0]
    times = _take(_profile(lively + quiet), 8)
    assert any(2700 <= time < 2702 for time in times)


def test_a_loud_burst_does_not_hide_a_soft_one() -> None:
    activity = [1.0] * 3600
    activity[700], activity[2900] = 5000.0, 12.0
    times = _take(_profile(activity), 4)
    assert {700, 2900} <= {math.floor(time) for time in times}


def test_too_few_frames_for_all_bursts_are_spread_over_them() -> None:
    flashes = [30.0 if second % 200 == 100 else 1.0 for second in range(1600)]
    times = _take(_profile(flashes), 4)
    assert {math.floor(time) % 200 for time in times} == {100}
    assert sum(time < 800 for time in times) == 2


def test_the_floor_is_that_of_an_average_second_not_of_an_average_slice() -> None:
    profile = Profile(seconds=[0.0, 9.0], activity=[0.0, 1.0], duration_seconds=10.0)
    # weights: 9 * 0.1 and 1 / 0.1 + 0.1; the six frames at the end have 10.1 / 13 < 0.9
    assert _take(profile, 6)[0] > 9
    assert _take(profile, 7)[0] == 0


@pytest.mark.parametrize("cut", [0.7, 1.3, 2.9, 5.0, 7.7, 9.1, 9.7])
def test_a_scene_of_a_single_instant(cut: float) -> None:
    activity = np.random.default_rng(0).gamma(0.5, size=10).tolist()
    profile = _profile(activity, (cut, np.nextafter(cut, 10)))
    assert _covered(profile, _take(profile, 3)) == {0, 1, 2}


@pytest.mark.parametrize("unit", [1e-300, 1e-3, 4e306])
def test_activity_is_in_any_unit(unit: float) -> None:
    activity = [1.0, 2.0, 0.0, 4.0, 40.0, 1.0, 1.0, 3.0, 1.0, 1.0]
    scaled = _profile([value * unit for value in activity])
    assert _take(scaled, 9) == pytest.approx(_take(_profile(activity), 9))


def test_a_long_profile() -> None:
    activity = np.random.default_rng(0).gamma(0.5, size=100_000)
    profile = _profile(activity.tolist(), tuple(range(40, 100_000, 40)))
    times = _take(profile, 20_000)
    assert len(times) == 20_000
    assert _covered(profile, times) == set(range(2500))


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


@given(
    profile=profiles(),
    ends=st.tuples(st.integers(0, 6500), st.integers(0, 6500)),
    budget=st.integers(1, 200),
)
@settings(max_examples=300)
def test_times_are_as_many_as_wanted_sorted_distinct_and_inside(
    profile: Profile, ends: tuple[int, int], budget: int
) -> None:
    start, end = min(ends) / 100, max(ends) / 100
    times = scenes(profile, start=start, end=end, budget=budget)
    assert len(times) == (budget if start < end else 1)
    assert all(a < b for a, b in itertools.pairwise(times))
    assert start <= times[0]
    assert times[-1] <= end


@given(profile=profiles(), more=st.integers(0, 30))
@settings(max_examples=200)
def test_every_scene_has_a_frame_while_the_budget_lasts(profile: Profile, more: int) -> None:
    count = len(profile.cuts) + 1
    assert _covered(profile, _take(profile, count + more)) == set(range(count))


@given(profile=profiles(most_cuts=30), budget=st.integers(1, 40))
@settings(max_examples=300)
def test_a_larger_budget_never_loses_a_scene(profile: Profile, budget: int) -> None:
    fewer, more = _take(profile, budget), _take(profile, budget + 1)
    assert _covered(profile, fewer) <= _covered(profile, more)
    assert len(_covered(profile, fewer)) == min(budget, len(profile.cuts) + 1)


@given(
    calm=st.lists(st.floats(1, 1.5), min_size=100, max_size=400),
    where=st.floats(0, 1),
    length=st.integers(1, 4),
    height=st.floats(15, 1e9),
    budget=st.integers(1, 30),
)
@settings(max_examples=200)
def test_a_brief_burst_is_seen(
    calm: list[float], where: float, length: int, height: float, budget: int
) -> None:
    first = round(where * (len(calm) - length))
    calm[first : first + length] = [height] * length
    assert any(first <= time <= first + length for time in _take(_profile(calm), budget))


@given(
    starts=st.sets(st.integers(1, 5999), max_size=60),
    activity=st.sampled_from([0.0, 5e-324, 0.1, 1.0, 1e308]),
    budget=st.integers(1, 300),
)
@settings(max_examples=200)
def test_even_activity_is_spread_evenly(starts: set[int], activity: float, budget: int) -> None:
    seconds = [start / 100 for start in sorted(starts | {0})]
    profile = Profile(seconds=seconds, activity=[activity] * len(seconds), duration_seconds=60.0)
    assert _take(profile, budget) == pytest.approx(np.linspace(0, 60, budget).tolist(), abs=1e-9)


@pytest.mark.parametrize(
    ("times", "info", "indices"),
    [
        ((), _video(10), ()),
        ((0.0, 0.13, 0.3), _video(10), (0, 3, 8)),
        ((0.03, 0.04, 0.05), _video(10), (0, 1, 2)),
        ((0.2, 0.2, 0.2), _video(10), (4, 5, 6)),
        ((0.0, 0.0), _video(10), (0, 1)),
        ((9.0, 9.0), _video(10), (8, 9)),
        ((0.1,) * 12, _video(10), tuple(range(10))),
        ((0.0, 14.0, 16.0, 90.0), _uneven_video([0, 1, 2, 10, 20, 30]), (0, 3, 4, 5)),
        ((5.9, 6.1), _uneven_video([0, 1, 2, 10, 20, 30]), (2, 3)),
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
    info = _video(100, 2)
    if gaps is not None:
        info = _uneven_video([0.0, *(total / 100 for total in itertools.accumulate(gaps))])
    indices = indices_at(times, info, first=first, last=last)
    assert len(indices) == min(len(times), last - first + 1)
    assert all(a < b for a, b in itertools.pairwise((first - 1, *indices, last + 1)))
    away = [[abs(info.time_of(i) - time) for i in range(first, last + 1)] for time in times]
    nearest = [row.index(min(row)) + first for row in away]
    if len(set(nearest)) == len(times):
        found = [away[order][index - first] for order, index in enumerate(indices)]
        assert found == pytest.approx([min(row) for row in away])


@given(
    activity=st.floats(0, 100),
    length=st.integers(1, 5000),
    first=st.integers(0, 1000),
    budget=st.integers(1, 1000),
    cut=st.booleans(),
)
@settings(max_examples=200)
def test_even_activity_is_uniform(
    activity: float, length: int, first: int, budget: int, cut: bool
) -> None:
    info, last = _video(6000), first + length - 1
    before = (first / 25,) if cut and first else ()  # a cut where the range begins is none in it
    profile = _profile([activity] * 240, before)
    indices = scenes_indices(info, profile, first=first, last=last, budget=budget)
    assert indices == spread(first, last, min(budget, length))


def test_even_activity_is_uniform_where_the_rate_varies() -> None:
    info = _uneven_video([0, 0.2, 0.4, 0.6, 0.8, 10, 20, 30, 40])
    assert _take_indices(info, _profile([3.0] * 41), 5) == (0, 2, 4, 6, 8)


@pytest.mark.parametrize(
    ("profile", "budget", "indices"),
    [
        (_profile(EVEN, (2, 8)), 3, (0, 50, 99)),  # of 100 frames, 10 a second
        (_profile(EVEN, (2, 8)), 200, tuple(range(100))),
        (_profile(EVEN, (0.41, 0.49)), 2, (0, 99)),  # no frame in the scene between them
        (_profile(EVEN, (0.3, 0.4)), 3, (0, 3, 99)),
    ],
    ids=["scenes", "all", "no frame in it", "one frame in it"],
)
def test_frames_of_scenes(profile: Profile, budget: int, indices: tuple[int, ...]) -> None:
    assert _take_indices(_video(100, 10), profile, budget) == indices


@pytest.mark.parametrize("rate", [25, 29.97, 23.976, 60])
def test_a_frame_at_a_cut_begins_the_new_scene(rate: float) -> None:
    info = _video(600, rate)
    profile = Profile(
        seconds=[0.0],
        activity=[1.0],
        cuts=[info.time_of(index) for index in range(1, 600) if index % 3],
        duration_seconds=info.duration_seconds,
    )
    alone = {index for index in range(600) if index % 3 == 1}  # in a scene of one frame
    assert alone < set(_take_indices(info, profile, len(profile.cuts) + 1))


def test_more_frames_where_more_happens() -> None:
    indices = _take_indices(_video(1000), _profile([1.0] * 20 + [3.0] * 20), 100)
    assert sum(index >= 500 for index in indices) == pytest.approx(75, abs=3)


def test_a_short_burst_has_no_more_frames_than_it_has() -> None:
    activity = [1.0] * 60
    activity[30] = 1e6
    indices = _take_indices(_video(1500), _profile(activity), 100)
    inside = [index for index in indices if 750 <= index < 775]
    assert inside == list(range(750, 775))
    outside = [index for index in indices if index not in inside]
    assert max(b - a for a, b in itertools.pairwise(outside)) < 50


@given(
    profile=profiles(),
    gaps=st.none() | st.lists(st.integers(1, 80), min_size=20, max_size=150),
    budget=st.integers(1, 160),
)
@settings(max_examples=300)
def test_frames_cover_every_scene_that_has_one(
    profile: Profile, gaps: list[int] | None, budget: int
) -> None:
    info = _video(150, 2.5)
    if gaps is not None:
        info = _uneven_video([0.0, *(total / 100 for total in itertools.accumulate(gaps))])
    indices = _take_indices(info, profile, budget)
    assert len(indices) == min(budget, info.frame_count)
    assert all(a < b for a, b in itertools.pairwise((-1, *indices, info.frame_count)))
    there = _covered(profile, tuple(map(info.time_of, range(info.frame_count))))
    found = _covered(profile, tuple(map(info.time_of, indices)))
    assert len(found) == min(budget, len(there))
    more = _take_indices(info, profile, budget + 1)
    assert found <= _covered(profile, tuple(map(info.time_of, more)))


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
