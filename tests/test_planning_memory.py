"""Bytes: against what was measured and traced, and layers over devices as well as can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.planning import ModelCard, load_card, parse_devices
from core.planning.card import TextShape, VisionShape
from core.planning.devices import GIB, Device
from core.planning.execution import PRECISIONS, Execution, run_dtype
from core.planning.family import PatchGrid
from core.planning.memory import DeviceMemory, Load, load_of
from core.planning.placement import Placement, memory_on, place
from core.planning.weights import weight_bytes

QWEN25_TOWER = VisionShape(layers=32, hidden=1280, mlp=3420)


def _text(layers: int, hidden: int, mlp: int, heads: int, kv_heads: int, **rest: int) -> TextShape:
    return TextShape(
        layers=layers,
        hidden=hidden,
        mlp=mlp,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=128,
        vocab=152_064,
        kv_layers=layers,
        **rest,
    )


@pytest.fixture(scope="module")
def qwen25_7b(tiny_model: Path) -> ModelCard:
    return replace(
        load_card(tiny_model),
        patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
        parameters=8_292_166_656,
        active_parameters=8_292_166_656,
        dtype="bfloat16",
        text=_text(28, 3584, 18944, 28, 4),
        vision=QWEN25_TOWER,
    )


PLAIN, CHUNKS = Execution(in_chunks=False), Execution(in_chunks=True)


def _load(card: ModelCard, prompt: int, *, execution: Execution = PLAIN, dtype: str = "") -> Load:
    return load_of(
        card,
        dtype=dtype or card.dtype,
        prompt=prompt,
        total=prompt,
        patches=4 * prompt,
        execution=execution,
    )


def _over_weights(card: ModelCard, load: Load) -> int:
    (device,) = parse_devices("H200")
    whole = load.whole(device)
    assert whole.weights == 2 * card.parameters
    return whole.peak - whole.weights - whole.reserve


@pytest.mark.parametrize(
    ("tokens", "measured"),
    [(4_608, 1.0e9), (18_432, 3.8e9), (55_296, 11.5e9)],
    ids=["64 frames", "256 frames", "768 frames"],
)
def test_peak_as_measured_on_an_h200(tokens: int, measured: float, qwen25_7b: ModelCard) -> None:
    """Within 10%, as the docstring of memory.py has it."""
    assert _over_weights(qwen25_7b, _load(qwen25_7b, tokens)) == pytest.approx(measured, rel=0.1)


TRACED = {  # text, tower, patch, bytes a patch in the tower, bytes a token in prefill less cache
    "Qwen2.5-VL-7B": (_text(28, 3584, 18944, 28, 4), QWEN25_TOWER, 14, 53_056, 167_133),
    "Qwen2.5-VL-3B": (_text(36, 2048, 11008, 16, 2), QWEN25_TOWER, 14, 52_277, 101_170),
    "Qwen3-VL-8B": (
        _text(36, 4096, 12288, 32, 8),
        VisionShape(layers=27, hidden=1152, mlp=4304, deepstack=3), 16, 62_003, 184_153,
    ),
    "Qwen3-VL-2B": (
        _text(28, 2048, 6144, 16, 8),
        VisionShape(layers=24, hidden=1024, mlp=4096, deepstack=3), 16, 52_892, 95_659,
    ),
    "Qwen3-VL-30B-A3B": (
        _text(48, 2048, 6144, 32, 4, experts_per_token=8),
        VisionShape(layers=27, hidden=1152, mlp=4304, deepstack=3), 16, 57_820, 191_164,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRACED)
def test_activations_as_counted_in_a_forward_pass(name: str, qwen25_7b: ModelCard) -> None:
    """Within 7% of the tensors alive at the peak in transformers 5.23, in bfloat16."""
    text, vision, patch, in_tower, in_prefill = TRACED[name]
    patches = PatchGrid(patch_size=patch, merge_size=2, temporal_patch_size=2)
    card = replace(qwen25_7b, text=text, vision=vision, patches=patches)
    load = _load(card, 10_000)
    assert load.tower / 40_000 == pytest.approx(in_tower, rel=0.07)
    assert (load.prompt + load.layer) / 10_000 == pytest.approx(in_prefill, rel=0.07)


# Qwen2.5-VL in bf16 on an H200, a prompt of 72 tokens a frame and 37 more, 64 for the reply: most
# bytes over the weights, in MB of 10^6, for frames as tools/bench_models.py plans them; these are
# the layers', ...
LAYERS_TOOK = {
    ("3B", 64): 632, ("3B", 256): 1525, ("3B", 768): 3036,
    ("7B", 64): 1062, ("7B", 256): 2519, ("7B", 768): 4899,
    ("32B", 64): 2417, ("32B", 256): 7006, ("32B", 768): 17_050,
}  # fmt: skip
# ... and these what it takes to see the video, up to the first layer.
TOWER_TOOK = {("3B", 64): 471, ("3B", 256): 997, ("3B", 768): 2223}


def _in_chunks(model: str, frames: int) -> Load:
    prompt = 72 * frames + 37
    return load_of(
        load_card(f"Qwen/Qwen2.5-VL-{model}-Instruct"),
        dtype="bfloat16",
        prompt=prompt,
        total=prompt + 64,
        patches=288 * frames,
        execution=CHUNKS,
    )


@pytest.mark.parametrize(("model", "frames"), LAYERS_TOOK, ids=str)
def test_chunks_of_tokens_take_what_was_measured(model: str, frames: int) -> None:
    """Of videos without a name, so that what the tower saw was not kept beside its copy."""
    load = _in_chunks(model, frames)
    found = load.kv_cache + load.prompt // 2 + load.layer + load.logits
    assert found / 1e6 == pytest.approx(LAYERS_TOOK[model, frames], rel=0.03)


@pytest.mark.parametrize(("model", "frames"), TOWER_TOOK, ids=str)
def test_chunks_of_frames_take_what_was_measured(model: str, frames: int) -> None:
    assert _in_chunks(model, frames).tower / 1e6 == pytest.approx(
        TOWER_TOOK[model, frames], rel=0.05
    )


# Peaks of whole requests in bf16 on an H200, in GB with the weights, as bench_peaks.py has it:
# frames of one size whose patches the tower hands over.
MEASURED_SQUARES = {
    ("OpenGVLab/InternVL3-1B-hf", 32): 2.54,
    ("OpenGVLab/InternVL3-1B-hf", 120): 3.02,
    ("OpenGVLab/InternVL3-8B-hf", 8): 16.52,
    ("OpenGVLab/InternVL3-8B-hf", 120): 19.35,
    ("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", 120): 2.71,
    ("llava-hf/llava-onevision-qwen2-7b-ov-hf", 8): 16.57,
    ("llava-hf/llava-onevision-qwen2-7b-ov-hf", 64): 18.28,
    ("llava-hf/llava-onevision-qwen2-7b-ov-hf", 120): 19.05,
}


@pytest.mark.parametrize(("name", "frames"), MEASURED_SQUARES)
def test_square_frames_take_what_was_measured(name: str, frames: int) -> None:
    card = load_card(name)
    assert card.frame_tokens is not None
    prompt = frames * card.frame_tokens + 60
    side = card.family.frame_side or 0
    load = load_of(
        card,
        dtype=card.dtype,
        prompt=prompt,
        total=prompt + 64,
        patches=frames * (side // card.patches.patch_size) ** 2,
    )
    (device,) = parse_devices("H200")
    whole = load.whole(device)
    measured = MEASURED_SQUARES[name, frames] * 1e9
    assert whole.peak - whole.reserve == pytest.approx(measured, rel=0.05)


def test_chunks_bound_what_a_layer_takes(qwen25_7b: ModelCard) -> None:
    short, long = (_load(qwen25_7b, n, execution=CHUNKS) for n in (8192, 55_296))
    assert long.layer == short.layer < _load(qwen25_7b, 55_296).layer
    assert long.kv_cache == 55_296 * 56 * 1024
    assert _load(qwen25_7b, 55_100, execution=CHUNKS).kv_cache == long.kv_cache  # rounded up


def test_a_hybrid_caches_only_in_its_attention_layers(qwen25_7b: ModelCard) -> None:
    hybrid = replace(qwen25_7b, text=replace(qwen25_7b.text, kv_layers=7))
    assert 4 * _load(hybrid, 5000).kv_cache == _load(qwen25_7b, 5000).kv_cache


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("fp32", 4.0),
        ("bf16", 2.0),
        ("fp16", 2.0),
        ("fp8", 1.213),  # embeddings, head and tower, 21.3% of the weights, stay at two bytes
        ("int8", 1.213),
        ("int4", 0.869),
    ],
)
def test_bytes_a_weight(precision: str, expected: float, qwen25_7b: ModelCard) -> None:
    (device,) = parse_devices("L4")
    execution = Execution(precision=precision)
    found = weight_bytes(qwen25_7b, device, execution) / qwen25_7b.parameters
    assert found == pytest.approx(expected, rel=0.03)
    dtype = run_dtype(qwen25_7b, device, execution)
    assert dtype == PRECISIONS[precision]
    assert _load(qwen25_7b, 100, dtype=dtype).kv_cache == 100 * 56 * 1024 * (
        2 if precision == "fp32" else 1
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"precision": "int2"}, "no precision 'int2'"),
        ({"placement": "everywhere"}, "no placement 'everywhere'"),
    ],
    ids=str,
)
def test_what_nothing_can_run(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Execution(**wrong)  # type: ignore[arg-type]


def _spread(
    card: ModelCard, devices: str, prompt: int = 4608
) -> tuple[Placement, list[DeviceMemory]]:
    load, there = _load(card, prompt), parse_devices(devices)
    placement = place(load, there)
    return placement, list(memory_on(load, placement, there))


@pytest.mark.parametrize(
    ("devices", "mode", "counts", "replicas"),
    [
        ("L4", "single", [28], 1),
        ("4xL4", "replicas", [28, 28, 28, 28], 4),
        ("12GiB,24GiB,48GiB", "replicas", [0, 28, 28], 2),
        ("12GiB,8GiB,48GiB", "single", [0, 0, 28], 1),
        ("8GiB", "single", [28], 0),
    ],
    ids=["one", "replicas", "on those large enough", "the one large enough", "too small"],
)
def test_one_device_is_used_where_it_is_enough(
    devices: str, mode: str, counts: list[int], replicas: int, qwen25_7b: ModelCard
) -> None:
    placement, memory = _spread(qwen25_7b, devices)
    assert placement.mode == mode
    assert [len(layers) for layers in placement.layers] == counts
    assert placement.replicas == replicas
    assert [each.peak > 0 for each in memory] == [count > 0 for count in counts]


def test_a_split_keeps_the_ends_at_the_ends(qwen25_7b: ModelCard) -> None:
    placement, memory = _spread(qwen25_7b, "3x12GiB", prompt=18_432)
    load = _load(qwen25_7b, 18_432)
    assert placement.mode == "split"
    assert placement.replicas == 0
    assert [layer for layers in placement.layers for layer in layers] == list(range(28))
    first, middle, last = memory
    assert first.activations == max(load.layer + load.prompt, load.tower - first.kv_cache)
    assert middle.activations == load.layer
    assert last.activations == load.layer + load.logits
    assert sum(each.weights for each in memory) == pytest.approx(2 * qwen25_7b.parameters)
    assert sum(each.kv_cache for each in memory) == pytest.approx(load.kv_cache)


def test_tied_embeddings_are_held_once(qwen25_7b: ModelCard) -> None:
    tied = replace(qwen25_7b, text=replace(qwen25_7b.text, tied=True))
    assert _load(tied, 100).last_weights == 0
    assert _load(qwen25_7b, 100).last_weights == 2 * 152_064 * 3584


loads = st.builds(
    Load,
    layers=st.integers(1, 6),
    **{
        name: st.integers(0, 4 * GIB)
        for name in ("layer_weights", "first_weights", "last_weights", "kv_cache", "tower",
                     "prompt", "layer", "logits")
    },
)  # fmt: skip
capacities = st.lists(st.integers(1, 8 * GIB), min_size=2, max_size=3)


def _devices(sizes: list[int]) -> tuple[Device, ...]:
    return tuple(
        Device(name=f"cuda:{number}", kind="cuda", model="", capacity_bytes=size)
        for number, size in enumerate(sizes)
    )


def _tightest(load: Load, counts: tuple[int, ...], devices: tuple[Device, ...]) -> int:
    """Bytes over the capacity of the device that is over the most, below 0 where all fits."""
    last = len(devices) - 1
    return max(
        load.on(device, range(count), first=number == 0, last=number == last).peak
        - device.capacity_bytes
        for number, (device, count) in enumerate(zip(devices, counts, strict=True))
    )


@given(load=loads, sizes=capacities)
@settings(max_examples=150)
def test_no_other_split_leaves_more_free(load: Load, sizes: list[int]) -> None:
    """All ways to spread up to six layers over two or three devices, one by one."""
    devices = _devices(sizes)
    placement = place(load, devices)
    if placement.mode != "split":
        assert placement.replicas > 0
        return
    memory = memory_on(load, placement, devices)
    found = max(each.peak - each.device.capacity_bytes for each in memory)
    ways = product(range(load.layers + 1), repeat=len(devices))
    assert found == min(_tightest(load, way, devices) for way in ways if sum(way) == load.layers)


@given(load=loads, sizes=capacities, more=st.integers(0, 4 * GIB), which=st.integers(0, 2))
@settings(max_examples=150)
def test_what_fits_still_fits_with_more_memory(
    load: Load, sizes: list[int], more: int, which: int
) -> None:
    def missing(sizes: list[int]) -> int:
        devices = _devices(sizes)
        return sum(each.missing for each in memory_on(load, place(load, devices), devices))

    larger = [*sizes]
    larger[which % len(sizes)] += more
    assert missing(sizes) > 0 or missing(larger) == 0


# Weights of the layers of the real classes, counted on the meta device.
IN_LAYERS = {
    "Qwen/Qwen2.5-VL-7B-Instruct": 6_525_618_176,
    "Qwen/Qwen3-VL-8B-Instruct": 6_946_071_552,
    "Qwen/Qwen3-VL-30B-A3B-Instruct": 29_909_790_720,
    "Qwen/Qwen3.5-4B": 3_570_049_536,
    "OpenGVLab/InternVL3-8B-hf": 6_525_618_176,
    "HuggingFaceTB/SmolVLM2-256M-Video-Instruct": 106_202_880,
    "zai-org/GLM-4.1V-9B-Thinking": 8_158_760_960,
    "google/gemma-4-31B-it": 29_288_053_760,
}


@pytest.mark.parametrize("name", IN_LAYERS)
def test_weights_of_the_layers(name: str) -> None:
    """They alone are packed, so that towers of unusual ways must not count among them."""
    card = load_card(name)
    load = _load(card, 100, dtype="int8")
    assert load.layer_weights == pytest.approx(IN_LAYERS[name], rel=0.002)
    rest = card.parameters - load.layer_weights
    assert load.first_weights + load.last_weights == 2 * rest


def test_a_packed_matrix_is_unpacked_for_its_product(qwen25_7b: ModelCard) -> None:
    plain, packed = (_load(qwen25_7b, 100, dtype=each) for each in ("bfloat16", "int4"))
    assert packed.layer - plain.layer == 2 * 3584 * 18944
