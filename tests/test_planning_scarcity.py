"""Memory that ran out though the forecast said that it suffices: told with settings that do fit."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core.asking import answer, foresee
from core.errors import MemoryOverflow
from core.planning import Device, Settings, Turn, estimate, load_card, make_plan, parse_devices
from core.planning.devices import GIB
from core.planning.holding import hold
from core.planning.scarcity import LESS, with_settings
from core.video import describe_video, probe
from fake_engine import FakeEngine

CARD = load_card("Qwen/Qwen2.5-VL-7B-Instruct")
VIDEO = describe_video(width=640, height=360, duration_seconds=200, frame_rate=25)
CLIP = Path(__file__).parents[1] / "assets/examples/motion.mp4"
TURNS = [Turn("user", "What happens?")]


def _told(
    text: str, free: Sequence[float], *, frames: int = 256
) -> tuple[MemoryOverflow, MemoryOverflow, tuple[Device, ...]]:
    """What was said, what is made of it, and where the model is held."""
    devices, execution = hold(CARD, parse_devices(text))
    chosen = Settings(max_frames=frames)
    plan = make_plan(VIDEO, chosen, CARD)
    found = estimate(plan, VIDEO, chosen, CARD, TURNS, devices=devices, execution=execution)
    assert found.verdict == "fits"
    names = (each.name for each in devices)
    bytes_ = {name: int(GIB * each) for name, each in zip(names, free, strict=True)}
    error = MemoryOverflow("Out of memory.", remedy="Take fewer frames.", free_bytes=bytes_)
    return (
        error,
        with_settings(
            error, plan, VIDEO, chosen, CARD, TURNS, devices=devices, execution=execution
        ),
        devices,
    )


def _needed(remedy: str, text: str) -> list[float]:
    """GiB on top of the weights and the reserve, with the settings of the remedy."""
    named = re.findall(r"(\w+) to ([\d,]+)", remedy)
    chosen = replace(
        Settings(max_frames=256), **{name: int(said.replace(",", "")) for name, said in named}
    )
    devices, execution = hold(CARD, parse_devices(text))
    plan = make_plan(VIDEO, chosen, CARD)
    found = estimate(plan, VIDEO, chosen, CARD, TURNS, devices=devices, execution=execution)
    return [(each.kv_cache + each.activations) / GIB for each in found.memory]


@pytest.mark.parametrize(
    ("devices", "free"),
    [("24GiB", [1.5]), ("24GiB", [0.7]), ("2x12GiB", [1.2, 0.6]), ("2x12GiB", [5.0, 0.6])],
)
def test_they_fit_in_what_was_free(devices: str, free: list[float]) -> None:
    error, told, _ = _told(devices, free)
    assert told.message == error.message
    assert told.remedy.startswith("Set max_")
    assert told.remedy.endswith(". Then ask again.")
    needed = _needed(told.remedy, devices)
    assert all(size <= each for size, each in zip(needed, free, strict=True))


def test_they_need_less_whatever_was_free() -> None:
    _, told, _ = _told("24GiB", [6.0])
    all_of_it = _needed("", "24GiB")
    assert 0.5 * all_of_it[0] < _needed(told.remedy, "24GiB")[0] <= LESS * all_of_it[0]


@pytest.mark.parametrize("free", [0.0, 0.01])
def test_where_nothing_fits_it_is_told_as_it_was(free: float) -> None:
    error, told, _ = _told("24GiB", [free])
    assert told is error


def test_what_was_free_elsewhere_says_nothing() -> None:
    error, _, devices = _told("24GiB", [1.0])
    error.free_bytes = {"cuda:7": GIB}
    chosen = Settings(max_frames=256)
    plan = make_plan(VIDEO, chosen, CARD)
    execution = hold(CARD, devices)[1]
    told = with_settings(
        error, plan, VIDEO, chosen, CARD, TURNS, devices=devices, execution=execution
    )
    assert told is error


def test_who_asks_is_told(tiny_model: Path) -> None:
    """And the settings are those of the question, with less."""
    engine = FakeEngine(load_card(tiny_model))
    settings = Settings(fps=8)
    foreseen = foresee(probe(CLIP), settings, engine.card, TURNS, devices=engine.devices())
    engine.fail_with = MemoryOverflow("Out of memory.", free_bytes={"cpu": 64 * GIB})
    with pytest.raises(MemoryOverflow, match=r"Out of memory\.") as caught:
        list(answer(engine, foreseen, stop=threading.Event()))
    assert re.fullmatch(r"Set max_.* to \d+\. Then ask again\.", caught.value.remedy)
