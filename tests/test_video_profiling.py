"""The pass over real files: events are found, time is kept, odd and damaged files come through."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clips import CLIPS, write
from core.errors import Cancelled, VideoError
from core.planning.scenes import scenes_indices
from core.video import describe_video, probe, profile_of
from core.video.activity import MOST_SECONDS, USUAL_SECONDS, budget_seconds_for
from core.video.profiling import measure
from tools.event_clips import EventClip, events_of, write_clip

SMALL = EventClip(
    background="static", seconds=60, width=160, height=96, rate=Fraction(15), events=4,
    options={"preset": "ultrafast", "g": "60"}, contrast=90,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiling")


@pytest.fixture(scope="module")
def static(folder: Path) -> Path:
    path = folder / "static.mp4"
    write_clip(SMALL, path)
    return path


@pytest.mark.parametrize(
    "clip",
    [
        SMALL,
        replace(SMALL, background="moving", seed=1),
        replace(SMALL, background="noisy", seed=2, shake=1),
        replace(SMALL, seed=3, options={"preset": "veryfast", "g": "900", "bf": "8"}),
        replace(SMALL, seed=4, codec="mpeg4", options={"g": "12"}),
        replace(SMALL, seed=5, codec="mpeg2video", container="mpeg", rate=Fraction(25), options={}),
        replace(
            SMALL,
            seed=6,
            codec="libvpx-vp9",
            container="webm",
            options={"cpu-used": "8", "deadline": "realtime"},
        ),
    ],
    ids=["static", "moving", "noisy", "one group of pictures", "mpeg4", "no seeking", "vp9"],
)
def test_every_event_is_given_a_frame(clip: EventClip, folder: Path) -> None:
    path = folder / "events.mp4"
    write_clip(clip, path)
    info = probe(path)
    profile = profile_of(info)
    taken = scenes_indices(info, profile, first=0, last=info.frame_count - 1, budget=16)
    for event in events_of(clip):
        assert any(event.first <= index < event.end for index in taken), event


def test_an_even_video_has_an_even_profile(folder: Path) -> None:
    path = folder / "even.mp4"
    write_clip(replace(SMALL, background="noisy", events=0), path)
    profile = profile_of(probe(path))
    assert (list(profile.seconds), list(profile.activity), list(profile.cuts)) == ([0], [1], [])


@pytest.mark.parametrize("name", CLIPS)
def test_any_clip_has_a_profile(name: str, folder: Path) -> None:
    info = probe(write(CLIPS[name], folder))
    shares: list[float] = []
    profile = profile_of(info, progress=shares.append)
    assert profile.duration_seconds == info.duration_seconds
    assert shares == sorted(shares)
    assert shares[-1:] == [1.0]


def _damaged(path: Path, folder: Path, *, first: float, last: float) -> Path:
    data = bytearray(path.read_bytes())
    low, high = int(len(data) * first), int(len(data) * last)
    data[low:high:7] = bytes(len(data[low:high:7]))
    broken = folder / "broken.mp4"
    broken.write_bytes(bytes(data))
    return broken


@pytest.mark.parametrize(("first", "last"), [(0.2, 0.3), (0.05, 0.9)], ids=["a little", "most"])
def test_a_damaged_file_has_a_profile(
    first: float, last: float, static: Path, folder: Path
) -> None:
    info = replace(probe(static), path=_damaged(static, folder, first=first, last=last))
    assert profile_of(info).duration_seconds == info.duration_seconds


def test_a_file_that_is_gone_or_never_was_is_refused(static: Path, folder: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.mp4 cannot be read"):
        profile_of(replace(probe(static), path=folder / "gone.mp4"))
    with pytest.raises(VideoError, match="only described"):
        profile_of(describe_video(width=64, height=36, duration_seconds=5, frame_rate=25))


def _ticking(seconds: float) -> Iterator[float]:
    return itertools.count(0.0, seconds)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_time_given_is_kept(static: Path, threads: int) -> None:
    """Each look at the clock takes a tenth of a second: far too little time for the whole."""
    ticks = _ticking(0.1)
    info = probe(static)
    messages = list(measure(info, budget_seconds=10, threads=threads, clock=lambda: next(ticks)))
    assert 9 < next(ticks) < 20  # it is looked at within a stretch too, and then no more
    assert {"seconds", "activity", "cuts", "duration_seconds"} == messages[-1].keys()
    done = [message["done"] for message in messages[:-1]]
    assert done == sorted(done)
    assert all(message["total"] == info.duration_seconds for message in messages[:-1])


def test_stopped_in_the_middle(static: Path) -> None:
    stop, shares = threading.Event(), []

    def once(share: float) -> None:
        shares.append(share)
        stop.set()

    before = threading.active_count()
    with pytest.raises(Cancelled):
        profile_of(probe(static), stop=stop, progress=once)
    assert len(shares) == 1
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(0.1, 22), (30, 22), (60, 44), (6000, 120)], ids=str
)
def test_longer_videos_are_given_more_time(minutes: float, seconds: float) -> None:
    info = describe_video(
        width=64, height=36, duration_seconds=minutes * 60, frame_rate=Fraction(25)
    )
    assert budget_seconds_for(info) == seconds
    assert USUAL_SECONDS <= seconds <= MOST_SECONDS
