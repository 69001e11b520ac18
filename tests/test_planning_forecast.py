"""Verdicts, memory and seconds: the arithmetic of an estimate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ContextOverflow, MemoryOverflow
from core.planning import (
    Device,
    Estimate,
    ModelCard,
    Rates,
    Settings,
    Turn,
    check,
    estimate,
    load_card,
    make_plan,
    parse_devices,
    rough_rates,
)
from core.planning.execution import AS_STORED, Execution
from core.planning.forecast import count_text, count_tokens, run_dtype
from core.planning.machine import GIB
from core.video import VideoInfo, describe_video

VIDEO = describe_video(width=640, height=360, duration_seconds=20, frame_rate=25)
CPU = Device(name="cpu", kind="cpu", model="", capacity_bytes=8 * GIB)


@pytest.fixture(scope="module")
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


def _estimate(
    card: ModelCard,
    *,
    devices: tuple[Device, ...] = (CPU,),
    chosen: Settings | None = None,
    info: VideoInfo = VIDEO,
    rates: Rates | None = None,
    execution: Execution = AS_STORED,
) -> Estimate:
    chosen = chosen or Settings()
    plan = make_plan(info, chosen, card)
    turns = [Turn("user", "What?"), Turn("assistant", "A red circle."), Turn("user", "And now?")]
    return estimate(
        plan, info, chosen, card, turns, devices=devices, rates=rates, execution=execution
    )


def test_parts_add_up(card: ModelCard) -> None:
    tokens = _estimate(card).tokens
    parts = (tokens.video, tokens.labels, tokens.question, tokens.history, tokens.template)
    assert all(part > 0 for part in parts)
    assert tokens.prompt == sum(parts)
    assert tokens.total == tokens.prompt + 512


def test_labels_and_wrappers(card: ModelCard) -> None:
    """In this tokenizer "<0.5 seconds>" has more than five tokens, and each pair two wrappers."""
    few = _estimate(card, chosen=Settings(max_frames=4)).tokens
    more = _estimate(card, chosen=Settings(max_frames=8)).tokens
    assert few.labels < more.labels
    assert (few.question, few.history, few.template) == (
        more.question,
        more.history,
        more.template,
    )


@pytest.mark.parametrize(
    ("context", "capacity", "verdict", "error"),
    [
        (100_000, 8 * GIB, "fits", None),
        (1_000, 8 * GIB, "over_context", ContextOverflow),
        (100_000, GIB // 4, "over_memory", MemoryOverflow),
        (1_000, GIB // 4, "over_context", ContextOverflow),
    ],
    ids=["fits", "context", "memory", "both"],
)
def test_verdict(
    context: int, capacity: int, verdict: str, error: type[Exception] | None, card: ModelCard
) -> None:
    small = replace(card, context_tokens=context)
    found = _estimate(small, devices=(replace(CPU, capacity_bytes=capacity),))
    assert found.verdict == verdict
    assert found.context_share == found.tokens.total / context
    if error is None:
        check(found, small, remedy="")
        return
    with pytest.raises(error) as caught:
        check(found, small, remedy="Do less.")
    assert caught.value.remedy == "Do less."


def test_the_context_is_full_at_exactly_its_size(card: ModelCard) -> None:
    total = _estimate(card).tokens.total
    assert _estimate(replace(card, context_tokens=total)).verdict == "fits"
    assert _estimate(replace(card, context_tokens=total - 1)).verdict == "over_context"


def test_overflow_messages_give_both_numbers(card: ModelCard) -> None:
    small = replace(card, context_tokens=1000)
    found = _estimate(small)
    with pytest.raises(ContextOverflow) as caught:
        check(found, small, remedy="")
    assert f"{found.tokens.total:,} tokens" in caught.value.message
    assert "exceed the 1,000" in caught.value.message


@pytest.mark.parametrize(
    ("device", "dtype"),
    [(CPU, "float32"), (parse_devices("24GiB")[0], "bfloat16")],
    ids=["cpu", "cuda"],
)
def test_weights_are_held_in(device: Device, dtype: str, card: ModelCard) -> None:
    stored = replace(card, dtype="bfloat16")
    assert run_dtype(stored, device) == dtype
    size = {"float32": 4, "bfloat16": 2}[dtype]
    assert _estimate(stored, devices=(device,)).memory[0].weights == card.parameters * size


def _large(card: ModelCard) -> ModelCard:
    """16 wide layers of 2 GB each."""
    text = replace(card.text, layers=16, kv_layers=16, mlp=28_672)
    count = 16 * 10**9
    return replace(card, parameters=count, active_parameters=count, dtype="bfloat16", text=text)


def test_one_device_is_used_where_it_is_enough(card: ModelCard) -> None:
    single = Execution(placement="single")
    first, second = _estimate(card, devices=parse_devices("2x24GiB"), execution=single).memory
    assert first.peak > 0
    assert second.peak == 0


def test_replicas_are_each_as_large_and_no_faster_than_one(card: ModelCard) -> None:
    found = _estimate(_large(card), devices=parse_devices("2xH200"))
    alone = _estimate(_large(card), devices=parse_devices("H200"))
    assert (found.placement.mode, found.placement.replicas) == ("replicas", 2)
    assert [each.peak for each in found.memory] == [alone.memory[0].peak] * 2
    assert found.seconds == alone.seconds


def test_layers_are_spread_where_one_device_is_not_enough(card: ModelCard) -> None:
    found = _estimate(_large(card), devices=parse_devices("2x24GiB"))
    first, second = found.memory
    assert first.weights == pytest.approx(16e9, rel=0.001)
    assert second.weights == pytest.approx(16e9, rel=0.001)
    assert (first.layers, second.layers) == (range(8), range(8, 16))
    assert found.placement.layers == (range(8), range(8, 16))
    assert (found.placement.mode, found.placement.replicas) == ("split", 0)
    assert found.verdict == "fits"


def test_which_device_is_over_and_by_how_much(card: ModelCard) -> None:
    found = _estimate(_large(card), devices=parse_devices("8GiB,80GB,4GiB"))
    assert found.verdict == "fits"
    found = _estimate(_large(card), devices=parse_devices("2x12GiB"))
    assert found.verdict == "over_memory"
    assert found.over == found.memory
    assert [each.missing for each in found.over] == [each.peak - 12 * GIB for each in found.memory]
    with pytest.raises(MemoryOverflow) as caught:
        check(found, card, remedy="")
    assert caught.value.message.count("GiB and has 12.0") == 2


def test_missing_tokens(card: ModelCard) -> None:
    found = _estimate(replace(card, context_tokens=1000))
    assert found.missing_tokens == found.tokens.total - 1000 > 0
    assert _estimate(card).missing_tokens == 0


def test_text_counted_before_gives_the_same(card: ModelCard) -> None:
    plan, turns = make_plan(VIDEO, Settings(), card), [Turn("user", "What?")]
    text = count_text(card, turns)
    assert count_tokens(plan, card, turns, reply_tokens=9, text=text) == count_tokens(
        plan, card, turns, reply_tokens=9
    )
    assert text.total == text.question + text.history + text.template


def test_execution_is_heeded(card: ModelCard) -> None:
    large, devices = _large(card), parse_devices("H200")
    plain = _estimate(large, devices=devices, execution=Execution(in_chunks=False))
    packed = _estimate(large, devices=devices, execution=Execution(precision="int4"))
    chunked = _estimate(large, devices=devices)
    assert packed.memory[0].weights < 0.3 * plain.memory[0].weights
    assert packed.seconds.per_token < plain.seconds.per_token
    assert chunked.memory[0].activations < plain.memory[0].activations
    assert chunked.memory[0].weights == plain.memory[0].weights
    assert chunked.seconds.per_token < plain.seconds.per_token / 2
    old = [
        _estimate(large, devices=parse_devices("T4"), execution=Execution(in_chunks=chunks))
        for chunks in (True, False)
    ]
    assert old[0].seconds == old[1].seconds  # no kernels for that one


def test_a_token_passes_only_through_the_experts_chosen(card: ModelCard) -> None:
    devices = parse_devices("H200")
    plain = Execution(in_chunks=False)  # no graphs for experts
    dense = _estimate(_large(card), devices=devices, execution=plain)
    mixture = replace(_large(card), active_parameters=2 * 10**9)
    mixture = _estimate(mixture, devices=devices, execution=plain)
    assert mixture.memory == dense.memory
    assert mixture.seconds.prefill < 0.2 * dense.seconds.prefill
    assert mixture.seconds.per_token < dense.seconds.per_token


def test_layers_run_one_device_after_the_other(card: ModelCard) -> None:
    split = _estimate(_large(card), devices=parse_devices("2xL4"))
    single = _estimate(
        _large(card), devices=(replace(parse_devices("L4")[0], capacity_bytes=80 * GIB),)
    )
    assert (split.placement.mode, single.placement.mode) == ("split", "single")
    assert split.seconds.prefill == pytest.approx(single.seconds.prefill)
    assert split.seconds.per_token == pytest.approx(single.seconds.per_token)


def test_memory_grows_with_the_prompt(card: ModelCard) -> None:
    few = _estimate(card, chosen=Settings(max_frames=4)).memory[0]
    many = _estimate(card, chosen=Settings(max_frames=40)).memory[0]
    assert few.kv_cache < many.kv_cache
    assert few.kv_cache + few.activations < many.kv_cache + many.activations
    assert few.weights == many.weights


@pytest.mark.parametrize(
    ("devices", "layers", "parameters", "in_chunks", "tokens_per_second"),
    [
        ("H200", 28, 7.6e9, False, (10.0, 15.6)),
        ("2xH200", 80, 72.7e9, False, (5.9, 6.7)),
        ("H200", 28, 7.6e9, True, (163.0, 196.0)),
        ("2xH200", 80, 72.7e9, True, (25.0, 25.0)),
    ],
    ids=["7B, plain", "72B on two, plain", "7B, the engine", "72B on two, the engine"],
)
def test_rough_rates_are_within_a_factor_of_two(
    devices: str,
    layers: int,
    parameters: float,
    in_chunks: bool,
    tokens_per_second: tuple[float, float],
    card: ModelCard,
) -> None:
    """Decoding of Qwen2.5-VL in bfloat16, with transformers as it comes and with the engine's
    graphs, measured on the H200."""
    text, count = replace(card.text, layers=layers), int(parameters)
    measured = replace(card, parameters=count, active_parameters=count, dtype="bfloat16", text=text)
    execution, there = Execution(in_chunks=in_chunks), parse_devices(devices)
    found = 1 / _estimate(measured, devices=there, execution=execution).seconds.per_token
    assert min(tokens_per_second) / 2 <= found <= 2 * max(tokens_per_second)


def test_measured_rates_replace_guesses(card: ModelCard) -> None:
    rough = rough_rates((CPU,))
    slower = rough.corrected(read=2.0, prompt=4.0, per_token=0.5)
    before, after = _estimate(card, rates=rough).seconds, _estimate(card, rates=slower).seconds
    assert (before.rough, after.rough) == (True, False)
    assert after.read == pytest.approx(2 * before.read)
    assert after.prefill == pytest.approx(4 * before.prefill)
    assert after.vision == pytest.approx(4 * before.vision)
    assert after.per_token == pytest.approx(before.per_token / 2)


def test_unmeasured_parts_keep_their_rates() -> None:
    rough = rough_rates((CPU,))
    assert rough.corrected(read=None, prompt=0.0, per_token=None) == replace(rough, measured=True)


@pytest.mark.parametrize(
    ("keyframes", "wanted", "decoded"),
    [
        ([0, 100, 200], (0, 150), 1 + 51),
        ([0, 100, 200], (10, 20), 11 + 10),
        ([0, 100, 200], (100, 200), 1 + 1),
        ([0], (499,), 500),
        ([], (0, 499), 1 + 250),  # not at hand: one each 250 frames
    ],
    ids=["jump", "walk on", "on keyframes", "from the start", "unknown"],
)
def test_reading_costs_what_must_be_decoded(
    keyframes: list[int], wanted: tuple[int, ...], decoded: int, card: ModelCard
) -> None:
    info = replace(VIDEO, keyframes=keyframes)
    plan = replace(make_plan(info, Settings(), card), indices=wanted)
    rates = replace(rough_rates((CPU,)), decoded_pixels=640 * 360)
    turns = [Turn("user", "What?")]
    found = estimate(plan, info, Settings(), card, turns, devices=(CPU,), rates=rates)
    assert found.seconds.read == decoded


@pytest.mark.parametrize(
    ("model", "devices", "more"),
    [
        ("OpenGVLab/InternVL3_5-38B-HF", "4x24GiB", "8GB,4x24GiB"),
        ("OpenGVLab/InternVL3_5-38B-HF", "4x24GiB", "4x24GiB,8GB"),
        ("Qwen/Qwen2.5-VL-72B-Instruct", "8x24GiB", "4GiB,8x24GiB"),
        ("Qwen/Qwen3-VL-4B-Instruct", "4xH200", "L4,4xH200"),
    ],
)
def test_another_device_never_makes_it_worse(model: str, devices: str, more: str) -> None:
    card = load_card(model)
    info = describe_video(width=1280, height=720, duration_seconds=20, frame_rate=30)
    chosen, turns = Settings(max_frames=16), [Turn("user", "What happens?")]
    plan = make_plan(info, chosen, card)
    few, many = (
        estimate(plan, info, chosen, card, turns, devices=parse_devices(each))
        for each in (devices, more)
    )
    assert few.verdict == many.verdict == "fits"
    assert many.seconds.prefill <= few.seconds.prefill * 1.001
