"""Never the wrong frame: bar codes read back over codecs, GOPs, B-frames and schedules.

What test_video_reading asks of every reader over every container, this asks of the parallel one
where it leaves packets out: every way in which pictures can refer to each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips import Clip, number_of, write
from core.video import VideoInfo, probe
from core.video.pyav import read
from core.video.reading import Frame

FAST = {"preset": "veryfast", "crf": "20", "sc_threshold": "0"}
X265 = "log-level=none:pools=1:frame-threads=1:"


def _h264(
    name: str, extra: str = "", *, frames: int = 150, suffix: str = "mp4", **flags: str
) -> Clip:
    container = {"mp4": "mov", "mkv": "matroska", "ts": "mpegts", "avi": "avi"}[suffix]
    options = FAST | flags | ({"x264-params": extra} if extra else {})
    return Clip(name=f"{name}.{suffix}", container=container, frames=frames, options=options)


def _hevc(name: str, extra: str, *, suffix: str = "mp4") -> Clip:
    return Clip(
        name=f"{name}.{suffix}",
        codec="libx265",
        shown_codec="hevc",
        container={"mp4": "mov", "mkv": "matroska", "ts": "mpegts"}[suffix],
        frames=100,
        options={"preset": "ultrafast", "x265-params": X265 + extra},
    )


def _mpeg(codec: str, name: str, container: str, **flags: str) -> Clip:
    options = {"qscale:v": "2"} | {key.replace("_", ":"): value for key, value in flags.items()}
    return Clip(name=name, codec=codec, container=container, frames=120, options=options)


CLIPS = {
    clip.name: clip
    for clip in (
        _h264("no_b", g="40", bf="0"),
        _h264("b3", g="50", bf="3"),
        _h264("b3_no_pyramid", "b-pyramid=none", g="50", bf="3"),
        _h264("b16_strict", "b-pyramid=strict:b-adapt=0", g="60", bf="16"),
        _h264("b16_normal", "b-pyramid=normal:b-adapt=0:ref=16", g="60", bf="16"),
        _h264("refs16", "ref=16:b-adapt=0", g="75", bf="5"),
        _h264("weighted", "weightp=2:weightb=1:ref=4", g="50", bf="3"),
        _h264("temporal_direct", "direct=temporal:b-adapt=0", g="50", bf="4"),
        _h264("open_gop", "open-gop=1:b-adapt=0", g="25", bf="4"),
        _h264("open_gop", "open-gop=1:b-adapt=0", g="25", bf="4", suffix="ts"),
        _h264("intra_refresh", "intra-refresh=1", g="30", bf="0"),
        _h264("intra_refresh", "intra-refresh=1", g="30", bf="0", suffix="ts"),
        _h264("interlaced", "interlaced=1:tff=1:b-adapt=0", g="40", bf="3"),
        _h264("fake_interlaced", "fake-interlaced=1", g="40", bf="3"),
        _h264("slices", "slices=4:b-adapt=0", g="40", bf="3"),
        _h264("short_gops", g="5", bf="2"),
        _h264("only_keyframes", g="1", bf="0"),
        _h264("one_gop", "b-adapt=0", g="1000", bf="3", frames=400),
        _h264("uneven_gops", "b-adapt=0:keyint=70:min-keyint=1:scenecut=60", bf="3"),
        _h264("b3", "b-adapt=0", g="50", bf="3", suffix="mkv"),
        _h264("b3", "b-adapt=0", g="50", bf="3", suffix="ts"),
        _h264("b3", "b-adapt=0", g="50", bf="3", suffix="avi"),
        _hevc("layers1", "keyint=40:bframes=4:b-adapt=0"),
        _hevc("layers3", "keyint=40:bframes=3:b-adapt=0:temporal-layers=3"),
        _hevc("layers2", "keyint=40:bframes=4:b-adapt=0:temporal-layers=2", suffix="mkv"),
        _hevc("open", "keyint=20:open-gop=1:bframes=4:b-adapt=0"),
        _hevc("no_pyramid", "keyint=40:bframes=4:b-adapt=0:b-pyramid=0", suffix="ts"),
        _mpeg("mpeg1video", "mpeg1.mpg", "mpeg", g="12", bf="2"),
        _mpeg("mpeg2video", "mpeg2.mp4", "mov", g="12", bf="2"),
        _mpeg("mpeg2video", "mpeg2.ts", "mpegts", g="15", bf="4"),
        _mpeg("mpeg2video", "mpeg2.mkv", "matroska", g="15", bf="2"),
        _mpeg("mpeg2video", "interlaced.mpg", "mpeg", g="12", bf="2", flags="+ildct+ilme"),
        _mpeg("mpeg4", "mpeg4_b.mp4", "mov", g="30", bf="2"),
        _mpeg("mpeg4", "mpeg4_b.avi", "avi", g="30", bf="2"),
        Clip(name="vp9.webm", codec="libvpx-vp9", container="matroska", frames=100,
             options={"g": "30", "auto-alt-ref": "1", "lag-in-frames": "20", "cpu-used": "8"}),
        Clip(name="vp8.webm", codec="libvpx", container="matroska", frames=100,
             options={"g": "30", "cpu-used": "8"}),
        Clip(name="av1.mp4", codec="libsvtav1", frames=100,
             options={"preset": "8", "crf": "12", "g": "32"}),
    )
}  # fmt: skip
SCHEDULES = 12


@pytest.fixture(scope="module", params=CLIPS.values(), ids=CLIPS.keys())
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write(request.param, tmp_path_factory.mktemp("exact")))


def _wanted(chance: random.Random, count: int) -> list[int]:
    """Some frames, sparse or dense, spread over all or close together."""
    first = chance.choice([0, chance.randrange(count)])
    room = range(first, min(count, first + chance.choice([5, 40, count])))
    if chance.random() < 0.3:
        return list(room[:: chance.randint(1, 9)])
    return sorted(chance.sample(room, k=min(len(room), chance.choice([1, 2, 5, 20, 60]))))


def _read(info: VideoInfo, indices: list[int], *, threads: int) -> Iterator[Frame]:
    return read(info, indices, height=64, width=96, threads=threads)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_wanted_frames_and_no_others(video: VideoInfo, threads: int) -> None:
    """The pixels are those of a full pass, too: what is left out changes nothing."""
    everything = {
        frame.index: frame for frame in _read(video, list(range(video.frame_count)), threads=1)
    }
    for index, frame in everything.items():
        assert number_of(frame.pixels) == index
    for seed in range(SCHEDULES):
        indices = _wanted(random.Random(seed), video.frame_count)
        frames = {frame.index: frame for frame in _read(video, indices, threads=threads)}
        assert sorted(frames) == indices
        for index, frame in frames.items():
            assert number_of(frame.pixels) == index
            assert frame.seconds == video.time_of(index)
            assert np.array_equal(frame.pixels, everything[index].pixels), (seed, index)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_only_keyframes(video: VideoInfo, threads: int) -> None:
    wanted = list(video.keyframes)
    frames = list(_read(video, wanted, threads=threads))
    assert sorted(number_of(frame.pixels) for frame in frames) == wanted


def test_the_clips_are_what_they_are_called(tmp_path: Path) -> None:
    """Without this a change of an encoder's defaults could leave the others nothing to find."""
    kinds: dict[str, Callable[[VideoInfo], bool]] = {
        "one_gop.mp4": lambda info: list(info.keyframes) == [0],
        "short_gops.mp4": lambda info: len(info.keyframes) == 30,
        "only_keyframes.mp4": lambda info: len(info.keyframes) == 150,
        "b3.mp4": lambda info: len(info.keyframes) == 3,
        "layers3.mp4": lambda info: len(info.keyframes) >= 2,
    }
    for name, holds in kinds.items():
        assert holds(probe(write(CLIPS[name], tmp_path))), name


