"""Open a local file with FFmpeg, and nothing but a local file in a known container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    except (FileNotFoundError, PermissionError) as error:
        raise VideoError(
            f"{path.name} cannot be read: {error.strerror}.",
            remedy="Check that the file is still there and may be read, or choose it again.",
        ) from error
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
        VideoError: there is nothing to see, or nothing here can decode it.
    """
    shown = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    if isinstance(best, VideoStream) and best in shown:
        shown.insert(0, best)
    if shown and shown[0].codec_context is not None:  # None where no decoder is known
        return shown[0]
    if shown:
        raise VideoError(
            f"{path.name} is coded in a way that FFmpeg {av.ffmpeg_version_info} cannot decode.",
            remedy="Convert it where it plays, for example to H.264 in an .mp4 file.",
        )
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
        except av.error.FFmpegError:
            continue


def packets(container: InputContainer, *streams: VideoStream) -> Iterator[Packet[Any]]:
    """Every packet of ``streams`` (of all when none is given) from here on, and the flushing one.

    A file that breaks off in the middle ends here as if that were its end: what it promised is
    compared with what it holds when it is probed. IndexError is PyAV's word at the end of a file
    in which a stream began later: it looks it up in the list made at opening.
    """
    try:
        yield from container.demux(*streams)
    except (av.error.FFmpegError, IndexError):
        return
