"""Runs of placeholders tokenized as one each: what the tokenizer itself makes of the whole text."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from real_processors import KINDS, real_processor

from core.engine.runs import Runs

VIDEO, IMAGE = "<|video_pad|>", "<|image_pad|>"
PIECES = st.one_of(
    st.builds(str.__mul__, st.sampled_from([VIDEO, IMAGE]), st.integers(0, 40)),
    st.sampled_from(
        ["<|vision_start|>", " ", "<0.5 seconds>", "What happens?", "<|video_pad", "|>"]
    ),
    st.text(max_size=5),
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("runs") / "model"
    return real_processor(KINDS["qwen3_vl"], folder)[0].tokenizer


@pytest.mark.parametrize("kind", ["pt", None], ids=["tensors", "lists"])
@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12))
def test_any_text(kind: str | None, pieces: list[str], tokenizer: Any) -> None:
    text = ["".join(pieces) or "What?"]
    expected = tokenizer(text, return_tensors=kind)
    found = Runs(tokenizer, [VIDEO, IMAGE])(text, return_tensors=kind)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if kind is None:
            assert found[name] == value
        else:
            assert torch.equal(found[name], value)


def test_the_tokenizer_sees_one_of_each_run(tokenizer: Any) -> None:
    seen: list[str] = []

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, text: list[str], **options: Any) -> Any:
            seen.extend(text)
            return tokenizer(text, **options)

    found = Runs(Listening(), [VIDEO, IMAGE])([f"a{VIDEO * 9999}b{IMAGE * 7}{VIDEO * 2}"])
    assert seen == [f"a{VIDEO}b{IMAGE}{VIDEO}"]
    assert found["input_ids"][0].count(tokenizer.convert_tokens_to_ids(VIDEO)) == 10_001


def test_words_that_are_no_tokens_of_their_own(tokenizer: Any) -> None:
    """A placeholder that the tokenizer takes apart is left to it."""
    text = ["mm and mmmm"]
    assert Runs(tokenizer, ["m"])(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_several_texts_are_left_to_the_tokenizer(tokenizer: Any) -> None:
    texts = [f"one {VIDEO * 3}", f"two {VIDEO * 5}"]
    assert Runs(tokenizer, [VIDEO])(texts)["input_ids"] == tokenizer(texts)["input_ids"]


def test_the_rest_is_the_tokenizers(tokenizer: Any) -> None:
    runs = copy.deepcopy(Runs(tokenizer, [VIDEO]))
    assert runs.init_kwargs == tokenizer.init_kwargs
    assert runs.decode([1, 2]) == tokenizer.decode([1, 2])
    with pytest.raises(AttributeError):
        _ = runs.nothing_of_this_name
