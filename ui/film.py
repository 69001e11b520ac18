"""The film strip: the planned frames as small pictures, decoded once and kept with the session."""

from __future__ import annotations

import base64
import io
import logging
import time
from collections.abc import Iterator
from typing import Any

from core.errors import FramewiseError
from core.video import iter_frames
from ui import render
from ui.sessions import Session

log = logging.getLogger(__name__)
THUMBNAIL_PIXELS = 96 * 54
STRIP_SECONDS = 0.5


def fill_strip(session: Session) -> Iterator[str]:
    """The strip of the newest plan, at once and then as its frames are decoded."""
    foreseen = session.foreseen
    if foreseen is None:
        yield ""
        return
    info, plan, pictures = foreseen.info, foreseen.plan, session.pictures
    yield render.strip(plan, info, pictures)
    missing = sorted(set(plan.indices) - set(pictures))
    scale = (THUMBNAIL_PIXELS / (info.width * info.height)) ** 0.5
    height, width = max(2, round(info.height * scale)), max(2, round(info.width * scale))
    shown = time.monotonic()
    try:
        for frame in iter_frames(info, missing, height=height, width=width):
            newest = session.foreseen
            if newest is None or (newest.info, newest.plan.indices) != (info, plan.indices):
                return  # the sliders have moved on, and so will the next call
            pictures[frame.index] = _data_url(frame.pixels)
            if time.monotonic() - shown > STRIP_SECONDS:
                shown = time.monotonic()
                yield render.strip(plan, info, pictures)
    except FramewiseError as error:
        log.warning("No thumbnails: %s", error)
    if missing:
        yield render.strip(plan, info, pictures)


def _data_url(pixels: Any) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
