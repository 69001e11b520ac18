"""What small pictures say of a video: events, cuts, motion; and which stretch is looked at next."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from core.planning.scenes import scenes_indices
from core.video import VideoInfo, describe_video
from core.video.album import MOST_SLOTS, Album
from core.video.glances import HEIGHT, VALUES, WIDTH, Glances, motion, standing_out, steps
from core.video.profile import Profile
from core.video.scenes import profile_from
from core.video.stretches import Schedule, evenly, stretches

SECONDS = 120
SLOTS = SECONDS * 10
Pictures = np.ndarray


def _still(seed: int = 0) -> Pictures:
    return np.random.default_rng(seed).integers(60, 190, VALUES).astype(float)


def _static() -> Pictures:
    return np.repeat(_still()[np.newaxis], SLOTS, axis=0)


def _noisy() -> Pictures:
    return _static() + np.random.default_rng(1).normal(0, 6, (SLOTS, VALUES))


def _moving() -> Pictures:
    """A large smooth pattern that goes by at a thirtieth of the picture's width a second."""
    x = np.arange(WIDTH)[np.newaxis, :] + 0.21 * np.arange(SLOTS)[:, np.newaxis]
    rows = 128 + 60 * np.sin(2 * np.pi * x / 40) + 20 * np.sin(2 * np.pi * x / 17)
    light = np.repeat(rows[:, np.newaxis], HEIGHT, axis=1).reshape(SLOTS, -1)
    return np.concatenate([light, np.full((SLOTS, VALUES - WIDTH * HEIGHT), 128.0)], axis=1)


def _flickering() -> Pictures:
    return _static() + np.random.default_rng(2).normal(0, 5, (SLOTS, 1))


def _flash(pictures: Pictures, here: slice) -> None:
    pictures[here] += 60


def _object(pictures: Pictures, here: slice) -> None:
    light = pictures[here, : WIDTH * HEIGHT].reshape(-1, HEIGHT, WIDTH)
    light[:, 10:14, 20:24] += 60


def _elsewhere(pictures: Pictures, here: slice) -> None:
    pictures[here] += _still(9) - _still()


BACKGROUNDS = (_static, _noisy, _moving, _flickering)
EVENTS = (_flash, _object, _elsewhere)


def _profile(pictures: Pictures, seen: np.ndarray | None = None) -> Profile:
    glances = Glances(
        slot_seconds=0.1,
        pictures=pictures.clip(0, 255).astype(np.uint8),
        seen=np.ones(len(pictures), dtype=np.bool_) if seen is None else seen,
    )
    return profile_from(glances, duration_seconds=len(pictures) / 10)


def _busy(profile: Profile) -> list[tuple[float, float]]:
    """Begin and end of all slices with more activity than the usual."""
    ends = [*profile.seconds[1:], profile.duration_seconds]
    slices = zip(profile.seconds, ends, profile.activity, strict=True)
    return [(begin, end) for begin, end, activity in slices if activity > 4]


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_nothing_happens(background: Callable[[], Pictures]) -> None:
    profile = _profile(background())
    assert (list(profile.seconds), list(profile.activity), list(profile.cuts)) == ([0], [1], [])


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("at", [61.0, 51.0], ids=["inside a block", "between two"])
def test_an_event_is_found_where_it_is(
    background: Callable[[], Pictures], event: Callable[[Pictures, slice], None], at: float
) -> None:
    pictures = background()
    event(pictures, slice(round(at * 10), round(at * 10) + 5))
    profile = _profile(pictures)
    assert list(profile.cuts) == []
    ((begin, end),) = _busy(profile)
    assert begin == pytest.approx(at, abs=0.11)
    assert end == pytest.approx(at + 0.5, abs=0.11)
    info = describe_video(width=64, height=36, duration_seconds=SECONDS, frame_rate=30)
    taken = scenes_indices(info, profile, first=0, last=info.frame_count - 1, budget=16)
    assert any(at <= info.time_of(index) < at + 0.5 for index in taken)


