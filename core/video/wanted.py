"""Which frames of which file are wanted, from where, and the name under which they are kept."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.errors import VideoError
from core.video.digest import Mark, mark_of
from core.video.info import VideoInfo
from core.video.kept import VERSION
from core.video.reading import DEFAULT_READER, Frame


class FrameSource(Protocol):
    """Where frames come from: core.video.iter_frames, or a store's ``frames``."""

    def __call__(
        self,
        info: VideoInfo,
        indices: Sequence[int],
        *,
        height: int,
        width: int,
        stop: threading.Event | None = None,
        reader: str = DEFAULT_READER,
    ) -> Iterator[Frame]:
        """Yield the frames at ``indices`` (ascending); see core.video.reading.iter_frames."""


@runtime_checkable
class Keeps(Protocol):
    """A source that keeps what was read."""

    def has(
        self, info: VideoInfo, indices: Sequence[int], *, height: int, width: int, reader: str
    ) -> bool:
        """Whether it would give these frames without decoding the video; reads no whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A reading of frames.

    Attributes:
        info: the video, as it was probed.
        path: its file.
        mark: the file as it is now; None where it cannot be looked at.
        indices: ascending, none twice.
        height, width: pixels of every frame.
        reader: which one decodes.
    """

    info: VideoInfo
    path: Path
    mark: Mark | None
    indices: tuple[int, ...]
    height: int
    width: int
    reader: str

    def name(self, digest: str, image_format: str) -> str:
        """The folder's name. The times are in it: a file probed before it changed has others."""
        info = self.info
        times = [info.time_of(index) for index in self.indices]
        shown = (info.width, info.height, info.rotation, info.start_seconds)
        facts = (self.indices, self.height, self.width, self.reader, image_format, VERSION)
        plan = blake2b(json.dumps([facts, times, shown]).encode(), digest_size=16)
        return f"{digest}-{plan.hexdigest()}"


def wanted(
    info: VideoInfo, indices: Sequence[int], *, height: int, width: int, reader: str
) -> Wanted:
    """The reading as it is asked for now.

    Raises:
        VideoError: the video has no file.
    """
    if info.path is None:
        raise VideoError("This video is only described: there is no file to read.")
    mark = None
    with contextlib.suppress(OSError):  # the reader says what is wrong with the file
        mark = mark_of(info.path)
    return Wanted(
        info=info,
        path=info.path,
        mark=mark,
        indices=tuple(sorted(set(indices))),
        height=height,
        width=width,
        reader=reader,
    )
