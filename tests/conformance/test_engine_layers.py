"""Text layers as data against the layers themselves: the same hidden states, whatever the class."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lively import ASKED, CLASSES, Subject, subject
from small_models import MODELS, TEXT
from transformers import AutoConfig, AutoModelForImageTextToText

from core.engine import attention
from core.engine.cache import cache_of
from core.engine.decoding import Decoder, position_axes
from core.engine.keeping import Conversation
from core.engine.layers import ALLOWED, NEEDED, join, shape_of
from core.errors import Cancelled

TOKENS = 50
CUTS = {
    "whole": (0, 50),
    "chunks": (0, 20, 40, 50),
    "one token": (0, 20, 21, 22, 50),
    "pictures across": (0, 7, 8, 38, 39, 50),
}


@pytest.fixture(scope="module", params=CLASSES)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    attention.register()
    return subject(request.param, tmp_path_factory.mktemp("layers"))


def _text(one: Subject) -> tuple[Any, Any]:
    model = one.copy()
    model.model.language_model.config._attn_implementation = attention.CAUSAL
    return model.model.language_model, model.lm_head


def _decoder(text: Any, head: Any) -> Decoder:
    shape = shape_of(text.layers[0])
    assert shape is not None
    return Decoder(text, head, shape)


def _empty(text: Any) -> Conversation:
    layer = text.layers[0].self_attn
    heads = layer.k_proj.out_features // layer.head_dim
    keys, values = (
        [torch.full((TOKENS + 3, heads, layer.head_dim), torch.nan) for _ in text.layers]
        for _ in "kv"
    )
    return Conversation("video", keys=keys, values=values)


def _told(text: Any, kind: str) -> dict[str, Any]:
    """Words, a picture whose three axes go apart, words."""
    random = torch.Generator().manual_seed(3)
    hidden = text.config.hidden_size
    told: dict[str, Any] = {
        "inputs_embeds": torch.randn(1, TOKENS, hidden, generator=random),
        "position_ids": torch.arange(TOKENS)[None],
    }
    if kind.startswith("qwen"):
        apart = torch.randint(5, 30, (3, 1, 30), generator=random)
        places = told["position_ids"][None].expand(3, 1, -1)
        told["position_ids"] = torch.cat((places[..., :10], apart, places[..., 30:40]), dim=-1)
    if kind == "qwen3_vl":
        marks = torch.zeros(1, TOKENS, dtype=torch.bool)
        marks[:, 8:38] = True
        told["visual_pos_masks"] = marks
        told["deepstack_visual_embeds"] = [torch.randn(30, hidden, generator=random)]
    return told


def _cut(told: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    part = {
        "inputs_embeds": told["inputs_embeds"][:, start:end],
        "position_ids": told["position_ids"][..., start:end],
    }
    if "visual_pos_masks" in told:
        marks = told["visual_pos_masks"][0]
        part["visual_pos_masks"] = marks[None, start:end]
        before, upto = int(marks[:start].sum()), int(marks[:end].sum())
        added = told["deepstack_visual_embeds"]
        part["deepstack_visual_embeds"] = [each[before:upto] for each in added]
    return part


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_reading(cuts: tuple[int, ...], one: Subject) -> None:
    """The same logits after every chunk, and the same keys and values at the end."""
    text, head = _text(one)
    told, ours, theirs = _told(text, one.kind), _empty(text), _empty(text)
    with torch.inference_mode():
        expected = []
        for start, end in itertools.pairwise(cuts):
            found = text(
                **_cut(told, start, end),
                past_key_values=cache_of(theirs),
                use_cache=True,
                attention_mask=None,
            )
            theirs.ids += range(start, end)
            expected.append(head(found.last_hidden_state[:, -1]))
        decoder = _decoder(text, head)
        for start, end, logits in zip(cuts, cuts[1:], expected, strict=False):
            last = decoder.read(_cut(told, start, end), ours, lambda: None)
            ours.ids += range(start, end)
            assert torch.allclose(decoder.finish(last), logits, rtol=1e-3, atol=1e-3)
    assert logits.std() > 0.1
    for mine, its in zip((*ours.keys, *ours.values), (*theirs.keys, *theirs.values), strict=True):
        assert torch.allclose(mine[:TOKENS], its[:TOKENS], rtol=1e-3, atol=1e-4)
        assert torch.isnan(mine[TOKENS:]).all()


def test_positions_matter(one: Subject) -> None:
    """Otherwise the test above could not tell."""
    text, head = _text(one)
    told = _told(text, one.kind)
    found = []
    with torch.inference_mode():
        decoder = _decoder(text, head)
        for step in (1, 2):
            moved = {**told, "position_ids": told["position_ids"] * step}
            found.append(decoder.read(moved, _empty(text), lambda: None))
    assert not torch.allclose(found[0], found[1], rtol=0.05)


def test_it_looks_before_every_layer(one: Subject) -> None:
    text, head = _text(one)
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            raise Cancelled

    kept = _empty(text)
    decoder = _decoder(text, head)
    with torch.inference_mode(), pytest.raises(Cancelled):
        decoder.read(_told(text, one.kind), kept, look)
    assert kept.ids == []


def test_axes_of_a_position(one: Subject) -> None:
    """So many as the rotation takes; words are at the same place on all."""
    text, _ = _text(one)
    axes, places = position_axes(text), torch.arange(9)[None]
    given = places if axes == 1 else places.expand(axes, 1, -1)
    full = places.expand(3, 1, -1) if one.kind.startswith("qwen") else places
    like = torch.zeros(1, 9, 64)
    for mine, whole in zip(text.rotary_emb(like, given), text.rotary_emb(like, full), strict=True):
        assert torch.equal(mine, whole)


@pytest.mark.parametrize("kind", ["default", "dynamic", "linear", "yarn"])
def test_turning_waits_for_no_value(kind: str) -> None:
    """A CUDA graph cannot: tensors without values turn as well, and like the model's own."""
    config = AutoConfig.for_model(
        "internvl",
        text_config={
            **{"model_type": "qwen2", "vocab_size": 99, "max_position_embeddings": 64},
            **TEXT,
            "rope_parameters": {"rope_type": kind, "factor": 2.0, "rope_theta": 1e4},
        },
        vision_config=MODELS["internvl"][1],
    )
    model = AutoModelForImageTextToText.from_config(config).eval()
    text = model.model.language_model
    (rotation,) = _decoder(text, model.lm_head).rotations
    like, places = torch.zeros(1, 64, 64), torch.arange(64)[None]
    for mine, own in zip(rotation(like, places), text.rotary_emb(like, places), strict=True):
        assert torch.equal(mine, own)
    rotation.to("meta")
    assert rotation(like.to("meta"), places.to("meta"))[0].shape == (1, 64, 16)


