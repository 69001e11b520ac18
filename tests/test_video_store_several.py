"""A store used by many at once: frames are right, and nobody waits for what another evicts."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from clips import numbers_of
from command_line import ROOT
from core.video import VideoInfo, probe
from core.video.store import FrameStore
from frame_store import INDICES, SIZE, entries, read


@pytest.fixture
def info(own_clip: Path) -> VideoInfo:
    return probe(own_clip)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "store")


SEVERAL = """
import sys
from pathlib import Path
from core.video import probe
from core.video.store import FrameStore
info, store = probe(sys.argv[1]), FrameStore(Path(sys.argv[2]), max_bytes=60_000)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    wanted = [turn % 5, 30, 59]
    frames = list(store.frames(info, wanted, height=64, width=96))
    assert [frame.index for frame in frames] == wanted, frames
store.settle()
print("done")
"""


def test_several_processes_at_once(own_clip: Path, tmp_path: Path) -> None:
    """They write the same entries at the same time, and evict those that others are reading."""
    folder = tmp_path / "store"
    command = [sys.executable, "-c", SEVERAL, str(own_clip), str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [
        subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, **pipes)
        for _ in range(4)
    ]
    for each in running:
        assert each.stdout.readline() == "ready\n"  # type: ignore[union-attr]
    for each in running:
        each.stdin.write("\n")  # type: ignore[union-attr]
        each.stdin.flush()  # type: ignore[union-attr]
    for each in running:
        out, complaints = each.communicate(timeout=60)
        assert (each.returncode, out) == (0, "done\n"), complaints
        assert complaints == ""
    store = FrameStore(folder, max_bytes=60_000)
    info = probe(own_clip)
    for turn in range(5):
        frames = read(store, info, (turn, 30, 59))
        assert numbers_of([each.pixels for each in frames]) == [turn, 30, 59]
    assert entries(store)


def test_several_threads_at_once(store: FrameStore, info: VideoInfo) -> None:
    found: list[list[int]] = []

    def work() -> None:
        found.append(numbers_of([f.pixels for f in store.frames(info, INDICES, **SIZE)]))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert found == [list(INDICES)] * 8
    store.settle()
    assert len(entries(store)) == 1
