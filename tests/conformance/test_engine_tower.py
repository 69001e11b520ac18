"""The vision tower in chunks, kept, and made faster: the same output as the tower itself."""

from __future__ import annotations

import itertools
import math
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lively import CLASSES, PLENTY, Subject, subject
from small_models import IN_PART
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from core.engine import attention, taking
from core.engine import tower as tower_module
from core.engine.seen import Seen
from core.engine.taking import project_in_chunks, states_of
from core.engine.tower import TRIED_GRIDS, Tower, widen_and_flatten


@pytest.fixture(scope="module", params=[*CLASSES, *IN_PART])
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject(request.param, tmp_path_factory.mktemp("tower"))


def _module(model: Any) -> Any:
    return getattr(model.model, "visual", None) or model.model.vision_tower


def _tower(model: Any, kept_bytes: int = PLENTY) -> Tower:
    """As core/engine/fast.py sets it up."""
    project_in_chunks(model.model)
    return Tower(_module(model), Seen(kept_bytes=kept_bytes, away_bytes=0), states_of(model.model))


def _seen(model: Any, inputs: dict[str, Any]) -> list[torch.Tensor]:
    """What the model's text layers get to see: pictures, and those added to deeper layers."""
    pixels = {
        name: each
        for name, each in inputs.items()
        if name.startswith("pixel_values") or name.endswith("grid_thw")
    }
    name = "get_video_features" if "pixel_values_videos" in pixels else "get_image_features"
    with torch.inference_mode():
        found = getattr(model.model, name)(**pixels)
    return _tensors([found.pooler_output, getattr(found, "deepstack_features", None)])