def test_joined_weights_are_those_of_the_model(one: Subject) -> None:
    """One memory for both: nothing is held twice, and the model answers as before."""
    model, inputs = one.copy(), one.inputs(ASKED)
    with torch.inference_mode():
        before = model(**inputs).logits
        for layer in model.model.language_model.layers:
            held = sum(each.nbytes for each in layer.parameters())
            weights = join(layer)
            joined = {
                each.untyped_storage().data_ptr(): each.untyped_storage().nbytes()
                for each in layer.parameters()
            }
            assert sum(joined.values()) == held
            for whole in (weights.qkv, weights.gate_up):
                assert whole.untyped_storage().data_ptr() in joined
        assert torch.equal(model(**inputs).logits, before)


def _linear_of_its_own(layer: Any) -> None:
    class Quantised(torch.nn.Linear):
        """As bitsandbytes and others have them: a Linear by descent, its weight another thing."""

    old = layer.mlp.up_proj
    layer.mlp.up_proj = Quantised(old.in_features, old.out_features, bias=False)


REFUSED: dict[str, Callable[[Any], None]] = {
    "another parameter": lambda layer: layer.register_parameter(
        "scale", torch.nn.Parameter(torch.ones(1))
    ),
    "a missing one": lambda layer: delattr(layer, "post_attention_layernorm"),
    "another activation": lambda layer: setattr(layer.mlp, "act_fn", torch.nn.GELU()),
    "a sliding window": lambda layer: setattr(layer.self_attn, "sliding_window", 128),
    "a bias of the output": lambda layer: setattr(
        layer.self_attn, "o_proj", torch.nn.Linear(64, 64, bias=True)
    ),
    "a quantised product": _linear_of_its_own,
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_a_layer_of_another_kind_is_refused(change: Callable[[Any], None], one: Subject) -> None:
    layer = copy.deepcopy(one.model.model.language_model.layers[0])
    assert shape_of(layer) is not None
    change(layer)
    assert shape_of(layer) is None


# Text layers of other classes that transformers has, and whether their arithmetic is the pattern's.
OTHERS = {
    "gemma3": False,  # norms of another kind, and more of them
    "glm4v": False,  # gate and up in one, norms after
    "ovis2": True,
    "llava_next_video": True,
    "qwen3_vl_moe": False,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_classes(kind: str) -> None:
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(kind))
    layer = model.model.language_model.layers[0]
    assert (shape_of(layer) is not None) == OTHERS[kind]


def test_the_same_parameters_and_another_arithmetic() -> None:
    """Granite multiplies what its layers add."""
    text = {"model_type": "granite", "num_hidden_layers": 1}
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(
            AutoConfig.for_model("llava_next", text_config=text)
        )
    layer = model.model.language_model.layers[0]
    assert NEEDED <= {name for name, _ in layer.named_parameters()} <= ALLOWED
    assert shape_of(layer) is None
