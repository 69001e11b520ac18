"""Draws and encodes small clips whose every frame carries its own number; knows nothing of core.

A picture is a grid of 4 x 4 cells, lit (orange) or dark. The corners are fixed, only the upper left
one is lit, so that a turned, mirrored or wrongly coloured picture is noticed. The twelve cells
between them are the bits of the frame's number, the highest first, in reading order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

CELLS = 4
LIT, DARK = (255, 160, 0), (0, 0, 40)
CORNERS = {(0, 0): True, (0, 3): False, (3, 0): False, (3, 3): False}
BITS = [(row, column) for row in range(4) for column in range(4) if (row, column) not in CORNERS]
TICK = Fraction(1, 90_000)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """How a clip is made, and what a viewer of it sees.

    ``times`` are seconds from the first shown frame; None means that the rate is constant.
    ``claimed_frames`` is what the header of an AVI file says instead of the truth.
    """

    name: str
    codec: str = "libx264"
    shown_codec: str = "h264"
    container: str = "mov"
    pixel_format: str = "yuv420p"
    width: int = 96
    height: int = 64
    frames: int = 60
    rate: Fraction = Fraction(25)
    times: tuple[float, ...] | None = None
    first_second: float = 0.0
    rotation: int = 0
    pixel_aspect: Fraction = Fraction(1)
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)
    second_picture: tuple[int, int] | None = None
    claimed_frames: int | None = None
    sound: bool = False

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a viewer sees them."""
        width = round(self.width * self.pixel_aspect)
        return (self.height, width) if self.rotation in (90, 270) else (width, self.height)

    @property
    def shown_times(self) -> list[float]:
        """When each frame is shown."""
        if self.times is not None:
            return list(self.times)
        return [float(index / self.rate) for index in range(self.frames)]


def _uneven(count: int) -> tuple[float, ...]:
    """Times of a screen recording: bursts at 30 a second, then pauses of 1.2 s."""
    times, now = [], 0.0
    for index in range(count):
        times.append(round(now, 6))
        now += 1.2 if index % 10 == 9 else 0.04
    return tuple(times)


# B-frames and one keyframe for every fifty frames: what a phone's or an editor's export looks like
X264 = {"g": "50", "bf": "3", "preset": "veryfast", "crf": "20", "sc_threshold": "0"}
LOSSLESS = {"qscale:v": "2"}
NTSC = Fraction(30000, 1001)

