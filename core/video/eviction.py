"""What leaves the store, and when: the readings unused for longest; knows nothing of pictures."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.video.digest import Digests
from core.video.kept import MANIFEST

TEMPORARY = "tmp-"
ENTRY = re.compile(r"[0-9a-f]{64}-[0-9a-f]{32}")  # nothing else in the folder is touched
ABANDONED_SECONDS = 3600.0  # a temporary folder without a new file for so long has no writer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    folder: Path
    used: float
    size_bytes: int


def sweep(folder: Path, *, max_bytes: int, max_age_seconds: float) -> int:
    """Evict what is unused for too long, then the least recently used until the rest has room.

    Gives the bytes that are free after it. Where another process is at it, nothing is done.
    """
    oldest = time.time() - max_age_seconds
    with _alone(folder) as alone:
        if not alone:
            return 0
        _remove_abandoned(folder)
        Digests(folder / "digests").forget(before_seconds=oldest)
        entries = sorted(_entries(folder), key=lambda each: each.used)
        total = sum(each.size_bytes for each in entries)
        # a little below the bound, so that a full store is not measured after each reading
        limit = max_bytes - max_bytes // 16 if total > max_bytes else max_bytes
        for entry in entries:
            if entry.used >= oldest and total <= limit:
                break
            remove(entry.folder)
            total -= entry.size_bytes
    return max(0, max_bytes - total)


def remove(folder: Path) -> None:
    """Take a reading out of sight in one step, then delete it; nothing where there is none."""
    hidden = folder.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def _entries(folder: Path) -> Iterator[_Entry]:
    for place in _folders(folder):
        if not ENTRY.fullmatch(place.name):
            continue
        try:
            used = (place / MANIFEST).stat().st_mtime
        except OSError:
            used = 0.0  # spoilt
        size = 0
        with contextlib.suppress(OSError), os.scandir(place) as files:
            size = sum(file.stat(follow_symlinks=False).st_size for file in files)
        yield _Entry(folder=place, used=used, size_bytes=size)


def _remove_abandoned(folder: Path) -> None:
    for place in _folders(folder):
        with contextlib.suppress(OSError):
            age = time.time() - place.stat().st_mtime
            if place.name.startswith(TEMPORARY) and age > ABANDONED_SECONDS:
                shutil.rmtree(place, ignore_errors=True)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return [Path(each.path) for each in found if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process is at it; without fcntl, renaming alone keeps readers safe."""
    try:
        import fcntl
    except ImportError:
        yield True
        return
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
