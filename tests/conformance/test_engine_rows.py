"""Replies written side by side: each says what it would say alone, whoever comes, goes or fails."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from lively import ASKED, ASKED_ON, CLASSES, Subject, Written, by_fast, by_generate, subject

from core.engine.decoding import Decoder
from core.engine.fast import Fast
from core.engine.layers import shape_of
from core.engine.writing import Row
from core.errors import Cancelled
from core.planning import Turn

OTHER = (Turn("user", "How many are there, and of what colour?"),)
TURNS = (ASKED, OTHER, ASKED_ON)
WAYS = ("one by one", "together")


@pytest.fixture(scope="module", params=CLASSES)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject(request.param, tmp_path_factory.mktemp("rows"))


@pytest.fixture(params=WAYS)
def fast(request: pytest.FixtureRequest, one: Subject) -> Fast:
    return made(one.copy(), request.param)


def made(model: Any, way: str) -> Fast:
    """Together is what devices with kernels do: one step for all, and the next under way."""
    found = Fast.of(model, kept_bytes=10**9, away_bytes=10**9)
    assert found is not None
    if way == "together":
        text = model.model.language_model
        shape = shape_of(text.layers[0])
        assert shape is not None
        found.decoder = Decoder(text, model.lm_head, shape)
    return found


class Impatient(Written):
    """Has heard enough after so many tokens."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def put(self, ids: torch.Tensor) -> None:
        if len(self.ids) == self.most:
            raise Cancelled
        super().put(ids)


def _begin(fast: Fast, inputs: dict[str, Any], streamer: Any, *, tokens: int, video: Any) -> Row:
    row, _ = fast.begin(dict(inputs), video=video, max_new_tokens=tokens, streamer=streamer)
    return row


def _all(fast: Fast, asked: list[tuple[dict[str, Any], Any, int]], *, every: int) -> list[Row]:
    """Replies to (inputs, streamer, tokens), of which one joins every so many steps."""
    rows, begun, count = fast.rows(), list[Row](), 0
    with torch.inference_mode():
        while len(begun) < len(asked) or rows:
            if count % every == 0 and len(begun) < len(asked):
                inputs, streamer, tokens = asked[len(begun)]
                begun.append(
                    _begin(fast, inputs, streamer, tokens=tokens, video=("video", len(begun)))
                )
                rows.join(begun[-1])
            for gone in rows.step():
                fast.leave(gone)
            count += 1
    return begun


@pytest.mark.parametrize("every", [1, 3, 7, 30], ids="one every {} steps".format)
def test_each_says_what_it_says_alone(every: int, fast: Fast, one: Subject) -> None:
    """Different lengths, one of a single token; joining and leaving at all times."""
    lengths = (16, 1, 9, 2, 24)
    inputs = [one.inputs(TURNS[n % 3], seed=n % 2) for n in range(len(lengths))]
    heard = [Written() for _ in lengths]
    rows = _all(fast, list(zip(inputs, heard, lengths, strict=True)), every=every)
    for said, given, tokens, row in zip(heard, inputs, lengths, rows, strict=True):
        assert said.ids == by_generate(one.model, given, tokens)
        assert row.error is None
    assert len({tuple(each.ids[:3]) for each in heard}) > 2


