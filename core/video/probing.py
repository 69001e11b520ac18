"""What a file is: its packets counted and its first picture decoded; knows nothing of models."""

from __future__ import annotations

import struct
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from core.errors import VideoError
from core.video.indexed import Entries, entries_of
from core.video.info import MAX_STREAMS, VideoInfo, check_duration, check_size
from core.video.opening import decoded, opened, packets, video_stream
from core.video.rates import frame_rate, strays, to_microseconds
from core.video.tables import by_index, by_packets, by_pictures

SQUARE_ENOUGH = 0.01  # a pixel aspect this near to 1 is what scaling leaves behind, not a shape
SHORTFALL_SECONDS = 0.5
SHORTFALL_SHARE = 0.05


def probe_file(path: Path) -> VideoInfo:
    """Look at every packet and decode the first picture; see core.video.probe."""
    with opened(path) as container:
        _check_streams(container, path)
        stream = video_stream(container, path)
        _check_picture(stream, path)
        entries = entries_of(stream)
        _check_index(entries, path)
        _check_riff(path)
        with opened(path) as ahead:  # what is read there leaves ``container`` at its beginning
            first = _first_picture(ahead, path)
            table = by_index(ahead, path, entries)
        table = table or by_packets(container, stream) or by_pictures(path)
        if table is None:
            raise _undecodable(path)
        promised = _promised_seconds(container, stream)
        only_video = stream.duration is not None or len(container.streams) == 1
        header_rate = stream.average_rate or stream.guessed_rate
        aspect = float(stream.sample_aspect_ratio or 1)
        codec, name = stream.codec_context.codec.canonical_name, container.format.name
    start = float(table.seconds[0])
    times = to_microseconds(table.seconds - start)
    rate = frame_rate(header_rate, times)
    duration = float(times[-1]) + (table.last_duration or float(1 / rate))
    check_duration(duration)
    found = start + duration
    if not only_video and _falls_short(promised, found):
        found = _last_moment(path)  # the promise may be about sound that goes on for longer
    if promised is not None and _falls_short(promised, found):
        raise VideoError(
            f"{path.name} is cut off: its header promises {promised:.1f} s, "
            f"{found:.1f} s are in the file.",
            remedy="Copy or upload the whole file again.",
        )
    rotation = round(-first.rotation / 90) * 90 % 360
    width, height = _shown_size(first, aspect, rotation)
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        duration_seconds=round(duration, 6),
        frame_rate=rate,
        frame_count=len(times),
        frame_count_source="counted",
        codec=codec,
        container=name.split(",")[0],
        rotation=rotation,
        variable_rate=strays(times, float(rate)),
        start_seconds=start,
        frame_times=times.tolist(),
        keyframes=table.keyframes,
    )


def _first_picture(container: InputContainer, path: Path) -> VideoFrame:
    for picture in decoded(container, video_stream(container, path)):
        return picture
    raise _undecodable(path)


def _undecodable(path: Path) -> VideoError:
    return VideoError(
        f"{path.name} opens, but not one of its frames can be decoded.",
        remedy="It is cut off or damaged. Copy it again, or convert it.",
    )


def _shown_size(picture: VideoFrame, aspect: float, rotation: int) -> tuple[int, int]:
    """Width and height after pixel aspect and rotation."""
    width, height = picture.width, picture.height
    if abs(aspect - 1) > SQUARE_ENOUGH:
        width = round(width * aspect)
    check_size(width, height)
    return (height, width) if rotation in (90, 270) else (width, height)


def _check_streams(container: InputContainer, path: Path) -> None:
    """Refuse a file of very many streams: FFmpeg sets a decoder up for each."""
    count = len(container.streams)
    if count > MAX_STREAMS:
        raise VideoError(
            f"{path.name} has {count} streams; the limit is {MAX_STREAMS}.",
            remedy="Keep only what matters: 'ffmpeg -i INPUT -map 0:v:0 -c copy OUTPUT.mkv'.",
        )


def _check_picture(stream: VideoStream, path: Path) -> None:
    """Refuse a size of 0x0, which FFmpeg also gives for what is beyond its own limit."""
    if stream.width < 1 or stream.height < 1:
        raise VideoError(
            f"{path.name} has a picture of no size, or of one too large to decode.",
            remedy="Export the video again, for example at 1920x1080.",
        )
    check_size(stream.width, stream.height)


def _check_index(entries: Entries, path: Path) -> None:
    """Refuse a file whose own index points beyond its end."""
    size = path.stat().st_size
    beyond = int((entries.ends > size).sum())
    if beyond:
        raise VideoError(
            f"{path.name} is cut off: its index lists {len(entries.places):,} frames, and the last "
            f"{beyond:,} lie beyond the end of the file ({size:,} bytes).",
            remedy="Copy or upload the whole file again.",
        )


def _check_riff(path: Path) -> None:
    """Refuse an AVI that is shorter than it says; FFmpeg only shortens its duration to match.

    An AVI is one RIFF chunk, or several of up to 2 GiB; 0 and 2^32 - 1 are sizes not filled in.
    """
    size, promised = path.stat().st_size, 0
    with path.open("rb") as file:
        while promised < size:
            file.seek(promised)
            kind, chunk = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
            if kind != b"RIFF" or chunk in (0, 2**32 - 1):
                break
            promised += chunk + 8
    if promised > size * (1 + SHORTFALL_SHARE):
        raise VideoError(
            f"{path.name} is cut off: its header promises {promised:,} bytes, {size:,} are there.",
            remedy="Copy or upload the whole file again.",
        )


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Until when the header says that the picture (or else the whole) lasts, if it says so.

    The whole is counted from 0, as Matroska does even where the first picture comes later.
    """
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    return None if container.duration is None else container.duration / 1e6


def _falls_short(promised: float | None, found: float) -> bool:
    if promised is None:
        return False
    return promised - found > max(SHORTFALL_SECONDS, SHORTFALL_SHARE * promised)


def _last_moment(path: Path) -> float:
    """The end of the last packet of any stream, in seconds of the container."""
    ends = [0.0]
    with opened(path) as container:
        for packet in packets(container):
            if packet.pts is not None:
                ticks = packet.pts + (packet.duration or 0)
                ends.append(float(ticks * (packet.time_base or 0)))
    return max(ends)
