"""The film strip of a video whose exact frames take a while: keyframes first, then the frames."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clips import X264, Clip, write
from core.asking import foresee
from core.planning import ModelCard, Settings, Turn, load_card, parse_devices
from core.video import describe_video, probe
from tiny_checkpoint import write_tiny_checkpoint
from ui.film import fill_strip, stand_ins
from ui.sessions import Session

LONG = Clip(name="long.mp4", frames=1200, options=X264 | {"g": "200"})


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return load_card(str(write_tiny_checkpoint(tmp_path_factory.mktemp("film") / "tiny")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(LONG, tmp_path_factory.mktemp("clip"))


def session_of(clip: Path, card: ModelCard, **settings: object) -> Session:
    session = Session(info=probe(clip))
    assert session.info is not None
    session.foreseen = foresee(
        session.info,
        Settings(**settings),  # type: ignore[arg-type]
        card,
        [Turn("user", "What happens?")],
        devices=parse_devices("24GiB"),
    )
    return session


def test_keyframes_stand_in_with_their_own_times_until_the_frames_are_there(
    clip: Path, card: ModelCard
) -> None:
    session = session_of(clip, card, strategy="uniform", max_frames=16)
    assert session.foreseen is not None
    strips = list(fill_strip(session))
    assert strips[0].count("<img") == 0
    # on a busy machine there are strips with a part of the keyframes before
    first = next(strip for strip in strips if strip.count("<img") == 16)
    assert first.count("fw-near") >= 14  # the first frame is a keyframe itself
    labels = re.findall(r"≈ ([\d:.]+)</b>", first)
    assert set(labels) <= {"0:00.0", "0:08.0", "0:16.0", "0:24.0", "0:32.0", "0:40.0"}
    assert "fw-near" not in strips[-1]
    assert strips[-1].count("<img") == 16
    assert set(session.foreseen.plan.indices) <= set(session.pictures)


def test_the_strip_ends_where_the_sliders_have_moved_on(clip: Path, card: ModelCard) -> None:
    session = session_of(clip, card, strategy="uniform", max_frames=16)
    filling = fill_strip(session)
    next(filling)
    session.foreseen = session_of(clip, card, strategy="uniform", max_frames=8).foreseen
    list(filling)
    assert len(session.pictures) == 0


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ([], {}),
        ([150], {}),  # 151 frames to decode are soon decoded
        (
            [99, 199, 399, 599, 799],
            {99: 0, 199: 200, 399: 400, 599: 600, 799: 800},
        ),
        (
            [100, 200, 299, 499, 700, 950],
            {100: 0, 200: 200, 299: 200, 499: 400, 700: 600, 950: 1000},
        ),
        (range(0, 400), {}),  # each decoded once
    ],
    ids=["nothing", "one", "just-before", "between", "dense"],
)
def test_stand_ins(missing: list[int], expected: dict[int, int], clip: Path) -> None:
    assert stand_ins(missing, probe(clip)) == expected


def test_a_video_without_a_table_of_keyframes_has_no_stand_ins() -> None:
    info = describe_video(width=64, height=48, duration_seconds=60, frame_rate=30)
    assert stand_ins(range(0, 1800, 100), info) == {}
