"""Scenes as frames: those that exist, none twice, none of the scenes forgotten."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.planning.scenes import scenes_indices
from core.planning.spreading import spread
from core.video.profile import Profile
from happenings import (
    EVEN,
    covered,
    even_video,
    profile_of,
    profiles,
    scene_frames,
    uneven_video,
)


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
    info, last = even_video(6000), first + length - 1
    before = (first / 25,) if cut and first else ()  # a cut where the range begins is none in it
    profile = profile_of([activity] * 240, before)
    indices = scenes_indices(info, profile, first=first, last=last, budget=budget)
    assert indices == spread(first, last, min(budget, length))


def test_even_activity_is_uniform_where_the_rate_varies() -> None:
    info = uneven_video([0, 0.2, 0.4, 0.6, 0.8, 10, 20, 30, 40])
    assert scene_frames(info, profile_of([3.0] * 41), 5) == (0, 2, 4, 6, 8)


@pytest.mark.parametrize(
    ("profile", "budget", "indices"),
    [
        (profile_of(EVEN, (2, 8)), 3, (0, 50, 99)),  # of 100 frames, 10 a second
        (profile_of(EVEN, (2, 8)), 200, tuple(range(100))),
        (profile_of(EVEN, (0.41, 0.49)), 2, (0, 99)),  # no frame in the scene between them
        (profile_of(EVEN, (0.3, 0.4)), 3, (0, 3, 99)),
    ],
    ids=["scenes", "all", "no frame in it", "one frame in it"],
)
def test_frames_of_scenes(profile: Profile, budget: int, indices: tuple[int, ...]) -> None:
    assert scene_frames(even_video(100, 10), profile, budget) == indices


@pytest.mark.parametrize("rate", [25, 29.97, 23.976, 60])
def test_a_frame_at_a_cut_begins_the_new_scene(rate: float) -> None:
    info = even_video(600, rate)
    profile = Profile(
        seconds=[0.0],
        activity=[1.0],
        cuts=[info.time_of(index) for index in range(1, 600) if index % 3],
        duration_seconds=info.duration_seconds,
    )
    alone = {index for index in range(600) if index % 3 == 1}  # in a scene of one frame
    assert alone < set(scene_frames(info, profile, len(profile.cuts) + 1))


def test_more_frames_where_more_happens() -> None:
    indices = scene_frames(even_video(1000), profile_of([1.0] * 20 + [3.0] * 20), 100)
    assert sum(index >= 500 for index in indices) == pytest.approx(75, abs=3)


def test_a_short_burst_has_no_more_frames_than_it_has() -> None:
    activity = [1.0] * 60
    activity[30] = 1e6
    indices = scene_frames(even_video(1500), profile_of(activity), 100)
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
    info = even_video(150, 2.5)
    if gaps is not None:
        info = uneven_video([0.0, *(total / 100 for total in itertools.accumulate(gaps))])
    indices = scene_frames(info, profile, budget)
    assert len(indices) == min(budget, info.frame_count)
    assert all(a < b for a, b in itertools.pairwise((-1, *indices, info.frame_count)))
    there = covered(profile, tuple(map(info.time_of, range(info.frame_count))))
    found = covered(profile, tuple(map(info.time_of, indices)))
    assert len(found) == min(budget, len(there))
    more = scene_frames(info, profile, budget + 1)
    assert found <= covered(profile, tuple(map(info.time_of, more)))
