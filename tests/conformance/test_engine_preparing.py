"""Inputs made without frames against those of the real processor with them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lively import asked
from real_processors import KINDS, real_processor

from core.engine import preparing
from core.engine.base import Request
from core.engine.preparing import Preparer
from core.planning import ModelCard, Turn

FIRST = (Turn("user", "What happens?"),)
BEGINNINGS = [
    "What happens?",
    " What?",
    "\nWhat?",
    "\n\n\nWhat?",
    "\t\r\nWhat?",
    "   ",
    "7 of them?",
    ".5 seconds?",
    "!?",
    "'s colour?",
    "🎬 what?",
    "漢字は?",
    "é",
    "\u0301combining",
    "\u200b\u00a0What?",
    "{{ 7 * 7 }} <2.0 seconds>",
    "w",
]


@pytest.fixture(scope="module", params=KINDS)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ModelCard]:
    return real_processor(KINDS[request.param], tmp_path_factory.mktemp("preparing") / "model")


def _preparer(made: tuple[Any, ModelCard]) -> Preparer:
    return Preparer(made[1], made[0], "cpu", torch.float32)


def _blind(request: Request) -> Request:
    return replace(request, frames=None)


def _asked(made: tuple[Any, ModelCard], turns: Sequence[Turn] = FIRST, seed: int = 0) -> Request:
    return asked(made[1], turns, seed=seed, frames=2)


def _same(true: dict[str, Any], found: dict[str, Any], of: str = "") -> None:
    assert found.keys() == true.keys()
    for name, each in true.items():
        if not isinstance(each, torch.Tensor):
            assert found[name] == each, (name, of)
            continue
        assert (found[name].shape, found[name].dtype) == (each.shape, each.dtype), (name, of)
        assert name.startswith("pixel_values") or torch.equal(found[name], each), (name, of)


def test_other_words(made: tuple[Any, ModelCard]) -> None:
    """Known from one question, the same as if the frames had been there for the other.

    And the other way round, where it is known from such words at all.
    """
    usual = _asked(made)
    knowing = _preparer(made)
    expected = dict(knowing.inputs(usual))
    assert knowing.knows(0)
    for words in BEGINNINGS:
        other, fresh = _asked(made, (Turn("user", words),)), _preparer(made)
        true = fresh.inputs(other)
        _same(true, knowing.inputs(_blind(other)), ascii(words))
        assert knowing.ids(_blind(other)) == true["input_ids"][0].tolist(), ascii(words)
        if fresh.knows(0):
            _same(expected, fresh.inputs(_blind(usual)), ascii(words))


@pytest.mark.parametrize(
    "turns",
    [
        FIRST,
        (*FIRST, Turn("assistant", "A circle. "), Turn("user", "Its colour?")),
        (*FIRST, Turn("assistant", ""), Turn("user", "\nAnd <|im_end|>?")),
    ],
    ids=["the same", "goes on", "odd"],
)
def test_later_turns(turns: Sequence[Turn], made: tuple[Any, ModelCard]) -> None:
    preparer = _preparer(made)
    preparer.inputs(_asked(made))
    later = _asked(made, turns)
    for _ in range(2):
        true = _preparer(made).inputs(later)
        _same(true, preparer.inputs(_blind(later)))
        assert preparer.ids(_blind(later)) == true["input_ids"][0].tolist()


def test_made_ahead(made: tuple[Any, ModelCard]) -> None:
    """The same for whoever has waited, and known as well the next time."""
    preparer, asked_first = _preparer(made), _asked(made)
    _same(_preparer(made).inputs(asked_first), preparer.placed(preparer.ahead(asked_first)))
    other = _asked(made, (Turn("user", "And its colour?"),))
    _same(_preparer(made).inputs(other), preparer.inputs(_blind(other)))


def test_words_wait_for_nobodys_frames(made: tuple[Any, ModelCard]) -> None:
    """Another video is under way in the processor; who asks about a known one has the model."""
    processor, card = made
    begun, let = threading.Event(), threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(processor, name)

        def __call__(self, **asked: Any) -> Any:
            begun.set()
            assert let.wait(60)
            return processor(**asked)

    let.set()
    usual = _asked(made)
    preparer = Preparer(card, Slow(), "cpu", torch.float32)
    preparer.inputs(usual)
    let.clear()
    begun.clear()
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(preparer.ahead, replace(usual, video="other"))
        assert begun.wait(60)
        words = pool.submit(preparer.inputs, _blind(usual))
        done, _ = wait([words], timeout=5)
        let.set()
    assert done == {words}
    assert torch.equal(words.result()["input_ids"], other.result()["input_ids"])


def test_stand_ins_hold_no_memory(made: tuple[Any, ModelCard]) -> None:
    preparer = _preparer(made)
    preparer.inputs(_asked(made))
    inputs = preparer.inputs(_blind(_asked(made)))
    pixels = [each for name, each in inputs.items() if name.startswith("pixel_values")]
    assert pixels
    for each in pixels:
        assert each.untyped_storage().nbytes() <= 8 < each.nbytes


def test_what_was_given_out_is_not_what_is_kept(made: tuple[Any, ModelCard]) -> None:
    """Whoever takes pixels out, or adds something, leaves the next one's inputs alone."""
    preparer = _preparer(made)
    preparer.inputs(_asked(made)).clear()
    preparer.inputs(_blind(_asked(made))).clear()
    again = _asked(made)
    _same(_preparer(made).inputs(again), preparer.inputs(_blind(again)))


def test_another_beginning_needs_the_frames(made: tuple[Any, ModelCard]) -> None:
    preparer = _preparer(made)
    request = _asked(made)
    preparer.inputs(request)
    other = _blind(replace(request, prompt="Be brief. " + request.prompt))
    assert preparer.ids(other) is None
    with pytest.raises(KeyError):
        preparer.inputs(other)


def test_another_video_is_not_known(made: tuple[Any, ModelCard]) -> None:
    preparer = _preparer(made)
    preparer.inputs(_asked(made))
    assert not preparer.knows(1)
    assert preparer.ids(_asked(made, seed=1)) is None
    with pytest.raises(KeyError):
        preparer.inputs(_blind(_asked(made, seed=1)))


def test_a_video_without_a_name_is_not_remembered(made: tuple[Any, ModelCard]) -> None:
    preparer = _preparer(made)
    preparer.inputs(replace(_asked(made), video=None))
    assert not preparer.knows(None)


def test_it_remembers_so_many_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one asked about longest ago is forgotten first."""
    monkeypatch.setattr(preparing, "KEPT_VIDEOS", 3)
    processor, card = real_processor(KINDS["qwen3_vl"], tmp_path / "model")
    preparer = Preparer(card, processor, "cpu", torch.float32)
    request = asked(card, FIRST, frames=2)
    for number in range(3):
        preparer.inputs(replace(request, video=number))
    preparer.inputs(replace(request, video=0, frames=None))
    preparer.inputs(replace(request, video=3))
    assert [preparer.knows(number) for number in range(4)] == [True, False, True, True]
