"""Frames kept on disk: found again, and exact as promised."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips import numbers_of
from command_line import Command
from core.errors import SettingsError
from core.video import VideoInfo, iter_frames, probe
from core.video.kept import MANIFEST
from core.video.store import FrameStore
from frame_store import INDICES, SIZE, entries, entry, is_kept, pixels, read


@pytest.fixture
def info(own_clip: Path) -> VideoInfo:
    return probe(own_clip)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "store")


def test_the_first_reading_is_the_decoders_own(store: FrameStore, info: VideoInfo) -> None:
    expected = list(iter_frames(info, INDICES, **SIZE))
    first = read(store, info)
    assert (pixels(first) == pixels(expected)).all()
    assert [(f.index, f.seconds) for f in first] == [(f.index, f.seconds) for f in expected]


def test_the_second_reading_is_what_was_kept(store: FrameStore, info: VideoInfo) -> None:
    first = read(store, info)
    again = read(store, info)
    assert numbers_of([each.pixels for each in again]) == list(INDICES)
    assert [(f.index, f.seconds) for f in again] == [(f.index, f.seconds) for f in first]
    assert 0 < np.abs(pixels(first) - pixels(again)).mean() < 2
    assert is_kept(store, info, first)


def test_png_is_exact(tmp_path: Path, info: VideoInfo) -> None:
    store = FrameStore(tmp_path / "png", image_format="png")
    first = read(store, info)
    assert (pixels(read(store, info)) == pixels(first)).all()
    assert is_kept(store, info, first)


def test_frames_asked_for_twice(store: FrameStore, info: VideoInfo) -> None:
    for _ in range(2):
        assert [each.index for each in read(store, info, (3, 9, 9))] == [3, 9, 9]
    assert len(list(entry(store).iterdir())) == 2 + 1


def test_nothing_asked_for(store: FrameStore, info: VideoInfo) -> None:
    assert read(store, info, ()) == []


@pytest.mark.parametrize(
    "other",
    [{"indices": (0, 7, 30, 58)}, {"indices": (0, 7)}, {"height": 32}, {"width": 48}],
    ids=["frames", "fewer", "height", "width"],
)
def test_another_plan_is_another_entry(
    store: FrameStore, info: VideoInfo, other: dict[str, Any]
) -> None:
    read(store, info)
    assert len(read(store, info, **other)) == len(other.get("indices", INDICES))
    assert len(entries(store)) == 2


def test_a_new_store_in_the_same_folder(store: FrameStore, info: VideoInfo) -> None:
    first = read(store, info)
    assert is_kept(FrameStore(store.folder), info, first)


def test_the_same_content_under_another_name(
    store: FrameStore, info: VideoInfo, own_clip: Path, tmp_path: Path
) -> None:
    first = read(store, info)
    other = tmp_path / "other name.mp4"
    shutil.copy(own_clip, other)
    assert is_kept(store, replace(info, path=other), first)


def test_other_content_of_the_same_name_size_and_times(
    store: FrameStore, info: VideoInfo, own_clip: Path, clip_file: Callable[[str], Path]
) -> None:
    read(store, info)
    was = own_clip.stat()
    data = bytearray(own_clip.read_bytes())
    data[-1] ^= 1
    own_clip.write_bytes(data)
    os.utime(own_clip, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (own_clip.stat().st_size, own_clip.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    read(store, probe(own_clip))
    assert len(entries(store)) == 2


def test_kept_on_request(store: FrameStore, info: VideoInfo) -> None:
    first = list(iter_frames(info, INDICES, **SIZE))
    for _ in range(2):
        kept = store.keep(info, INDICES, **SIZE)
        assert kept.folder == entry(store)
        assert kept.seconds == tuple(each.seconds for each in first)
        assert [each.index for each in kept.pictures] == list(INDICES)
        assert all((kept.folder / each.file).is_file() for each in kept.pictures)


def test_asking_twice_reads_once(
    framewise: Command, model: Path, own_clip: Path, store: FrameStore, info: VideoInfo
) -> None:
    asked = ["ask", own_clip, "What happens?", "--model", model, "--device", "cpu", "--json",
             "--max-frames", "4", "--max-frame-tokens", "16", "--reply-tokens", "1"]  # fmt: skip
    first = framewise(*asked, "--frame-store", store.folder).record
    folder = entry(store)
    used = (folder / MANIFEST).stat().st_mtime_ns
    again = framewise(*asked, "--frame-store", store.folder).record
    assert entry(store) == folder
    assert (folder / MANIFEST).stat().st_mtime_ns > used
    assert again["actual"]["frame_times"] == first["actual"]["frame_times"]
    shutil.rmtree(store.folder)
    assert framewise(*asked, "--frame-store", store.folder, "--no-frame-store").code == 2
    assert framewise(*asked, "--no-frame-store").code == 0
    assert not store.folder.exists()


def test_a_format_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="webp"):
        FrameStore(tmp_path, image_format="webp")
