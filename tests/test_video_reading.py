"""Frames by index: the right picture at its true time, whatever the codec and the spacing.

The contract suite of core.video.reading.Reader: every reader runs it over every clip.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from clips import CLIPS, Clip, number_of, numbers_of, write
from core.errors import Cancelled, SettingsError, VideoError
from core.video import describe_video, iter_frames, probe, read_frames
from core.video.reading import READERS

each_reader = pytest.mark.parametrize("reader", READERS)
each_clip = pytest.mark.parametrize("clip", CLIPS.values(), ids=lambda clip: clip.name)


def _few_at_random(count: int) -> list[int]:
    return sorted(random.Random(count).sample(range(count), k=min(7, count)))


# how the wanted frames lie -> the indices of a video with so many frames
SPACINGS: dict[str, Callable[[int], Sequence[int]]] = {
    "every frame": range,
    "every seventh": lambda count: range(0, count, 7),
    "first and last": lambda count: [0, count - 1],
    "only the last": lambda count: [count - 1],
    "only one in the middle": lambda count: [count // 2],
    "three neighbours late": lambda count: sorted({max(0, count - 3 - i) for i in range(3)}),
    "the same ones again": lambda count: sorted([0, 0, count // 2, count // 2, count - 1] * 2),
    "a few at random": _few_at_random,
}
each_spacing = pytest.mark.parametrize("wanted", SPACINGS.values(), ids=SPACINGS.keys())


@each_reader
@each_spacing
@each_clip
def test_right_frames_at_their_times(
    clip: Clip,
    wanted: Callable[[int], Sequence[int]],
    reader: str,
    clip_file: Callable[[str], Path],
) -> None:
    info, indices = probe(clip_file(clip.name)), list(wanted(clip.frames))
    frames = read_frames(info, indices, height=info.height, width=info.width, reader=reader)
    assert numbers_of(frames.pixels) == indices
    assert list(frames.indices) == indices
    true_times = [clip.shown_times[index] for index in indices]
    assert list(frames.seconds) == pytest.approx(true_times, abs=0.0011)
    assert list(frames.seconds) == [info.time_of(index) for index in indices]


@each_reader
@pytest.mark.parametrize(
    ("height", "width"), [(32, 32), (64, 96), (256, 160), (33, 47)], ids=lambda n: str(n)
)
@pytest.mark.parametrize("name", ["h264.mp4", "turned_90.mp4", "turned_wide_pixels.mp4"])
def test_frames_have_the_size_that_was_asked_for(
    name: str, height: int, width: int, reader: str, clip_file: Callable[[str], Path]
) -> None:
    info = probe(clip_file(name))
    frames = read_frames(info, [0, 9], height=height, width=width, reader=reader)
    assert frames.pixels.shape == (2, height, width, 3)
    assert frames.pixels.dtype == np.uint8
    assert frames.pixels.flags.c_contiguous
    assert numbers_of(frames.pixels) == [0, 9]


@each_reader
def test_a_start_that_is_cut_away_is_not_counted(reader: str, tmp_path: Path) -> None:
    """Thirty frames are in the file; an edit list hides five, the only keyframe among them."""
    clip = Clip(
        name="edited.mp4",
        frames=30,
        first_second=-0.2,
        options={"g": "60", "bf": "0"},
        muxing={"avoid_negative_ts": "disabled"},
    )
    info = probe(write(clip, tmp_path))
    assert (info.frame_count, info.duration_seconds) == (25, pytest.approx(1.0))
    frames = read_frames(info, [0, 7, 24], height=64, width=96, reader=reader)
    assert numbers_of(frames.pixels) == [5, 12, 29]
    assert list(frames.seconds) == pytest.approx([0.0, 0.28, 0.96])


@each_reader
def test_frames_come_one_by_one(reader: str, clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file("h264.mp4"))
    frames = iter_frames(info, [3, 60, 119], height=64, width=96, reader=reader)
    first = next(frames)
    assert (first.index, number_of(first.pixels)) == (3, 3)
    assert [number_of(frame.pixels) for frame in frames] == [60, 119]


@each_reader
def test_stop_ends_reading(reader: str, clip_file: Callable[[str], Path]) -> None:
    info, stop = probe(clip_file("h264.mp4")), threading.Event()
    frames = iter_frames(info, range(120), height=64, width=96, stop=stop, reader=reader)
    next(frames)
    stop.set()
    with pytest.raises(Cancelled):
        next(frames)


@each_reader
def test_a_file_that_has_gone_is_an_error_with_a_remedy(
    reader: str, clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip_file("h264.mp4").read_bytes())
    info = probe(file)
    file.unlink()
    with pytest.raises(VideoError, match=r"clip\.mp4 cannot be read") as caught:
        read_frames(info, [0], height=64, width=96, reader=reader)
    assert caught.value.remedy


@each_reader
def test_a_damaged_stretch_gives_the_picture_before_it_at_its_own_time(
    reader: str, clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """Every third JPEG is destroyed: what a viewer sees then is the one before."""
    data = bytearray(clip_file("mjpeg.avi").read_bytes())
    place, number = data.find(b"\xff\xd8\xff"), 0
    while place >= 0:
        if number % 3 == 2:
            data[place : place + 650] = bytes(650)
        place, number = data.find(b"\xff\xd8\xff", place + 650), number + 1
    file = tmp_path / "damaged.avi"
    file.write_bytes(data)
    info = probe(file)
    frames = read_frames(info, range(12), height=64, width=96, reader=reader)
    seen = [0, 1, 1, 3, 4, 4, 6, 7, 7, 9, 10, 10]
    assert numbers_of(frames.pixels) == seen
    assert list(frames.seconds) == pytest.approx([index / 25 for index in seen])


def test_a_described_video_has_no_frames() -> None:
    info = describe_video(width=96, height=64, duration_seconds=2, frame_rate=25)
    with pytest.raises(VideoError, match="only described"):
        read_frames(info, [0], height=64, width=96)


def test_an_unknown_reader_lists_the_known_ones(clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file("h264.mp4"))
    with pytest.raises(SettingsError) as caught:
        read_frames(info, [0], height=64, width=96, reader="vhs")
    assert all(reader in caught.value.remedy for reader in READERS)
