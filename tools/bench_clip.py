"""Draws and encodes the clip that readers are measured on; knows no reader.

A landscape of noise drifts under moving shapes, with the grain of a camera, as H.264 with a
keyframe every 250 frames. Two minutes are encoded, and their packets repeated.

The grain is what costs bits. A camera's is soft, since each place of a sensor sees one colour only
and its neighbours fill in the others. It is as strong as gives 1.5 Mbit/s at the encoder's default
(30 minutes of 1280x720 are 349 MB), which is what films of that size have on the web, 1.5 to 3.
Fewer bits make decoding cheaper for every reader alike, and scaling, in which they differ, a larger
share of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

RATE, GOP, GOPS_ENCODED = 30, 250, 15
GRAIN = 2.0  # root mean square, in levels of 255

Plane = np.ndarray[Any, Any]


def make_clip(
    path: Path, *, seconds: int, size: tuple[int, int], grain: float, options: dict[str, str]
) -> None:
    """Encode some GOPs and repeat their packets until the clip is long enough."""
    import av

    frames = min(seconds * RATE, GOP * GOPS_ENCODED)
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0"} | options
        stream.thread_type = "FRAME"  # as the encoder's own program does: one slice a picture
        for picture in _pictures(frames, *size, grain=grain):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _repeat(part, path, frames=frames, wanted=seconds * RATE)
    part.unlink()


def _repeat(part: Path, path: Path, *, frames: int, wanted: int) -> None:
    """Write the packets of ``part``, ``frames`` pictures, until there are as many as wanted."""
    import av

    whole, first = path.with_suffix(".whole.mp4"), 0
    with av.open(str(part)) as source, av.open(str(whole), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        base = source.streams.video[0].time_base or Fraction(1)
        once: list[Any] = [packet for packet in source.demux(video=0) if packet.size]
        while first < wanted:
            for packet in once[: wanted - first]:
                copy = av.Packet(bytes(packet))
                copy.pts = packet.pts + round(first / RATE / base)
                copy.dts = packet.dts + round(first / RATE / base)
                copy.duration, copy.time_base = packet.duration, base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                container.mux(copy)
            first += frames
    whole.rename(path)


def _pictures(count: int, width: int, height: int, *, grain: float) -> Iterator[Plane]:
    """4:2:0 planes of each picture below each other, as PyAV takes them."""
    random = np.random.default_rng(0)
    land = _landscape(random, height, width * 2)
    tint = [(_landscape(random, height // 2, width) // 4 + 96).astype(np.uint8) for _ in "uv"]
    grains = [_soft_grain(random, height, width, strength=grain) for _ in range(8)]
    for number in range(count):
        left = int(width / 2 * (1 + np.sin(number / 90)))
        luma = land[:, left : left + width] + np.roll(grains[number % 8], number * 37, axis=1)
        chroma = [plane[:, left // 2 : left // 2 + width // 2] for plane in tint]
        for shape in range(3):
            x = number * (5 + 2 * shape) % (width - width // 8) // 2 * 2
            y = (height // 4 * shape + number) % (height - height // 5) // 2 * 2
            luma[y : y + height // 5, x : x + width // 8] = 60 + 60 * shape
        planes = [luma.clip(16, 235).astype(np.uint8), *chroma]
        yield np.concatenate([plane.reshape(-1, width) for plane in planes])


def _landscape(random: np.random.Generator, height: int, width: int) -> Plane:
    """Noise with the spectrum of a natural picture: amplitude falls as frequency rises."""
    spectrum = np.fft.rfft2(random.normal(size=(height, width)))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    spectrum /= np.maximum(np.hypot(rows, columns), 1 / width) ** 1.5
    plane = np.fft.irfft2(spectrum, s=(height, width))
    scaled = 128 + 45 * (plane - plane.mean()) / plane.std()
    return scaled.clip(20, 230).astype(np.int16)


def _soft_grain(random: np.random.Generator, height: int, width: int, *, strength: float) -> Plane:
    """Noise in which neighbours resemble each other; its root mean square is ``strength``."""
    plane = random.normal(size=(height, width))
    for axis in (0, 1):
        plane = np.roll(plane, 1, axis) + 2 * plane + np.roll(plane, -1, axis)
    return (plane / plane.std() * strength).round().astype(np.int16)
