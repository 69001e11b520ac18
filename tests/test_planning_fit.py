"""Fit: settings that fit, the richest ones, and never poorer for more room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.planning import (
    Device,
    ModelCard,
    Plan,
    Settings,
    Turn,
    estimate,
    fit,
    load_card,
    make_plan,
    parse_devices,
    remedy_for,
)
from core.planning.execution import Execution
from core.planning.machine import GIB
from core.video import VideoInfo, describe_video

TURNS = [Turn("user", "What happens?")]
ROOMY = parse_devices("80GiB")
VIDEO = describe_video(width=1280, height=720, duration_seconds=600, frame_rate=30)


@pytest.fixture(scope="module")
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


def _verdict(chosen: Settings, card: ModelCard, devices: tuple[Device, ...] = ROOMY) -> str:
    plan = make_plan(VIDEO, chosen, card)
    return estimate(plan, VIDEO, chosen, card, TURNS, devices=devices).verdict


def test_what_fits_stays_as_it_is(card: ModelCard) -> None:
    chosen = Settings(max_frames=8)
    assert fit(VIDEO, chosen, card, TURNS, ROOMY) is chosen


def test_patches_are_given_up_before_frames(card: ModelCard) -> None:
    fitted = fit(VIDEO, Settings(max_frames=128), card, TURNS, ROOMY)
    assert fitted is not None
    assert fitted.max_frame_tokens is not None
    assert fitted.max_frames == 128
    assert _verdict(fitted, card) == "fits"


def test_then_frames(card: ModelCard) -> None:
    fitted = fit(VIDEO, Settings(fps=2), card, TURNS, ROOMY)
    assert fitted is not None
    assert fitted.max_frames is not None
    assert fitted.max_frame_tokens is not None
    assert make_plan(VIDEO, fitted, card).tokens_per_step < 2 * card.limits.min_frame_tokens
    assert _verdict(fitted, card) == "fits"
    assert _verdict(replace(fitted, max_frames=fitted.max_frames + 2), card) == "over_context"


def test_nothing_fits_a_reply_as_long_as_the_context(card: ModelCard) -> None:
    chosen = Settings(reply_tokens=card.context_tokens)
    assert fit(VIDEO, chosen, card, TURNS, ROOMY) is None


def _remedy(chosen: Settings, card: ModelCard, devices: tuple[Device, ...]) -> object:
    found = estimate(make_plan(VIDEO, chosen, card), VIDEO, chosen, card, TURNS, devices=devices)
    return remedy_for(found, VIDEO, chosen, card, TURNS, devices)


@pytest.mark.parametrize(
    ("chosen", "devices", "words"),
    [
        (Settings(fps=2), "80GiB", "Set max_frames to "),
        (Settings(max_frames=128), "80GiB", "Set max_frame_tokens to "),
        (Settings(reply_tokens=32_768), "80GiB", "set reply_tokens lower"),
        (Settings(max_frames=8), "0.1GiB", "Even the smallest plan does not fit"),
    ],
    ids=["frames", "patches", "reply too long", "device too small"],
)
def test_remedy_in_words(chosen: Settings, devices: str, words: str, card: ModelCard) -> None:
    remedy = _remedy(chosen, card, parse_devices(devices))
    assert remedy is not None
    assert words in remedy.message


def test_no_remedy_where_none_is_needed(card: ModelCard) -> None:
    assert _remedy(Settings(max_frames=8), card, ROOMY) is None


settings_of_any_kind = st.builds(
    Settings,
    fps=st.floats(0.05, 30),
    max_frames=st.none() | st.integers(2, 2000),
    min_frame_tokens=st.none() | st.integers(1, 300),
    max_frame_tokens=st.none() | st.integers(300, 3000),
    video_token_budget=st.none() | st.integers(2000, 500_000),
    reply_tokens=st.integers(1, 4000),
)
videos = st.builds(
    describe_video,
    width=st.integers(100, 4000),
    height=st.integers(100, 4000),
    duration_seconds=st.floats(0.5, 8000),
    frame_rate=st.sampled_from([10, 25, 30, 60]),
)


def _richness(info: VideoInfo, chosen: Settings, card: ModelCard) -> tuple[int, int]:
    plan = make_plan(info, chosen, card)
    return len(plan.indices), plan.tokens_per_step


contexts = st.integers(1000, 150_000)
capacities = st.lists(st.integers(3 * GIB, 12 * GIB), min_size=1, max_size=3)


def _devices(sizes: list[int]) -> tuple[Device, ...]:
    return tuple(
        Device(name=f"cuda:{number}", kind="cuda", model="", capacity_bytes=size)
        for number, size in enumerate(sizes)
    )


@pytest.fixture(scope="module")
def large(card: ModelCard) -> ModelCard:
    """Layers and tower wide enough for memory to matter: about 2 GiB of weights in 8 layers."""
    text = replace(card.text, layers=8, kv_layers=8, hidden=2048, mlp=24_576)
    vision = replace(card.vision, hidden=512, mlp=2048)
    return replace(
        card, parameters=10**9, active_parameters=10**9, dtype="bfloat16", text=text, vision=vision
    )


def _plan_and_verdict(
    info: VideoInfo, chosen: Settings, card: ModelCard, devices: tuple[Device, ...]
) -> tuple[Plan, str]:
    plan = make_plan(info, chosen, card)
    return plan, estimate(plan, info, chosen, card, TURNS, devices=devices).verdict


def _richness(plan: Plan) -> tuple[int, int]:
    return len(plan.indices), plan.tokens_per_step


@given(info=videos, chosen=settings_of_any_kind, context=contexts, sizes=capacities)
@settings(max_examples=150)
def test_what_is_fitted_is_the_richest_that_fits(
    large: ModelCard, info: VideoInfo, chosen: Settings, context: int, sizes: list[int]
) -> None:
    card, devices = replace(large, context_tokens=context), _devices(sizes)
    asked, verdict = _plan_and_verdict(info, chosen, card, devices)
    fitted = fit(info, chosen, card, TURNS, devices)
    if fitted is None:
        smallest = _smallest(chosen, asked, card)
        assert _plan_and_verdict(info, smallest, card, devices)[1] != "fits"
        return
    assert (fitted is chosen) == (verdict == "fits")
    plan, verdict = _plan_and_verdict(info, fitted, card, devices)
    assert verdict == "fits"
    assert len(plan.indices) <= len(asked.indices)
    assert len(plan.indices) >= min(card.limits.min_frames, len(asked.indices))
    # fewer frames have a higher floor each, to which a small picture is enlarged and rounded up
    assert plan.tokens_per_step <= asked.tokens_per_step or plan.max_pixels <= asked.max_pixels
    for richer in _one_step_richer(fitted, chosen, asked, card):
        assert _plan_and_verdict(info, richer, card, devices)[1] != "fits"


def _smallest(chosen: Settings, asked: Plan, card: ModelCard) -> Settings:
    """The family's fewest frames, of its fewest patches, unless fewer were asked for."""
    frames = min(card.limits.min_frames, max(2, len(asked.indices)))
    return _with(chosen, frames=frames, tokens=_fewest_tokens(asked, card))


