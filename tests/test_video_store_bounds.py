"""The room that kept frames take: the least recently used go, and nobody else's files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.video import VideoInfo, probe
from core.video.kept import MANIFEST
from core.video.store import FrameStore
from frame_store import INDICES, entries, entry, read


@pytest.fixture
def info(own_clip: Path) -> VideoInfo:
    return probe(own_clip)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "store")


def test_the_least_recently_used_goes_first(tmp_path: Path, info: VideoInfo) -> None:
    roomy = FrameStore(tmp_path / "store")
    names = {}
    for age, index in ((300, 1), (200, 2), (100, 3)):
        before = set(entries(roomy)) if roomy.folder.exists() else set()
        read(roomy, info, (index,))
        (folder,) = set(entries(roomy)) - before
        names[index] = folder
        os.utime(folder / MANIFEST, (time.time() - age,) * 2)
    size = max(sum(f.stat().st_size for f in each.iterdir()) for each in names.values())
    read(roomy, info, (1,))  # used now, so that 2 is the oldest
    small = FrameStore(roomy.folder, max_bytes=int(3.3 * size))
    read(small, info, (4,))
    assert [index for index, folder in names.items() if folder.exists()] == [1, 3]
    assert len(entries(small)) == 3


def test_what_nobody_used_for_long_goes(store: FrameStore, info: VideoInfo) -> None:
    read(store, info, (1,))
    os.utime(entry(store) / MANIFEST, (time.time() - 7200,) * 2)
    brief = FrameStore(store.folder, max_age_seconds=3600)
    read(brief, info, (2,))
    assert len(entries(brief)) == 1


def test_what_is_larger_than_the_store_is_not_kept(tmp_path: Path, info: VideoInfo) -> None:
    tiny = FrameStore(tmp_path / "store", max_bytes=100)
    assert len(read(tiny, info)) == len(INDICES)
    assert entries(tiny) == []


def test_only_its_own_folders_are_evicted(tmp_path: Path, info: VideoInfo) -> None:
    folder = tmp_path / "store"
    foreign = folder / "holidays" / "photo.jpeg"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(bytes(10**6))
    os.utime(foreign.parent, (0, 0))
    read(FrameStore(folder, max_bytes=50_000, max_age_seconds=1), info)
    assert foreign.stat().st_size == 10**6


def test_what_a_killed_process_left_is_removed(store: FrameStore, info: VideoInfo) -> None:
    for name, age in (("tmp-old", 7200), ("tmp-new", 60)):
        (store.folder / name).mkdir(parents=True)
        os.utime(store.folder / name, (time.time() - age,) * 2)
    read(store, info)
    assert not (store.folder / "tmp-old").exists()
    assert (store.folder / "tmp-new").exists()
