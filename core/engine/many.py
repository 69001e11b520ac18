"""Many requests to any engine: several at once where it gains, one after the other elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator

from core.engine.base import AnswersMany, Engine, Event, Failed, Progress, Request

Told = tuple[int, Event | Failed]


def stream_many(
    engine: Engine, requests: Iterator[Request | None], *, stop: threading.Event
) -> Generator[Told]:
    """Answer requests as they come; ``stop`` ends the replies under way and takes no more.

    Args:
        engine: if it is one of AnswersMany, it may take a request while others are answered.
        requests: may be used in another thread until this has ended or was closed. Instead of
            keeping that waiting for long it gives None: none is ready yet.
        stop: see Engine.stream.

    Yields:
        The number of a request, from 0 in the order of ``requests``, and what happens to it; the
        last is Finished, or Failed with what Engine.stream would have raised.

    Raises:
        BaseException: what ``requests`` has raised, when those before it are answered.
    """
    if isinstance(engine, AnswersMany):
        return engine.stream_many(requests, stop=stop)
    return one_by_one(engine.stream, requests, stop=stop)


def one_by_one(
    stream: Callable[..., Iterator[Event]],
    requests: Iterator[Request | None],
    *,
    stop: threading.Event,
) -> Generator[Told]:
    """The same by an engine's ``stream``."""
    number = 0
    while not stop.is_set():
        try:
            request = next(requests)
        except StopIteration:
            return
        if request is None:
            yield number, Progress(stage="reading")
            continue
        try:
            for event in stream(request, stop=stop):
                yield number, event
        except Exception as error:
            yield number, Failed(error=error)
        number += 1
