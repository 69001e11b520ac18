"""Which content a file has, said in 64 letters; a file that was looked at once is not read again.

A file is known again by its path, size, times and place on the disk. Knows nothing of videos.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from core.errors import Cancelled

BLOCK_BYTES = 16 * 2**20  # what a thread hashes at a time
PIECE_BYTES = 2**20  # what it holds in memory of that
THREADS = max(1, min(4, os.cpu_count() or 1))
DIGEST_LETTERS = 64

# Some file systems note times to 2 s only: a file that is changed again within that time, at the
# same size, could look as it did when it was hashed. What is younger is hashed anew.
SETTLED_NS = 2 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What tells a file from another one, and from itself with another content."""

    path: str
    size_bytes: int
    modified_ns: int
    changed_ns: int  # also where somebody put the time of the modification back
    inode: int
    device: int

    @property
    def name(self) -> str:
        """A file name of its own; begins with the size."""
        facts = (self.path, self.modified_ns, self.changed_ns, self.inode, self.device)
        return f"{self.size_bytes}-{blake2b(repr(facts).encode(), digest_size=16).hexdigest()}"

    @property
    def settled(self) -> bool:
        """Whether the next change would show in the mark."""
        return time.time_ns() - max(self.modified_ns, self.changed_ns) > SETTLED_NS


def mark_of(path: Path) -> Mark:
    """The mark of the file as it is now; OSError where there is none."""
    found = path.stat()
    return Mark(
        path=os.path.abspath(path),  # noqa: PTH100  # as it is named: resolving costs, and says no more
        size_bytes=found.st_size,
        modified_ns=found.st_mtime_ns,
        changed_ns=found.st_ctime_ns,
        inode=found.st_ino,
        device=found.st_dev,
    )


def digest_of(path: Path, *, stop: threading.Event | None = None) -> str:
    """The digest of all that is in the file: BLAKE2b over the BLAKE2b of every 16 MiB.

    In blocks, so that several cores share the work: it runs at about 0.8 GB/s on each.

    Raises:
        OSError: the file cannot be read.
        Cancelled: ``stop`` was set; it is looked at before each MiB.
    """
    size = path.stat().st_size
    whole = blake2b(str(size).encode(), digest_size=DIGEST_LETTERS // 2)
    starts = range(0, size, BLOCK_BYTES)
    if len(starts) <= 1:
        whole.update(_block(path, 0, stop))
        return whole.hexdigest()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="digest") as pool:
        for part in pool.map(lambda start: _block(path, start, stop), starts):
            whole.update(part)
    return whole.hexdigest()


_CONTENTS: OrderedDict[Mark, str] = OrderedDict()  # of files that were hashed in this process
KEPT_CONTENTS = 1000


def learn(path: Path, *, stop: threading.Event | None = None) -> None:
    """Hash the file, so that ``names_of`` knows it again wherever it lies.

    Raises:
        OSError: it cannot be read.
        Cancelled: ``stop`` was set.
    """
    mark = mark_of(path)
    if mark not in _CONTENTS:
        _CONTENTS[mark] = digest_of(path, stop=stop)
        while len(_CONTENTS) > KEPT_CONTENTS:
            _CONTENTS.popitem(last=False)


def content_of(mark: Mark) -> str | None:
    """The digest of the file with this mark, if this process has learnt it."""
    return _CONTENTS.get(mark)


def names_of(path: Path) -> tuple[str | Mark, ...]:
    """What stands for the file's content: its digest where that is known, and this very file.

    Raises:
        OSError: there is no such file now.
    """
    mark = mark_of(path)
    digest = content_of(mark)
    return (mark,) if digest is None else (digest, mark)


def _block(path: Path, start: int, stop: threading.Event | None) -> bytes:
    found = blake2b()
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        for piece in _pieces(file.read, BLOCK_BYTES):
            if stop is not None and stop.is_set():
                raise Cancelled
            found.update(piece)
    return found.digest()


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (piece := read(min(PIECE_BYTES, size))):
        size -= len(piece)
        yield piece


class Digests:
    """The digests of files that were looked at, in memory and as one small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[Mark, str] = {}

    def known(self, mark: Mark) -> str | None:
        """The digest of the file with this mark, if it was ever looked at."""
        if mark in self._found:
            return self._found[mark]
        note = self._folder / mark.name
        try:
            digest = note.read_text(encoding="ascii")
            os.utime(note)
        except (OSError, UnicodeDecodeError):
            return None
        if len(digest) != DIGEST_LETTERS or set(digest) - set("0123456789abcdef"):
            return None
        self._found[mark] = digest
        return digest

    def any_of_size(self, size_bytes: int) -> bool:
        """Whether a file of this size was ever looked at: only then can its content be known."""
        try:
            return any(name.startswith(f"{size_bytes}-") for name in os.listdir(self._folder))  # noqa: PTH208
        except OSError:
            return False

    def find(self, path: Path, *, stop: threading.Event | None = None) -> str:
        """The digest of the file as it is now; see digest_of. It is noted for the next time."""
        mark = mark_of(path)
        digest = self.known(mark) or digest_of(path, stop=stop)
        if mark_of(path) == mark:
            self._note(mark, digest if mark.settled else "")
            if mark.settled:
                self._found[mark] = digest
        return digest

    def forget(self, *, before_seconds: float) -> None:
        """Remove the notes that were not needed since this time."""
        for note in self._folder.glob("*-*"):
            try:
                if note.stat().st_mtime < before_seconds:
                    note.unlink()
            except OSError:
                continue  # another process was quicker

    def _note(self, mark: Mark, digest: str) -> None:
        """An empty note says only that a file of this size was looked at."""
        note = self._folder / mark.name
        written = note.with_name(f"new.{os.getpid()}.{threading.get_ident()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            written.write_text(digest, encoding="ascii")
            written.replace(note)
        except OSError:
            written.unlink(missing_ok=True)  # what is not noted is hashed again
