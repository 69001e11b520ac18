"""Requests with frames of noise, and ways to listen to an engine; no file is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from core.engine import Engine, Event, Finished, Request, Text
from core.planning import ModelCard, Plan, Settings, Turn, make_plan
from core.planning.prompt import prompt_writer
from core.video import Frames, describe_video


def noise(plan: Plan) -> Frames:
    """Frames of the plan's number, size and times."""
    shape = (len(plan.indices), plan.height, plan.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Frames(pixels=pixels, seconds=plan.times, indices=plan.indices)


def request(
    card: ModelCard,
    *,
    question: str = "What happens?",
    reply_tokens: int = 8,
    seconds: float = 2.0,
    **chosen: Any,
) -> Request:
    """A question about a video of so many seconds; ``chosen`` are fields of Settings."""
    info = describe_video(width=320, height=180, duration_seconds=seconds, frame_rate=25)
    chosen = {"max_frame_tokens": 16, **chosen}
    plan = make_plan(info, Settings(**chosen), card)
    return Request(
        frames=noise(plan),
        plan=plan,
        prompt=prompt_writer(card.folder).render([Turn("user", question)]),
        reply_tokens=reply_tokens,
    )


def said(events: list[Event]) -> str:
    """The whole reply."""
    return "".join(event.text for event in events if isinstance(event, Text))


def ending(events: list[Event]) -> Finished:
    """The closing event."""
    assert isinstance(events[-1], Finished)
    return events[-1]


NEVER = threading.Event()


def ask(engine: Engine, stop: threading.Event = NEVER, **asked: Any) -> list[Event]:
    """All events of one request; see ``request``."""
    return list(engine.stream(request(engine.card, **asked), stop=stop))


def still_works(engine: Engine) -> bool:
    """Whether the next question gets an answer."""
    return ending(ask(engine)).reply_tokens > 0


@contextmanager
def listening(network: Any, call: Callable[[], object]) -> Iterator[None]:
    """Call something before every pass through the text layers: the prompt's, then one a token."""
    first = network.model.language_model.layers[0]
    handle = first.register_forward_pre_hook(lambda *_: call() and None)
    try:
        yield
    finally:
        handle.remove()


class Passes:
    """Counts forward passes, each made slower by ``seconds``."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.count, self.seconds = 0, seconds

    def __call__(self) -> None:
        self.count += 1
        time.sleep(self.seconds)
