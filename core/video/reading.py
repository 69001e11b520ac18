"""The one door to files: probe them, and read the wanted frames at the wanted size.

Both happen in a decoding process (sandbox.py); nothing of a file is decoded in this one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import Cancelled, SettingsError, VideoError
from core.video import budget, sandbox
from core.video.buffer import Buffer
from core.video.frames import Frame, Frames, collect, no_frames
from core.video.info import VideoInfo
from core.video.request import Task
from core.video.wire import info_from_json, info_to_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["READERS", "Frame", "Frames", "Reader", "collect", "iter_frames", "probe", "read_frames"]

# name -> module with read(); imported in the decoding processes only
READERS = {
    "pyav": "core.video.pyav",
    "torchcodec": "core.video.torchcodec",
    "decord": "core.video.decord",
}
DEFAULT_READER = "pyav"


class Reader(Protocol):
    """What a reader's module offers. What a file is, probing.py says for all of them alike."""

    def read(
        self, info: VideoInfo, indices: Sequence[int], *, height: int, width: int, threads: int
    ) -> Iterator[Frame]:
        """Yield the frames at ``indices`` (ascending, none twice), scaled to the size.

        Each comes once, as soon as it is decoded, in any order. At most ``threads`` decode at a
        time. Where the iterator is closed early, nothing goes on.
        """


def probe(path: str | Path, *, stop: threading.Event | None = None) -> VideoInfo:
    """What the file at ``path`` is, found out in a decoding process.

    Raises:
        VideoError: it is missing, empty, cut off, not a video or too large.
        Cancelled: ``stop`` was set.
    """
    file = _local_file(path)
    messages = sandbox.run(
        "probe",
        {"path": str(file)},
        deadline_seconds=budget.probe_seconds(file.stat().st_size),
        more_bytes=budget.PROBE_BYTES,
        stop=stop,
        what=file.name,
    )
    (found,) = messages
    return replace(info_from_json(found), path=file)


def iter_frames(
    info: VideoInfo,
    indices: Sequence[int],
    *,
    height: int,
    width: int,
    stop: threading.Event | None = None,
    reader: str = DEFAULT_READER,
) -> Iterator[Frame]:
    """Yield the frames at ``indices`` in that order as they are decoded, scaled to the size.

    They lie in one block of memory, in ascending order, and that is freed with the last of them.

    Raises:
        VideoError: a frame cannot be decoded, or the video has no file.
        Cancelled: ``stop`` was set; decoding ends at once, not at the next frame.
    """
    if not indices:
        return
    wanted = sorted({int(index) for index in indices})
    task = _task(info, wanted, height=height, width=width, reader=reader)
    size = budget.check_room(len(wanted), height=height, width=width)
    with _buffer(size) as buffer, closing(sandbox.SHARED.run(task, buffer, stop=stop)) as messages:
        frames = _placed(messages, wanted, _as_array(buffer, (len(wanted), height, width, 3)))
        yield from _in_order(frames, indices, stop=stop)


def _in_order(
    frames: Iterator[Frame], indices: Sequence[int], *, stop: threading.Event | None
) -> Iterator[Frame]:
    ready: dict[int, Frame] = {}
    for index in indices:
        while index not in ready:
            frame = next(frames)
            ready[frame.index] = frame
        if stop is not None and stop.is_set():
            raise Cancelled
        yield ready[index]


def read_frames(
    info: VideoInfo,
    indices: Sequence[int],
    *,
    height: int,
    width: int,
    stop: threading.Event | None = None,
    reader: str = DEFAULT_READER,
) -> Frames:
    """The frames at ``indices`` (ascending), scaled to ``height`` x ``width``; see iter_frames."""
    if not indices:
        return no_frames(height=height, width=width)
    return collect(iter_frames(info, indices, height=height, width=width, stop=stop, reader=reader))


def check_reader(name: str) -> None:
    """Raise SettingsError unless there is such a reader, be its library installed or not."""
    if name not in READERS:
        raise SettingsError(
            f"There is no reader {name!r}.", remedy=f"Choose one of: {', '.join(READERS)}."
        )


def _task(info: VideoInfo, wanted: Sequence[int], *, height: int, width: int, reader: str) -> Task:
    if info.path is None:
        raise VideoError("This video is only described: there is no file to read.")
    check_reader(reader)
    if wanted[0] < 0 or wanted[-1] >= info.frame_count:
        raise VideoError(
            f"Frame {wanted[0] if wanted[0] < 0 else wanted[-1]:,} is not among the "
            f"{info.frame_count:,} of {info.path.name}, which are counted from 0.",
            remedy="Plan the frames again from what the file is now.",
        )
    threads = budget.usable_threads()
    return Task(
        job="read",
        arguments={
            "info": info_to_json(info),
            "indices": wanted,
            "height": height,
            "width": width,
            "threads": threads,
            "reader": reader,
        },
        what=info.path.name,
        deadline_seconds=budget.read_seconds(info, wanted, height=height, width=width),
        more_bytes=budget.read_bytes(info, threads=threads, reader=reader),
        threads=threads,
        reader=reader,
    )


def _buffer(size: int) -> Buffer:
    try:
        return Buffer(size)
    except OSError as error:
        raise VideoError(
            f"There is no room for {size / 1e6:,.0f} MB of frames: {error.strerror}.",
            remedy="Choose fewer or smaller frames, or close other programs.",
        ) from error


def _as_array(buffer: Buffer, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    import numpy as np

    return np.frombuffer(buffer.mapping, dtype=np.uint8).reshape(shape)


def _placed(
    messages: Iterator[dict[str, Any]], wanted: Sequence[int], pixels: NDArray[np.uint8]
) -> Iterator[Frame]:
    """The frames as their messages come; the last one when the decoding process is free again.

    Raises:
        VideoError: one comes twice or never: what answers there is not to be trusted.
    """
    missing, last = set(range(len(wanted))), None
    for message in messages:
        slot, seconds = message.get("slot"), message.get("seconds")
        if slot not in missing or not isinstance(seconds, float):
            raise _unreliable(f"a frame at place {slot!r}, {seconds!r} s")
        missing.remove(slot)
        last = Frame(index=wanted[slot], seconds=seconds, pixels=pixels[slot])
        if missing:
            yield last
    if missing or last is None:
        raise _unreliable(f"{len(wanted) - len(missing)} frames of {len(wanted)}")
    yield last


def _unreliable(what: str) -> VideoError:
    return VideoError(
        f"The decoding process gave {what}.",
        remedy="The file may be made to do harm. Choose another, or another reader.",
    )


def _local_file(path: str | Path) -> Path:
    file = Path(path)
    try:
        known = file.is_file()
    except OSError as error:  # a name too long for a file, a folder that may not be entered
        raise VideoError(
            f"{str(path)[:80]} cannot be looked at: {error.strerror}.",
            remedy="Give the path of a local video file.",
        ) from error
    if not known:
        what = "is a folder" if file.is_dir() else "is not a file on this machine"
        raise VideoError(f"{path} {what}.", remedy="Give the path of a local video file.")
    if file.stat().st_size == 0:
        raise VideoError(f"{file.name} is empty (0 bytes).", remedy="Copy or export it again.")
    return file.resolve()
