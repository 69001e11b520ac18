"""Files that are no good: a VideoError with a remedy for each, and no other file looked at."""

from __future__ import annotations

import ctypes
import os
import random
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from bad_files import BAD_FILES, Maker
from core.errors import VideoError
from core.video import probe, read_frames

each_bad_file = pytest.mark.parametrize(("make", "words"), BAD_FILES.values(), ids=BAD_FILES.keys())
ELSEWHERE = ["ffconcat script named mp4", "playlist", "playlist named mp4"]
IN_OPEN = 0x20


@each_bad_file
def test_bad_file_is_refused_with_a_remedy(make: Maker, words: str, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=words) as caught:
        probe(make(tmp_path))
    assert caught.value.remedy
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/clip.mp4", "is not a file on this machine"),
        (".", "is a folder"),
        ("", "is a folder"),
        ("http://127.0.0.1/clip.mp4", "is not a file on this machine"),
        ("file:clip.mp4", "is not a file on this machine"),
        ("concat:a.ts|b.ts", "is not a file on this machine"),
        ("-", "is not a file on this machine"),
        ("/dev/zero", "is not a file on this machine"),
        ("with a \0 inside", "is not a file on this machine"),
        ("long" * 2000, "File name too long"),
    ],
    ids=["missing", "folder", "nothing", "http", "protocol", "concat", "dash", "device", "nul",
         "too long"],
)  # fmt: skip
def test_path_that_is_no_local_file(path: str, words: str) -> None:
    with pytest.raises(VideoError, match=words) as caught:
        probe(path)
    assert caught.value.remedy


def test_a_codec_that_nobody_knows(clip_file: Callable[[str], Path], tmp_path: Path) -> None:
    file = tmp_path / "strange.avi"
    file.write_bytes(clip_file("mpeg4.avi").read_bytes().replace(b"FMP4", b"QQ#9"))
    with pytest.raises(VideoError, match="cannot decode") as caught:
        probe(file)
    assert caught.value.remedy


@pytest.mark.parametrize("make", [BAD_FILES[name][0] for name in ELSEWHERE], ids=ELSEWHERE)
def test_no_other_file_is_opened(make: Maker, tmp_path: Path) -> None:
    file = make(tmp_path)
    with opened_files(tmp_path) as names, pytest.raises(VideoError):
        probe(file)
    assert set(names) == {file.name}


def test_no_file_of_an_external_reference_is_opened(tmp_path: Path) -> None:
    """The first half shows that the reference works, and that the watch would see it."""
    file = BAD_FILES["pictures in another file"][0](tmp_path)
    following = {"enable_drefs": "1", "use_absolute_path": "1"}
    with opened_files(tmp_path) as names, av.open(str(file), options=following) as container:
        assert len(list(container.decode(video=0))) == 2
    assert set(names) == {file.name, "two_frames.mp4"}
    with opened_files(tmp_path) as names, pytest.raises(VideoError):
        probe(file)
    assert set(names) == {file.name}


@pytest.mark.parametrize(
    "name",
    ["h264.mp4", "fragments.mp4", "h264.mkv", "mpeg4.avi", "vp9.webm", "animation.gif",
     "h264.ts", "h264.flv", "mjpeg.avi", "mpeg2.mpg", "wmv.wmv", "hevc.mp4", "av1.mp4"],
)  # fmt: skip
def test_random_damage_is_read_or_refused(
    name: str, clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """Whatever bytes change, there are frames or a VideoError: no other exception, no crash."""
    random_ = random.Random(name)
    whole, file = clip_file(name).read_bytes(), tmp_path / name
    outcomes, remedies = set(), []
    for _ in range(60):
        file.write_bytes(_damaged(whole, random_))
        try:
            info = probe(file)
            wanted = sorted(random_.choices(range(info.frame_count), k=4))
            assert len(read_frames(info, wanted, height=32, width=32).pixels) == 4
            outcomes.add("read")
        except VideoError as error:
            remedies.append(error.remedy)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
    assert all(remedies)


def _damaged(data: bytes, random_: random.Random) -> bytes:
    """Some bytes changed near the head, near the tail or all over; one in five is cut as well."""
    changed, size = bytearray(data), len(data)
    low, high = random_.choice([(0, 400), (0, size), (max(0, size - 3000), size)])
    for _ in range(random_.choice([1, 3, 10, 60])):
        changed[random_.randrange(low, high)] = random_.choice([0, 255, random_.randrange(256)])
    cut = random_.randrange(1, size) if random_.random() < 0.2 else size
    return bytes(changed[:cut])


@contextmanager
def opened_files(folder: Path) -> Iterator[list[str]]:
    """The names of the files of ``folder`` opened meanwhile, as the kernel saw it (inotify)."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs inotify")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0
    names: list[str] = []
    try:
        assert libc.inotify_add_watch(watch, str(folder).encode(), IN_OPEN) >= 0
        yield names
        names += _names(watch)
    finally:
        os.close(watch)


def _names(watch: int) -> list[str]:
    try:
        data = os.read(watch, 65536)
    except BlockingIOError:
        return []
    names, place = [], 0
    while place < len(data):
        _, _, _, length = struct.unpack_from("iIII", data, place)
        names.append(data[place + 16 : place + 16 + length].rstrip(b"\0").decode())
        place += 16 + length
    return [name for name in names if name]
