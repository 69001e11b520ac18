"""Frames kept on disk: found again, exact as promised, bounded, and never in the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips import numbers_of
from command_line import Command
from core.errors import Cancelled, FramewiseError, SettingsError, VideoError
from core.video import VideoInfo, describe_video, iter_frames, probe
from core.video.digest import BLOCK_BYTES, Digests, digest_of, mark_of
from core.video.kept import MANIFEST, checksum
from core.video.place import default_folder, open_store
from core.video.reading import Frame
from core.video.store import FrameStore

ROOT = Path(__file__).resolve().parent.parent
INDICES = (0, 7, 30, 59)
SIZE = {"height": 64, "width": 96}


@pytest.fixture
def video(clip_file: Callable[[str], Path], tmp_path: Path) -> Path:
    """A clip of its own, long enough untouched to be known again by its times."""
    path = tmp_path / "video.mp4"
    shutil.copy(clip_file("h264.mp4"), path)
    return path


@pytest.fixture
def info(video: Path) -> VideoInfo:
    return probe(video)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "store")


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
    store: FrameStore, info: VideoInfo, video: Path, tmp_path: Path
) -> None:
    first = read(store, info)
    other = tmp_path / "other name.mp4"
    shutil.copy(video, other)
    assert is_kept(store, replace(info, path=other), first)


def test_other_content_of_the_same_name_size_and_times(
    store: FrameStore, info: VideoInfo, video: Path, clip_file: Callable[[str], Path]
) -> None:
    read(store, info)
    was = video.stat()
    data = bytearray(video.read_bytes())
    data[-1] ^= 1
    video.write_bytes(data)
    os.utime(video, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (video.stat().st_size, video.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    read(store, probe(video))
    assert len(entries(store)) == 2


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    store: FrameStore, info: VideoInfo, video: Path
) -> None:
    frames = store.frames(info, INDICES, **SIZE)
    next(frames)
    with video.open("ab") as file:
        file.write(b"more")
    assert len(list(frames)) == len(INDICES) - 1
    store.settle()
    assert entries(store) == []


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


def test_a_reading_that_fails_keeps_nothing(
    store: FrameStore, info: VideoInfo, video: Path
) -> None:
    frames = store.frames(info, INDICES, **SIZE)
    video.write_bytes(b"no video any more")
    with pytest.raises(VideoError):
        list(frames)
    store.settle()
    assert entries(store) == []


def test_a_video_without_a_file(store: FrameStore) -> None:
    described = describe_video(width=64, height=64, duration_seconds=1, frame_rate=10)
    with pytest.raises(VideoError):
        list(store.frames(described, (0,), **SIZE))


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


def _unwritable(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be")


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, info: VideoInfo, caplog: pytest.LogCaptureFixture
) -> None:
    _unwritable(tmp_path / "file")
    store = FrameStore(tmp_path / "file" / "store")
    for _ in range(2):
        assert numbers_of([f.pixels for f in read(store, info)]) == list(INDICES)
    assert len(caplog.records) == 1
    with pytest.raises(FramewiseError, match="could not be kept"):
        store.keep(info, INDICES, **SIZE)


def test_opening_where_nothing_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _unwritable(tmp_path / "file")
    assert open_store(tmp_path / "file" / "store") is None
    assert len(caplog.records) == 1


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


def test_a_disk_that_is_full(video: Path, tmp_path: Path) -> None:
    done = _python(FULL_DISK, video, tmp_path / "store")
    assert (done.returncode, done.stdout.strip()) == (0, "20"), done.stderr
    assert "not kept" in done.stderr
    assert entries(FrameStore(tmp_path / "store")) == []


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


def test_several_processes_at_once(video: Path, tmp_path: Path) -> None:
    """They write the same entries at the same time, and evict those that others are reading."""
    folder = tmp_path / "store"
    command = [sys.executable, "-c", SEVERAL, str(video), str(folder)]
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
    info = probe(video)
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


def test_kept_on_request(store: FrameStore, info: VideoInfo) -> None:
    first = list(iter_frames(info, INDICES, **SIZE))
    for _ in range(2):
        kept = store.keep(info, INDICES, **SIZE)
        assert kept.folder == entry(store)
        assert kept.seconds == tuple(each.seconds for each in first)
        assert [each.index for each in kept.pictures] == list(INDICES)
        assert all((kept.folder / each.file).is_file() for each in kept.pictures)


def test_asking_twice_reads_once(
    framewise: Command, model: Path, video: Path, store: FrameStore, info: VideoInfo
) -> None:
    asked = ["ask", video, "What happens?", "--model", model, "--device", "cpu", "--json",
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


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"FRAMEWISE_CACHE": "/data/kept"}, "linux", "/data/kept/frames"),
        ({"XDG_CACHE_HOME": "/data/xdg"}, "linux", "/data/xdg/framewise/frames"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "~/.cache/framewise/frames"),
        ({}, "linux", "~/.cache/framewise/frames"),
        ({}, "darwin", "~/Library/Caches/framewise/frames"),
        ({"LOCALAPPDATA": "/users/me"}, "win32", "/users/me/framewise/frames"),
    ],
)
def test_where_frames_are_kept(environment: dict[str, str], platform: str, expected: str) -> None:
    assert default_folder(environment, platform=platform) == Path(expected).expanduser()


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


def _python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
