"""The engine when something comes between: Stop, errors, readers that leave, others, memory."""

from __future__ import annotations

import gc
import re
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from asking_by_hand import NEVER, Passes, ask, ending, listening, request, said, still_works
from core.engine import Event, Progress, Text
from core.engine.keeping import Conversation
from core.engine.local import LocalEngine
from core.errors import MemoryOverflow
from fake_engine import wait_until


def test_a_set_stop_says_nothing(engine: LocalEngine) -> None:
    stop = threading.Event()
    stop.set()
    events = ask(engine, stop)
    assert not [event for event in events if isinstance(event, Text)]
    assert (ending(events).reason, ending(events).reply_tokens) == ("stopped", 0)
    assert still_works(engine)


def test_stop_ends_the_reply_within_one_token(
    engine: LocalEngine, network: torch.nn.Module
) -> None:
    """Stopped inside the forward pass that computes the third token: it is never said."""
    stop, passes = threading.Event(), Passes()

    def stop_at_the_third() -> None:
        passes()
        if passes.count == 3:
            stop.set()

    with listening(network, stop_at_the_third):
        finished = ending(ask(engine, stop, reply_tokens=200))
    assert passes.count == 3
    assert (finished.reason, finished.reply_tokens) == ("stopped", 2)
    assert still_works(engine)


def test_stop_at_the_first_word(engine: LocalEngine, network: torch.nn.Module) -> None:
    """As the page does it: whoever reads the stream sets the event."""
    stop, passes, at_stop = threading.Event(), Passes(0.02), 0
    events: list[Event] = []
    with listening(network, passes):
        for event in engine.stream(request(engine.card, reply_tokens=400), stop=stop):
            events.append(event)
            if isinstance(event, Text) and not stop.is_set():
                stop.set()
                at_stop = passes.count
    assert at_stop > 0
    assert passes.count <= at_stop + 1
    assert ending(events).reason == "stopped"
    assert ending(events).reply_tokens <= at_stop


def test_stop_during_prefill(engine: LocalEngine, network: Any) -> None:
    """Before the second layer of the first pass: not one token is computed."""
    stop, seen = threading.Event(), []
    layers = network.model.language_model.layers
    handles = [
        layers[0].register_forward_hook(lambda *_: stop.set()),
        layers[1].register_forward_hook(lambda *_: seen.append("second layer")),
    ]
    try:
        events = ask(engine, stop)
    finally:
        for handle in handles:
            handle.remove()
    assert seen == []
    assert (ending(events).reason, ending(events).reply_tokens) == ("stopped", 0)
    assert still_works(engine)


def test_stop_ends_nothing_in_another_thread(engine: LocalEngine, network: Any) -> None:
    """Such as what is set up meanwhile through the same layers, which nobody does again."""
    stop, found = threading.Event(), []

    def look() -> None:
        grid = torch.tensor([[1, 2, 2]])
        with torch.inference_mode():
            found.append(network.model.visual(torch.zeros(4, 1536), grid_thw=grid))

    def stop_beside_another() -> None:
        stop.set()
        other = threading.Thread(target=look)
        other.start()
        other.join(60)

    with listening(network, stop_beside_another):
        assert ending(ask(engine, stop)).reason == "stopped"
    assert len(found) == 1


@pytest.mark.parametrize("at", [2, 4])
def test_a_stopped_reply_lets_go_of_what_was_read(
    at: int, engine: LocalEngine, network: torch.nn.Module
) -> None:
    """At once: gigabytes cannot wait until Python looks for cycles."""
    stop, passes, before = threading.Event(), Passes(), _conversations()

    def stop_then() -> None:
        passes()
        if passes.count == at:
            stop.set()

    gc.disable()
    try:
        with listening(network, stop_then):
            assert ending(ask(engine, stop, reply_tokens=200)).reason == "stopped"
        assert wait_until(lambda: _conversations() <= before)
    finally:
        gc.enable()


def _conversations() -> set[int]:
    return {id(each) for each in gc.get_objects() if type(each) is Conversation}


