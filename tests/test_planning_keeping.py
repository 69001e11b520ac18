"""What earlier questions may leave on devices: foretold as the engine allows it, never too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.engine.answering import Answering
from core.planning import (
    Device,
    Estimate,
    Settings,
    Turn,
    estimate,
    load_card,
    make_plan,
    parse_devices,
)
from core.planning.devices import GIB
from core.planning.execution import Execution
from core.planning.keeping import VISION_SHARE, budget
from core.planning.machine import processor as this_processor
from core.video import describe_video

HOST = Device(name="cpu", kind="cpu", model="", capacity_bytes=256 * GIB)
VIDEO = describe_video(width=640, height=360, duration_seconds=60, frame_rate=25)
TURNS = [Turn("user", "What happens?")]
SMALL, LARGE = "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct"


def _found(
    model: Any, devices: tuple[Device, ...], placement: str = "auto", frames: int = 16
) -> Estimate:
    card, chosen = load_card(model), Settings(max_frames=frames)
    plan = make_plan(VIDEO, chosen, card)
    execution = Execution(placement=placement)
    return estimate(plan, VIDEO, chosen, card, TURNS, devices=devices, execution=execution)


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_as_the_engine_allows(kind: Any, tiny_model: Path, processor: Any) -> None:
    from transformers import AutoModelForImageTextToText

    device = this_processor()
    if kind == "cuda":
        device = Device(name="cuda:0", kind="cuda", model="", capacity_bytes=2**34)
    network = AutoModelForImageTextToText.from_pretrained(tiny_model).eval()
    fast = Answering(load_card(tiny_model), network, processor, (device,)).fast
    assert fast is not None
    assert fast.tower is not None
    found = _found(tiny_model, (device,))
    allowed = fast.conversations.limit + fast.tower.seen.here.limit
    assert found.kept[0] + found.memory[0].kv_cache == pytest.approx(allowed, rel=0.01)


@pytest.mark.parametrize(
    ("model", "devices", "placement", "mode"),
    [
        (SMALL, "24GiB", "auto", "single"),
        (SMALL, "2xL4", "auto", "replicas"),
        (SMALL, "1GiB,L4", "auto", "single"),
        (SMALL, "3xL4", "split", "split"),
        (LARGE, "H100,H200", "split", "split"),
    ],
)
@pytest.mark.parametrize("frames", [4, 120])
def test_never_more_than_there_is(
    model: str, devices: str, placement: str, mode: str, frames: int
) -> None:
    found = _found(model, parse_devices(devices), placement, frames)
    assert (found.placement.mode, found.verdict) == (mode, "fits")
    for memory, kept in zip(found.memory, found.kept, strict=True):
        assert (kept > 0) == bool(memory.layers)
        assert memory.peak + kept <= memory.device.capacity_bytes
    if mode == "split":
        capacity = sum(each.device.capacity_bytes for each in found.memory)
        whole = budget("cuda", capacity, sum(each.weights for each in found.memory))
        assert sum(found.kept) <= whole + whole // VISION_SHARE


@pytest.mark.parametrize(
    ("model", "devices"),
    [
        (SMALL, parse_devices("T4")),  # it does not fit
        (LARGE, (*parse_devices("2xL40S"), HOST)),  # layers wait in the machine's memory
        ("allenai/Molmo2-4B", parse_devices("H200")),  # transformers runs it
    ],
    ids=["full", "offload", "plain"],
)
def test_nothing_is_kept(model: str, devices: tuple[Device, ...]) -> None:
    found = _found(model, devices)
    assert found.kept == (0,) * len(found.memory)


def test_a_device_without_layers_has_its_part_in_the_budget() -> None:
    """The engine counts all that the model lies on; conversations lie with the layers."""
    card, chosen = load_card(SMALL), Settings(max_frames=16)
    devices = parse_devices("24GiB,80GiB")
    layers = range(0), range(card.text.layers)
    plan = make_plan(VIDEO, chosen, card)
    execution = Execution(layers=layers)
    found = estimate(plan, VIDEO, chosen, card, TURNS, devices=devices, execution=execution)
    first, second = found.memory
    assert first.weights > 0
    whole = budget("cuda", 104 * GIB, first.weights + second.weights)
    assert found.kept == (whole // VISION_SHARE, whole - second.kv_cache)
