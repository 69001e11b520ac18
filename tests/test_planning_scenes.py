"""Scenes as times: what is covered, in what order, at which budget."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.planning.scenes import scenes
from core.video.profile import Profile
from happenings import (
    EVEN,
    covered,
    profile_of,
    profiles,
    scene_times,
)

BURST_AT_37 = [50.0 if second == 37 else 1.0 for second in range(100)]


@pytest.mark.parametrize(
    ("profile", "budget", "times"),
    [
        (profile_of(EVEN), 1, (0,)),
        (profile_of(EVEN), 2, (0, 10)),
        (profile_of(EVEN), 5, (0, 2.5, 5, 7.5, 10)),
        (profile_of([0.0] * 10), 5, (0, 2.5, 5, 7.5, 10)),
        (profile_of(EVEN, (5,)), 4, (0, 10 / 3, 20 / 3, 10)),
        (profile_of(EVEN, (2,)), 2, (0, 10)),
        (profile_of(EVEN, (2,)), 3, (0, 2 + 8 / 3, 10)),
        (profile_of(EVEN, (2,)), 8, (0, 4 / 3, *(2 + 8 * n / 11 for n in (1, 3, 5, 7, 9, 11)))),
        (profile_of(EVEN, (2, 8)), 3, (0, 5, 10)),
        (profile_of(EVEN, (2, 8)), 4, (0, 3.5, 6.5, 10)),
        (profile_of([1.0] * 8, (1, 2, 3, 4, 5, 6, 7)), 3, (0, 4.5, 8)),
        (profile_of([1.0] * 8, (1, 2, 3, 4, 5, 6, 7)), 5, (0, 2.5, 4.5, 6.5, 8)),
        (profile_of(BURST_AT_37), 1, (37.5,)),
        (profile_of(BURST_AT_37), 2, (37.5, 100)),
        (profile_of(BURST_AT_37), 3, (0, 37.5, 100)),
        (profile_of([0.0] * 5 + [1.0] * 5), 2, (5 + 5 / 3, 10)),
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
    assert scene_times(profile, budget) == pytest.approx(times)


def test_a_part_of_the_video() -> None:
    profile = profile_of([1.0] * 100, (50,))
    assert scenes(profile, start=10, end=20, budget=3) == pytest.approx((10, 15, 20))
    assert scenes(profile, start=48, end=52, budget=2) == pytest.approx((48, 52))
    assert scenes(profile, start=7, end=7, budget=5) == (7,)


@pytest.mark.parametrize(
    ("start", "end", "budget"), [(5, 4, 1), (-1, 4, 1), (0, 4, 0), (0, math.nan, 1)], ids=str
)
def test_impossible_ranges_are_refused(start: float, end: float, budget: int) -> None:
    with pytest.raises(SettingsError, match="cannot be taken") as caught:
        scenes(profile_of(EVEN), start=start, end=end, budget=budget)
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
    times = scene_times(profile_of(activity, cuts), 64)
    active = [time for time in times if start <= time <= start + 300]
    assert 40 <= len(active) < len(times) == 64


def test_a_burst_is_measured_by_its_own_surroundings() -> None:
    lively, quiet = [10.0] * 1800, [0.5] * 1800
    quiet[900:902] = [10.0, 10.0]
    times = scene_times(profile_of(lively + quiet), 8)
    assert any(2700 <= time < 2702 for time in times)


def test_a_loud_burst_does_not_hide_a_soft_one() -> None:
    activity = [1.0] * 3600
    activity[700], activity[2900] = 5000.0, 12.0
    times = scene_times(profile_of(activity), 4)
    assert {700, 2900} <= {math.floor(time) for time in times}


def test_too_few_frames_for_all_bursts_are_spread_over_them() -> None:
    flashes = [30.0 if second % 200 == 100 else 1.0 for second in range(1600)]
    times = scene_times(profile_of(flashes), 4)
    assert {math.floor(time) % 200 for time in times} == {100}
    assert sum(time < 800 for time in times) == 2


def test_the_floor_is_that_of_an_average_second_not_of_an_average_slice() -> None:
    profile = Profile(seconds=[0.0, 9.0], activity=[0.0, 1.0], duration_seconds=10.0)
    # weights: 9 * 0.1 and 1 / 0.1 + 0.1; the six frames at the end have 10.1 / 13 < 0.9
    assert scene_times(profile, 6)[0] > 9
    assert scene_times(profile, 7)[0] == 0


@pytest.mark.parametrize("cut", [0.7, 1.3, 2.9, 5.0, 7.7, 9.1, 9.7])
def test_a_scene_of_a_single_instant(cut: float) -> None:
    activity = np.random.default_rng(0).gamma(0.5, size=10).tolist()
    profile = profile_of(activity, (cut, np.nextafter(cut, 10)))
    assert covered(profile, scene_times(profile, 3)) == {0, 1, 2}


@pytest.mark.parametrize("unit", [1e-300, 1e-3, 4e306])
def test_activity_is_in_any_unit(unit: float) -> None:
    activity = [1.0, 2.0, 0.0, 4.0, 40.0, 1.0, 1.0, 3.0, 1.0, 1.0]
    scaled = profile_of([value * unit for value in activity])
    assert scene_times(scaled, 9) == pytest.approx(scene_times(profile_of(activity), 9))


def test_a_long_profile() -> None:
    activity = np.random.default_rng(0).gamma(0.5, size=100_000)
    profile = profile_of(activity.tolist(), tuple(range(40, 100_000, 40)))
    times = scene_times(profile, 20_000)
    assert len(times) == 20_000
    assert covered(profile, times) == set(range(2500))


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
    assert covered(profile, scene_times(profile, count + more)) == set(range(count))


@given(profile=profiles(most_cuts=30), budget=st.integers(1, 40))
@settings(max_examples=300)
def test_a_larger_budget_never_loses_a_scene(profile: Profile, budget: int) -> None:
    fewer, more = scene_times(profile, budget), scene_times(profile, budget + 1)
    assert covered(profile, fewer) <= covered(profile, more)
    assert len(covered(profile, fewer)) == min(budget, len(profile.cuts) + 1)


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
    assert any(first <= time <= first + length for time in scene_times(profile_of(calm), budget))


@given(
    starts=st.sets(st.integers(1, 5999), max_size=60),
    activity=st.sampled_from([0.0, 5e-324, 0.1, 1.0, 1e308]),
    budget=st.integers(1, 300),
)
@settings(max_examples=200)
def test_even_activity_is_spread_evenly(starts: set[int], activity: float, budget: int) -> None:
    seconds = [start / 100 for start in sorted(starts | {0})]
    profile = Profile(seconds=seconds, activity=[activity] * len(seconds), duration_seconds=60.0)
    assert scene_times(profile, budget) == pytest.approx(
        np.linspace(0, 60, budget).tolist(), abs=1e-9
    )
