"""Files told apart by their content, which is read once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import Cancelled
from core.video.digest import BLOCK_BYTES, Digests, digest_of, mark_of


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 1])
def test_digests_tell_contents_apart(tmp_path: Path, size: int) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    data = np.random.default_rng(size).bytes(size)
    file.write_bytes(data)
    other.write_bytes(data)
    assert digest_of(file) == digest_of(other)
    for changed in (data + b"\0", data[:-1] + bytes([(data[-1:] or b"\0")[0] ^ 1])):
        other.write_bytes(changed)
        assert digest_of(file) != digest_of(other)


def test_digest_stops(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    (tmp_path / "a").write_bytes(bytes(BLOCK_BYTES * 3))
    with pytest.raises(Cancelled):
        digest_of(tmp_path / "a", stop=stop)


def test_a_known_file_is_not_hashed_again(tmp_path: Path) -> None:
    file, notes = tmp_path / "a", tmp_path / "notes"
    file.write_bytes(b"content")
    assert Digests(notes).find(file) == digest_of(file)
    assert Digests(notes).known(mark_of(file)) is None, "too young to be sure of"
    assert Digests(notes).any_of_size(7)
    time.sleep(2.1)
    digest = Digests(notes).find(file)
    assert Digests(notes).known(mark_of(file)) == digest
    was = file.stat()
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))  # as some programs do
    assert Digests(notes).known(mark_of(file)) is None
