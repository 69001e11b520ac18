"""The film strip: the planned frames as small pictures, decoded once and kept with the session.

Where exact frames take a while, the nearest keyframes stand in for them, with their own times.
"""

from __future__ import annotations

import base64
import bisect
import io
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from core.asking import Foreseen
from core.errors import FramewiseError
from core.video import VideoInfo, iter_frames
from ui import render
from ui.sessions import Session

log = logging.getLogger(__name__)
THUMBNAIL_PIXELS = 96 * 54
STRIP_SECONDS, FIRST_SECONDS = 0.5, 0.1
QUICK_FRAMES = 500  # to be decoded: up to half a second at 720p


def fill_strip(session: Session) -> Iterator[str]:
    """The strip of the newest plan: at once, then with keyframes, then as its frames come."""
    foreseen = session.foreseen
    if foreseen is None:
        yield ""
        return
    info, plan, pictures = foreseen.info, foreseen.plan, session.pictures
    missing = sorted(set(plan.indices) - set(pictures))
    nearest = stand_ins(missing, info)
    keyframes = sorted(set(nearest.values()) - set(pictures))
    yield render.strip(plan, info, pictures, nearest)
    try:
        for wanted in (keyframes, missing):
            for _ in _decode(wanted, foreseen, session):
                yield render.strip(plan, info, pictures, nearest)
    except FramewiseError as error:
        log.warning("No thumbnails: %s", error)
    yield render.strip(plan, info, pictures, nearest)


def stand_ins(missing: Sequence[int], info: VideoInfo) -> dict[int, int]:
    """For each frame the keyframe nearest in time; none where the frames themselves come soon."""
    keyframes = info.keyframes
    if not keyframes or _frames_to_decode(missing, keyframes) <= QUICK_FRAMES:
        return {}
    found = {}
    for index in missing:
        place = bisect.bisect_left(keyframes, index)
        around = keyframes[max(0, place - 1) : place + 1]
        found[index] = min(around, key=lambda key: abs(info.time_of(key) - info.time_of(index)))
    return found


def _frames_to_decode(wanted: Sequence[int], keyframes: Sequence[int]) -> int:
    """Frames from each one's keyframe to it, those that several share counted once."""
    total, decoded = 0, -1
    for index in wanted:
        place = bisect.bisect_right(keyframes, index)
        begin = keyframes[place - 1] if place else 0
        total += index - max(begin - 1, decoded)
        decoded = index
    return total


def _decode(wanted: Sequence[int], foreseen: Foreseen, session: Session) -> Iterator[None]:
    """Fill in the pictures of ``wanted``; yields when it is time to show what there is."""
    info, indices, pictures = foreseen.info, foreseen.plan.indices, session.pictures
    scale = (THUMBNAIL_PIXELS / (info.width * info.height)) ** 0.5
    height, width = max(2, round(info.height * scale)), max(2, round(info.width * scale))
    due = time.monotonic() + FIRST_SECONDS
    for frame in iter_frames(info, wanted, height=height, width=width):
        newest = session.foreseen
        if newest is None or (newest.info, newest.plan.indices) != (info, indices):
            return  # the sliders have moved on, and so will the next call
        pictures[frame.index] = _data_url(frame.pixels)
        if time.monotonic() > due:
            due = time.monotonic() + STRIP_SECONDS
            yield
    if wanted:
        yield


def _data_url(pixels: Any) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