def _fewest_tokens(asked: Plan, card: ModelCard) -> int:
    most = max(1, int(asked.max_pixels / card.patches.factor**2))
    return min(card.limits.min_frame_tokens, asked.tokens_per_step, most)


def _one_step_richer(
    fitted: Settings, chosen: Settings, asked: Plan, card: ModelCard
) -> list[Settings]:
    """One patch a frame more, and one pair of frames more where those were given up."""
    if fitted is chosen:
        return []
    tokens, frames = fitted.max_frame_tokens or 0, fitted.max_frames or 0
    richer = []
    if tokens + 1 <= asked.max_pixels / card.patches.factor**2:
        more_tokens = _with(chosen, tokens=tokens + 1)
        if fitted.max_frames != chosen.max_frames:
            more_tokens = _with(more_tokens, frames=frames)
        richer.append(more_tokens)
    if fitted.max_frames != chosen.max_frames and frames + 2 <= len(asked.indices):
        richer.append(_with(chosen, frames=frames + 2, tokens=_fewest_tokens(asked, card)))
    return richer


def _with(chosen: Settings, *, frames: int | None = None, tokens: int | None = None) -> Settings:
    """Bounds from above, with the bounds from below moved out of their way."""
    if frames is not None:
        low = None if chosen.min_frames is None else min(chosen.min_frames, frames)
        chosen = replace(chosen, max_frames=frames, min_frames=low)
    if tokens is not None:
        low = None if chosen.min_frame_tokens is None else min(chosen.min_frame_tokens, tokens)
        chosen = replace(chosen, max_frame_tokens=tokens, min_frame_tokens=low)
    return chosen


