"""What keeps the readers on other libraries honest: times compared, packets looked at, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clips import CLIPS, number_of, picture_of
from core.errors import VideoError
from core.video import describe_video, probe
from core.video.borrowed import (
    fitted,
    last_words,
    packing,
    refuse_unless_due,
    source,
)


@pytest.mark.parametrize(
    ("index", "seconds", "due"),
    [
        pytest.param(10, 0.4, True, id="just then"),
        pytest.param(10, 0.4 + 1e-4, True, id="rounded otherwise"),
        pytest.param(10, 0.44, False, id="one too late"),
        pytest.param(10, 0.36, False, id="one too early"),
        pytest.param(10, 0.421, False, id="nearer to the next"),
        pytest.param(0, 0.0, True, id="the first"),
        pytest.param(0, -0.04, False, id="before the first"),
        pytest.param(119, 4.76, True, id="the last"),
        pytest.param(119, float("nan"), False, id="no time at all"),
    ],
)
def test_a_frame_of_another_time_is_refused(
    index: int, seconds: float, due: bool, clip_file: Callable[[str], Path]
) -> None:
    found = source("vhs", probe(clip_file("h264.mp4")))
    if due:
        refuse_unless_due(found, index, seconds)
        return
    with pytest.raises(
        VideoError, match=r"The reader vhs cannot read h264\.mp4: it gives"
    ) as caught:
        refuse_unless_due(found, index, seconds)
    assert f"{index / 25:.3f} s" in caught.value.message
    assert caught.value.remedy == "Choose the reader pyav."


def test_the_only_frame_is_due_at_its_time_alone(clip_file: Callable[[str], Path]) -> None:
    found = source("vhs", probe(clip_file("one_frame.mp4")))
    refuse_unless_due(found, 0, 0.0)
    with pytest.raises(VideoError):
        refuse_unless_due(found, 0, 0.5)


@pytest.mark.parametrize(
    ("name", "open_groups"),
    [("h264.mp4", False), ("many_b_frames.mp4", False), ("open_gop.mp4", True), ("hevc.mp4", True),
     ("only_keyframes.mov", False), ("h264.avi", False)],
)  # fmt: skip
def test_pictures_that_refer_over_a_keyframe_are_noticed(
    name: str, open_groups: bool, clip_file: Callable[[str], Path]
) -> None:
    packed = packing(source("vhs", probe(clip_file(name))))
    assert (packed.open_groups, packed.discarded) == (open_groups, 0)


@pytest.mark.parametrize(
    ("name", "size", "rivals"),
    [("two_pictures.mp4", (96, 64), ((48, 32),)), ("two_alike.mp4", (96, 64), ((96, 64),)),
     ("turned_90.mp4", (96, 64), ()), ("wide_pixels.mp4", (96, 64), ())],
)  # fmt: skip
def test_a_source_is_the_stream_a_player_shows(
    name: str,
    size: tuple[int, int],
    rivals: tuple[tuple[int, int], ...],
    clip_file: Callable[[str], Path],
) -> None:
    found = source("vhs", probe(clip_file(name)))
    assert ((found.width, found.height), found.rivals) == (size, rivals)
    assert found.stream_index == len(rivals)  # the other one comes first in the file
    assert found.times == pytest.approx(CLIPS[name].shown_times, abs=0.0011)


def test_a_described_video_is_no_source() -> None:
    info = describe_video(width=96, height=64, duration_seconds=2, frame_rate=25)
    with pytest.raises(VideoError, match="only described"):
        source("vhs", info)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (33, 47), (200, 100)])
def test_a_picture_is_scaled_and_turned_upright(height: int, width: int, turn: int) -> None:
    lying = np.ascontiguousarray(np.rot90(picture_of(1234, width=96, height=64), k=turn // 90))
    upright = fitted(lying, height=height, width=width, turn=turn)
    assert (upright.shape, upright.dtype) == ((height, width, 3), np.uint8)
    assert upright.flags.c_contiguous
    assert number_of(upright) == 1234


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("No frames.", "No frames"),
        ("[03:31:19] /src/video_reader.cc:270: [/clips/a.avi] No frames.", "No frames"),
        ("open, /src/Decoder.cpp:41, Cannot open:\n  Bad data", "Cannot open: Bad data"),
        ("", "RuntimeError"),
        ("x" * 900, "x" * 200),
    ],
    ids=["plain", "with its time and place", "with its function", "nothing", "a lot"],
)  # fmt: skip
def test_a_library_is_quoted_without_its_source_files(said: str, kept: str) -> None:
    assert last_words(RuntimeError(said)) == kept
