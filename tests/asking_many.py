"""Engines whose replies vary, many requests for them, and memory that runs out in between."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from asking_by_hand import request, said
from core.engine import Event, Progress, Request
from core.engine.base import Failed
from core.engine.local import LocalEngine
from core.planning import ModelCard
from core.planning.machine import processor as this_processor
from fake_engine import wait_until

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
QUESTIONS = ("What is this?", "And that?", "Why?", "When does it appear?", "Where?", "Who?")
LENGTHS = (12, 1, 5, 9, 20, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Engines of one model whose replies vary, which have seen nothing."""

    card: ModelCard
    network: Any
    processor: Any

    def engine(self, rows: int | None = 3, **changed: Any) -> tuple[LocalEngine, Any]:
        network, card = copy.deepcopy(self.network), replace(self.card, **changed)
        return LocalEngine(card, network, self.processor, (this_processor(),), rows=rows), network

    def asked(self) -> list[Request]:
        return [
            replace(request(self.card, question=q, reply_tokens=n), video=("film", n % 2))
            for q, n in zip(QUESTIONS, LENGTHS, strict=True)
        ]


def heard(told: Iterator[tuple[int, Event | Failed]]) -> dict[int, list[Any]]:
    """What was told of each request, without the waiting."""
    found: dict[int, list[Any]] = {}
    for number, event in told:
        if not isinstance(event, Progress):
            found.setdefault(number, []).append(event)
    return found


def replies(found: dict[int, list[Any]]) -> list[str]:
    return [said(found[number]) for number in sorted(found)]


def sometimes(asked: list[Request], every: int) -> Iterator[Request | None]:
    """One that is ready, and then so many times nothing."""
    for each in asked:
        yield each
        yield from [None] * every


class Pulled:
    """Requests that are all ready, and how many of them were taken."""

    def __init__(self, asked: list[Request]) -> None:
        self._left, self.count = iter(asked), 0

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        self.count += 1  # also when there are no more: whoever comes here has made all before
        return next(self._left)

    def wait(self, count: int) -> None:
        """Until so many were taken, the one before the last of which is made ready by then."""
        assert wait_until(lambda: self.count >= count, seconds=60)


class Ready:
    """Called before a pass, waits until so many requests were taken; see Pulled."""

    def __init__(self, asked: Pulled, *counts: int) -> None:
        self._asked, self._counts = asked, iter(counts)

    def __call__(self) -> None:
        self._asked.wait(next(self._counts, 0))


@contextmanager
def scarce(
    network: Any, *, prompts: tuple[int, ...] = (), steps: tuple[int, ...] = (), after: Any = None
) -> Iterator[None]:
    """Memory runs out at these prompts and at these single tokens, each counted from 1.

    ``after``, Pulled, holds the first prompt until the next request is ready, so that it joins
    before the first step.
    """
    counts = {"prompt": 0, "step": 0}

    def listen(_module: Any, args: tuple[Any, ...], told: dict[str, Any]) -> None:
        hidden = args[0] if args else told["hidden_states"]
        kind = "prompt" if hidden.shape[1] > 1 else "step"
        counts[kind] += 1
        if after is not None and kind == "prompt" and counts[kind] == 1:
            after.wait(3)
        if counts[kind] in {"prompt": prompts, "step": steps}[kind]:
            raise FULL

    first = network.model.language_model.layers[0]
    handle = first.register_forward_pre_hook(listen, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
