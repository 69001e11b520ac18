"""Draws long clips in which brief events happen at random times; knows nothing of finding them.

Backgrounds: ``static``; ``moving``, a slow pan over a larger picture; ``noisy``, as a hand-held
camera in bad light gives it: grain, flicker and shake. Events: a flash, a small object that appears
and goes, a cut to another scene and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

BACKGROUNDS = ("static", "moving", "noisy")
EVENTS = ("flash", "object", "cut")
Planes = tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventClip:
    """How a clip is drawn and encoded.

    Attributes:
        events: how many; 0 for a clip in which nothing happens.
        event_seconds: how long each of them lasts.
        noise: grain of a noisy clip: the standard deviation of each pixel, of 255.
        shake: how many pixels a noisy clip may be displaced by.
        object_size: an object's edge as a share of the picture's height.
        contrast: how much lighter or darker an object or a flash is, of 255.
    """

    background: str
    seed: int = 0
    seconds: float = 600.0
    width: int = 640
    height: int = 360
    rate: Fraction = Fraction(30)
    events: int = 10
    event_seconds: float = 0.5
    noise: float = 8.0
    shake: int = 2
    object_size: float = 0.15
    contrast: int = 70
    codec: str = "libx264"
    container: str = "mp4"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "veryfast"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happens from frame ``first`` up to, but not at, frame ``end``."""

    kind: str
    first: int
    end: int


def events_of(clip: EventClip) -> list[Event]:
    """The clip's events, in order: at random times, the kinds in turn."""
    draw = np.random.default_rng([clip.seed, 1])
    rate, length = float(clip.rate), round(clip.event_seconds * clip.rate)
    free = clip.seconds - clip.events * (clip.event_seconds + 1.0) - 2.0
    offsets = np.sort(draw.uniform(0.0, free, clip.events))
    starts = 1.0 + offsets + np.arange(clip.events) * (clip.event_seconds + 1.0)
    kinds = draw.permutation([EVENTS[number % len(EVENTS)] for number in range(clip.events)])
    return [
        Event(kind=str(kind), first=round(start * rate), end=round(start * rate) + length)
        for kind, start in zip(kinds, starts, strict=True)
    ]


def write_clip(clip: EventClip, path: Path) -> list[Event]:
    """Draw and encode ``clip``; gives what happens in it."""
    events = events_of(clip)
    with av.open(str(path), "w", format=clip.container) as container:
        stream: Any = container.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv420p"
        for number, planes in enumerate(_pictures(clip, events)):
            frame = VideoFrame.from_ndarray(_packed(planes), format="yuv420p")
            frame.pts, frame.time_base = number, 1 / clip.rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return events


