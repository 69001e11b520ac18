"""Open a local file with FFmpeg, and nothing but a local file in a known container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from core.errors import VideoError

# FFmpeg's demuxers that read one file and nothing beside it: no playlists, no concat scripts.
# The audio ones are here so that a sound file is told from a file that is no media at all.
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,ivf,dv,mjpeg,m4v,h264,hevc,obu,"
    "mp3,wav,flac,aac,aiff"
)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """FFmpeg's view of the file.

    Raises:
        VideoError: FFmpeg does not know the format, or it is one that may point elsewhere.
    """
    try:
        container = av.open(
            f"file:{path}",
            options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{path.name} ({path.stat().st_size:,} bytes) is not a video that can be opened: it is "
            "damaged, cut off, or not a video at all.",
            remedy="Check that it plays elsewhere. Copying it again, or converting it with "
            "'ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4', often helps.",
        ) from error
    with container:
        yield container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream a player would show: the best one, cover pictures left aside.

    Raises:
        VideoError: there is sound, but nothing to see.
    """
    shown = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    if isinstance(best, VideoStream) and best in shown:
        return best
    if shown:
        return shown[0]
    sound = f"{len(container.streams.audio)} audio" if container.streams.audio else "no audio"
    raise VideoError(
        f"{path.name} has no picture: {sound} and no video streams.",
        remedy="Choose a file with a video track.",
    )


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every picture from here on; a damaged packet is passed over, as a player does."""
    for packet in packets(container, stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Every packet from here on, the empty one that flushes the decoder last.

    A file that breaks off in the middle ends here as if that were its end: what it promised is
    compared with what it holds when it is probed.
    """
    try:
        yield from container.demux(stream)
    except av.error.FFmpegError:
        return
