"""What a file is: its packets counted and its first picture decoded; knows nothing of models."""

from __future__ import annotations

import itertools
import statistics
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from core.errors import VideoError
from core.video.info import (
    MAX_FRAMES,
    MAX_STREAMS,
    VideoInfo,
    check_count,
    check_duration,
    check_size,
)
from core.video.opening import decoded, opened, packets, video_stream

SQUARE_ENOUGH = 0.01  # a pixel aspect this near to 1 is what scaling leaves behind, not a shape
SHORTFALL_SECONDS = 0.5
SHORTFALL_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """When each shown frame is shown (the container's seconds, ascending), and the keyframes."""

    seconds: list[float]
    keyframes: list[int]
    last_duration: float


def probe_file(path: Path) -> VideoInfo:
    """Look at every packet and decode the first picture; see core.video.probe."""
    with opened(path) as container:
        _check_streams(container, path)
        stream = video_stream(container, path)
        _check_picture(stream, path)
        _check_index(stream, path)
        _check_riff(path)
        first = _first_picture(path)
        table = _table(container, stream) or _decoded_table(path)
        promised = _promised_seconds(container, stream)
        only_video = stream.duration is not None or len(container.streams) == 1
        header_rate = stream.average_rate or stream.guessed_rate
        aspect = float(stream.sample_aspect_ratio or 1)
        codec, name = stream.codec_context.codec.canonical_name, container.format.name
    start = table.seconds[0]
    times = [round(seconds - start, 6) for seconds in table.seconds]
    rate = _frame_rate(header_rate, times)
    duration = times[-1] + (table.last_duration or float(1 / rate))
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
    per_second = float(rate)
    half_a_frame = 0.5 / per_second
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
        variable_rate=any(abs(t - i / per_second) > half_a_frame for i, t in enumerate(times)),
        start_seconds=start,
        frame_times=times,
        keyframes=table.keyframes,
    )


def _table(container: InputContainer, stream: VideoStream) -> _Table | None:
    """From the packets alone; None where they do not say when each frame is shown."""
    shown: list[tuple[int, bool, int]] = []
    for packet in packets(container, stream):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.pts is None:
            return None
        shown.append((packet.pts, packet.is_keyframe, packet.duration or 0))
        if len(shown) > MAX_FRAMES:
            check_count(len(shown))
    shown.sort()
    if not shown or len({pts for pts, _, _ in shown}) < len(shown):
        return None
    tick = float(stream.time_base or Fraction(1, 1000))
    # AVI numbers its packets as they are decoded: where that is not as they are shown, only a
    # count of the pictures from the start tells which is which, and there is nowhere to jump to.
    counted = container.format.name == "avi" and stream.codec_context.has_b_frames
    return _Table(
        seconds=[pts * tick for pts, _, _ in shown],
        keyframes=[index for index, (_, is_key, _) in enumerate(shown) if is_key and not counted],
        last_duration=shown[-1][2] * tick,
    )


def _decoded_table(path: Path) -> _Table:
    """By decoding everything: the slow way for streams whose packets carry no usable times.

    Without keyframes in the table the reader does not seek either, but counts from the start.
    """
    with opened(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        seconds = []
        for index, _ in enumerate(decoded(container, stream)):
            if index >= MAX_FRAMES:
                check_count(index + 1)
            seconds.append(index * step)
    if not seconds:
        raise _undecodable(path)
    return _Table(seconds=seconds, keyframes=[], last_duration=step)


def _first_picture(path: Path) -> VideoFrame:
    with opened(path) as container:
        for picture in decoded(container, video_stream(container, path)):
            return picture
    raise _undecodable(path)


def _undecodable(path: Path) -> VideoError:
    return VideoError(
        f"{path.name} opens, but not one of its frames can be decoded.",
        remedy="It is cut off or damaged. Copy it again, or convert it.",
    )


def _frame_rate(header: Fraction | None, times: list[float]) -> Fraction:
    """The header's average rate, unless the frames themselves say otherwise."""
    if times[-1] <= times[0]:
        return header or Fraction(25)
    counted = (len(times) - 1) / (times[-1] - times[0])
    if header and abs(float(header) / counted - 1) < 0.02:
        return header
    typical = statistics.median(b - a for a, b in itertools.pairwise(times))
    if header and abs(float(header) * typical - 1) < 0.02 and len(times) < 8:
        return header  # too few frames to tell a gap from a rate
    if counted < 1:  # a frame each hour is 1/3600 a second, not 0
        return 1 / Fraction(1 / counted).limit_denominator(1001)
    return Fraction(counted).limit_denominator(1001)


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


def _check_index(stream: VideoStream, path: Path) -> None:
    """Refuse a file whose own index points beyond its end."""
    size = path.stat().st_size
    entries = stream.index_entries
    beyond = sum(entry.pos + entry.size > size for entry in entries)
    if beyond:
        raise VideoError(
            f"{path.name} is cut off: its index lists {len(entries):,} frames, and the last "
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
