"""Many requests where memory runs out: one that fits alone is answered, whoever is beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from asking_by_hand import NEVER, Passes, ask, ending, listening, request, said
from asking_many import (
    FULL,
    LENGTHS,
    QUESTIONS,
    Maker,
    Pulled,
    Ready,
    heard,
    replies,
    scarce,
)
from core.engine import Finished, Request, Started
from core.engine.answering import Answering, Task
from core.engine.base import Failed
from core.engine.many import stream_many
from core.errors import MemoryOverflow
from core.planning.machine import processor as this_processor


def test_one_that_does_not_fit_beside_others_has_its_turn_alone(
    maker: Maker, alone: list[str]
) -> None:
    """Out of memory in the second prompt: answered when the first has left, and so are all.

    It begins twice, which is told once.
    """
    engine, network = maker.engine(3)
    order: list[int] = []
    found: dict[int, list[Any]] = {}
    asked = Pulled(maker.asked())
    with scarce(network, prompts=(2, 3), after=asked):  # the second time without what was kept
        for number, event in stream_many(engine, asked, stop=NEVER):
            if isinstance(event, Finished):
                order.append(number)
            found.setdefault(number, []).append(event)
    assert replies(found) == alone
    assert order[0] == 0
    started = [each for each in found[1] if isinstance(each, Started)]
    assert [each.prompt_tokens for each in started] == [found[1][-1].prompt_tokens]


def test_one_for_which_there_is_no_room_waits_until_others_leave(
    maker: Maker, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the forecast counts it: nothing is tried, and it is counted again only then."""
    engine, network = maker.engine(3)
    answers, counted = iter([False, False, True]), list[int]()

    def fits(_card: Any, asked: Request, prompt_tokens: int, **_: Any) -> bool:
        assert prompt_tokens > 0
        counted.append(asked.reply_tokens)
        return next(answers, True)

    monkeypatch.setattr("core.engine.room.fits", fits)
    asked = Pulled(maker.asked())
    order: list[int] = []
    found: dict[int, list[Any]] = {}
    with scarce(network, after=asked):
        for number, event in stream_many(engine, asked, stop=NEVER):
            if isinstance(event, Finished):
                order.append(number)
            found.setdefault(number, []).append(event)
    assert replies(found) == alone
    assert order[0] == 0
    assert counted[0] == LENGTHS[1]
    assert len(counted) <= len(LENGTHS) + 2


def test_what_has_no_room_is_counted_without_its_pixels(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had none when they were to be made ahead."""
    _, network = maker.engine()
    answering = Answering(maker.card, network, maker.processor, (this_processor(),))
    asked, kind = maker.asked()[0], type(maker.processor.video_processor)
    devices, call = list[str](), kind.__call__

    def listen(self: Any, videos: Any, *args: Any, **named: Any) -> Any:
        devices.append(videos[0][0].device.type)
        return call(self, videos, *args, **named)

    monkeypatch.setattr(kind, "__call__", listen)
    counted = answering.tokens(Task(request=asked))
    assert devices == ["meta"]
    made = answering.ahead(asked, NEVER)
    assert devices[-1] == "cpu"
    assert counted == answering.tokens(made) == made.inputs["input_ids"].shape[1]
    assert answering.tokens(Task(request=replace(asked, frames=None))) == counted
    assert answering.tokens(Task(request=replace(asked, frames=None, video="other"))) == 0


def test_one_that_does_not_fit_at_all(maker: Maker, alone: list[str]) -> None:
    """Nobody is beside it, and without what was kept it is too large too."""
    engine, network = maker.engine(3)
    list(engine.stream(replace(maker.asked()[0], video="other"), stop=NEVER))
    with scarce(network, prompts=(1, 2)):
        found = heard(stream_many(engine, iter(maker.asked()), stop=NEVER))
    assert isinstance(found[0][-1].error, MemoryOverflow)
    assert replies({n: found[n] for n in range(1, 6)}) == alone[1:]
    assert not engine.knows("other")


@pytest.mark.parametrize("times", range(1, 7), ids="{} times".format)
def test_out_of_memory_beside_others_ends_no_reply(
    times: int, maker: Maker, alone: list[str]
) -> None:
    """So many tokens in a row; less is kept, then fewer are written at a time; nothing twice."""
    engine, network = maker.engine(2)
    asked = Pulled([replace(each, reply_tokens=max(LENGTHS)) for each in maker.asked()])
    with scarce(network, steps=tuple(range(5, 5 + times)), after=asked):
        found = heard(stream_many(engine, asked, stop=NEVER))
    assert _all_of(alone, replies(found))
    assert [found[number][-1].reply_tokens for number in range(6)] == [max(LENGTHS)] * 6


def _all_of(alone: list[str], replies: list[str]) -> bool:
    """Whether these go on like those, which may be shorter."""
    return all(long.startswith(short) for short, long in zip(alone, replies, strict=True))


@contextmanager
def too_long(network: Any, most: int) -> Iterator[None]:
    """Memory runs out at every single token behind so many."""

    def listen(_module: Any, args: tuple[Any, ...], told: dict[str, Any]) -> None:
        hidden = args[0] if args else told["hidden_states"]
        if hidden.shape[1] == 1 and told["past_key_values"].get_seq_length() >= most:
            raise FULL

    first = network.model.language_model.layers[0]
    handle = first.register_forward_pre_hook(listen, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def test_only_one_that_does_not_fit_alone_ends(maker: Maker, alone: list[str]) -> None:
    """Five words in; those that were written beside it and those after it are answered."""
    engine, network = maker.engine(3)
    asked = [replace(each, reply_tokens=max(LENGTHS)) for each in maker.asked()]
    asked[1] = request(maker.card, question=QUESTIONS[0] * 9, reply_tokens=12)
    long = list(maker.engine()[0].stream(asked[1], stop=NEVER))
    tokens = ending(long).prompt_tokens
    pulled = Pulled(asked)
    with too_long(network, tokens + 4), scarce(network, after=pulled):
        found = heard(stream_many(engine, pulled, stop=NEVER))
    assert [n for n, each in found.items() if isinstance(each[-1], Failed)] == [1]
    told = found.pop(1)
    assert isinstance(told[-1].error, MemoryOverflow)
    assert f"with a prompt of {tokens} tokens" in told[-1].error.message
    assert told[-1].error.__context__ is None
    assert 0 < len(said(told)) < len(said(long))
    assert said(long).startswith(said(told))
    assert _all_of([alone[0], *alone[2:]], replies(found))


def test_stop_ends_those_that_wait_for_memory(maker: Maker) -> None:
    """They are not gone on with for that; memory runs out in the third step of all four."""
    engine, network = maker.engine(4)
    stop, passes = threading.Event(), Passes(0.005)
    asked = Pulled([replace(each, reply_tokens=2000, video=None) for each in maker.asked()[:4]])
    at_stop = 0
    found: dict[int, list[Any]] = {}
    all_join = listening(network, Ready(asked, 3, 4, 5))
    with all_join, scarce(network, steps=(9, 10, 11, 12)), listening(network, passes):
        for number, event in stream_many(engine, asked, stop=stop):
            found.setdefault(number, []).append(event)
            if not stop.is_set() and len(said(found.get(0, []))) > 40:
                stop.set()
                at_stop = passes.count
    assert passes.count <= at_stop + 2
    assert [each[-1].reason for each in found.values()] == ["stopped"] * 4
    assert max(len(said(found[number])) for number in (2, 3)) < len(said(found[1]))
    assert ending(ask(engine)).reply_tokens > 0
