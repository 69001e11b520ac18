"""What can be chosen for a model makes a plan for it: every family, route, slider and preset."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from core.asking import with_preset
from core.planning import ModelCard, Settings, load_card, make_plan
from core.planning.catalog import catalog
from core.planning.family import Route
from core.video import VideoInfo, describe_video
from fake_engine import FakeEngine
from ui import controls
from ui.targets import is_loaded, model_choices, places, target_of

CARDS = {card.family.name: card for card in (load_card(e.name) for e in reversed(catalog()))}
WAYS = {f"{name}-{route.name}": (card, route)
        for name, card in CARDS.items() for route in card.routes}  # fmt: skip
MINUTE = describe_video(width=1280, height=720, duration_seconds=60, frame_rate=30)


def first_values(card: ModelCard, route: Route) -> dict[str, Any]:
    values = {name: each.value for name, each in controls.ranges(card, route).items()}
    return {**values, "route": route.name, "strategy": controls.usual_strategy(route)}


@pytest.mark.parametrize(("card", "route"), WAYS.values(), ids=WAYS)
def test_where_the_sliders_stand_at_first_is_what_the_family_does(
    card: ModelCard, route: Route
) -> None:
    plan = make_plan(MINUTE, controls.settings_of(first_values(card, route), card), card)
    usual = make_plan(
        MINUTE, Settings(route=route.name, strategy=controls.usual_strategy(route)), card
    )
    assert plan == usual


@pytest.mark.parametrize("strategy", ["fps", "uniform"])
@pytest.mark.parametrize(("card", "route"), WAYS.values(), ids=WAYS)
def test_every_slider_can_go_to_both_ends(card: ModelCard, route: Route, strategy: str) -> None:
    for name, each in controls.ranges(card, route).items():
        for end in (each.low, each.high):
            values = {**first_values(card, route), "strategy": strategy, "min_frames": None}
            settings = controls.settings_of({**values, name: end}, card)
            assert make_plan(MINUTE, settings, card).video_tokens > 0


@pytest.mark.parametrize(("card", "route"), WAYS.values(), ids=WAYS)
def test_presets_are_places_on_the_sliders_and_cost_more_and_more(
    card: ModelCard, route: Route
) -> None:
    costs = []
    for name in ("fast", "balanced", "detailed"):
        chosen = with_preset(name, Settings(route=route.name), card)
        values = first_values(card, route)
        for slider, each in controls.ranges(card, route).items():
            values[slider] = each.nearest(getattr(chosen, slider))
            assert each.low <= values[slider] <= each.high
        costs.append(make_plan(MINUTE, controls.settings_of(values, card), card).video_tokens)
    # where the video's own bound holds for two of them, whole patches decide
    assert all(later >= 0.95 * earlier for earlier, later in pairwise(costs))
    assert costs[0] < costs[2]


@pytest.mark.parametrize(
    ("family", "route", "shown", "hidden"),
    [
        ("Qwen3-VL", "qwen-vl-utils", "max_frame_tokens", "max_tiles"),
        ("InternVL", "processor", "max_frames", "max_frame_tokens"),
        ("InternVL", "tiles", "max_tiles", "min_frame_tokens"),
        ("LLaVA-OneVision", "processor", "max_frames", "max_tiles"),
    ],
)
def test_what_a_family_ignores_is_hidden(family: str, route: str, shown: str, hidden: str) -> None:
    card = CARDS[family]
    found = controls.meaningful(card, card.route(route), "fps")
    assert shown in found
    assert hidden not in found
    assert not controls.meaningful(card, card.route(route), "uniform") & {"fps", "min_frames"}


def test_what_another_model_was_given_is_not_sent() -> None:
    """Values on their way while the model changes mean nothing to the new one."""
    values = {"route": "qwen-vl-utils", "max_frame_tokens": 64, "max_tiles": 3, "max_frames": 8}
    settings = controls.settings_of(values, CARDS["LLaVA-OneVision"])
    assert settings == Settings(route="processor", max_frames=8)


@pytest.mark.parametrize(
    ("value", "place"), [(None, 8), (15, 14), (2, 2), (1, 2), (99, 20)], ids=str
)
def test_nearest_place(value: float | None, place: float) -> None:
    assert controls.Range(low=2, high=20, value=8, step=2).nearest(value) == place


@pytest.mark.parametrize(
    ("keyframes", "offered"),
    [((), ["fps", "uniform"]), ((0, 30), ["fps", "uniform", "keyframes"])],
    ids=["described", "with-keyframes"],
)
def test_strategies_that_the_video_allows(keyframes: tuple[int, ...], offered: list[str]) -> None:
    info = VideoInfo(
        width=64,
        height=64,
        duration_seconds=2.0,
        frame_rate=MINUTE.frame_rate,
        frame_count=60,
        keyframes=keyframes,
    )
    assert controls.strategies(info) == offered


def test_targets_are_the_loaded_model_first_and_each_name_once() -> None:
    card = CARDS["SmolVLM2"]
    engine = FakeEngine(card)
    names = [name for _, name in model_choices(engine)]
    assert names[0] == card.name
    assert len(names) == len(set(names)) == len(catalog())
    assert is_loaded({}, engine)
    assert target_of({}, engine).devices == engine.devices()
    for _, name in places(engine)[1:]:
        target = target_of({"devices": name}, engine)
        assert (target.card, target.loaded) == (card, False)
        assert target.devices
