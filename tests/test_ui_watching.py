"""Scenes are looked for after a video is there, and can be chosen once they are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clips import X264, Clip, write
from core.planning import DEMO_MODEL
from core.video import describe_video, probe
from core.video.profile import Profile
from ui.sessions import Session
from ui.watching import watch

CLIP = DEMO_MODEL.parent / "examples" / "flash.mp4"


def test_scenes_are_offered_once_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.watching.TOLD_SECONDS", 0.001)
    session = Session(info=probe(CLIP), name="flash.mp4")
    *before, last = watch(session)
    assert all("looking for scenes" in each["line"] for each in before)
    assert last["strategy"]["choices"][-1] == "scenes"
    assert sum("measuring" in each for each in (*before, last)) == 1
    assert "looking" not in last["line"]
    assert session.info is not None
    assert session.info.profile is not None
    assert session.info == probe(CLIP)  # plans made before are not out of date
    assert list(watch(session)) == []  # known is known


def test_without_a_video_there_is_nothing_to_watch() -> None:
    assert list(watch(Session())) == []


def test_a_new_video_ends_the_search_in_the_old_one(tmp_path: Path) -> None:
    long = Clip(name="long.mp4", frames=3000, width=640, height=360, options=X264)
    session = Session(info=probe(write(long, tmp_path)), name="long.mp4")
    watching = watch(session)
    next(watching)
    session.end()
    session.info = probe(CLIP)
    assert list(watching) == []
    assert session.info.profile is None


@pytest.mark.parametrize("gone", [True, False], ids=["file-gone", "only-described"])
def test_a_video_that_cannot_be_searched_goes_without(gone: bool, tmp_path: Path) -> None:
    info = describe_video(width=64, height=48, duration_seconds=10, frame_rate=25)
    if gone:
        info = replace(probe(CLIP), path=tmp_path / "gone.mp4")
    session = Session(info=info, name="gone.mp4")
    last = list(watch(session))[-1]
    assert "strategy" not in last
    assert "measuring" not in last  # of what has no content nothing is kept
    assert "looking" not in last["line"]


def test_cuts_are_counted_as_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Profile(
        seconds=[0.0, 1.0], activity=np.array([1.0, 2.0]), cuts=[4.0, 6.0], duration_seconds=10.0
    )
    monkeypatch.setattr("ui.watching.profile_of", lambda *_, **__: found)
    session = Session(info=probe(CLIP), name="flash.mp4")
    assert "3 scenes" in list(watch(session))[-1]["line"]
