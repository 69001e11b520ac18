"""Replicas as one engine: who is asked, in which order, and what stays each request's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from asking_by_hand import NEVER, ending, request, said
from core.engine import Event, Finished, Progress, Request
from core.engine.replicas import Replicas
from core.errors import MemoryOverflow, SettingsError
from core.planning import ModelCard, load_card
from fake_engine import FakeEngine, wait_until


class Held(FakeEngine):
    """Says its name as soon as it is let, one request after the other."""

    def __init__(self, card: ModelCard, name: str) -> None:
        super().__init__(card, words=(name,))
        self.let = threading.Semaphore(0)

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        self.answering += 1
        self.requests.append(request)
        while not self.let.acquire(timeout=0.05) and not stop.is_set():
            pass
        self.answering -= 1
        yield from self._speak(stop)


@pytest.fixture
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


@pytest.fixture
def both(card: ModelCard) -> tuple[Held, Held]:
    return Held(card, "one"), Held(card, "two")


class Asking:
    """A request under way in a thread of its own."""

    def __init__(self, engine: Replicas, asked: Request) -> None:
        self.stop, self.events = threading.Event(), list[Event]()
        self.error: Exception | None = None
        self._engine, self._asked = engine, asked
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._engine.stream(self._asked, stop=self.stop):
                self.events.append(event)
        except Exception as error:
            self.error = error

    def done(self) -> Asking:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self

    def places(self) -> list[int]:
        return [each.done for each in self.events if isinstance(each, Progress)]


@pytest.fixture
def ask(both: tuple[Held, Held], card: ModelCard) -> Iterator[Callable[..., Asking]]:
    """Asks, and waits until the request is being answered or stands in line."""
    engine, asked = Replicas(both), list[Asking]()

    def one(video: str | None = None) -> Asking:
        before = [len(each.requests) for each in both]
        asking = Asking(engine, replace(request(card), video=video))
        asked.append(asking)
        assert wait_until(
            lambda: asking.places() or [len(each.requests) for each in both] != before
        )
        return asking

    yield one
    for each in asked:
        each.stop.set()
    for each in both:
        each.let.release(100)
    for each in asked:
        each.done()


def _busy(both: tuple[Held, Held]) -> list[int]:
    return [each.answering for each in both]


def test_it_is_as_large_as_all_of_them(both: tuple[Held, Held]) -> None:
    engine = Replicas(both)
    assert engine.capacity == 2
    assert engine.card == both[0].card
    assert len(engine.devices()) == 2
    assert engine.execution.layers == (range(2), range(2))
    with pytest.raises(SettingsError, match="no replicas"):
        Replicas(())


def test_each_request_goes_to_a_free_one(
    both: tuple[Held, Held], ask: Callable[..., Asking]
) -> None:
    first = ask()
    assert _busy(both) == [1, 0]
    second = ask()
    assert _busy(both) == [1, 1]
    for each in both:
        each.let.release()
    assert [said(each.done().events) for each in (first, second)] == ["one", "two"]


def test_a_conversation_returns_to_the_one_that_knows_its_video(
    both: tuple[Held, Held], ask: Callable[..., Asking]
) -> None:
    both[1].known.add("film")
    assert Replicas(both).knows("film")
    assert not Replicas(both).knows("other")
    ask("film")
    assert _busy(both) == [0, 1]
    ask("film")  # which would wait for minutes there, for what costs seconds here
    assert _busy(both) == [1, 1]


def test_those_who_wait_are_served_in_order_and_know_their_place(
    both: tuple[Held, Held], ask: Callable[..., Asking]
) -> None:
    for _ in both:
        ask()
    third, fourth = ask(), ask()
    assert (third.places()[0], fourth.places()[0]) == (2, 3)
    both[1].let.release()
    assert wait_until(lambda: len(both[1].requests) == 2)
    assert wait_until(lambda: fourth.places()[-1] == 2)
    both[1].let.release()
    assert said(third.done().events) == "two"
    assert wait_until(lambda: len(both[1].requests) == 3)


def test_stop_of_one_touches_no_other(both: tuple[Held, Held], ask: Callable[..., Asking]) -> None:
    first, second, third, fourth = (ask() for _ in range(4))
    third.stop.set()
    assert ending(third.done().events).reason == "stopped"
    second.stop.set()
    assert ending(second.done().events).reason == "stopped"
    assert wait_until(lambda: len(both[1].requests) == 2)
    both[0].let.release()
    both[1].let.release()
    assert [ending(each.done().events).reason for each in (first, fourth)] == ["end", "end"]


def test_one_out_of_memory_stops_no_other(
    both: tuple[Held, Held], ask: Callable[..., Asking]
) -> None:
    both[0].fail_with = MemoryOverflow("Out of memory.", remedy="Take fewer frames.")
    first, second = ask(), ask()
    for each in both:
        each.let.release()
    assert isinstance(first.done().error, MemoryOverflow)
    assert ending(second.done().events).reason == "end"
    both[0].fail_with = None
    third = ask()
    both[0].let.release()
    assert said(third.done().events) == "one"


def test_who_leaves_frees_the_replica(card: ModelCard) -> None:
    engine = Replicas((FakeEngine(card, words=("a", "b")),))
    stream = engine.stream(request(card), stop=NEVER)
    next(stream)
    stream.close()
    assert isinstance(list(engine.stream(request(card), stop=NEVER))[-1], Finished)