def test_a_changing_size_is_scaled_from_what_it_is(tmp_path: Path) -> None:
    """One decoder after another in the same thread: the scaler is kept, the pictures differ."""
    small = Clip(name="small.ts", container="mpegts", frames=30, options=FAST | {"g": "10"})
    large = Clip(
        name="large.ts", container="mpegts", frames=30, width=192, height=128,
        first_second=1.2, options=FAST | {"g": "10"},
    )  # fmt: skip
    joined = tmp_path / "joined.ts"
    joined.write_bytes(write(small, tmp_path).read_bytes() + write(large, tmp_path).read_bytes())
    info = probe(joined)
    assert info.frame_count == 60
    frames = sorted(_read(info, [5, 25, 35, 55], threads=1), key=lambda frame: frame.index)
    assert [number_of(frame.pixels) for frame in frames] == [5, 25, 5, 25]


def test_rates_whose_times_are_no_round_numbers(tmp_path: Path) -> None:
    clip = Clip(name="clip.mp4", rate=Fraction(60000, 1001), frames=300, options=FAST | {"g": "60"})
    info = probe(write(clip, tmp_path))
    wanted = list(range(0, 300, 13))
    frames = {frame.index: number_of(frame.pixels) for frame in _read(info, wanted, threads=2)}
    assert frames == {index: index for index in wanted}