@pytest.mark.parametrize("slots", [1, 5, 15, 40])
def test_what_comes_and_goes_is_an_event_however_long(slots: int) -> None:
    pictures = _noisy()
    _object(pictures, slice(600, 600 + slots))
    ((begin, end),) = _busy(_profile(pictures))
    assert 59.8 < begin < (begin + end) / 2 < 60 + slots / 10
    assert end < 60.2 + slots / 10


@pytest.mark.parametrize("background", [_static, _noisy, _moving])
def test_a_cut_is_no_event(background: Callable[[], Pictures]) -> None:
    pictures = background()
    _elsewhere(pictures, slice(421, None))
    profile = _profile(pictures)
    assert list(profile.cuts) == pytest.approx([42.1], abs=0.11)
    assert _busy(profile) == []


def test_an_object_that_stays_is_neither_event_nor_cut() -> None:
    pictures = _noisy()
    _object(pictures, slice(421, None))
    profile = _profile(pictures)
    assert (_busy(profile), list(profile.cuts)) == ([], [])


def test_more_activity_where_far_more_moves() -> None:
    pictures = _static()
    swing = 30 * np.sin(np.arange(200) * 0.9)[:, np.newaxis]
    pictures[400:600, : VALUES // 4] += swing
    profile = _profile(pictures)
    places = np.searchsorted(profile.seconds, [20, 50, 100], side="right") - 1
    before, during, after = (profile.activity[place] for place in places)
    assert before == after == 1 < during
    assert all(38 <= second <= 62 for second in profile.seconds[1:])


def test_what_was_not_seen_says_nothing() -> None:
    pictures = _noisy()
    _flash(pictures, slice(600, 605))
    seen = np.ones(SLOTS, dtype=np.bool_)
    seen[580:640] = False
    assert _busy(_profile(pictures, seen)) == []
    assert list(_profile(pictures, np.zeros_like(seen)).activity) == [1]


@pytest.mark.parametrize("slots", [1, 2, 7, 30])
def test_a_video_of_a_moment(slots: int) -> None:
    profile = _profile(_noisy()[:slots])
    assert list(profile.activity) == [1]
    assert profile.duration_seconds == slots / 10


@pytest.mark.parametrize("slots_each", [1, 3, 9])
def test_measures_have_a_value_for_each_slot(slots_each: int) -> None:
    glances = Glances(
        slot_seconds=0.1,
        pictures=_noisy()[:1030].clip(0, 255).astype(np.uint8),
        seen=np.ones(1030, dtype=np.bool_),
    )
    assert standing_out(glances, slots_each=slots_each).shape == (2, 4, 1030)
    assert motion(glances).shape == steps(glances).shape == (1030,)


def test_an_album_holds_means_and_what_was_before() -> None:
    album = Album(1.0)
    plain = [np.full(VALUES, value, dtype=np.uint8) for value in (10, 20, 60, 90)]
    assert album.put([(0.20, plain[0]), (0.24, plain[1]), (0.31, plain[2])])
    assert album.put([(0.85, plain[3])])
    assert not album.put([])
    album.mark_seen(0.0, 0.5)
    glances = album.glances()
    assert glances.pictures[:, 0].tolist() == [15, 15, 15, 60, 60, 60, 60, 60, 90, 90]
    assert glances.seen.tolist() == [True] * 6 + [False] * 4


@pytest.mark.parametrize(
    ("seconds", "slots"), [(0.04, 1), (0.1, 1), (60.0, 600), (2400.0, 24_000), (3.6e5, MOST_SLOTS)]
)
def test_an_album_is_bounded(seconds: float, slots: int) -> None:
    album = Album(seconds)
    assert album.slots == slots
    assert album.put([(seconds, np.zeros(VALUES, dtype=np.uint8))])


def _video(seconds: float, *, keyframe_each: float, rate: int = 25) -> VideoInfo:
    frames = round(seconds * rate)
    return VideoInfo(
        width=64,
        height=36,
        duration_seconds=seconds,
        frame_rate=Fraction(rate),
        frame_count=frames,
        keyframes=range(0, frames, round(keyframe_each * rate)),
    )


@pytest.mark.parametrize(
    ("seconds", "keyframe_each", "begins"),
    [
        (60, 100, [0]),
        (60, 25, [0, 25, 50]),
        (30, 1, [0, 10, 20]),
        (26, 4, [0, 12, 24]),
        (0.04, 1, [0]),
    ],
    ids=["one group", "long groups", "short groups", "neither", "one frame"],
)
def test_stretches_begin_with_keyframes(
    seconds: float, keyframe_each: float, begins: list[float]
) -> None:
    info = _video(seconds, keyframe_each=keyframe_each)
    found = stretches(info)
    assert [each.begin_seconds for each in found] == begins
    assert [each.end_seconds for each in found] == [*begins[1:], seconds]
    assert sum(each.pictures for each in found) == info.frame_count


@pytest.mark.parametrize(
    "info",
    [
        replace(_video(60, keyframe_each=5), container="mpeg"),
        replace(_video(60, keyframe_each=5), keyframes=()),
    ],
    ids=["wrong times after a jump", "no keyframes known"],
)
def test_what_cannot_be_sought_in_is_one_stretch(info: VideoInfo) -> None:
    (whole,) = stretches(info)
    assert (whole.first, whole.begin_seconds, whole.end_seconds) == (None, 0, 60)


@pytest.mark.parametrize(
    ("count", "order"), [(1, [0]), (2, [0, 1]), (5, [0, 4, 2, 1, 3]), (8, [0, 4, 2, 6, 1, 5, 3, 7])]
)
def test_each_beginning_is_spread_over_all(count: int, order: list[int]) -> None:
    assert evenly(count) == order


def _done(*, seconds_each: float, budget: float, pictures: int = 100) -> list[tuple[float, str]]:
    """Begin and depth of what one thread does of 200 s, where stretch 110 s is the suspicious one.

    Keyframes take a tenth of the time.
    """
    now = 0.0
    parts = stretches(_video(200, keyframe_each=10))
    schedule = Schedule(
        parts,
        budget_seconds=budget,
        suspicions=lambda: [float(part.begin_seconds == 110) for part in parts],
        clock=lambda: now,
    )
    found, progress = [], []
    for _ in itertools.count():
        task = schedule.next()
        if task is None:
            break
        now += seconds_each / 10 if task.depth == "keys" else seconds_each
        schedule.finished(task, pictures=pictures)
        found.append((task.stretch.begin_seconds, task.depth))
        progress.append(schedule.progress())
    assert progress == sorted(progress)
    assert progress[-1:] <= [200]
    assert now <= budget + seconds_each
    return found


def test_all_is_decoded_where_there_is_time() -> None:
    found = _done(seconds_each=1.0, budget=21)
    assert {depth for _, depth in found} == {"references"}
    assert sorted(begin for begin, _ in found) == [10 * number for number in range(20)]


def test_where_there_is_not_keyframes_come_first_and_then_what_is_suspicious() -> None:
    found = _done(seconds_each=1.0, budget=10)
    keys = [begin for begin, depth in found if depth == "keys"]
    rest = [begin for begin, depth in found if depth == "references"]
    assert len(set(rest) | set(keys)) == 20
    assert found[4][1] == "keys"
    assert rest[4] == 110
    assert len(rest) == len(set(rest))


def test_no_time_at_all() -> None:
    assert _done(seconds_each=1.0, budget=0) == []


def test_nothing_is_skipped_where_that_would_leave_too_few_pictures() -> None:
    depths = [depth for _, depth in _done(seconds_each=1.0, budget=30, pictures=40)]
    assert depths == ["references"] + ["all"] * 19
