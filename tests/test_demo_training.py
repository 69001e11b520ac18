"""The demo model's training never asks in the words that its evaluation asks in."""

from __future__ import annotations

from random import Random

import pytest

from tools.demo_evaluation.wording import ask, wordings
from tools.demo_training import outlines
from tools.demo_training.inventing import SceneMaker
from tools.demo_training.language import Language, Turn
from tools.demo_training.offtopic import OffTopic
from tools.demo_training.reserved import is_reserved, skeleton
from tools.demo_training.scenes import stock_of
from tools.demo_training.truths import truth_of

NAMES = {"thing": "red circle", "a": "red circle", "b": "blue star", "other": "green cross",
         "shape": "circle", "colour": "red"}  # fmt: skip
WAYS = [(kind, way) for kind, ways in wordings().items() for way in ways]


@pytest.mark.parametrize(("kind", "way"), WAYS, ids=str)
def test_every_wording_of_the_evaluation_is_reserved(kind: str, way: str) -> None:
    dice = Random(0)
    asked = {ask(dice, kind, way, **NAMES) for _ in range(60)}
    assert [question for question in sorted(asked) if not is_reserved(question)] == []


@pytest.mark.parametrize(
    ("sentence", "same"),
    [
        ("What color is the {shape}?", "what colour is _"),
        ("so, what COLOUR is a red circle", "what colour is _"),
        ("How many shapes are there", "how many _ are there"),
        ("When does the white square show itself?", "when does _ show itself"),
    ],
)
def test_skeleton(sentence: str, same: str) -> None:
    assert skeleton(sentence) == same


@pytest.mark.parametrize("held_out", [False, True])
def test_training_never_uses_one(held_out: bool) -> None:
    dice = Random(5)
    maker = SceneMaker(stock_of(outlines.variants(2, 1), 2, 4))
    language = Language(held_out=held_out)
    turns: list[Turn] = []
    while len(turns) < 4000:
        truth = truth_of(maker.draw(frames=8, height=128, width=128, rng=dice))
        for talk in language.conversations(truth, 10, dice):
            turns += talk
    assert [turn.question for turn in turns if is_reserved(turn.question)] == []
    assert len({turn.kind for turn in turns}) > 15


def test_plain_english_is_never_about_the_clip() -> None:
    """ "What is shown" is English, but it asks for a description."""
    off_topic, dice = OffTopic(), Random(2)
    drawn = {skeleton(off_topic.draw(dice)) for _ in range(20_000)}
    about = {"what is shown", "what happens", "describe", "what is displayed", "explain",
             "what was seen", "what is visible"}  # fmt: skip
    assert drawn & about == set()
