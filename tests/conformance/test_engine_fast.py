"""The fast way against transformers' own ``generate``: the same tokens, whatever is reused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lively import (
    ASKED,
    ASKED_ON,
    CLASSES,
    PLENTY,
    Subject,
    Written,
    by_fast,
    by_generate,
    fast_of,
    subject,
)

from core.engine import fast as fast_module
from core.engine import tower as tower_module
from core.errors import Cancelled
from core.planning import Turn

EDITED = (ASKED[0], Turn("assistant", "It stands still."), Turn("user", "And then what?"))
OTHER = (Turn("user", "How many are there, and of what colour?"),)


@pytest.fixture(scope="module", params=CLASSES)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject(request.param, tmp_path_factory.mktemp("fast"))


def _fresh(one: Subject, turns: Any = ASKED, *, seed: int = 0, tokens: int = 16) -> list[int]:
    reply = by_generate(one.model, one.inputs(turns, seed=seed), tokens)
    assert len(set(reply)) > 3, "a reply of one token would be the same by any way"
    return reply


def test_the_whole_prompt_at_once(one: Subject) -> None:
    assert by_fast(one.fast(), one.inputs()) == (_fresh(one), 0)


@pytest.mark.parametrize("tokens", [1, 7, 37, 64], ids="{} tokens".format)
def test_the_prompt_in_chunks(tokens: int, one: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    if tokens == 1 and one.inputs()["input_ids"].shape[1] > 200:
        tokens = 5  # a thousand passes tell no more
    monkeypatch.setattr(fast_module, "CHUNK_TOKENS", tokens)
    fast = one.fast()
    assert by_fast(fast, one.inputs())[0] == _fresh(one)
    assert by_fast(fast, one.inputs(ASKED_ON))[0] == _fresh(one, ASKED_ON)


def test_the_video_in_chunks(one: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = one.fast()
    whole, _ = by_fast(fast, one.inputs())
    monkeypatch.setattr(tower_module, "CHUNK_PATCHES", 40)
    assert by_fast(one.fast(), one.inputs())[0] == whole == _fresh(one)


@pytest.mark.parametrize("turns", [ASKED, ASKED_ON, EDITED, OTHER])
def test_after_a_first_question(turns: tuple[Turn, ...], one: Subject) -> None:
    """The same again, one that goes on, one with an edited past, another."""
    fast = one.fast()
    first = by_fast(fast, one.inputs())[0]
    assert first == _fresh(one)
    if turns is EDITED:
        by_fast(fast, one.inputs(ASKED_ON))
    reply, reused = by_fast(fast, one.inputs(turns))
    assert reply == _fresh(one, turns)
    assert 0 < reused < one.inputs(turns)["input_ids"].shape[1]


def test_what_is_shared_is_reused(one: Subject) -> None:
    """As far as both are the same and no further; always a token is left to be read."""
    fast = one.fast()
    first, other, edited, on = (
        one.inputs(turns)["input_ids"][0].tolist() for turns in (ASKED, OTHER, EDITED, ASKED_ON)
    )
    by_fast(fast, one.inputs())
    assert by_fast(fast, one.inputs())[1] == len(first) - 1
    assert by_fast(fast, one.inputs(OTHER))[1] == _shared(first, other)
    by_fast(fast, one.inputs(ASKED_ON))
    assert by_fast(fast, one.inputs(EDITED))[1] == _shared(on, edited) > len(first)


def _shared(a: list[int], b: list[int]) -> int:
    return next(n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)


def test_the_reply_is_read_already(one: Subject) -> None:
    """A next turn that quotes the reply reads only what comes after it."""
    fast = one.fast()
    inputs = one.inputs()
    reply, _ = by_fast(fast, inputs)
    more = torch.tensor([[*reply, 5, 6, 7]])
    ids = torch.cat((inputs["input_ids"], more), dim=1)
    longer = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "mm_token_type_ids" in inputs:
        kinds = (inputs["mm_token_type_ids"], torch.zeros_like(more))
        longer["mm_token_type_ids"] = torch.cat(kinds, dim=1)
    again, reused = by_fast(fast, longer)
    assert reused == inputs["input_ids"].shape[1] + len(reply) - 1  # the last was never read
    assert again == by_generate(one.model, longer)


def test_the_first_question_again_after_the_second(one: Subject) -> None:
    fast = one.fast()
    for turns in (ASKED, ASKED_ON, ASKED, EDITED, OTHER, ASKED_ON):
        assert by_fast(fast, one.inputs(turns))[0] == _fresh(one, turns)


def test_another_video_with_the_same_words(one: Subject) -> None:
    """Their ids are the same; what stands behind them is not."""
    fast = one.fast()
    seen = by_fast(fast, one.inputs(), video=0)[0]
    other, reused = by_fast(fast, one.inputs(seed=1), video=1)
    assert reused == 0
    assert other == _fresh(one, seed=1) != seen
    assert by_fast(fast, one.inputs(), video=0)[0] == seen


def test_a_video_without_a_name_leaves_nothing(one: Subject) -> None:
    fast = one.fast()
    for seed in (0, 1):
        inputs = one.inputs(seed=seed)
        assert by_fast(fast, inputs, video=None) == (_fresh(one, seed=seed), 0)
    assert not any(fast.sparing())


def test_only_what_the_tower_saw_is_left(one: Subject) -> None:
    """The conversation has gone: the prompt is read again, the tower is not asked."""
    fast = one.fast()
    by_fast(fast, one.inputs())
    fast.conversations.shrink(0)
    blind = _without_pixels(one.inputs(OTHER))
    assert fast.has_seen("video")
    assert by_fast(fast, blind) == (_fresh(one, OTHER), 0)


def test_what_the_tower_saw_goes_away_and_comes_back(one: Subject) -> None:
    fast = one.fast()
    by_fast(fast, one.inputs())
    assert fast.tower is not None
    for turns in (OTHER, ASKED_ON):
        assert fast.tower.seen.spare(1)
        assert not list(fast.tower.seen.here)
        fast.conversations.shrink(0)
        blind = _without_pixels(one.inputs(turns))
        assert by_fast(fast, blind) == (_fresh(one, turns), 0)
        assert not list(fast.tower.seen.away)


def _without_pixels(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: torch.full((), torch.nan).expand(each.shape) if name.startswith("pixel") else each
        for name, each in inputs.items()
    }


@pytest.mark.parametrize("turns", [ASKED, ASKED_ON, OTHER])
def test_away_and_back(turns: tuple[Turn, ...], one: Subject) -> None:
    fast = one.fast()
    by_fast(fast, one.inputs(), video=0)
    fast.conversations.limit = 0  # the next to be kept goes to the machine's memory
    by_fast(fast, one.inputs(), video=0)
    assert not list(fast.conversations)
    assert list(fast.away)
    reply, reused = by_fast(fast, one.inputs(turns), video=0)
    assert reply == _fresh(one, turns)
    assert reused > 0


@pytest.mark.parametrize("limit", [0, PLENTY], ids=["away", "here"])
def test_stopped_before_anything_is_moved(limit: int, one: Subject) -> None:
    """The conversation stays where it is: to bring it back takes as long as many tokens."""

    def stop() -> None:
        raise Cancelled

    fast = one.fast()
    fast.conversations.limit = limit
    by_fast(fast, one.inputs(), video=0)
    before = [*fast.conversations], [*fast.away]
    assert any(before)
    with pytest.raises(Cancelled), torch.inference_mode():
        fast.generate(
            one.inputs(ASKED_ON), video=0, max_new_tokens=600, streamer=Written(), look=stop
        )
    assert ([*fast.conversations], [*fast.away]) == before


def test_no_room_for_anything(one: Subject) -> None:
    fast = one.fast(kept_bytes=0, away_bytes=0)
    for turns in (ASKED, ASKED_ON, ASKED):
        assert by_fast(fast, one.inputs(turns)) == (_fresh(one, turns), 0)
    assert not any(fast.sparing())


def test_room_for_one_conversation(one: Subject) -> None:
    """The budget holds after every question, and the last one's is what remains."""
    trial = one.fast()
    by_fast(trial, one.inputs())
    size = trial.conversations.nbytes
    fast = one.fast(kept_bytes=size, away_bytes=0)
    for seed in (0, 1, 0):
        inputs = one.inputs(seed=seed)
        assert by_fast(fast, inputs, video=seed) == (_fresh(one, seed=seed), 0)
        assert 0 < fast.conversations.nbytes <= size
    assert by_fast(fast, one.inputs(), video=0)[1] > 0


