"""Every picture on the way to the wanted one: slow, and right where a file's index is not."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import av.error
from av.video.frame import VideoFrame

from core.errors import Cancelled, VideoError
from core.video.info import VideoInfo
from core.video.opening import decoded, opened, video_stream


class Walk:
    """Forward through the pictures of a video, with a jump where that saves decoding."""

    def __init__(
        self, info: VideoInfo, *, threads: int, stack: ExitStack, stop: threading.Event
    ) -> None:
        if info.path is None or info.frame_times is None:
            raise VideoError("This video is only described: there is no file to read.")
        self._path, self._times, self._info, self._stack = info.path, info.frame_times, info, stack
        self._threads, self._stop = threads, stop
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
        self._stream.codec_context.thread_count = self._threads
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
            if self._stop.is_set():
                raise Cancelled
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