@given(
    info=videos,
    chosen=settings_of_any_kind,
    context=contexts,
    more_context=st.integers(0, 60_000),
    sizes=capacities,
    more_memory=st.integers(0, 4 * GIB),
)
@settings(max_examples=100)
def test_more_room_is_never_poorer(
    large: ModelCard,
    info: VideoInfo,
    chosen: Settings,
    context: int,
    more_context: int,
    sizes: list[int],
    more_memory: int,
) -> None:
    """Whether the context grows, or a device, or both."""

    def richness(context: int, sizes: list[int]) -> tuple[int, int]:
        card = replace(large, context_tokens=context)
        fitted = fit(info, chosen, card, TURNS, _devices(sizes))
        return (0, 0) if fitted is None else _richness(make_plan(info, fitted, card))

    larger = [sizes[0] + more_memory, *sizes[1:]]
    assert richness(context, sizes) <= richness(context + more_context, larger)


def test_experts_are_not_offered_packed() -> None:
    """No library packs them."""
    chosen, there = Settings(max_frames=8), parse_devices("48GiB")
    for name, words in (
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "choose a smaller model"),
        ("Qwen/Qwen3-VL-32B-Instruct", "choose --quantize int8, a smaller model"),
    ):
        card = load_card(name)
        plan = make_plan(VIDEO, chosen, card)
        found = estimate(plan, VIDEO, chosen, card, TURNS, devices=there)
        remedy = remedy_for(found, VIDEO, chosen, card, TURNS, there)
        assert remedy is not None
        assert words in remedy.message


@pytest.mark.parametrize(
    ("devices", "execution", "words"),
    [
        ("12GiB", Execution(), "choose --quantize int8, a smaller model"),
        ("9GiB", Execution(), "choose --quantize int4, a smaller model"),
        ("4GiB", Execution(), "choose a smaller model"),
        ("8GiB", Execution(precision="int8"), "choose a smaller model"),
        ("2x14GiB", Execution(placement="single"), "choose --placement auto, --quantize int8, a"),
        ("2x9GiB", Execution(placement="replicas"), "choose --quantize int4, a smaller model"),
        ("2GiB,24GiB", Execution(placement="split"), "choose --placement auto, a smaller model"),
    ],
)
def test_a_model_that_is_too_large_may_be_held_otherwise(
    devices: str, execution: Execution, words: str
) -> None:
    card = load_card("Qwen/Qwen2.5-VL-7B-Instruct")
    chosen, there = Settings(max_frames=8), parse_devices(devices)
    plan = make_plan(VIDEO, chosen, card)
    found = estimate(plan, VIDEO, chosen, card, TURNS, devices=there, execution=execution)
    remedy = remedy_for(found, VIDEO, chosen, card, TURNS, there, execution=execution)
    assert remedy is not None
    assert remedy.settings is None
    assert words in remedy.message
