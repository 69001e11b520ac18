"""Frames from another process: the same as from this one, and no more memory than theirs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from clips import numbers_of
from core.errors import VideoError
from core.video import iter_frames, probe, read_frames

MIB = 2**20


def test_many_threads_read_the_right_frames(clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file("h264.mp4"))

    def read(number: int) -> bool:
        wanted = sorted({number, number + 20, 119 - number % 40})
        frames = read_frames(info, wanted, height=32, width=48)
        return numbers_of(frames.pixels) == wanted

    with ThreadPoolExecutor(64) as threads:
        assert all(threads.map(read, range(64)))


def test_frames_are_those_that_the_reader_gives_in_this_process(
    clip_file: Callable[[str], Path],
) -> None:
    from core.video.pyav import read

    info = probe(clip_file("h264.mp4"))
    wanted = [0, 7, 50, 51, 119]
    here = sorted(read(info, wanted, height=48, width=80, threads=2), key=lambda frame: frame.index)
    there = read_frames(info, wanted, height=48, width=80)
    assert (np.stack([frame.pixels for frame in here]) == there.pixels).all()
    assert tuple(frame.seconds for frame in here) == there.seconds


def test_frames_come_back_without_a_second_copy(clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file("h264.mp4"))
    single = list(iter_frames(info, [3, 9, 30], height=64, width=96))
    whole = read_frames(info, [3, 9, 30], height=64, width=96)
    assert not whole.pixels.flags.owndata
    assert all(frame.pixels.base is single[0].pixels.base for frame in single)
    assert not np.shares_memory(whole.pixels, single[0].pixels)


def test_memory_goes_back(clip_file: Callable[[str], Path]) -> None:
    info, me = probe(clip_file("h264.mp4")), psutil.Process()
    read_frames(info, range(10), height=64, width=96)
    before = (me.memory_info().rss, me.num_fds())
    for _ in range(3):
        frames = read_frames(info, range(100), height=640, width=960)
        assert me.memory_info().shared >= 0
        assert frames.pixels.nbytes == 100 * 640 * 960 * 3
        assert frames.pixels.any(axis=(1, 2, 3)).all()
        del frames
    assert me.memory_info().rss - before[0] < 64 * MIB
    assert me.num_fds() == before[1]


def test_too_many_frames_are_refused_before_anything_is_set_aside(
    clip_file: Callable[[str], Path],
) -> None:
    info = probe(clip_file("h264.mp4"))
    with pytest.raises(VideoError, match=r"120 frames of 80000x80000 need 2,304.0 GB") as caught:
        read_frames(info, range(120), height=80_000, width=80_000)
    assert caught.value.remedy


@pytest.mark.parametrize("wanted", [[-1], [120], [5, 4000]], ids=str)
def test_frames_that_the_video_does_not_have(
    wanted: list[int], clip_file: Callable[[str], Path]
) -> None:
    with pytest.raises(VideoError, match="is not among the 120 of h264"):
        read_frames(probe(clip_file("h264.mp4")), wanted, height=64, width=96)


def test_no_frames_of_a_video(clip_file: Callable[[str], Path]) -> None:
    frames = read_frames(probe(clip_file("h264.mp4")), [], height=64, width=96)
    assert frames.pixels.shape == (0, 64, 96, 3)


def test_after_the_last_frame_the_process_is_kept(clip_file: Callable[[str], Path]) -> None:
    """Whoever takes one frame and goes does not cost the next one a start."""
    info = probe(clip_file("h264.mp4"))
    before = set(psutil.Process().children())
    for _ in range(3):
        assert next(iter_frames(info, [60], height=64, width=96)).index == 60
    assert set(psutil.Process().children()) == before
