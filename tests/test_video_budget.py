"""What a request may cost, as tables: it grows with the plan and never refuses what is usual."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.errors import VideoError
from core.video import VideoInfo, budget


def _info(
    *, width: int = 1280, height: int = 720, frames: int = 54_000, gop: int = 250
) -> VideoInfo:
    return VideoInfo(
        width=width,
        height=height,
        duration_seconds=frames / 30,
        frame_rate=Fraction(30),
        frame_count=frames,
        keyframes=range(0, frames, gop) if gop else (),
    )


@pytest.mark.parametrize(
    ("keyframes", "indices", "pictures"),
    [
        ([0, 250], [3, 100, 260], 112),
        ([0, 250], [250], 1),
        ([0, 250], [0, 250], 2),
        ([0, 250], [249], 250),
        ([0], [999], 1000),
        ([], [999], 1000),
        ([5], [3, 7], 4 + 3),
        ([0, 250], [], 0),
    ],
    ids=str,
)
def test_pictures_to_decode(keyframes: list[int], indices: list[int], pictures: int) -> None:
    assert budget.decoded_pictures(keyframes, indices) == pictures


@pytest.mark.parametrize(
    ("info", "indices", "least", "most"),
    [
        (_info(), [], 20, 20),
        (_info(frames=120), [0], 20, 25),
        (_info(), [0], 20, 25),
        (_info(), range(0, 54_000, 844), 300, 1500),
        (_info(), range(54_000), 5000, 30_000),
        (_info(width=3840, height=2160), range(0, 54_000, 844), 3000, 9000),
        (_info(gop=0), [53_999], 4000, 6000),
    ],
    ids=["nothing", "a short one", "one frame", "64 frames", "all", "64 of 4K", "no keyframes"],
)
def test_seconds_to_read(info: VideoInfo, indices: list[int], least: float, most: float) -> None:
    assert least <= budget.read_seconds(info, indices, height=252, width=448) <= most


def test_seconds_grow_with_the_plan() -> None:
    plans = [range(0, 54_000, step) for step in (27_000, 5400, 540, 54, 1)]
    seconds = [budget.read_seconds(_info(), plan, height=252, width=448) for plan in plans]
    assert seconds == sorted(set(seconds))


@pytest.mark.parametrize(
    ("size", "seconds"), [(1000, 20), (332_000_000, 352), (10**12, 1800)], ids=str
)
def test_seconds_to_probe(size: int, seconds: float) -> None:
    assert budget.probe_seconds(size) == seconds


def test_address_space_grows_with_the_picture_the_threads_and_the_reader() -> None:
    small = budget.read_bytes(_info(), threads=1, reader="pyav")
    assert 1.5e9 < small < 2.5e9
    assert budget.read_bytes(_info(width=7680, height=4320), threads=1, reader="pyav") > 4e9
    assert budget.read_bytes(_info(), threads=8, reader="pyav") > small + 1e9
    assert budget.read_bytes(_info(), threads=1, reader="torchcodec") > small + 4e9


def test_room_is_what_the_frames_take() -> None:
    assert budget.check_room(4, height=10, width=20) == 2400


@pytest.mark.parametrize(("height", "width"), [(0, 10), (10, -1)], ids=str)
def test_frames_of_no_size_are_refused(height: int, width: int) -> None:
    with pytest.raises(VideoError, match="nothing to see") as caught:
        budget.check_room(1, height=height, width=width)
    assert caught.value.remedy


def test_free_memory_is_a_number_that_this_machine_can_have() -> None:
    free = budget.free_bytes()
    assert free is None or 2**20 < free < 2**50
