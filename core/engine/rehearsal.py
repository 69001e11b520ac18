"""A made-up question after a model is loaded, so that nobody's first one pays for what comes once.

Libraries load their kernels, processors their modules and the memory its blocks at their first use:
over a second on a GPU.
"""

from __future__ import annotations

import threading

import numpy as np

from core.engine.base import Engine, Request
from core.planning.plan import make_plan
from core.planning.settings import Settings
from core.video.info import describe_video
from core.video.reading import Frames

SECONDS, WIDTH, HEIGHT, REPLY_TOKENS = 8, 448, 252, 4


def rehearse(engine: Engine) -> None:
    """Ask about a short black video; the answer is nobody's."""
    card = engine.card
    info = describe_video(width=WIDTH, height=HEIGHT, duration_seconds=SECONDS, frame_rate=8)
    plan = make_plan(info, Settings(max_frames=SECONDS, reply_tokens=REPLY_TOKENS), card)
    pixels = np.zeros((len(plan.indices), plan.height, plan.width, 3), np.uint8)
    request = Request(
        frames=Frames(pixels=pixels, seconds=plan.times, indices=plan.indices),
        plan=plan,
        prompt=card.route(plan.route).text.marker,
        reply_tokens=REPLY_TOKENS,
    )
    for _ in engine.stream(request, stop=threading.Event()):
        pass