CLIPS: dict[str, Clip] = {
    clip.name: clip
    for clip in (
        Clip(name="h264.mp4", frames=120, options=X264, sound=True),
        Clip(name="one_keyframe.mp4", frames=200, options=X264 | {"g": "500"}),
        Clip(name="open_gop.mp4", frames=120, options=X264 | {"x264-params": "open-gop=1"}),
        Clip(name="ntsc.mov", rate=NTSC, options=X264),
        Clip(name="h264.mkv", container="matroska", options=X264, sound=True),
        Clip(name="h264.ts", container="mpegts", options=X264),
        Clip(name="h264.avi", container="avi", options=X264 | {"g": "12", "bf": "0"}),
        Clip(name="h264.flv", container="flv", options=X264),
        Clip(
            name="mpeg4.avi",
            codec="mpeg4",
            shown_codec="mpeg4",
            container="avi",
            options={"g": "40"} | LOSSLESS,
        ),
        *(
            Clip(
                name=f"{name}.avi",
                codec="mpeg4",
                shown_codec="mpeg4",
                container="avi",
                claimed_frames=claimed,
                options={"g": "20"} | LOSSLESS,
            )
            for name, claimed in {"uncounted": 0, "miscounted": 62}.items()
        ),
        Clip(
            name="mpeg4_b_frames.mp4",
            codec="mpeg4",
            shown_codec="mpeg4",
            options={"g": "20", "bf": "2"} | LOSSLESS,
        ),
        Clip(
            name="mpeg2.mp4",
            codec="mpeg2video",
            shown_codec="mpeg2video",
            options={"g": "12", "bf": "2"} | LOSSLESS,
        ),
        Clip(
            name="mpeg2.mpg",
            codec="mpeg2video",
            shown_codec="mpeg2video",
            container="mpeg",
            options={"g": "12", "bf": "2"} | LOSSLESS,
        ),
        Clip(name="wmv.wmv", codec="wmv2", shown_codec="wmv2", container="asf", options=LOSSLESS),
        Clip(name="vp8.webm", codec="libvpx", shown_codec="vp8", container="matroska"),
        Clip(name="vp9.webm", codec="libvpx-vp9", shown_codec="vp9", container="matroska"),
        Clip(
            name="odd_size.webm",
            codec="libvpx-vp9",
            shown_codec="vp9",
            container="matroska",
            width=101,
            height=67,
        ),
        Clip(
            name="full_colour.webm",
            codec="libvpx-vp9",
            shown_codec="vp9",
            container="matroska",
            pixel_format="yuv444p",
            frames=30,
        ),
        Clip(
            name="hevc_10_bit.mkv",
            codec="libx265",
            shown_codec="hevc",
            container="matroska",
            pixel_format="yuv420p10le",
            frames=40,
            options={
                "x265-params": "log-level=none:keyint=12:min-keyint=12:scenecut=0:no-open-gop=1"
            },
        ),
        Clip(
            name="hevc.mp4",
            codec="libx265",
            shown_codec="hevc",
            options={"x265-params": "log-level=none:keyint=50"},
        ),
        Clip(
            name="av1.mp4",
            codec="libsvtav1",
            shown_codec="av1",
            options={"preset": "8", "crf": "12"},
        ),
        Clip(
            name="av1_10_bit.webm",
            codec="libsvtav1",
            shown_codec="av1",
            container="matroska",
            pixel_format="yuv420p10le",
            frames=30,
            options={"preset": "8", "crf": "12", "g": "10"},
        ),
        Clip(
            name="mjpeg.avi",
            codec="mjpeg",
            shown_codec="mjpeg",
            container="avi",
            pixel_format="yuvj420p",
        ),
        Clip(
            name="animation.gif",
            codec="gif",
            shown_codec="gif",
            container="gif",
            pixel_format="rgb8",
            rate=Fraction(10),
            frames=24,
        ),
        Clip(name="ten_bit.mp4", pixel_format="yuv420p10le", options=X264),
        Clip(name="odd_size.mp4", width=101, height=67, pixel_format="yuv444p", options=X264),
        Clip(name="only_keyframes.mov", frames=30, options=X264 | {"g": "1", "bf": "0"}),
        Clip(name="no_b_frames.mkv", container="matroska", options=X264 | {"g": "12", "bf": "0"}),
        Clip(
            name="many_b_frames.mp4",
            options=X264 | {"g": "30", "bf": "8", "b_strategy": "0", "x264-params": "b-pyramid=2"},
        ),
        Clip(name="full_colour.mp4", pixel_format="yuv444p", options=X264),
        Clip(name="uneven.mp4", times=_uneven(60), options=X264),
        Clip(name="uneven.mkv", times=_uneven(60), container="matroska", options=X264),
        Clip(name="starts_late.mp4", first_second=3.0, options=X264),
        Clip(name="starts_late.mkv", first_second=3.0, container="matroska", options=X264),
        Clip(name="starts_late.ts", first_second=600.0, container="mpegts", options=X264),
        *(
            Clip(name=f"turned_{angle}.mp4", rotation=angle, options=X264, frames=30)
            for angle in (90, 180, 270)
        ),
        *(
            Clip(
                name=f"turned_{angle}.mkv",
                container="matroska",
                rotation=angle,
                options=X264,
                frames=30,
            )
            for angle in (90, 180)
        ),
        Clip(name="wide_pixels.mp4", pixel_aspect=Fraction(4, 3), options=X264, frames=30),
        Clip(
            name="turned_wide_pixels.mp4",
            pixel_aspect=Fraction(3, 2),
            rotation=90,
            options=X264,
            frames=30,
        ),
        Clip(name="two_pictures.mp4", second_picture=(48, 32), options=X264),
        Clip(name="two_alike.mp4", second_picture=(96, 64), options=X264),
        Clip(name="fragments.mp4", muxing={"movflags": "frag_keyframe+empty_moov"}, options=X264),
        Clip(name="index_first.mp4", muxing={"movflags": "faststart"}, options=X264),
        Clip(name="one_frame.mp4", frames=1, options=X264),
        Clip(name="two_frames.mp4", frames=2, options=X264),
        Clip(name="slow.mp4", rate=Fraction(1, 2), frames=8, options=X264),
        Clip(name="fast.mp4", rate=Fraction(240), frames=240, options=X264),
        Clip(name="a name, with ? and #, 100%d ü.mp4", frames=10, options=X264),
    )
}


