"""What a store of frames holds, for the tests of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from core.video import VideoInfo
from core.video.kept import MANIFEST, checksum
from core.video.reading import Frame
from core.video.store import FrameStore

INDICES = (0, 7, 30, 59)
SIZE = {"height": 64, "width": 96}


def read(store: FrameStore, info: VideoInfo, indices: Any = INDICES, **more: Any) -> list[Frame]:
    """All frames, and everything that is kept on the disk."""
    found = list(store.frames(info, indices, **{**SIZE, **more}))
    store.settle()
    return found


def entries(store: FrameStore) -> list[Path]:
    """The folders of readings; nothing may ever be left of those begun and given up."""
    found = [each for each in store.folder.iterdir() if each.is_dir() and each.name != "digests"]
    assert not [each for each in found if each.name.startswith("tmp-")]
    return found


def entry(store: FrameStore) -> Path:
    (found,) = entries(store)
    return found


def pixels(frames: list[Frame]) -> np.ndarray:
    return np.stack([each.pixels for each in frames]).astype(int)


def is_kept(store: FrameStore, info: VideoInfo, first: list[Frame]) -> bool:
    """Whether the next reading comes from the store: the pictures in it are then what is read."""
    folder = entry(store)
    manifest = json.loads((folder / MANIFEST).read_text())
    content = manifest["content"]
    for each in content["pictures"]:
        each["seconds"] += 1000
    coded = json.dumps(content, sort_keys=True).encode()
    (folder / MANIFEST).write_text(json.dumps({"checksum": checksum(coded), "content": content}))
    again = read(store, info)
    return [each.seconds for each in again] == [each.seconds + 1000 for each in first]
