"""Several batches at one model: each has full turns, and a person in between comes first."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from asking_by_hand import NEVER, ending, request
from asking_many import Maker, heard, replies
from core.engine import Finished
from core.engine.answering import Answering, Task
from core.engine.batching import Batch, Guest
from core.engine.many import stream_many
from core.planning.machine import processor as this_processor


class AllReady:
    """What a feed gives whose requests are all ready."""

    def __init__(self, guests: list[Guest]) -> None:
        self._left = iter(guests)

    def ready(self) -> Guest | None:
        return next(self._left, None)

    def take(self, *, until: Callable[[], bool]) -> Guest | None:
        return None if until() else self.ready()


@pytest.mark.parametrize(
    ("others", "turns"),
    [(1, [1] * 6), (2, [2] * 3), (4, [4, 2]), (math.inf, [6])],
    ids=["a person", "two at once", "more than there are rows", "nobody"],
)
def test_as_many_are_answered_in_a_turn_as_others_let(
    others: float, turns: list[int], maker: Maker
) -> None:
    guests = [Guest(number=n, task=Task(request=each)) for n, each in enumerate(maker.asked())]
    _, network = maker.engine()
    answered: list[int] = []

    def note(number: int, event: Any) -> None:
        if isinstance(event, Finished):
            answered.append(number)

    batch = Batch(
        Answering(maker.card, network, maker.processor, (this_processor(),)),
        AllReady(guests),
        most=3,
        tell=note,
        stop=NEVER,
        fits=lambda _: True,
    )
    found: list[int] = []
    while batch.wait():
        before = len(answered)
        batch.run(lambda: others)
        found.append(len(answered) - before)
    assert found == turns
    assert sorted(answered) == list(range(6))


def test_a_person_between_two_batches(maker: Maker) -> None:
    """Who came before has a turn, of one request; nobody else begins before the person."""
    engine, network = maker.engine(2)
    asked = [replace(each, video=None) for each in maker.asked() * 2]
    own = request(maker.card, question="A person " * 40)
    length = ending(list(engine.stream(own, stop=NEVER))).prompt_tokens
    waits, prompts = threading.Event(), list[int]()

    def ask_for_it() -> None:
        for _ in engine.stream(own, stop=NEVER):
            waits.set()

    person = threading.Thread(target=ask_for_it)

    def listen(_module: Any, args: tuple[Any, ...], told: dict[str, Any]) -> None:
        tokens = (args[0] if args else told["hidden_states"]).shape[1]
        if tokens > 1:
            prompts.append(tokens)
            if len(prompts) == 4:
                person.start()
                assert waits.wait(60)

    first = network.model.language_model.layers[0]
    handle = first.register_forward_pre_hook(listen, with_kwargs=True)
    found: list[dict[int, list[Any]]] = []
    batches = [
        threading.Thread(
            target=lambda: found.append(heard(stream_many(engine, iter(asked), stop=NEVER)))
        )
        for _ in range(2)
    ]
    for each in batches:
        each.start()
    for each in (*batches, person):
        each.join(60)
    handle.remove()
    assert prompts.index(length) <= 5
    assert [len(each) for each in found] == [len(asked)] * 2
    assert replies(found[0]) == replies(found[1])
