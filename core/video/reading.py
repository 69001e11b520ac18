"""The one door to files: probe them, and read the wanted frames at the wanted size."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from core.errors import Cancelled, SettingsError, VideoError
from core.video.info import VideoInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# name -> module with read(); imported when first used, since decoders are heavy
READERS = {
    "pyav": "core.video.pyav",
    "torchcodec": "core.video.torchcodec",
    "decord": "core.video.decord",
}
DEFAULT_READER = "pyav"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded picture.

    Attributes:
        index: which frame was asked for, counted as shown.
        seconds: when the picture is shown, as the decoder says, from the first shown frame. At a
            damaged place this is the picture before, as a player shows it, and its earlier time.
        pixels: uint8, height x width x 3, RGB.
    """

    index: int
    seconds: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The frames of a plan.

    Attributes:
        pixels: uint8, frames x height x width x 3, RGB.
        seconds: the true time of each frame.
        indices: which frame of the video each one is.
    """

    pixels: NDArray[np.uint8]
    seconds: tuple[float, ...]
    indices: tuple[int, ...]


class Reader(Protocol):
    """What a reader's module offers. What a file is, probing.py says for all of them alike."""

    def read(
        self, info: VideoInfo, indices: Sequence[int], *, height: int, width: int, threads: int
    ) -> Iterator[Frame]:
        """Yield the frames at ``indices`` (ascending, none twice), scaled to the size.

        Each comes once, as soon as it is decoded, in any order. At most ``threads`` decode at a
        time. Where the iterator is closed early, nothing goes on.
        """


def probe(path: str | Path) -> VideoInfo:
    """What the file at ``path`` is.

    Raises:
        VideoError: it is missing, empty, cut off, not a video or too large.
    """
    from core.video.probing import probe_file

    return probe_file(_local_file(path))


def iter_frames(
    info: VideoInfo,
    indices: Sequence[int],
    *,
    height: int,
    width: int,
    stop: threading.Event | None = None,
    reader: str = DEFAULT_READER,
) -> Iterator[Frame]:
    """Yield the frames at ``indices`` (ascending) as they are decoded, scaled to the size.

    Raises:
        VideoError: a frame cannot be decoded, or the video has no file.
        Cancelled: ``stop`` was set; it is looked at before each frame.
    """
    if info.path is None:
        raise VideoError("This video is only described: there is no file to read.")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = _reader(reader).read(
        info, sorted(set(indices)), height=height, width=width, threads=threads or 1
    )
    ready: dict[int, Frame] = {}
    for place, index in enumerate(indices):
        while index not in ready:
            frame = next(found)
            if stop is not None and stop.is_set():
                raise Cancelled
            ready[frame.index] = frame
        if index in indices[place + 1 : place + 2]:
            yield ready[index]
        else:
            yield ready.pop(index)


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
    return collect(iter_frames(info, indices, height=height, width=width, stop=stop, reader=reader))


def collect(frames: Iterable[Frame]) -> Frames:
    """Put single frames of one size together."""
    import numpy as np

    found = list(frames)
    return Frames(
        pixels=np.stack([frame.pixels for frame in found]),
        seconds=tuple(frame.seconds for frame in found),
        indices=tuple(frame.index for frame in found),
    )


def check_reader(name: str) -> None:
    """Raise SettingsError unless there is such a reader, be its library installed or not."""
    if name not in READERS:
        raise SettingsError(
            f"There is no reader {name!r}.", remedy=f"Choose one of: {', '.join(READERS)}."
        )


def _reader(name: str) -> Reader:
    check_reader(name)
    module: Any = importlib.import_module(READERS[name])
    return cast(Reader, module)


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
