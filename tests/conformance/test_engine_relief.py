"""Memory that runs out while replies are written side by side: all say what they say alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lively import ASKED, ASKED_ON, CLASSES, Subject, Written, by_generate, fast_of, subject

from core.engine.decoding import Decoder
from core.engine.fast import Fast
from core.engine.layers import shape_of
from core.engine.writing import Row
from core.errors import Cancelled
from core.planning import Turn

TURNS = (ASKED, (Turn("user", "How many are there, and of what colour?"),), ASKED_ON, ASKED)
TOKENS = 12
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.fixture(scope="module", params=CLASSES)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject(request.param, tmp_path_factory.mktemp("relief"))


class Beside:
    """Replies to TURNS that were begun, and are going to be written by a decoder."""

    def __init__(self, one: Subject, *, no_repeat: int | None = None) -> None:
        self.one, model = one, one.copy()
        text = model.model.language_model
        model.generation_config.no_repeat_ngram_size = no_repeat
        self.plain = one.copy()
        self.plain.generation_config.no_repeat_ngram_size = no_repeat
        self.fast: Fast = fast_of(model)
        shape = shape_of(text.layers[0])
        assert shape is not None
        self.decoder = self.fast.decoder = Decoder(text, model.lm_head, shape)
        self.asked = [one.inputs(turns, seed=n % 2) for n, turns in enumerate(TURNS)]
        self.heard = [Written() for _ in TURNS]
        self.looks: list[Callable[[], None]] = [lambda: None for _ in TURNS]
        with torch.inference_mode():
            self.rows = [self._begun(number) for number in range(len(TURNS))]

    def _begun(self, number: int) -> Row:
        row, _ = self.fast.begin(
            dict(self.asked[number]),
            video=None,
            max_new_tokens=TOKENS,
            streamer=self.heard[number],
            look=lambda: self.looks[number](),
        )
        return row

    def fails(self, when: Callable[[int, int], bool]) -> None:
        """From now on, at the end of a step of which ``when(rows, number)``, counted from 1."""
        finish, numbers = self.decoder.finish, itertools.count(1)

        def finished(x: torch.Tensor) -> torch.Tensor:
            if when(len(x), next(numbers)):
                raise FULL
            return finish(x)

        self.decoder.finish = finished  # type: ignore[method-assign]

    def write(self) -> list[int]:
        """To the end; the numbers of the rows in the order in which they ended."""
        rows, gone = self.fast.rows(), list[int]()
        with torch.inference_mode():
            for row in self.rows:
                rows.join(row)
            while rows:
                gone += [self.rows.index(row) for row in rows.step()]
        return gone

    def alone(self, number: int) -> list[int]:
        return by_generate(self.plain, self.asked[number], TOKENS)

    def said_as_alone(self, *numbers: int) -> bool:
        return all(self.heard[number].ids == self.alone(number) for number in numbers)


@pytest.mark.parametrize("most", [3, 2, 1])
def test_memory_for_so_many_at_a_time(most: int, one: Subject) -> None:
    beside = Beside(one)
    beside.fails(lambda rows, _: rows > most)
    assert sorted(beside.write()) == list(range(len(TURNS)))
    assert beside.said_as_alone(*range(len(TURNS)))
    assert [row.error for row in beside.rows] == [None] * len(TURNS)


@pytest.mark.parametrize("step", [1, 2, 3, 7, TOKENS - 1])
@pytest.mark.parametrize("kept", [True, False])
def test_a_step_that_fails_once(step: int, kept: bool, one: Subject) -> None:
    """Also while the one before it is under way; all go on together where something was kept."""
    beside = Beside(one)
    if kept:
        beside.fast.remembered.keep(beside.fast.remembered.new("film", 100))
    counts: list[int] = []
    beside.fails(lambda rows, number: counts.append(rows) or number == step)  # type: ignore[func-returns-value]
    beside.write()
    assert beside.said_as_alone(*range(len(TURNS)))
    assert set(counts) == ({4} if kept else {4, 2})


@pytest.mark.parametrize("at", [1, 2, 5])
def test_settings_that_depend_on_what_was_said(at: int, one: Subject) -> None:
    """Memory runs out when one row has picked a token and the next has not."""
    beside = Beside(one, no_repeat=1)
    pick, numbers = beside.rows[1].picker.pick, itertools.count(1)

    def picked(logits: torch.Tensor) -> torch.Tensor:
        if next(numbers) == at:
            raise FULL
        return pick(logits)

    beside.rows[1].picker.pick = picked  # type: ignore[method-assign]
    beside.write()
    assert beside.said_as_alone(*range(len(TURNS)))


def test_one_that_does_not_fit_alone(one: Subject) -> None:
    """It ends where memory ran out for good; those that waited are written."""
    beside = Beside(one)
    beside.fails(lambda rows, number: rows > 1 or number == 5)
    assert beside.write() == [0, 1, 2, 3]  # first come, first served
    errors = [row.taken_error() for row in beside.rows]
    assert [isinstance(error, torch.OutOfMemoryError) for error in errors] == [True] + [False] * 3
    assert beside.said_as_alone(1, 2, 3)
    assert beside.heard[0].ids == beside.alone(0)[: len(beside.heard[0].ids)]


def test_one_that_is_stopped_while_it_waits(one: Subject) -> None:
    beside = Beside(one)
    beside.fails(lambda rows, _: rows > 2)

    def stop() -> None:
        raise Cancelled

    beside.looks[2] = stop
    beside.write()
    assert beside.said_as_alone(0, 1, 3)
    assert len(beside.heard[2].ids) == 1
    assert isinstance(beside.rows[2].error, Cancelled)


def test_what_was_read_while_others_waited_is_reused(one: Subject) -> None:
    """Conversations that were set aside and came back are right: they are gone on with."""
    beside = Beside(one)
    for number, row in enumerate(beside.rows):
        row.kept.video = number
    beside.fails(lambda rows, _: rows > 1)
    beside.write()
    for row in beside.rows:
        beside.fast.leave(row)
    for number, given in enumerate(beside.asked):
        heard: Any = Written()
        with torch.inference_mode():
            read = beside.fast.generate(
                dict(given), video=number, max_new_tokens=TOKENS, streamer=heard
            )
        assert read == given["input_ids"].shape[1] - 1
        assert heard.ids == beside.alone(number)
