"""The catalog: true to the real classes, complete for planning, found by name."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.planning.catalog import Published, catalog, nearest, published
from core.planning.execution import WEIGHT_BYTES

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SHAPES = list({id(each.config): each for each in reversed(catalog())}.values())[::-1]
OF_TEXT = {
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
}
# Known to transformers from 5.21 on, which Python 3.10 does not get.
NEWER = {"vision_use_head"}
# No fields of every class, and in Gemma 4 told apart by layer; the weights show whether they hold.
NOT_COMPARED = {
    "head_dim",
    "global_head_dim",
    "num_key_value_heads",
    "num_global_key_value_heads",
}


def _seeing(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that has the language model and the vision tower in it."""
    inner: dict[str, Any] = config.get("thinker_config", config)
    return inner


def _name(each: Published) -> str:
    return each.name


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.mark.parametrize("entry", SHAPES, ids=_name)
def test_the_real_class_has_as_many_weights(entry: Published) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.for_model(**_seeing(entry.config))
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    weights = dict(model.named_parameters())
    assert sum(weight.numel() for weight in weights.values()) == entry.parameters
    text = _seeing(entry.config)["text_config"]
    experts = text.get("num_experts") or text.get("n_routed_experts") or 1
    visited = text.get("num_experts_per_tok") or text.get("top_k_experts") or 1
    routed = sum(weight.numel() for name, weight in weights.items() if ".experts." in name)
    assert entry.parameters - entry.active_parameters == routed * (experts - visited) // experts


@pytest.mark.parametrize("entry", SHAPES, ids=_name)
def test_the_real_config_has_these_keys_and_values(entry: Published) -> None:
    from transformers import AutoConfig

    assert _differences(entry.config, AutoConfig.for_model(**entry.config)) == {}


def _differences(given: dict[str, Any], real: PretrainedConfig) -> dict[str, Any]:
    """What ``real`` has not, or has otherwise; a misspelt key would be taken without a word."""
    known = {field.name for field in fields(type(real))} | {"model_type"}
    found: dict[str, Any] = {}
    for key in given.keys() - NOT_COMPARED - (NEWER - known):
        value = getattr(real, key, None) if key in known else None
        if isinstance(given[key], dict):
            found |= _differences(given[key], value)
        elif (list(value) if isinstance(value, tuple) else value) != given[key]:
            found[key] = given[key]
    return found


@pytest.mark.parametrize("entry", catalog(), ids=_name)
def test_an_entry_has_what_planning_needs(entry: Published) -> None:
    text = _seeing(entry.config)["text_config"]
    vision = _seeing(entry.config)["vision_config"]
    assert text.keys() >= OF_TEXT
    assert {"intermediate_size", "moe_intermediate_size"} & text.keys()
    assert text["num_attention_heads"] % text["num_key_value_heads"] == 0
    assert len(text.get("layer_types", [])) in (0, text["num_hidden_layers"])
    assert {"depth", "num_hidden_layers"} & vision.keys()
    assert {"intermediate_size", "mlp_ratio"} & vision.keys()
    assert {"hidden_size", "patch_size"} <= vision.keys()
    assert {"size", "max_pixels", "max_soft_tokens"} & entry.video.keys()
    assert 0 < entry.active_parameters <= entry.parameters
    assert entry.dtype in WEIGHT_BYTES


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("google/gemma-4-E2B-it", {4, 9, 14, 19, 24, 29, 34}),
        ("google/gemma-4-E4B-it", {5, 11, 17, 23, 29, 35, 41}),
        ("Qwen/Qwen3.5-0.8B", {3, 7, 11, 15, 19, 23}),
    ],
)
def test_layers_with_full_attention(name: str, layers: set[int]) -> None:
    entry = published(name)
    assert entry
    kinds = entry.config["text_config"]["layer_types"]
    assert {layer for layer, kind in enumerate(kinds) if kind == "full_attention"} == layers


def test_names_are_many_and_unique() -> None:
    names = [each.name.lower() for each in catalog()]
    assert len(names) == len(set(names)) >= len(SHAPES) >= 40


@pytest.mark.parametrize("entry", catalog(), ids=_name)
def test_found_by_name_in_whatever_case(entry: Published) -> None:
    assert published(entry.name) is published(entry.name.upper()) is entry


@pytest.mark.parametrize("name", ["", "Qwen3-VL-8B-Instruct", "Qwen/Qwen3-VL-8B", "assets/demo"])
def test_no_other_name_is_found(name: str) -> None:
    assert published(name) is None


def test_another_format_of_the_same_model() -> None:
    ours, theirs = published("OpenGVLab/InternVL3-8B-hf"), published("OpenGVLab/InternVL3-8B")
    assert ours
    assert theirs
    assert (ours.config, ours.parameters) == (theirs.config, theirs.parameters)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("Qwen/Qwen3-VL-8B", "Qwen/Qwen3-VL-8B-Instruct"),
        ("qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwen/Qwen2.5VL-72B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct"),
        ("mlx-community/Qwen3-VL-4B-Instruct-4bit", "Qwen/Qwen3-VL-4B-Instruct"),
        ("smolvlm2", "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"),
        ("THUDM/GLM-4.5V", "zai-org/GLM-4.5V"),
        ("gemma-4-31b", "google/gemma-4-31B-it"),
    ],
)
def test_nearest_names(typed: str, first: str) -> None:
    assert nearest(typed)[0] == first


@given(st.text(max_size=60))
def test_nearest_names_are_names(typed: str) -> None:
    found = nearest(typed)
    assert len(set(found)) == len(found) <= 3
    assert all(published(name) for name in found)


def test_nothing_is_like_nonsense() -> None:
    assert nearest("0000000000") == ()
