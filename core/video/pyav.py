"""The reader on PyAV: exact frames, scaled while they are converted, in one forward walk."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from core.errors import VideoError
from core.video.info import VideoInfo
from core.video.opening import decoded, opened, video_stream
from core.video.reading import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(
    info: VideoInfo, indices: Sequence[int], *, height: int, width: int, threads: int
) -> Iterator[Frame]:
    """Yield the frames at ``indices``; see core.video.reading.Reader."""
    with ExitStack() as stack:
        walk = _Walk(info, stack)
        for index in indices:
            picture = walk.to(index)
            yield Frame(
                index=index,
                seconds=walk.seconds,
                pixels=_scaled(picture, info, height=height, width=width),
            )


class _Walk:
    """Forward through the pictures of a video, with a jump where that saves decoding."""

    def __init__(self, info: VideoInfo, stack: ExitStack) -> None:
        if info.path is None or info.frame_times is None:
            raise VideoError("This video is only described: there is no file to read.")
        self._path, self._times, self._info, self._stack = info.path, info.frame_times, info, stack
        self._open()

    @property
    def seconds(self) -> float:
        """When the picture last returned is shown."""
        return float(self._times[self._position])

    def to(self, index: int) -> VideoFrame:
        """The picture a viewer sees when frame ``index`` is due."""
        for start in self._starts(index):
            if start is not None and not self._jump(start):
                continue
            picture = self._advance(index)
            if picture is not None:
                return picture
        raise VideoError(
            f"{self._path.name} cannot be decoded at {self._times[index]:.2f} s.",
            remedy="The file is damaged there. Set start and end around it, or convert it.",
        )

    def _starts(self, index: int) -> Iterator[int | None]:
        """Where to decode from, best first; None means from where the walk is.

        A container's index can be imprecise, so that a jump lands behind the wanted picture:
        then the keyframe before it is tried, and at last the start of the file.
        """
        keyframes = self._info.keyframes
        before = keyframes[max(0, bisect.bisect_right(keyframes, index) - 2) :][:2]
        before = [keyframe for keyframe in before if keyframe <= index]
        nearest = before[-1] if before else 0
        if self._position < index and nearest <= self._position + 1:
            yield None
        yield from reversed(before)
        yield 0

    def _open(self) -> None:
        self._stack.pop_all().close()
        self._container = self._stack.enter_context(opened(self._path))
        self._stream = video_stream(self._container, self._path)
        self._stream.thread_type = "AUTO"
        self._restart()

    def _restart(self) -> None:
        self._pictures = decoded(self._container, self._stream)
        self._position = -1  # the index of the newest picture
        self._shown: VideoFrame | None = None
        self._ahead: VideoFrame | None = None  # decoded, but shown later than asked for

    def _jump(self, keyframe: int) -> bool:
        """Go on from ``keyframe``; False where the jump cannot be trusted.

        After a jump some containers (MPEG program streams) put wrong times on the pictures; what
        is no keyframe by its time was not the keyframe that decoding began with.
        """
        seconds = self._info.start_seconds + self._times[keyframe]
        ticks = round(seconds / float(self._stream.time_base or 1))
        try:
            if keyframe > 0:
                self._container.seek(ticks, stream=self._stream, backward=True)
                self._restart()
                self._ahead = next(self._pictures, None)
                return self._ahead is not None and self._is_keyframe(self._ahead)
        except av.error.FFmpegError:
            pass  # this file has no seeking
        self._open()
        return True

    def _is_keyframe(self, picture: VideoFrame) -> bool:
        index, keyframes = self._index_of(picture), self._info.keyframes
        place = bisect.bisect_left(keyframes, index)
        listed = place < len(keyframes) and keyframes[place] == index
        return listed and picture.pts is not None

    def _advance(self, index: int) -> VideoFrame | None:
        """Decode up to ``index``; None where nothing at or before it comes out."""
        while self._position < index:
            picture = self._ahead or next(self._pictures, None)
            self._ahead = picture
            if picture is None or self._index_of(picture) > index:
                break
            self._position, self._shown, self._ahead = self._index_of(picture), picture, None
        return self._shown

    def _index_of(self, picture: VideoFrame) -> int:
        if picture.pts is None or not self._info.keyframes:
            return self._position + 1
        seconds = picture.pts * float(self._stream.time_base or 0) - self._info.start_seconds
        after = bisect.bisect_left(self._times, seconds - 1e-6)
        return min(after, len(self._times) - 1)


def _scaled(picture: VideoFrame, info: VideoInfo, *, height: int, width: int) -> NDArray[np.uint8]:
    try:
        return _rgb(picture, height=height, width=width, rotation=info.rotation)
    except av.error.FFmpegError as error:
        raise VideoError(
            f"A frame of {picture.width}x{picture.height} in {picture.format.name} cannot be "
            f"converted: {error.strerror}.",
            remedy="Convert the video first, for example to H.264 in an .mp4 file.",
        ) from error


def _rgb(picture: VideoFrame, *, height: int, width: int, rotation: int) -> NDArray[np.uint8]:
    """Scale (bicubic) and convert in one go, then turn: height x width x 3."""
    if rotation in (90, 270):
        height, width = width, height
    scaled = picture.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.BICUBIC
    )
    pixels = scaled.to_ndarray()
    if rotation:
        pixels = np.rot90(pixels, k=-rotation // 90)
    return np.ascontiguousarray(pixels, dtype=np.uint8)
