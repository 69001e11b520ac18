"""Readings that fail or cannot be kept: nothing half done is left, and frames come all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clips import numbers_of
from command_line import python
from core.errors import Cancelled, FramewiseError, VideoError
from core.video import VideoInfo, describe_video, probe
from core.video.kept import THREADS
from core.video.store import FrameStore
from frame_store import INDICES, SIZE, entries, read


@pytest.fixture
def info(own_clip: Path) -> VideoInfo:
    return probe(own_clip)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "store")


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    store: FrameStore, info: VideoInfo, own_clip: Path
) -> None:
    frames = store.frames(info, INDICES, **SIZE)
    next(frames)
    with own_clip.open("ab") as file:
        file.write(b"more")
    assert len(list(frames)) == len(INDICES) - 1
    store.settle()
    assert entries(store) == []


@pytest.mark.parametrize("how", ["stopped", "closed"])
def test_a_reading_given_up_keeps_nothing(store: FrameStore, info: VideoInfo, how: str) -> None:
    stop = threading.Event()
    frames = store.frames(info, INDICES, **SIZE, stop=stop)
    next(frames)
    if how == "stopped":
        stop.set()
        with pytest.raises(Cancelled):
            next(frames)
    else:
        assert isinstance(frames, Iterator)
        frames.close()  # type: ignore[attr-defined]
    store.settle()
    assert entries(store) == []


def test_stopped_while_what_is_kept_is_read(store: FrameStore, info: VideoInfo) -> None:
    read(store, info)
    stop = threading.Event()
    frames = store.frames(info, INDICES, **SIZE, stop=stop)
    next(frames)
    stop.set()
    with pytest.raises(Cancelled):
        next(frames)


def test_stopped_while_what_is_kept_is_checked(
    store: FrameStore, info: VideoInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread ends with the file that it has at hand, of thirty."""
    read(store, info, range(0, 60, 2))
    stop, files, load = threading.Event(), list[str](), Path.read_bytes

    def listen(file: Path) -> bytes:
        if file.suffix == ".jpeg":
            stop.set()
            files.append(file.name)
        return load(file)

    monkeypatch.setattr(Path, "read_bytes", listen)
    with pytest.raises(Cancelled):
        next(store.frames(info, range(0, 60, 2), **SIZE, stop=stop))
    assert 1 <= len(files) <= THREADS


def test_a_reading_that_fails_keeps_nothing(
    store: FrameStore, info: VideoInfo, own_clip: Path
) -> None:
    frames = store.frames(info, INDICES, **SIZE)
    own_clip.write_bytes(b"no video any more")
    with pytest.raises(VideoError):
        list(frames)
    store.settle()
    assert entries(store) == []


def test_a_video_without_a_file(store: FrameStore) -> None:
    described = describe_video(width=64, height=64, duration_seconds=1, frame_rate=10)
    with pytest.raises(VideoError):
        list(store.frames(described, (0,), **SIZE))


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, info: VideoInfo, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    store = FrameStore(tmp_path / "file" / "store")
    for _ in range(2):
        assert numbers_of([f.pixels for f in read(store, info)]) == list(INDICES)
    assert len(caplog.records) == 1
    with pytest.raises(FramewiseError, match="could not be kept"):
        store.keep(info, INDICES, **SIZE)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.video import probe
from core.video.store import FrameStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FrameStore(Path(sys.argv[2]))
count = 0
for _ in store.frames(probe(sys.argv[1]), range(20), height=64, width=96):
    if not count:  # the frames have their memory: from now on no file can grow beyond 500 bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    count += 1
print(count)
store.settle()
"""


def test_a_disk_that_is_full(own_clip: Path, tmp_path: Path) -> None:
    done = python(FULL_DISK, own_clip, tmp_path / "store")
    assert (done.code, done.out.strip()) == (0, "20"), done.err
    assert "not kept" in done.err
    assert entries(FrameStore(tmp_path / "store")) == []
