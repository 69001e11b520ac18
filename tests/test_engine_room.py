"""Whether one more fits: the forecast's own numbers, held against what is free on each GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from asking_by_hand import request
from core.engine.room import fits, needed
from core.planning import Settings, Turn, estimate, load_card, make_plan
from core.planning.devices import GIB, Device
from core.planning.execution import Execution
from core.planning.machine import processor
from core.video import describe_video


def _gpus(count: int) -> tuple[Device, ...]:
    return tuple(
        Device(name=f"cuda:{n}", kind="cuda", model="GPU", capacity_bytes=8 * GIB)
        for n in range(count)
    )


def _execution(count: int) -> Execution:
    return Execution(layers=(range(2),) if count == 1 else (range(1), range(1, 2)))


@pytest.mark.parametrize("count", [1, 2], ids="{} GPUs".format)
def test_it_is_what_the_forecast_says(count: int, tiny_model: Path) -> None:
    card, settings = load_card(tiny_model), Settings(max_frame_tokens=16, reply_tokens=300)
    asked = request(card, reply_tokens=300, seconds=20.0)
    info = describe_video(width=320, height=180, duration_seconds=20, frame_rate=25)
    turns = [Turn("user", "What happens?")]
    devices, execution = _gpus(count), _execution(count)
    found = estimate(
        make_plan(info, settings, card),
        info,
        settings,
        card,
        turns,
        devices=devices,
        execution=execution,
    )
    wanted = needed(card, asked, found.tokens.prompt, devices=devices, execution=execution)
    assert wanted == tuple(each.kv_cache + each.activations for each in found.memory)
    assert min(wanted) > 0


@pytest.mark.parametrize(
    ("free", "kept", "expected"),
    [
        ((1.0, 1.0), 0.0, True),
        ((1.0, 0.99), 0.0, False),
        ((0.99, 1.0), 0.0, False),
        ((0.5, 0.5), 2.0, True),
        ((9.0, 0.1), 0.02, False),
    ],
    ids=["just", "not on the last", "not on the first", "beside what is kept", "too little kept"],
)
def test_every_gpu_must_have_it(
    free: tuple[float, float], kept: float, expected: bool, tiny_model: Path
) -> None:
    """In shares of what is needed on each; what is kept lies half on each."""
    card, devices, execution = load_card(tiny_model), _gpus(2), _execution(2)
    asked = request(card, seconds=20.0)
    wanted = needed(card, asked, 400, devices=devices, execution=execution)
    most = max(wanted)
    there = {
        each.name: int(size * share)
        for each, size, share in zip(devices, wanted, free, strict=True)
    }
    found = fits(
        card,
        asked,
        400,
        devices=devices,
        execution=execution,
        kept_bytes=int(kept * most),
        free_on=lambda device: there[device.name],
    )
    assert found == expected


@pytest.mark.parametrize("count", [1, 10**9], ids=["one", "a billion"])
def test_a_processor_has_what_the_machine_has(count: int, tiny_model: Path) -> None:
    card, device = load_card(tiny_model), processor()
    found = fits(card, request(card), count, devices=(device,), execution=Execution(), kept_bytes=0)
    assert found == (count == 1)