def _packed(planes: Planes) -> NDArray[np.uint8]:
    flat = [np.clip(plane, 16, 235).astype(np.uint8).reshape(-1) for plane in planes]
    height, width = planes[0].shape
    return np.concatenate(flat).reshape(height * 3 // 2, width)


def _pictures(clip: EventClip, events: list[Event]) -> Iterator[Planes]:
    draw = np.random.default_rng([clip.seed, 2])
    frames = round(clip.seconds * clip.rate)
    happens = {number: event for event in events for number in range(event.first, event.end)}
    margin = 96 if clip.background == "moving" else 2 * ((clip.shake + 1) // 2)
    canvas = _canvas(draw, clip.height + 2 * margin, clip.width + 2 * margin)
    grain = draw.normal(0.0, clip.noise, (clip.height + 64, clip.width + 64)).astype(np.int16)
    periods = draw.uniform(40.0, 120.0, 2)
    actor: dict[int, Any] = {}
    for number in range(frames):
        y, x = _place(clip, number, margin, periods, draw)
        planes = _cropped(canvas, y, x, clip)
        event = happens.get(number)
        if event is not None:
            act = actor.setdefault(event.first, _actor(event, clip, draw))
            planes = _acted(planes, event, act, clip)
        if clip.background == "noisy":
            planes = _filmed(planes, grain, draw)
        yield planes


def _place(
    clip: EventClip, number: int, margin: int, periods: NDArray[np.float64], draw: Any
) -> tuple[int, int]:
    """Where on the canvas the picture begins: even numbers, so that the colours stay in place."""
    if clip.background == "moving":
        turn = 2 * np.pi * number / float(clip.rate) / periods
        along = margin * (1 + np.sin(turn)) / 2
        return int(along[0]) * 2, int(along[1]) * 2
    if clip.background == "noisy" and clip.shake:
        step = draw.integers(0, margin // 2 + 1, 2) * 2
        return int(step[0]), int(step[1])
    return 0, 0


def _cropped(canvas: Planes, y: int, x: int, clip: EventClip) -> Planes:
    light, blue, red = canvas
    half = (slice(y // 2, (y + clip.height) // 2), slice(x // 2, (x + clip.width) // 2))
    return (
        light[y : y + clip.height, x : x + clip.width].copy(),
        blue[half].copy(),
        red[half].copy(),
    )


def _canvas(draw: Any, height: int, width: int) -> Planes:
    """A picture with large and small shapes and fine texture, at random."""
    height, width = height + height % 2, width + width % 2
    light = np.full((height, width), draw.uniform(70, 150))
    blue = np.full((height // 2, width // 2), 128.0)
    red = np.full((height // 2, width // 2), 128.0)
    for _ in range(40):
        top, left = draw.integers(0, height), draw.integers(0, width)
        tall, wide = draw.integers(8, height // 2), draw.integers(8, width // 3)
        light[top : top + tall, left : left + wide] += draw.uniform(-35, 35)
        half = (
            slice(top // 2, (top + tall) // 2),
            slice(left // 2, (left + wide) // 2),
        )
        blue[half] += draw.uniform(-20, 20)
        red[half] += draw.uniform(-20, 20)
    light += draw.normal(0, 4, light.shape)
    return (
        np.clip(light, 30, 220).astype(np.int16),
        np.clip(blue, 70, 190).astype(np.int16),
        np.clip(red, 70, 190).astype(np.int16),
    )


def _actor(event: Event, clip: EventClip, draw: Any) -> Any:
    if event.kind == "cut":
        return _canvas(draw, clip.height, clip.width)
    if event.kind == "object":
        edge = max(4, int(clip.object_size * clip.height) // 2 * 2)
        top = int(draw.integers(0, (clip.height - edge) // 2)) * 2
        left = int(draw.integers(0, (clip.width - edge) // 2)) * 2
        return edge, top, left, draw.choice([-1, 1]), draw.uniform(-60, 60, 2)
    return draw.choice([-1, 1])


def _acted(planes: Planes, event: Event, act: Any, clip: EventClip) -> Planes:
    light, blue, red = planes
    if event.kind == "cut":
        return act[0].copy(), act[1].copy(), act[2].copy()
    if event.kind == "flash":
        return light + np.int16(clip.contrast * act), blue, red
    edge, top, left, sign, colours = act
    here = (slice(top, top + edge), slice(left, left + edge))
    there = (slice(top // 2, (top + edge) // 2), slice(left // 2, (left + edge) // 2))
    usual = int(light[here].mean())
    if not 16 <= usual + sign * clip.contrast <= 235:
        sign = -sign
    light[here] = usual + sign * clip.contrast
    blue[there] = 128 + int(colours[0])
    red[there] = 128 + int(colours[1])
    return planes


def _filmed(planes: Planes, grain: NDArray[np.int16], draw: Any) -> Planes:
    """With grain that differs from frame to frame, and a little flicker."""
    light, blue, red = planes
    height, width = light.shape
    y, x = draw.integers(0, 65, 2)
    noise = grain[y : y + height, x : x + width]
    if draw.integers(2):
        noise = noise[::-1]
    if draw.integers(2):
        noise = noise[:, ::-1]
    flicker = np.int16(round(float(draw.normal(0, 1.5))))
    tint = noise[::2, ::2] // 2
    return light + noise + flicker, blue + tint, red - tint
