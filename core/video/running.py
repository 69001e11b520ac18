"""From a keyframe straight to the wanted frames: decodes only what they refer to."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from core.errors import VideoError
from core.video.info import VideoInfo
from core.video.opening import opened, packets, video_stream
from core.video.schedule import Task

# Codecs whose pictures say of themselves that no other refers to them, and decoders that believe
# it: nal_ref_idc 0 in H.264, B pictures in MPEG-1 and MPEG-2. HEVC: see _tells_unneeded.
TELL_UNNEEDED = {"h264", "mpeg1video", "mpeg2video"}
# H.264 and HEVC show a picture at most 16 later than it was decoded.
REORDERED = 64
SAME_TIME = 2e-6  # the table of times is rounded to a millionth of a second


class Runs:
    """One container with its decoder, for runs of frames.

    A packet that lies between and that nothing wanted refers to is not decoded. Right after the
    last wanted packet the decoder is drained, so that the pictures which it would like to see
    before it gives that one are never read. What cannot be trusted (a jump that landed elsewhere,
    times that are not in the table, a damaged picture) is left out, for Walk to find.
    """

    def __init__(
        self, info: VideoInfo, *, threads: int, stack: ExitStack, stop: threading.Event
    ) -> None:
        if info.path is None or info.frame_times is None:
            raise VideoError("This video is only described: there is no file to read.")
        self._path, self._times, self._info, self._stack = info.path, info.frame_times, info, stack
        self._threads, self._stop = threads, stop
        self._fresh = False
        self._open()

    def pictures(self, task: Task) -> Iterator[tuple[int, VideoFrame]]:
        """The wanted frames of the task that come out, each with its index."""
        waiting = set(task.indices)
        for picture in self._decoded(task):
            index = self._index_at(picture.pts)
            if index in waiting and not picture.is_corrupt:
                waiting.remove(index)
                yield index, picture

    def _decoded(self, task: Task) -> Iterator[VideoFrame]:
        """All pictures that come out on the way through the task."""
        wanted, fed = set(task.indices), 0
        context = self._stream.codec_context
        for packet in self._packets_from(task.start):
            index = -1 if packet.is_discard else self._index_at(packet.pts)
            if self._stop.is_set() or index is None or index > task.indices[-1] + REORDERED:
                return
            needed = index in wanted
            context.skip_frame = "NONREF" if self._tells and not needed else "DEFAULT"
            yield from self._decode(packet)
            fed += needed
            if fed == len(wanted):
                break
        yield from self._decode(None)

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            return []  # damaged, or already drained: what is missing is looked for elsewhere

    def _packets_from(self, keyframe: int) -> Iterator[Packet[VideoStream]]:
        """The packets in the file's order, ``keyframe``'s first; none if it is not found."""
        if keyframe == 0:
            if not self._fresh:
                self._open()
            self._fresh = False
            yield from self._filled()
            return
        self._fresh = False
        before = self._info.keyframes[
            max(0, bisect.bisect_left(self._info.keyframes, keyframe) - 1)
        ]
        for target in (keyframe, before):
            if self._jump(target) and (first := self._skip_to(keyframe)) is not None:
                yield first
                yield from self._rest
                return

    def _jump(self, index: int) -> bool:
        seconds = self._info.start_seconds + self._times[index]
        try:
            ticks = round(seconds / self._tick)
            self._container.seek(ticks, stream=self._stream, backward=True)
        except av.error.FFmpegError:
            return False  # this file has no seeking
        self._rest = self._filled()
        return True

    def _skip_to(self, keyframe: int) -> Packet[VideoStream] | None:
        """The packet of ``keyframe``; None where the jump landed behind it, as in MPEG-TS."""
        for packet in self._rest:
            index = self._index_at(packet.pts)
            if index == keyframe and packet.is_keyframe:
                return packet
            if self._stop.is_set() or (index is not None and index > keyframe):
                break
        return None

    def _filled(self) -> Iterator[Packet[VideoStream]]:
        return (packet for packet in packets(self._container, self._stream) if packet.size)

    def _open(self) -> None:
        self._stack.pop_all().close()
        self._container = self._stack.enter_context(opened(self._path))
        self._stream = video_stream(self._container, self._path)
        self._stream.thread_type = "AUTO" if self._threads > 1 else "NONE"
        self._stream.codec_context.thread_count = self._threads
        self._tick = float(self._stream.time_base or 1)
        self._tells = _tells_unneeded(self._stream)
        self._fresh = True  # nothing has been read yet

    def _index_at(self, pts: int | None) -> int | None:
        """Which frame is shown at that time; None where the table has none."""
        if pts is None:
            return None
        seconds = pts * self._tick - self._info.start_seconds
        index = bisect.bisect_left(self._times, seconds - SAME_TIME)
        if index == len(self._times) or self._times[index] > seconds + SAME_TIME:
            return None
        return index


def _tells_unneeded(stream: VideoStream) -> bool:
    """Whether pictures that nothing refers to can be told before they are decoded.

    HEVC's mark is about the picture's own temporal layer: a higher one may still refer to it. So
    it counts only where the file's hvcC record (ISO/IEC 14496-15, 8.3.3.1) names a single layer.
    """
    context = stream.codec_context
    if context.codec.canonical_name == "hevc":
        record = context.extradata or b""
        return len(record) > 22 and record[0] == 1 and record[21] >> 3 & 7 == 1
    return context.codec.canonical_name in TELL_UNNEEDED
