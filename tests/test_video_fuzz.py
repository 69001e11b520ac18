"""Damaged files by the hundred: each ends in frames or a clear error, and nothing is left over.

``pytest tests/test_video_fuzz.py`` tries 75 of each container; FRAMEWISE_FUZZ=5000 tries so many
in all. FRAMEWISE_FUZZ_SEED begins elsewhere, FRAMEWISE_FUZZ_KEEP names a folder for what fails.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from clips import CLIPS
from core.errors import FramewiseError, VideoError
from core.video import probe, read_frames
from damaging import mutated
from holding import assert_back_to, holdings

NAMES = ["h264.mp4", "h264.mkv", "vp9.webm", "mpeg4.avi", "h264.ts", "animation.gif"]
COUNT = int(os.environ.get("FRAMEWISE_FUZZ", 75 * len(NAMES))) // len(NAMES)
FIRST_SEED = int(os.environ.get("FRAMEWISE_FUZZ_SEED", 0))
LONGEST_SECONDS = 60.0  # deadlines of files this small are 20 s, for the probe and for the read
MIB = 2**20
# what decoding says where the process died of the file: allowed, and counted
DEATHS = ("crashed", "killed from outside", "took longer", "processor time", "needed over")


@pytest.mark.timeout(600 + 5 * COUNT)
@pytest.mark.parametrize("name", NAMES)
def test_damage_ends_in_frames_or_a_clear_error(
    name: str, clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    whole, me = clip_file(name).read_bytes(), psutil.Process()
    _outcome(clip_file(name))
    left = holdings()
    memory, outcomes = me.memory_info().rss, Counter[str]()
    file = tmp_path / f"damaged{Path(name).suffix}"
    for seed in range(FIRST_SEED, FIRST_SEED + COUNT):
        kind, data = mutated(whole, seed)
        file.write_bytes(data)
        began = time.monotonic()
        try:
            outcomes[_outcome(file)] += 1
        except BaseException:
            _keep(data, f"{seed}-{name}")
            raise
        assert time.monotonic() - began < LONGEST_SECONDS, (kind, seed)
    assert outcomes["frames"] >= COUNT // 20
    assert outcomes["refused"] >= COUNT // 20
    print(f"{name}: {dict(outcomes)}")
    assert_back_to(left)
    assert me.memory_info().rss - memory < 64 * MIB
    assert CLIPS[name].frames == probe(clip_file(name)).frame_count


def _outcome(file: Path) -> str:
    """Of probing the file and reading a few of its frames."""
    try:
        info = probe(file)
        last = info.frame_count - 1
        wanted = sorted({0, last // 3, last // 2, last})
        frames = read_frames(info, wanted, height=36, width=48)
    except FramewiseError as error:
        return _judged(error, file)
    assert frames.pixels.shape == (len(wanted), 36, 48, 3)
    assert list(frames.indices) == wanted
    return "frames"


def _judged(error: FramewiseError, file: Path) -> str:
    """What kind of error it is; AssertionError for one that a user cannot read or mend."""
    assert type(error) is VideoError
    assert error.message
    assert error.remedy
    assert "\n" not in error.message
    assert "failed with" not in error.message  # a defect of ours
    died = next((word for word in DEATHS if word in error.message), None)
    if died:
        _keep(file.read_bytes(), f"{died}-{time.time_ns()}{file.suffix}")
    return died or "refused"


def _keep(data: bytes, name: str) -> None:
    if folder := os.environ.get("FRAMEWISE_FUZZ_KEEP"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(data)
