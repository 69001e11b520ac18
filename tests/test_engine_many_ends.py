"""How many requests end: by Stop, by who asked for them, or by an error of their own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asking_by_hand import NEVER, Passes, ask, ending, listening
from asking_many import (
    QUESTIONS,
    Maker,
    heard,
    replies,
)
from core.batch import answer_all
from core.batch_files import Asked
from core.engine import Event, Finished, Request, Text
from core.engine.base import Failed
from core.engine.many import stream_many
from core.engine.replicas import Replicas
from core.planning import Settings
from core.video import iter_frames
from fake_engine import FakeEngine
from holding import assert_back_to, holdings


@pytest.mark.parametrize("rows", [1, 3])
def test_stop_ends_all(rows: int, maker: Maker) -> None:
    """Within a token of each; those that had not begun are not begun."""
    engine, network = maker.engine(rows)
    stop, passes = threading.Event(), Passes(0.005)
    asked = [replace(each, reply_tokens=2000) for each in maker.asked()]
    told: list[tuple[int, Event | Failed]] = []
    at_stop = 0
    with listening(network, passes):
        for number, event in stream_many(engine, iter(asked), stop=stop):
            told.append((number, event))
            if isinstance(event, Text) and len(told) > 40 and not stop.is_set():
                stop.set()
                at_stop = passes.count
    assert passes.count <= at_stop + rows
    last = dict(told)
    assert 0 < len(last) <= rows + 1
    assert all(each.reason == "stopped" for each in last.values() if isinstance(each, Finished))
    assert ending(ask(engine)).reply_tokens > 0


def test_who_leaves_ends_all(maker: Maker) -> None:
    """And nobody takes from the requests any more: they can be closed."""
    engine, _ = maker.engine(2)
    closed = threading.Event()

    def requests() -> Iterator[Request | None]:
        try:
            yield from itertools.cycle(maker.asked())
        finally:
            closed.set()

    list(stream_many(engine, iter(maker.asked()[:1]), stop=NEVER))
    before, asked = holdings(), requests()
    told = stream_many(engine, asked, stop=NEVER)
    for _, event in told:
        if isinstance(event, Finished):
            break
    told.close()
    asked.close()
    assert closed.is_set()
    assert_back_to(before)
    assert ending(ask(engine)).reply_tokens > 0


def test_requests_that_cannot_be_had(maker: Maker) -> None:
    """What their iterator raises is told to whoever asked for all of them."""
    engine, _ = maker.engine(2)

    def requests() -> Iterator[Request | None]:
        yield maker.asked()[0]
        raise ArithmeticError("confused")

    with pytest.raises(ArithmeticError, match="confused"):
        list(stream_many(engine, requests(), stop=NEVER))
    assert ending(ask(engine)).reply_tokens > 0


@pytest.mark.parametrize("replicas", [1, 2])
def test_those_before_one_that_cannot_be_had_are_answered(
    replicas: int, maker: Maker, alone: list[str]
) -> None:
    """Although the error was there before the first of them had ended."""
    engines = [maker.engine(2) for _ in range(replicas)]
    confused = threading.Event()

    def requests() -> Iterator[Request | None]:
        yield from maker.asked()[:2]
        confused.set()
        raise ArithmeticError("confused")

    told: list[tuple[int, Event | Failed]] = []
    with ExitStack() as listened:
        for _, network in engines:
            listened.enter_context(listening(network, lambda: confused.wait(60)))
        together = Replicas([engine for engine, _ in engines])
        with pytest.raises(ArithmeticError, match="confused"):
            told.extend(stream_many(together, requests(), stop=NEVER))
    found = heard(iter(told))
    assert replies(found) == alone[:2]
    assert [found[number][-1].reason for number in (0, 1)] == ["length"] * 2


def test_a_batch_whose_requests_cannot_be_read_on(
    maker: Maker, clip_file: Callable[[str], Path]
) -> None:
    """Those under way are answered first, and what went wrong is told, not that all was stopped."""
    engine, network = maker.engine(2)
    confused = threading.Event()
    settings = Settings(max_frame_tokens=16, max_frames=4, reply_tokens=20)

    def asked() -> Iterator[Asked]:
        for number in range(2):
            video = str(clip_file("h264.mp4"))
            yield Asked(id=number, video=video, question=QUESTIONS[number], settings=settings)
        confused.set()
        raise ArithmeticError("confused")

    records: list[dict[str, Any]] = []
    with (
        listening(network, lambda: confused.wait(60)),
        pytest.raises(ArithmeticError, match="confused"),
    ):
        records.extend(
            answer_all(
                asked(),
                maker.card,
                lambda: engine,
                devices=engine.devices(),
                frames_from=iter_frames,
                workers=1,
            )
        )
    assert [each["actual"]["reply_tokens"] for each in records] == [20] * len(records) != []


@pytest.mark.parametrize("kind", ["local", "replicas"])
def test_a_batch_for_which_there_is_no_thread_leaves_none(
    kind: str, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one that it starts cannot be had; what the first one does comes to an end."""
    replicas = Replicas([FakeEngine(maker.card, pause_seconds=0.01) for _ in range(2)])
    engine = maker.engine(2)[0] if kind == "local" else replicas
    start, started = threading.Thread.start, list[threading.Thread]()

    def refuse_the_second(thread: threading.Thread) -> None:
        if len(started) == 1:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    asked = itertools.cycle(maker.asked())
    with monkeypatch.context() as refused:
        refused.setattr(threading.Thread, "start", refuse_the_second)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            list(stream_many(engine, asked, stop=NEVER))
    assert [each.is_alive() for each in started] == [False]


def test_an_unloaded_engine_says_so(maker: Maker) -> None:
    engine, _ = maker.engine(2)
    engine.close()
    with pytest.raises(Exception, match="has been unloaded"):
        list(stream_many(engine, iter(maker.asked()), stop=NEVER))