def _tensors(found: Any) -> list[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        return [found]
    return [] if found is None else [each for some in found for each in _tensors(some)]


def _alike(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(some) == len(others) > 0 and all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "in halves"])
@pytest.mark.parametrize("patches", [1, 100, 300, 10**6])
def test_chunks_see_what_the_whole_sees(
    patches: int, fused: bool, one: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = one.inputs()
    whole = _seen(one.model, inputs)
    model = one.copy()
    looks: list[int] = []
    plain = _module(model).forward

    def counted(*args: Any, **named: Any) -> Any:
        looks.append(1)
        return plain(*args, **named)

    _module(model).forward = counted
    _tower(model).fused = fused
    monkeypatch.setattr(tower_module, "CHUNK_PATCHES", patches)
    monkeypatch.setattr(taking, "PROJECTED_PATCHES", patches)
    assert _alike(_seen(model, inputs), whole)
    frames = 2 if one.kind.startswith(("qwen", "glm")) else 4  # a patch of these is two frames deep
    expected = {1: frames, 10**6: 1 if fused else 2}
    assert len(looks) == expected.get(patches, len(looks))


def test_another_video_is_seen_otherwise(one: Subject) -> None:
    """Otherwise nothing here could tell one output from another."""
    assert not _alike(_seen(one.model, one.inputs()), _seen(one.model, one.inputs(seed=1)))


def test_kept_output_is_the_same_though_it_was_changed(
    one: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers put what they make of the output into its fields."""
    monkeypatch.setattr(tower_module, "CHUNK_PATCHES", 100)
    model, inputs = one.copy(), one.inputs()
    tower = _tower(model)
    tower.video = "video"
    first = [each.clone() for each in _seen(model, inputs)]
    blind = {
        name: torch.full((), torch.nan).expand(each.shape) if name.startswith("pixel") else each
        for name, each in inputs.items()
    }
    for _ in range(3):
        assert _alike(_seen(model, blind), first)
    assert _alike(first, _seen(one.model, inputs))


def test_each_video_has_its_own(one: Subject) -> None:
    model = one.copy()
    tower = _tower(model)
    expected = {seed: _seen(one.model, one.inputs(seed=seed)) for seed in (0, 1)}
    for seed in (0, 1, 0, 1):
        tower.video = seed
        assert _alike(_seen(model, one.inputs(seed=seed)), expected[seed])
    assert {key for key, _ in tower.seen.here} == {0, 1}


def test_a_video_without_a_name_is_not_kept(one: Subject) -> None:
    model = one.copy()
    tower = _tower(model)
    for seed in (0, 1):
        expected = _seen(one.model, one.inputs(seed=seed))
        assert _alike(_seen(model, one.inputs(seed=seed)), expected)
    assert tower.seen.here.nbytes == 0


def test_no_more_is_kept_than_is_used(one: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden states of all layers would be thirty times as much as the pictures."""
    for patches in (100, 10**6):
        monkeypatch.setattr(tower_module, "CHUNK_PATCHES", patches)
        model = one.copy()
        tower = _tower(model)
        tower.video = "video"
        with torch.inference_mode():
            seen = _seen(model, one.inputs())
        ((_, kept),) = tower.seen.here
        held = {
            each.untyped_storage().data_ptr(): each.untyped_storage().nbytes()
            for each in _tensors(list(kept.values()))
        }
        assert sum(held.values()) <= tower.seen.here.nbytes
        if one.kind.startswith(("qwen", "glm")):  # what the tower makes is what is seen
            assert tower.seen.here.nbytes == sum(each.nbytes for each in seen)
        else:  # one layer's patches
            config = model.config.vision_config
            side = int(torch.tensor(config.image_size).flatten()[0])
            patch = int(torch.tensor(config.patch_size).flatten()[0])
            layer = 4 * ((side // patch) ** 2 + 1) * config.hidden_size * 4
            assert tower.seen.here.nbytes <= layer


def test_what_is_too_large_is_not_kept(one: Subject) -> None:
    model = one.copy()
    tower = _tower(model, 10)
    tower.video = "video"
    assert _alike(_seen(model, one.inputs()), _seen(one.model, one.inputs()))
    assert "video" not in tower.seen.here


def test_wider_and_flat_is_the_same(one: Subject) -> None:
    """Zeros beyond the width, and a product in place of a convolution."""
    model = one.copy()
    widths = [each.shape for each in _module(model).parameters()]
    widen_and_flatten(_module(model))
    widened = [each.shape for each in _module(model).parameters()]
    assert (widened != widths) == (one.kind == "qwen2_5_vl")  # 96 -> 128; others have no gate
    assert _alike(_seen(model, one.inputs()), _seen(one.model, one.inputs()))


def _each_stretch(
    _module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    cu_seq_lens_q: torch.Tensor,
    **_options: Any,
) -> tuple[torch.Tensor, None]:
    """What attention.packed does, without its kernel."""
    found = [
        torch.nn.functional.scaled_dot_product_attention(
            *(e[:, :, a:b] for e in (query, key, value))
        )
        for a, b in itertools.pairwise(cu_seq_lens_q.tolist())
    ]
    return torch.cat(found, dim=2).transpose(1, 2), None


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v"])
def test_one_call_for_all_frames_sees_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the lengths that the class hands over, as on a GPU."""
    one = subject(kind, tmp_path)
    whole, model = _seen(one.model, one.inputs()), one.copy()
    lengths: list[int] = []

    def counted(*args: Any, **named: Any) -> Any:
        lengths.append(len(named["cu_seq_lens_q"]) - 1)
        assert int(named["max_length_q"]) == int(named["cu_seq_lens_q"].diff().max())
        return _each_stretch(*args, **named)

    attention.register()
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, attention.PACKED, counted)
    _module(model).config._attn_implementation = attention.PACKED
    assert _alike(_seen(model, one.inputs()), whole)
    assert min(lengths) > 1


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_what_is_compiled_is_tried_on_nobodys_video(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that is answered meanwhile goes through the same blocks in another thread."""
    model = subject(kind, tmp_path).copy()
    module = _module(model)
    attention.register()
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, attention.PACKED, _each_stretch)
    module.config._attn_implementation = attention.PACKED
    tower = Tower(module, Seen(kept_bytes=PLENTY, away_bytes=0))
    seen: list[int] = []
    asked: list[threading.Thread] = []

    def ask() -> None:
        width = 3 * module.config.temporal_patch_size * module.config.patch_size**2
        with torch.inference_mode():
            tower.look(torch.randn(4 * 4 * 4, width), grid_thw=torch.tensor([[4, 4, 4]]))

    def somebody_asks(*_: Any) -> None:
        if not asked:
            asked.append(threading.Thread(target=ask))
            asked[0].start()
            asked[0].join(60)

    def compiled(forward: Any) -> Any:
        def fused(block: Any, hidden: torch.Tensor, *args: Any, **told: Any) -> Any:
            seen.append(len(hidden))
            return forward(block, hidden, *args, **told)

        return fused

    monkeypatch.setattr(torch, "compile", compiled)
    module.blocks[0].register_forward_hook(somebody_asks)
    with torch.inference_mode():
        tower.fuse()
    assert asked
    assert seen == [math.prod(grid) for grid in TRIED_GRIDS for _ in module.blocks]


def test_nothing_comes_between_the_parts_of_a_divided_model(one: Subject) -> None:
    """accelerate's hooks on every part would keep torch.compile from fusing anything."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    model, inputs = one.copy(), one.inputs()
    whole = _seen(model, inputs)
    module = _module(model)
    for part in module.modules():
        add_hook_to_module(part, AlignDevicesHook("cpu"))
    Tower(module, Seen(kept_bytes=PLENTY, away_bytes=0))
    assert [part for part in module.modules() if hasattr(part, "_hf_hook")] == [module]
    assert _alike(_seen(model, inputs), whole)


@pytest.mark.parametrize("layers", [-2, [-2, -1], [0, -1], 1])
def test_other_states_can_be_taken(
    layers: int | list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint says of which layers; 0 is what goes into the first."""
    monkeypatch.setattr(tower_module, "CHUNK_PATCHES", 100)
    one = subject("llava_onevision", tmp_path)
    one.model.config.vision_feature_layer = layers
    if isinstance(layers, list):
        wide = torch.nn.Linear(64 * len(layers), one.model.config.text_config.hidden_size)
        one.model.model.multi_modal_projector.linear_1 = wide
    whole = _seen(one.model, one.inputs())
    model = one.copy()
    tower = _tower(model)
    tower.video = "video"
    assert _alike(_seen(model, one.inputs()), whole)
    ((_, kept),) = tower.seen.here
    wanted = [layers] if isinstance(layers, int) else layers
    if 0 not in wanted:
        assert sum(each is not None for each in kept["hidden_states"]) == len(wanted)