def test_an_error_in_the_generating_thread_reaches_the_reader(engine: LocalEngine) -> None:
    asked = request(engine.card)
    broken = replace(asked.frames, pixels=asked.frames.pixels[:, :31])
    with pytest.raises((RuntimeError, ValueError)):
        list(engine.stream(replace(asked, frames=broken), stop=NEVER))
    assert still_works(engine)


def test_an_error_inside_the_model_reaches_the_reader(
    engine: LocalEngine, network: torch.nn.Module
) -> None:
    def fail() -> None:
        raise ArithmeticError("the model is confused")

    with listening(network, fail), pytest.raises(ArithmeticError, match="the model is confused"):
        ask(engine)
    assert still_works(engine)


def test_a_reader_that_leaves_frees_the_engine(
    engine: LocalEngine, network: torch.nn.Module
) -> None:
    passes = Passes(0.01)
    with listening(network, passes):
        stream = engine.stream(request(engine.card, reply_tokens=2000), stop=NEVER)
        next(event for event in stream if isinstance(event, Text))
        stream.close()
        at_close = passes.count
        assert ending(ask(engine, reply_tokens=8)).reply_tokens == 8
    assert passes.count <= at_close + 1 + 8


def test_two_at_once_take_turns(engine: LocalEngine, network: torch.nn.Module) -> None:
    """While one is answered the other is told that it waits; the model stays on its thread."""
    names = ("one", "two")
    alone = {name: said(ask(engine, question=name, reply_tokens=40)) for name in names}
    replies: dict[str, list[Event]] = {}
    threads_of_passes: list[int] = []

    def ask_about(name: str) -> None:
        replies[name] = ask(engine, question=name, reply_tokens=40)

    def note() -> None:
        time.sleep(0.02)
        threads_of_passes.append(threading.get_ident())

    with listening(network, note):
        threads = [threading.Thread(target=ask_about, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert {name: said(events) for name, events in replies.items()} == alone
    assert len(set(threads_of_passes)) == 1  # that of the model, which does one after the other
    assert any(Progress(stage="waiting", done=1) in events for events in replies.values())


def test_stop_while_waiting(engine: LocalEngine, network: torch.nn.Module) -> None:
    first_stop, second_stop = threading.Event(), threading.Event()
    with listening(network, Passes(0.02)):
        first = engine.stream(request(engine.card, reply_tokens=2000), stop=first_stop)
        next(event for event in first if isinstance(event, Text))
        second = engine.stream(request(engine.card), stop=second_stop)
        assert isinstance(next(second), Progress)
        second_stop.set()
        finished = ending(list(second))
        assert (finished.reason, finished.reply_tokens) == ("stopped", 0)
        first_stop.set()
        assert ending(list(first)).reason == "stopped"
    assert still_works(engine)


def test_a_request_for_which_there_is_no_thread_keeps_nobody_waiting(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as refused:
        refused.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            ask(engine)
    stop, events = threading.Event(), list[Event]()
    for event in engine.stream(request(engine.card), stop=stop):
        events.append(event)
        if isinstance(event, Progress) and event.stage == "waiting":
            stop.set()  # it would wait for ever
    assert ending(events).reply_tokens > 0


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
@pytest.mark.parametrize("at_pass", [1, 3], ids=["prefill", "reply"])
def test_out_of_memory_is_told_and_survived(
    at_pass: int, error: Exception, engine: LocalEngine, network: torch.nn.Module
) -> None:
    passes = Passes()

    def scarce() -> None:
        passes()
        if passes.count == at_pass:
            raise error

    with listening(network, scarce), pytest.raises(MemoryOverflow) as caught:
        ask(engine)
    assert re.match(r"Out of memory with a prompt of \d+ tokens", caught.value.message)
    assert "GiB free" in caught.value.message
    assert 0 < caught.value.free_bytes["cpu"] <= engine.devices()[0].capacity_bytes
    assert "fewer frames" in caught.value.remedy
    assert caught.value.__context__ is None  # nothing that would keep the tensors alive
    assert still_works(engine)