def test_it_spares_more_and_more(one: Subject) -> None:
    """Of four videos two, then one, then none; and then there is nothing to be spared."""
    fast = one.fast()
    for seed in range(4):
        by_fast(fast, one.inputs(seed=seed), video=seed, tokens=4)
    sparing = fast.sparing()
    for left in ((2, 3), (3,), ()):
        assert next(sparing)
        assert fast.tower is not None
        assert tuple(seed for seed, _ in fast.tower.seen.here) == left
        assert all(fast.has_seen(seed) for seed in range(4))
        assert tuple(each.video for _, each in (*fast.conversations, *fast.away)) == (
            left + tuple(range(4 - len(left)))
        )
    assert not any(sparing)
    fast.away.shrink(0)
    assert by_fast(fast, one.inputs(), video=0) == (_fresh(one), 0)


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_stopped_while_the_prompt_is_read(
    layers: int, one: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many layers of two; what was read is right, and the rest is read next time."""
    count = one.inputs()["input_ids"].shape[1]
    monkeypatch.setattr(fast_module, "CHUNK_TOKENS", -(-count // 4))
    model = one.copy()
    fast = fast_of(model)
    passed: list[int] = []

    def look(*_: Any) -> None:
        passed.append(1)
        if len(passed) > layers:
            raise Cancelled

    hooked = model.model.language_model.layers
    handles = [each.register_forward_pre_hook(look) for each in hooked]
    with pytest.raises(Cancelled):
        by_fast(fast, one.inputs())
    for handle in handles:
        handle.remove()
    assert by_fast(fast, one.inputs())[0] == _fresh(one)
    assert by_fast(fast, one.inputs(ASKED_ON))[0] == _fresh(one, ASKED_ON)


def test_stopped_while_the_reply_is_written(one: Subject) -> None:
    class Impatient(Written):
        def put(self, ids: torch.Tensor) -> None:
            super().put(ids)
            if len(self.ids) == 3:
                raise Cancelled

    fast = one.fast()
    with pytest.raises(Cancelled), torch.inference_mode():
        fast.generate(one.inputs(), video=0, max_new_tokens=16, streamer=Impatient())
    reply, reused = by_fast(fast, one.inputs(), video=0)
    assert reply == _fresh(one)
    assert reused > 0


def test_a_reply_ends_where_the_model_ends_it(one: Subject) -> None:
    reply = _fresh(one)
    end = reply[5]
    model = one.copy()
    model.generation_config.eos_token_id = [end, -1]
    fast = fast_of(model)
    written = reply[: reply.index(end) + 1]
    assert by_fast(fast, one.inputs())[0] == written
    assert by_fast(fast, one.inputs())[0] == written
