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
    Settings,
    Turn,
    estimate,
    fit,
    load_card,
    make_plan,
    parse_devices,
    remedy_for,
)
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
    assert fitted.max_frame_tokens == card.limits.min_frame_tokens
    assert fitted.max_frames is not None
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


@given(info=videos, chosen=settings_of_any_kind)
@settings(max_examples=120)
def test_what_is_fitted_is_the_richest_that_fits(
    card: ModelCard, info: VideoInfo, chosen: Settings
) -> None:
    fitted = fit(info, chosen, card, TURNS, ROOMY)
    assert fitted is not None
    plan = make_plan(info, fitted, card)
    assert estimate(plan, info, fitted, card, TURNS, devices=ROOMY).verdict == "fits"
    frames, tokens = _richness(info, chosen, card)
    assert len(plan.indices) <= frames
    assert plan.tokens_per_step <= tokens
    if fitted != chosen:
        richer = make_plan(info, _one_step_richer(fitted, chosen), card)
        estimated = estimate(richer, info, fitted, card, TURNS, devices=ROOMY)
        assert estimated.verdict == "over_context"


def _one_step_richer(fitted: Settings, chosen: Settings) -> Settings:
    """One patch a frame more, or one pair of frames more where those were given up."""
    if fitted.max_frames != chosen.max_frames:
        return replace(fitted, max_frames=(fitted.max_frames or 0) + 2)
    tokens, floor = (fitted.max_frame_tokens or 0) + 1, chosen.min_frame_tokens
    least = None if floor is None else min(floor, tokens)
    return replace(fitted, max_frame_tokens=tokens, min_frame_tokens=least)


@given(
    info=videos,
    chosen=settings_of_any_kind,
    contexts=st.tuples(st.integers(8000, 200_000), st.integers(8000, 200_000)),
)
@settings(max_examples=120)
def test_more_room_is_never_poorer(
    card: ModelCard, info: VideoInfo, chosen: Settings, contexts: tuple[int, int]
) -> None:
    found = []
    for context in sorted(contexts):
        fitted = fit(info, chosen, replace(card, context_tokens=context), TURNS, ROOMY)
        found.append((0, 0) if fitted is None else _richness(info, fitted, card))
    assert found[0] <= found[1]
