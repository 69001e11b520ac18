"""What a file is said to be, against what was put into it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import gradio
import pytest

from clips import CLIPS, Clip, write
from core.video import probe

each_clip = pytest.mark.parametrize("clip", CLIPS.values(), ids=lambda clip: clip.name)
GRADIO_VIDEOS = Path(gradio.__file__).parent / "media_assets" / "videos"


@each_clip
def test_size_is_the_viewers(clip: Clip, clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file(clip.name))
    assert (info.width, info.height) == clip.shown_size
    assert info.rotation == clip.rotation


@each_clip
def test_every_frame_is_counted_at_its_time(clip: Clip, clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file(clip.name))
    assert info.frame_count == clip.frames
    assert info.frame_count_source == "counted"
    assert info.frame_times == pytest.approx(clip.shown_times, abs=0.0011)  # mkv counts in ms
    assert [info.time_of(index) for index in range(clip.frames)] == list(info.frame_times or ())


@each_clip
def test_rate_and_duration(clip: Clip, clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file(clip.name))
    if clip.times is None:
        assert info.frame_rate == clip.rate
        assert info.duration_seconds == pytest.approx(clip.frames / clip.rate, abs=0.0021)
    else:
        gaps = clip.frames - 1
        assert float(info.frame_rate) == pytest.approx(gaps / clip.times[-1], rel=0.05)
        assert clip.times[-1] < info.duration_seconds < clip.times[-1] + 1.3
    assert info.variable_rate == (clip.times is not None)


@each_clip
def test_codec_container_and_start(clip: Clip, clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file(clip.name))
    assert (info.codec, info.container) == (clip.shown_codec, clip.container)
    assert info.start_seconds == pytest.approx(clip.first_second, abs=0.6)  # a muxer's own delay


@each_clip
def test_first_keyframe_is_the_first_frame(clip: Clip, clip_file: Callable[[str], Path]) -> None:
    keyframes = list(probe(clip_file(clip.name)).keyframes)
    assert keyframes[0] == 0
    assert keyframes == sorted(set(keyframes))


@pytest.mark.parametrize(
    ("name", "keyframes"),
    [("h264.mp4", [0, 50, 100]), ("one_keyframe.mp4", [0]), ("mpeg4.avi", [0, 40])],
    ids=["50 apart", "only the first", "40 apart"],
)
def test_keyframes(name: str, keyframes: list[int], clip_file: Callable[[str], Path]) -> None:
    assert list(probe(clip_file(name)).keyframes) == keyframes


@pytest.mark.parametrize(
    ("name", "size", "frames"),
    [
        ("a.mp4", (1920, 1080), 209),
        ("b.mp4", (480, 270), 150),
        ("b.avi", (480, 270), 150),
        ("world.mp4", (480, 270), 901),
    ],
    ids=["a.mp4", "b.mp4", "b.avi", "world.mp4"],
)
def test_real_clips(name: str, size: tuple[int, int], frames: int) -> None:
    info = probe(GRADIO_VIDEOS / name)
    assert (info.width, info.height) == size
    assert (info.frame_count, info.frame_rate) == (frames, 30)
    assert info.duration_seconds == pytest.approx(frames / 30, abs=1.01 / 30)  # b.avi has a gap


def test_a_picture_an_hour_is_a_rate(tmp_path: Path) -> None:
    """A rate far below one a second is a fraction, never 0."""
    hourly = Clip(name="hourly.mkv", container="matroska", times=(0.0, 3600.0, 7200.0), frames=3)
    info = probe(write(hourly, tmp_path))
    assert info.frame_rate == Fraction(1, 3600)
    assert info.frame_times == (pytest.approx([0.0, 3600.0, 7200.0]))
