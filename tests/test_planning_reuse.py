"""Seconds of a request of which part was done before: truth tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.planning import (
    Device,
    Estimate,
    ModelCard,
    Rates,
    Reused,
    Settings,
    Turn,
    estimate,
    load_card,
    make_plan,
    parse_devices,
)
from core.planning.forecast import reusing
from core.planning.seconds import BUS_BYTES, KEPT_PIXELS, NOTHING
from core.video import describe_video

INFO = describe_video(width=1280, height=720, duration_seconds=60, frame_rate=30)
RATES = Rates(decoded_pixels=1e9, vision_flops=1e13, prefill_flops=1e14, weight_bytes=1e12)


def _found(
    model: str = "Qwen/Qwen2.5-VL-7B-Instruct", devices: tuple[Device, ...] | None = None
) -> tuple[Estimate, ModelCard]:
    card, settings = load_card(model), Settings(max_frames=16)
    there = devices or parse_devices("H200")
    turns = [Turn("user", "What happens?")]
    plan = make_plan(INFO, settings, card)
    return estimate(plan, INFO, settings, card, turns, devices=there, rates=RATES), card


@pytest.mark.parametrize(
    ("reused", "less"),
    [
        (NOTHING, set()),
        (Reused(reading="none"), {"read"}),
        (Reused(reading="store"), {"read"}),
        (Reused(seen=True), {"vision"}),
        (Reused(tokens=1000), {"prefill"}),
        (Reused(tokens=1000, seen=True, reading="none"), {"read", "vision", "prefill"}),
    ],
    ids=["nothing", "frames", "store", "seen", "tokens", "all of it"],
)
def test_each_part_spares_its_own_seconds(reused: Reused, less: set[str]) -> None:
    whole, card = _found()
    found = reusing(whole, card, reused)
    parts = ("read", "vision", "prefill", "per_token")
    spared = {each for each in parts if getattr(found.seconds, each) < getattr(whole.seconds, each)}
    assert spared == less
    assert found.reused == reused
    assert replace(found, seconds=whole.seconds, reused=NOTHING) == whole


def test_kept_pictures_take_as_long_as_they_are_large() -> None:
    whole, card = _found()
    plan = whole.plan
    found = reusing(whole, card, Reused(reading="store"))
    pixels = len(plan.indices) * plan.height * plan.width
    assert found.seconds.read == pytest.approx(pixels / KEPT_PIXELS)


@pytest.mark.parametrize("kept", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_new_tokens_attend_to_kept_ones(kept: float) -> None:
    """What is read first and what is read later are together what is read at once."""
    whole, card = _found()
    prompt = whole.tokens.prompt
    later = reusing(whole, card, Reused(tokens=int(kept * prompt))).seconds.prefill
    assert 0 <= later <= whole.seconds.prefill
    share = later / whole.seconds.prefill
    assert share >= (1 - int(kept * prompt) / prompt) - 1e-9  # the last ones cost the most
    assert share == pytest.approx(1 - kept, abs=0.05)


def test_more_tokens_than_the_prompt_has_spare_no_more_than_all() -> None:
    """Where the prompt's length is counted by a rule."""
    whole, card = _found()
    assert reusing(whole, card, Reused(tokens=10**6)).seconds.prefill == 0


def test_weights_are_fetched_for_a_short_prompt_too() -> None:
    host = Device(name="cpu", kind="cpu", model="", capacity_bytes=256 * 2**30)
    whole, card = _found("Qwen/Qwen2.5-VL-72B-Instruct", (*parse_devices("2xL40S"), host))
    fetching = whole.memory[-1].weights / BUS_BYTES
    found = reusing(whole, card, Reused(tokens=whole.tokens.prompt))
    assert fetching > 0
    assert found.seconds.prefill == pytest.approx(fetching)
    assert found.seconds.per_token == whole.seconds.per_token