def picture_of(number: int, *, width: int, height: int) -> np.ndarray:
    """The picture of a frame: uint8, height x width x 3, RGB."""
    lit = dict(CORNERS)
    for place, cell in enumerate(BITS):
        lit[cell] = bool(number >> (len(BITS) - 1 - place) & 1)
    rows = np.arange(height) * CELLS // height
    columns = np.arange(width) * CELLS // width
    grid = np.array([[LIT if lit[r, c] else DARK for c in range(CELLS)] for r in range(CELLS)])
    return np.ascontiguousarray(grid[rows][:, columns], dtype=np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """The number in a picture of any size; AssertionError if it is turned or wrongly coloured."""
    height, width, _ = pixels.shape
    lit = {}
    for row in range(CELLS):
        for column in range(CELLS):
            y = slice(int((row + 0.3) * height / CELLS), int((row + 0.7) * height / CELLS) + 1)
            x = slice(int((column + 0.3) * width / CELLS), int((column + 0.7) * width / CELLS) + 1)
            red, _, blue = pixels[y, x].reshape(-1, 3).mean(axis=0)
            lit[row, column] = red > 128
            assert (red > blue) == lit[row, column], f"colours are not RGB: {pixels[y, x].mean()}"
    corners = {cell: lit[cell] for cell in CORNERS}
    assert corners == CORNERS, f"the picture is turned or mirrored: {corners}"
    return sum(bool(lit[cell]) << (len(BITS) - 1 - place) for place, cell in enumerate(BITS))


def write(clip: Clip, folder: Path) -> Path:
    """Encode ``clip`` into ``folder``, and give the file."""
    path = folder / clip.name
    with av.open(str(path), "w", options=clip.muxing) as container:
        streams = [  # a second picture comes first in the file, as a preview track does
            _video_stream(container, clip, width=width, height=height)
            for width, height in filter(None, (clip.second_picture, (clip.width, clip.height)))
        ]
        streams[-1].disposition = Disposition.default  # the one that a player shows
        sound = (
            container.add_stream("aac" if clip.container == "mov" else "mp2", rate=48000)
            if clip.sound
            else None
        )
        for stream in streams:
            for frame in _frames(clip, stream, blank=len(streams) > 1 and stream is streams[0]):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if sound is not None:
            _hum(container, sound, seconds=clip.frames / float(clip.rate))
    if clip.claimed_frames is not None:
        _claim(path, clip.claimed_frames)
    return path


def _claim(path: Path, frames: int) -> None:
    """Write another number of frames into the two places where an AVI file counts them."""
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 24), (b"strh", 40)):
        place = data.index(chunk) + offset
        data[place : place + 4] = frames.to_bytes(4, "little")
    path.write_bytes(data)


def write_sound(path: Path) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as container:
        _hum(container, container.add_stream("aac", rate=48000), seconds=2.0)
    return path


def _video_stream(
    container: av.container.OutputContainer, clip: Clip, *, width: int, height: int
) -> VideoStream:
    stream = container.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options))
    stream.width, stream.height, stream.pix_fmt = width, height, clip.pixel_format
    if clip.pixel_aspect != 1:
        stream.codec_context.sample_aspect_ratio = clip.pixel_aspect
    if clip.rotation:
        stream.set_display_rotation(-clip.rotation)
    if clip.times is not None or clip.first_second:
        stream.codec_context.time_base = Fraction(1, 1000)
    return stream


def _frames(clip: Clip, stream: VideoStream, *, blank: bool) -> Iterator[VideoFrame]:
    """The pictures as coded: turned the other way than a player will turn them."""
    shown_width, shown_height = clip.shown_size
    base = Fraction(1, 1000) if clip.times is not None or clip.first_second else 1 / clip.rate
    for number, seconds in enumerate(clip.shown_times):
        if blank:
            pixels = np.zeros((stream.height, stream.width, 3), dtype=np.uint8)
        else:
            upright = picture_of(number, width=shown_width, height=shown_height)
            pixels = np.ascontiguousarray(np.rot90(upright, k=clip.rotation // 90))
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(width=stream.width, height=stream.height, format=clip.pixel_format)
        frame.time_base = base
        frame.pts = round(Fraction(seconds + clip.first_second).limit_denominator(10**6) / base)
        yield frame


def _hum(
    container: av.container.OutputContainer, stream: av.audio.AudioStream, *, seconds: float
) -> None:
    samples = np.zeros((1, 1024), dtype=np.float32)
    for block in range(int(seconds * 48000 / 1024)):
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.rate, frame.pts = 48000, block * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def numbers_of(pixels: Sequence[np.ndarray]) -> list[int]:
    """The number of each picture."""
    return [number_of(picture) for picture in pixels]
