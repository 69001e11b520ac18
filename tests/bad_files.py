"""Files that look like videos and are not, or that point at other files; knows nothing of core."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
from av.video.frame import VideoFrame
from PIL import Image

import clips

Maker = Callable[[Path], Path]


def _text(folder: Path) -> Path:
    return _written(folder / "notes.mp4", b"Dear diary,\nthis is no video.\n" * 40)


def _empty(folder: Path) -> Path:
    return _written(folder / "empty.mp4", b"")


def _one_byte(folder: Path) -> Path:
    return _written(folder / "one_byte.mp4", b"\0")


def _web_page(folder: Path) -> Path:
    return _written(folder / "page.webm", b"<!DOCTYPE html><title>404 Not Found</title>" * 9)


def _picture(folder: Path) -> Path:
    path = folder / "picture.mp4"
    Image.new("RGB", (64, 64), "red").save(path, format="PNG")
    return path


def _sound(folder: Path) -> Path:
    return clips.write_sound(folder / "song.mp4")


def _cut(name: str, *, keep: float) -> Maker:
    def make(folder: Path) -> Path:
        whole = clips.write(clips.CLIPS[name], folder)
        data = whole.read_bytes()
        return _written(whole.with_name(f"cut_{name}"), data[: int(len(data) * keep)])

    return make


def _concat_script(folder: Path) -> Path:
    clips.write(clips.CLIPS["h264.mp4"], folder)
    return _written(folder / "script.mp4", b"ffconcat version 1.0\nfile h264.mp4\nduration 4.8\n")


def _playlist(folder: Path) -> Path:
    clips.write(clips.CLIPS["h264.ts"], folder)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:3", "#EXTINF:2.4,", "h264.ts", "#EXT-X-ENDLIST", ""]
    return _written(folder / "list.m3u8", "\n".join(lines).encode())


def _renamed_playlist(folder: Path) -> Path:
    return _playlist(folder).rename(folder / "list.mp4")


def _elsewhere(folder: Path) -> Path:
    """A QuickTime file whose pictures lie in h264.mp4 beside it, by an alias record."""
    other = clips.write(clips.CLIPS["two_frames.mp4"], folder)
    data = other.read_bytes()
    boxes = _boxes(data, 0, len(data))
    start, end = next(span for kind, *span in boxes if kind == b"moov")
    moov = _with_reference(data[start:end], other)
    return _written(folder / "elsewhere.mov", _box(b"ftyp", b"qt  \0\0\2\0qt  ") + moov)


def _crowded(folder: Path) -> Path:
    """A picture and 64 tracks of sound."""
    path = folder / "crowded.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=25)
        picture.width, picture.height, picture.pix_fmt = 32, 32, "yuvj420p"
        for _ in range(64):
            container.add_stream("pcm_s16le", rate=8000)
        container.mux(picture.encode(VideoFrame(32, 32, "yuvj420p")))
        container.mux(picture.encode(None))
    return path


def _gif_of(width: int, height: int) -> Maker:
    def make(folder: Path) -> Path:
        data = bytearray(clips.write(clips.CLIPS["animation.gif"], folder).read_bytes())
        data[6:10] = struct.pack("<HH", width, height)  # the logical screen
        return _written(folder / f"screen_{width}x{height}.gif", bytes(data))

    return make


def _jpegs_of(width: int, height: int) -> Maker:
    """Motion JPEG whose headers, the container's and each picture's, all say the same size."""

    def make(folder: Path) -> Path:
        data = bytearray(clips.write(clips.CLIPS["mjpeg.avi"], folder).read_bytes())
        place = data.find(b"\xff\xc0\x00\x11\x08")
        while place >= 0:
            data[place + 5 : place + 9] = struct.pack(">HH", height, width)
            place = data.find(b"\xff\xc0\x00\x11\x08", place + 9)
        main, stream = data.index(b"avih"), data.index(b"strf")
        data[main + 40 : main + 48] = struct.pack("<II", width, height)
        data[stream + 12 : stream + 20] = struct.pack("<II", width, height)
        return _written(folder / f"jpegs_{width}x{height}.avi", bytes(data))

    return make


# what it is -> how it is made, and words that the message must have
BAD_FILES: dict[str, tuple[Maker, str]] = {
    "text named mp4": (_text, "not a video"),
    "empty": (_empty, "empty"),
    "one byte": (_one_byte, "not a video"),
    "web page named webm": (_web_page, "not a video"),
    "picture named mp4": (_picture, "not a video"),
    "sound only": (_sound, "no picture"),
    "mp4 without its end": (_cut("h264.mp4", keep=0.6), "cut off"),
    "mp4 with its index, cut": (_cut("index_first.mp4", keep=0.6), "cut off"),
    "mp4, header only": (_cut("index_first.mp4", keep=0.1), "not one of its frames"),
    "mp4, last bytes missing": (_cut("index_first.mp4", keep=0.99), "cut off"),
    "mkv cut": (_cut("h264.mkv", keep=0.5), "cut off"),
    "webm cut": (_cut("vp9.webm", keep=0.4), "cut off"),
    "avi cut": (_cut("mpeg4.avi", keep=0.8), "cut off"),
    "avi, header only": (_cut("mpeg4.avi", keep=0.4), "cut off"),
    "avi of jpegs cut": (_cut("mjpeg.avi", keep=0.6), "cut off"),
    "fragmented mp4 cut": (_cut("fragments.mp4", keep=0.6), "cut off"),
    "flv cut": (_cut("h264.flv", keep=0.5), "cut off"),
    "ffconcat script named mp4": (_concat_script, "not a video"),
    "playlist": (_playlist, "not a video"),
    "playlist named mp4": (_renamed_playlist, "not a video"),
    "pictures in another file": (_elsewhere, "not one of its frames can be decoded"),
    "65 streams": (_crowded, "65 streams; the limit is 64"),
    "gif of 0x0": (_gif_of(0, 0), "not a video"),
    "gif of 16000x16000": (_gif_of(16000, 16000), "16000x16000"),
    "gif of 20000x20000": (_gif_of(20000, 20000), "too large"),
    "jpegs of 0x0": (_jpegs_of(0, 0), "of no size"),
    "jpegs of 16000x16000": (_jpegs_of(16000, 16000), "16000x16000"),
    "jpegs of 20000x20000": (_jpegs_of(20000, 20000), "too large"),
}


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _boxes(data: bytes, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """Kind, start and end of each box of an mp4 between two places."""
    found = []
    while start + 8 <= end:
        (size,) = struct.unpack(">I", data[start : start + 4])
        found.append((data[start + 4 : start + 8], start, start + size))
        start += size
    return found


def _with_reference(box: bytes, other: Path) -> bytes:
    """The same box, each data reference inside it turned into an alias of ``other``."""
    kind, content = box[4:8], box[8:]
    if kind == b"dref":
        return _box(kind, content[:8] + _box(b"alis", _alias(other)))
    if kind not in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        return box
    inner = [content[start:end] for _, start, end in _boxes(content, 0, len(content))]
    return _box(kind, b"".join(_with_reference(each, other) for each in inner))


def _alias(other: Path) -> bytes:
    """A QuickTime alias record (version 2), laid out as FFmpeg's mov.c reads it."""
    path, name = str(other).encode(), other.name.encode()
    record = bytes(4) + bytes(10)  # flags of the box; creator, sizes, kind
    record += bytes([0]) + bytes(27)  # volume name
    record += bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0")
    record += bytes(16) + struct.pack(">HH", 0, 0) + bytes(16)  # levels from and to
    padding = b"\0" * (len(path) % 2)
    record += struct.pack(">HH", 2, len(path)) + path + padding  # kind 2: the absolute path
    return record + struct.pack(">HH", 0xFFFF, 0)
