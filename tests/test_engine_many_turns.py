"""Many requests and single ones take turns at a model: nobody waits for what is not ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from asking_by_hand import NEVER, Passes, ask, ending, listening, request, said
from asking_many import (
    Maker,
    heard,
    replies,
)
from core.engine import Event, Finished, Request, Started, Text
from core.engine.answering import Answering
from core.engine.many import stream_many
from fake_engine import wait_until


def test_batches_that_wait_for_requests_take_no_turns(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them handed the model to and fro, which kept a processor busy."""
    engine, _ = maker.engine(2)
    turns: list[int] = []
    monkeypatch.setattr(Answering, "reset_peaks", lambda _: turns.append(1))

    def nothing() -> Iterator[Request | None]:
        for _ in range(10):
            time.sleep(0.02)
            yield None

    batches = [
        threading.Thread(target=lambda: list(stream_many(engine, nothing(), stop=NEVER)))
        for _ in range(2)
    ]
    for each in batches:
        each.start()
    for each in batches:
        each.join(60)
    assert turns == []
    assert replies(heard(stream_many(engine, iter(maker.asked()[:1]), stop=NEVER)))
    assert turns != []


def test_others_are_let_in_between(maker: Maker) -> None:
    """A person who asks during a long batch waits for what is under way, not for all of it."""
    engine, network = maker.engine(2)
    finished: list[str] = []
    begun, waits = threading.Event(), threading.Event()

    def person() -> None:
        for _ in engine.stream(request(maker.card, question="A person"), stop=NEVER):
            waits.set()
        finished.append("person")

    def wait_for_the_person() -> None:
        assert not begun.is_set() or waits.wait(60)

    thread = threading.Thread(target=person)
    asked = [replace(each, reply_tokens=4 + n) for n, each in enumerate(maker.asked() * 4)]
    with listening(network, wait_for_the_person):
        for number, event in stream_many(engine, iter(asked), stop=NEVER):
            if number == 1 and isinstance(event, Started):
                begun.set()
                thread.start()
            if isinstance(event, Finished):
                finished.append(str(number))
        thread.join(60)
    assert len(finished) == 25
    assert "person" in finished[:6]


def test_who_waits_for_a_request_keeps_nobody_waiting(maker: Maker) -> None:
    """The next one of the batch is ready only when a person has been answered."""
    engine, _ = maker.engine(2)

    def requests() -> Iterator[Request | None]:
        yield maker.asked()[0]
        person = threading.Thread(target=lambda: ask(engine))
        person.start()
        while person.is_alive():
            person.join(0.01)  # or this thread leaves the others little of the processor
            yield None
        yield maker.asked()[1]

    found = heard(stream_many(engine, requests(), stop=NEVER))
    assert [found[number][-1].reason for number in (0, 1)] == ["length", "length"]


def test_a_batch_that_is_stopped_while_it_waits_touches_nobody(maker: Maker) -> None:
    """Whoever has the model meanwhile can still be stopped before the next layer, and only so."""
    engine, network = maker.engine(2)
    own, others, seen = threading.Event(), threading.Event(), list[str]()

    def batch_comes_and_goes() -> None:
        batch = threading.Thread(
            target=lambda: list(stream_many(engine, iter(maker.asked()), stop=others))
        )
        batch.start()
        time.sleep(0.2)  # it stands in line by then
        others.set()
        batch.join(60)
        assert not batch.is_alive()
        own.set()

    layers = network.model.language_model.layers
    layers[1].register_forward_hook(lambda *_: seen.append("second layer"))
    with listening(network, batch_comes_and_goes):
        finished = ending(ask(engine, own))
    assert (finished.reason, finished.reply_tokens, seen) == ("stopped", 0, [])


def test_the_next_one_is_made_ready_while_one_is_answered(
    maker: Maker, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processor has run before the first one's reply has ended."""
    engine, network = maker.engine(1)
    made: list[str] = []
    call = type(maker.processor).__call__

    def listen(self: Any, *args: Any, **named: Any) -> Any:
        made.append("made")
        return call(self, *args, **named)

    monkeypatch.setattr(type(maker.processor), "__call__", listen)
    first, _, second, third = maker.asked()[:4]
    replies_of: dict[int, list[Event]] = {}
    stop = threading.Event()

    def ask_one(number: int, asked: Request) -> None:
        replies_of[number] = list(engine.stream(asked, stop=NEVER))

    with listening(network, Passes(0.005)):
        long = engine.stream(replace(first, reply_tokens=4000), stop=stop)
        next(event for event in long if isinstance(event, Text))
        assert len(made) == 1
        threads = []
        for number, asked in enumerate((second, third)):
            asked = replace(asked, video=("film", 7 + number))
            threads.append(threading.Thread(target=ask_one, args=(number, asked)))
            threads[-1].start()
            time.sleep(0.05)
        assert wait_until(lambda: len(made) == 2)
        assert not wait_until(lambda: len(made) > 2, seconds=1)  # the one behind it has to wait
        stop.set()
        assert ending(list(long)).reason == "stopped"
        for thread in threads:
            thread.join(60)
    assert [said(replies_of[n]) for n in (0, 1)] == [alone[2], alone[3]]
    assert len(made) == 3


def test_frames_that_are_none_are_told_before_the_turn(maker: Maker) -> None:
    engine, network = maker.engine(1)
    asked = maker.asked()[0]
    broken = replace(asked.frames, pixels=asked.frames.pixels[:, :31])
    stop = threading.Event()
    with listening(network, Passes(0.005)):
        long = engine.stream(replace(asked, reply_tokens=4000), stop=stop)
        next(event for event in long if isinstance(event, Text))
        with pytest.raises((RuntimeError, ValueError)):
            list(engine.stream(replace(asked, frames=broken, video=None), stop=NEVER))
        stop.set()
        assert ending(list(long)).reason == "stopped"
