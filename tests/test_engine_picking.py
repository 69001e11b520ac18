"""The next token by generation settings: as transformers' own generate picks it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from core.engine.fast import Fast
from core.engine.picking import Picker

PROMPT = list(range(40, 52)) * 2
TOKENS = 24

GREEDY: dict[str, dict[str, Any]] = {
    "nothing set": {},
    "do_sample is False": {"do_sample": False, "temperature": 0.1, "top_k": 3, "top_p": 0.5},
    "repetition_penalty": {"repetition_penalty": 1.3},
    "a penalty below one": {"repetition_penalty": 0.7},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "both": {"repetition_penalty": 1.05, "no_repeat_ngram_size": 3},
    "bad_words_ids": {"bad_words_ids": [[i] for i in range(300)]},
    "suppress_tokens": {"suppress_tokens": list(range(0, 400, 2))},
    "begin_suppress_tokens": {"begin_suppress_tokens": list(range(400))},
    "min_new_tokens": {"min_new_tokens": 20, "eos_token_id": list(range(0, 400, 3))},
    "min_length": {"min_length": len(PROMPT) + 9, "eos_token_id": list(range(0, 400, 3))},
    "ends at once": {"eos_token_id": list(range(400))},
}
# As the generation_config.json of published checkpoints have them, and others.
SAMPLED: dict[str, dict[str, Any]] = {
    "Qwen2-VL": {"temperature": 0.01, "top_k": 1, "top_p": 0.001},
    "Qwen2.5-VL": {"temperature": 1e-06, "repetition_penalty": 1.05},
    "Qwen3-VL": {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.0},
    "LLaVA-OneVision": {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.1},
    "nothing set": {},
    "temperature": {"temperature": 1.7},
    "top_k": {"top_k": 5},
    "top_k is off": {"top_k": 0},
    "top_p": {"top_p": 0.6, "top_k": 0},
    "min_p": {"min_p": 0.1},
    "typical_p": {"typical_p": 0.5},
    "epsilon_cutoff": {"epsilon_cutoff": 0.01},
    "all": {
        "temperature": 1.5,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.02,
        "no_repeat_ngram_size": 2,
    },
}


@pytest.fixture(scope="module")
def lively(untouched: Any) -> Any:
    """The tiny model with weights so wide that it says more than one word."""
    torch.manual_seed(5)
    model = copy.deepcopy(untouched)
    for each in model.parameters():
        if each.dim() > 1:
            each.data.copy_(torch.randn_like(each) * 2 / each[0].numel() ** 0.5)
    return model


def _configured(model: Any, settings: dict[str, Any]) -> Any:
    model = copy.deepcopy(model)
    model.generation_config = GenerationConfig(**{"pad_token_id": 0, **settings})
    return model


class _Written:
    def __init__(self) -> None:
        self.ids: list[int] = []

    def put(self, ids: torch.Tensor) -> None:
        if ids.dim() == 1:
            self.ids += ids.tolist()

    def end(self) -> None:
        pass


def _replies(model: Any) -> tuple[list[int], list[int]]:
    """By generate, and by the fast way."""
    inputs = {"input_ids": torch.tensor([PROMPT]), "attention_mask": torch.ones(1, len(PROMPT))}
    plain, ours = _Written(), _Written()
    with torch.inference_mode():
        torch.manual_seed(11)
        model.generate(**inputs, max_new_tokens=TOKENS, streamer=plain)
        fast = Fast.of(model, kept_bytes=0, away_bytes=0)
        assert fast is not None
        torch.manual_seed(11)
        fast.generate(inputs, video=None, max_new_tokens=TOKENS, streamer=ours)
    return plain.ids, ours.ids


@pytest.mark.parametrize("settings", GREEDY.values(), ids=GREEDY)
def test_greedy(settings: dict[str, Any], lively: Any) -> None:
    plain, ours = _replies(_configured(lively, settings))
    assert ours == plain


@pytest.mark.parametrize("settings", SAMPLED.values(), ids=SAMPLED)
def test_sampled(settings: dict[str, Any], lively: Any) -> None:
    """With the same numbers drawn, the same tokens: every score along the way is the same."""
    plain, ours = _replies(_configured(lively, {"do_sample": True, **settings}))
    assert ours == plain


def test_settings_make_a_difference(lively: Any) -> None:
    """Otherwise the tables above could not tell a setting that is ignored."""
    same = {"nothing set", "do_sample is False"}
    found = {name: _replies(_configured(lively, each))[0] for name, each in GREEDY.items()}
    assert {name for name in found if found[name] == found["nothing set"]} == same
    assert len(set(found["nothing set"])) > 5
    random = {
        name: tuple(_replies(_configured(lively, {"do_sample": True, **each}))[0])
        for name, each in SAMPLED.items()
    }
    assert len(set(random.values())) >= len(SAMPLED) - 3  # some never meet what they forbid


@pytest.mark.parametrize(
    ("settings", "greedy"),
    [
        ({}, True),
        ({"do_sample": False, "temperature": 0.5, "top_k": 2}, True),
        ({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}, True),
        ({"repetition_penalty": 1.1}, False),
        ({"suppress_tokens": [1]}, False),
        ({"do_sample": True}, False),
        ({"do_sample": True, "top_k": 1}, False),
    ],
)
def test_plain_greedy_is_known(settings: dict[str, Any], greedy: bool) -> None:
    """Then a step picks by itself, without being looked at."""
    picker = Picker(GenerationConfig(**settings), PROMPT, TOKENS, torch.device("cpu"))
    assert picker.greedy == greedy
