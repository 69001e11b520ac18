"""Stop before anything is read: heard between pieces of pixels, in whatever thread makes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pytest

from asking_by_hand import Passes, ask, ending, listening, request, still_works
from asking_many import Maker, heard
from core.engine import Event, Text, pieces
from core.engine.local import LocalEngine
from core.engine.many import stream_many

SECONDS, LAST = 10.0, 2  # of a video of ten pieces; somebody presses Stop at the second


class Pieces:
    """Counts what is made of pixels, and sets ``stop`` at one of them."""

    def __init__(self) -> None:
        self.count, self.stop = 0, threading.Event()

    def __call__(self) -> None:
        self.count += 1
        if self.count == LAST:
            self.stop.set()


@pytest.fixture
def made(processor: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pieces]:
    """Of every two frames of any video from now on; shapes alone are no piece."""
    counted, kind = Pieces(), type(processor.video_processor)
    call = kind.__call__

    def listen(self: Any, videos: Any, *args: Any, **named: Any) -> Any:
        if not videos[0][0].is_meta:
            counted()
        return call(self, videos, *args, **named)

    monkeypatch.setattr(pieces, "PIECE_VALUES", 1)
    monkeypatch.setattr(kind, "__call__", listen)
    return counted


def _stopped(events: list[Event]) -> bool:
    finished = ending(events)
    return (finished.reason, finished.reply_tokens) == ("stopped", 0)


def test_in_ones_turn(made: Pieces, engine: LocalEngine) -> None:
    assert _stopped(ask(engine, made.stop, seconds=SECONDS))
    assert made.count == LAST
    assert still_works(engine)


def test_for_who_waits(made: Pieces, maker: Maker) -> None:
    """Made ahead in a thread of its own; whose turn it is meanwhile goes on."""
    engine, network = maker.engine(1)
    first_stop = threading.Event()
    with listening(network, Passes(0.005)):
        first = engine.stream(request(maker.card, reply_tokens=4000), stop=first_stop)
        next(event for event in first if isinstance(event, Text))
        made.count, made.stop = 0, threading.Event()
        assert _stopped(ask(engine, made.stop, seconds=SECONDS))
        assert made.count == LAST
        next(event for event in first if isinstance(event, Text))
        first_stop.set()
        assert ending(list(first)).reason == "stopped"
    assert still_works(engine)


def test_for_a_batch(made: Pieces, maker: Maker) -> None:
    """Of its first request; the others are not begun."""
    engine, _ = maker.engine(2)
    asked = [request(maker.card, seconds=SECONDS) for _ in range(3)]
    assert heard(stream_many(engine, iter(asked), stop=made.stop)) == {}
    assert made.count == LAST
    assert still_works(engine)


def test_while_another_has_the_processor(maker: Maker) -> None:
    """Whose turn it is has not come back from it when who waits for it hears of Stop."""
    begun, let, stop = (threading.Event() for _ in range(3))

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(maker.processor, name)

        def __call__(self, **asked: Any) -> Any:
            begun.set()
            assert let.wait(60)
            return maker.processor(**asked)

    def stopped_while_it_waits() -> list[Event]:
        events = list[Event]()
        for event in engine.stream(request(maker.card), stop=stop):
            events.append(event)
            stop.set()
        return events

    engine, _ = replace(maker, processor=Slow()).engine(1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, engine)
        assert begun.wait(60)
        second = pool.submit(stopped_while_it_waits)
        done, _ = wait([second], timeout=20)
        let.set()
    assert done == {second}
    assert _stopped(second.result())
    assert ending(first.result()).reply_tokens > 0
