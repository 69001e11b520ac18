"""What the readers on other libraries share: refusing by name, the right frame proved, its scaling.

Which frames a video has and when each is shown is said by our own probe alone; another library
only decodes. Where it cannot, or hands out a frame of another time, it is refused: nobody steps in
for it unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.stream import Disposition
from PIL import Image

from core.errors import SettingsError, VideoError
from core.video.info import VideoInfo
from core.video.opening import opened, packets, video_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

IN_ITS_SOURCES = re.compile(r"\S+\.(?:cc|cpp|h):\d+[:,] (?:\[[^\]]*\] )?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that our own FFmpeg has opened, for a library that opens it once more.

    Attributes:
        reader: the reader's name, for its refusals.
        info: what the file is.
        path, times: those of ``info``, which are there when there is a file.
        stream_index: the stream a player shows, among streams of all kinds.
        width, height: pixels as coded, before rotation and pixel aspect.
        rivals: width and height of each other video stream, cover pictures left aside.
    """

    reader: str
    info: VideoInfo
    path: Path
    times: list[float]
    stream_index: int
    width: int
    height: int
    rivals: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How the pictures lie in the file, as far as it matters to a library that seeks.

    Attributes:
        open_groups: some pictures after a keyframe are shown before it, and refer over it; or
            the file does not say when they are shown.
        discarded: packets whose pictures are decoded but not to be shown.
    """

    open_groups: bool
    discarded: int


def source(reader: str, info: VideoInfo) -> Source:
    """Open the file as core.video.opening does, with its limits, and say what to look for.

    Raises:
        VideoError: the file is gone, or is no longer a video.
    """
    if info.path is None or info.frame_times is None:
        raise VideoError("This video is only described: there is no file to read.")
    with opened(info.path) as container:
        stream = video_stream(container, info.path)
        rivals = tuple(
            (other.width, other.height)
            for other in container.streams.video
            if other.index != stream.index and not other.disposition & Disposition.attached_pic
        )
        return Source(
            reader=reader,
            info=info,
            path=info.path,
            times=list(info.frame_times),
            stream_index=stream.index,
            width=stream.width,
            height=stream.height,
            rivals=rivals,
        )


def packing(found: Source) -> Packing:
    """Look at the packets, in the order in which they are decoded; nothing is decoded."""
    newest_keyframe, open_groups, discarded = None, False, 0
    with opened(found.path) as container:
        for packet in packets(container, video_stream(container, found.path)):
            if packet.size == 0:
                continue
            discarded += packet.is_discard
            if packet.pts is None:
                open_groups = True
            elif packet.is_keyframe:
                newest_keyframe = packet.pts
            elif newest_keyframe is not None and packet.pts < newest_keyframe:
                open_groups = True
    return Packing(open_groups=open_groups, discarded=discarded)


def refusal(found: Source, why: str) -> VideoError:
    """The error of a reader that cannot: ``why`` goes on from "cannot read NAME: "."""
    return VideoError(
        f"The reader {found.reader} cannot read {found.path.name}: {why}.",
        remedy="Choose the reader pyav.",
    )


def missing(reader: str, why: str, *, remedy: str) -> SettingsError:
    """The error where a reader's library is not there, or does not load."""
    return SettingsError(
        f"The reader {reader} does not work here: {why}.",
        remedy=f"{remedy} Or choose the reader pyav.",
    )


def refuse_unless_due(found: Source, index: int, seconds: float) -> None:
    """Refuse unless ``seconds`` (from the first shown frame) is when frame ``index`` is shown.

    Nearer to it than to either neighbour: libraries that keep time in 32 bits are off by 0.5 ms
    after two hours, and by nothing that could be another frame.
    """
    due = found.times[index]
    around = found.times[max(0, index - 1) : index + 2]
    nearest = min((abs(due - other) for other in around if other != due), default=1.0)
    if not abs(seconds - due) < nearest / 2:
        raise refusal(
            found, f"it gives the frame at {seconds:.3f} s where the one at {due:.3f} s was wanted"
        )


def fitted(
    pixels: NDArray[np.uint8], *, height: int, width: int, turn: int = 0
) -> NDArray[np.uint8]:
    """Scale (bicubic), then turn clockwise by ``turn`` degrees: height x width x 3."""
    across, down = (height, width) if turn in (90, 270) else (width, height)
    if pixels.shape[:2] != (down, across):
        picture = Image.fromarray(pixels).resize((across, down), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture)
    return np.ascontiguousarray(np.rot90(pixels, k=-turn // 90) if turn else pixels, dtype=np.uint8)


def last_words(error: BaseException) -> str:
    """What a library's error says, on one line and short.

    "[03:31:19] /src/video_reader.cc:270: [/clips/a.avi] No frames." -> "No frames"
    """
    text = IN_ITS_SOURCES.split(" ".join(str(error).split()))[-1]
    return text.rstrip(".")[:200] or type(error).__name__