def test_what_was_read_side_by_side_is_reused(fast: Fast, one: Subject) -> None:
    """Nothing of a wasted step is counted: a next turn reads all but the reply's last token."""
    inputs = [one.inputs(turns) for turns in TURNS]
    heard = [Written() for _ in TURNS]
    _all(
        fast,
        [(each, said, 5 + n) for n, (each, said) in enumerate(zip(inputs, heard, strict=True))],
        every=2,
    )
    for number, (given, said) in enumerate(zip(inputs, heard, strict=True)):
        more = torch.tensor([[*said.ids, 5, 6, 7]])
        ids = torch.cat((given["input_ids"], more), dim=1)
        longer = {**given, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "mm_token_type_ids" in given:
            kinds = (given["mm_token_type_ids"], torch.zeros_like(more))
            longer["mm_token_type_ids"] = torch.cat(kinds, dim=1)
        reply, read = by_fast(fast, longer, video=("video", number))
        assert read == given["input_ids"].shape[1] + len(said.ids) - 1
        assert reply == by_generate(one.model, longer)


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_stop_of_one_touches_no_other(after: int, fast: Fast, one: Subject) -> None:
    inputs = [one.inputs(turns) for turns in TURNS]
    heard = [Written(), Impatient(after), Written()]
    rows = _all(fast, [(i, s, 12) for i, s in zip(inputs, heard, strict=True)], every=1)
    alone = [by_generate(one.model, each, 12) for each in inputs]
    assert [each.ids for each in heard] == [alone[0], alone[1][:after], alone[2]]
    assert [type(row.error) for row in rows] == [type(None), Cancelled, type(None)]


def test_a_reply_that_ends_by_itself(one: Subject) -> None:
    inputs = [one.inputs(turns) for turns in TURNS]
    alone = [by_generate(one.model, each, 12) for each in inputs]
    model = one.copy()
    model.generation_config.eos_token_id = [alone[1][4]]
    for way in WAYS:
        heard = [Written() for _ in TURNS]
        fast = made(copy.deepcopy(model), way)
        _all(fast, [(i, s, 12) for i, s in zip(inputs, heard, strict=True)], every=1)
        ends = alone[1][4]
        assert [each.ids for each in heard] == [
            each[: each.index(ends) + 1] if ends in each else each for each in alone
        ]


def test_an_error_of_one_row_is_its_own(one: Subject) -> None:
    """In the model's own layers a step belongs to somebody."""
    model, passes = one.copy(), list[int]()
    fast = made(model, "one by one")

    def fail(*_: Any) -> None:
        passes.append(1)
        if len(passes) == 8:  # 3 prompts, the first, the first two; the second of three
            raise ArithmeticError("confused")

    model.model.language_model.layers[0].register_forward_pre_hook(fail)
    inputs = [one.inputs(turns) for turns in TURNS]
    heard = [Written() for _ in TURNS]
    rows = _all(fast, [(i, s, 12) for i, s in zip(inputs, heard, strict=True)], every=1)
    failed = [number for number, row in enumerate(rows) if row.error is not None]
    assert len(failed) == 1
    assert isinstance(rows[failed[0]].error, ArithmeticError)
    for number, (given, said) in enumerate(zip(inputs, heard, strict=True)):
        alone = by_generate(one.model, given, 12)
        assert said.ids == (alone[: len(said.ids)] if number in failed else alone)


def test_an_error_of_a_step_of_all_is_everybodys(one: Subject) -> None:
    """And those who come later are answered."""
    fast = made(one.copy(), "together")
    decoder = fast.decoder
    assert decoder is not None
    rows, heard = fast.rows(), [Written() for _ in TURNS]
    with torch.inference_mode():
        begun = [
            _begin(fast, one.inputs(turns), said, tokens=12, video=n)
            for n, (turns, said) in enumerate(zip(TURNS, heard, strict=True))
        ]
        rows.join(begun[0])
        rows.join(begun[1])
        assert rows.step() == []
        rotations, decoder.rotations = decoder.rotations, []
        while rows:
            rows.step()
        decoder.rotations = rotations
        assert all(isinstance(row.error, IndexError) for row in begun[:2])
        rows.join(begun[2])
        while rows:
            rows.step()
    assert heard[2].ids == by_generate(one.model, one.inputs(TURNS[2]), 12)


def test_whoever_makes_a_step_impossible_leaves(one: Subject) -> None:
    """No memory to capture a step for one more: the others go on without it."""
    fast = made(one.copy(), "together")
    decoder = fast.decoder
    assert decoder is not None
    heard = [Written() for _ in TURNS]
    rows = fast.rows()
    with torch.inference_mode():
        begun = [
            _begin(fast, one.inputs(turns), said, tokens=12, video=n)
            for n, (turns, said) in enumerate(zip(TURNS, heard, strict=True))
        ]
        rows.join(begun[0])
        rows.step()
        rows.join(begun[1])
        begun[1].kept.keys = ()
        while rows:
            rows.step()
    assert isinstance(begun[1].error, IndexError)
    assert begun[0].error is None
    assert heard[0].ids == by_generate(one.model, one.inputs(TURNS[0]), 12)


@pytest.mark.parametrize("way", WAYS)
def test_sampled_side_by_side(way: str, one: Subject) -> None:
    """Settings that depend on what was said hold for each reply by itself."""
    model = one.copy()
    model.generation_config.no_repeat_ngram_size = 1
    plain = one.copy()
    plain.generation_config.no_repeat_ngram_size = 1
    inputs = [one.inputs(turns) for turns in TURNS]
    heard = [Written() for _ in TURNS]
    _all(made(model, way), [(i, s, 12) for i, s in zip(inputs, heard, strict=True)], every=2)
    for given, said in zip(inputs, heard, strict=True):
        assert said.ids == by_generate(plain, given, 12)
        assert len(set(said.ids)) == 12
