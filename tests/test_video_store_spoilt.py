"""Frames kept on disk that are spoilt: read again, and kept again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clips import numbers_of
from core.video import VideoInfo, probe
from core.video.kept import MANIFEST, checksum
from core.video.store import FrameStore
from frame_store import INDICES, SIZE, entry, is_kept, read


@pytest.fixture
def info(own_clip: Path) -> VideoInfo:
    return probe(own_clip)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "store")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change what the manifest says, with a checksum that fits."""

    def edit(file: Path) -> None:
        content = json.loads(file.read_text())["content"]
        change(content)
        coded = json.dumps(content, sort_keys=True).encode()
        file.write_text(json.dumps({"checksum": checksum(coded), "content": content}))

    return edit


def _not_a_picture(file: Path) -> None:
    """Bytes that are as the manifest says, and no picture."""
    data = file.read_bytes()[:200]
    file.write_bytes(data)
    row = {"size_bytes": len(data), "checksum": checksum(data)}
    _edit(lambda content: content["pictures"][1].update(row))(file.parent / MANIFEST)


SPOILT = {
    "a picture is missing": ("00001.jpeg", Path.unlink),
    "a picture is empty": ("00001.jpeg", lambda file: file.write_bytes(b"")),
    "a picture is cut off": ("00003.jpeg", _cut),
    "a bit of a picture": ("00000.jpeg", _flip),
    "a picture of another frame": ("00000.jpeg", lambda f: shutil.copy(f.parent / "00001.jpeg", f)),
    "a folder for a picture": ("00002.jpeg", lambda file: (file.unlink(), file.mkdir())),
    "no picture at all": ("00001.jpeg", _not_a_picture),
    "no manifest": (MANIFEST, Path.unlink),
    "an empty manifest": (MANIFEST, lambda file: file.write_bytes(b"")),
    "a manifest cut off": (MANIFEST, _cut),
    "a bit of the manifest": (MANIFEST, _flip),
    "a time of the manifest": (
        MANIFEST,
        lambda file: file.write_text(file.read_text().replace('"seconds": 0.0', '"seconds": 9.0')),
    ),
    "a manifest of something else": (MANIFEST, lambda file: file.write_text("[1]")),
    "a deep manifest": (MANIFEST, lambda file: file.write_text("[" * 100_000)),
    "a binary manifest": (MANIFEST, lambda file: file.write_bytes(bytes(range(256)))),
    "another version": (MANIFEST, _edit(lambda content: content.update(version=0))),
    "other frames": (MANIFEST, _edit(lambda content: content["pictures"].pop())),
    "a wrong size": (MANIFEST, _edit(lambda content: content.update(height=32))),
    "a field too many": (MANIFEST, _edit(lambda content: content["pictures"][0].update(x=1))),
}


@pytest.mark.parametrize(("name", "spoil"), SPOILT.values(), ids=SPOILT)
def test_what_is_spoilt_is_read_again(
    store: FrameStore, info: VideoInfo, name: str, spoil: Callable[[Path], object]
) -> None:
    first = read(store, info)
    whole = {each.name: each.read_bytes() for each in entry(store).iterdir()}
    spoil(entry(store) / name)
    again = read(store, info)
    assert numbers_of([each.pixels for each in again]) == list(INDICES)
    assert [each.seconds for each in again] == [each.seconds for each in first]
    read(store, info)  # what fails only while it is decoded is kept at the next reading
    assert {each.name: each.read_bytes() for each in entry(store).iterdir()} == whole


@pytest.mark.parametrize("text", ["", "x" * 64, "0" * 63, "é" * 64], ids=len)
def test_a_spoilt_note_of_a_digest(store: FrameStore, info: VideoInfo, text: str) -> None:
    first = read(store, info)
    for note in (store.folder / "digests").iterdir():
        note.write_bytes(text.encode())
    assert is_kept(FrameStore(store.folder), info, first)


def test_evicted_while_it_is_read(store: FrameStore, info: VideoInfo) -> None:
    read(store, info)
    frames = store.frames(info, INDICES, **SIZE)
    assert next(frames).index == 0
    shutil.rmtree(entry(store))
    assert [each.index for each in frames] == list(INDICES[1:])
