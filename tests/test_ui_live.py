"""Use beside the forecast: a bar where the device tells, nothing where nobody can."""

from __future__ import annotations

import re

import pytest

from core.engine.live import in_use
from core.planning import Device, parse_devices
from core.planning.machine import GIB, processor
from core.planning.memory import DeviceMemory
from ui.live import Live, shown


def _foretold(device: Device, peak: int) -> DeviceMemory:
    return DeviceMemory(device=device, weights=peak, kv_cache=0, activations=0, reserve=0)


@pytest.mark.parametrize(
    ("peak", "now", "widths"),
    [(6, 3, ["12.50", "25.00"]), (24, 24, ["100.00", "100.00"]), (6, 48, ["100.00", "12.50"])],
    ids=["less than foretold", "full", "more than there is"],
)
def test_use_and_forecast_in_one_bar(peak: int, now: int, widths: list[str]) -> None:
    (device,) = parse_devices("24GiB")
    page = shown([_foretold(device, peak * GIB)], [0], [now * GIB])
    assert re.findall(r"(?:width|left):([\d.]+)%", page) == widths
    assert f"{now}.0 GiB, foretold at most {peak}.0 GiB" in page


def test_what_earlier_questions_left_is_not_of_the_answer() -> None:
    (device,) = parse_devices("24GiB")
    page = shown([_foretold(device, 6 * GIB)], [4 * GIB], [9 * GIB])
    assert "9.0 GiB, foretold at most 6.0 GiB and 4.0 GiB of earlier questions" in page


def test_a_device_that_does_not_tell_has_no_bar() -> None:
    devices = parse_devices("2x24GiB")
    foretold = [_foretold(each, GIB) for each in devices]
    assert shown(foretold, [0, 0], [None, None]) == ""
    assert re.findall(r"<span>([\w:]+)<", shown(foretold, [0, 0], [None, GIB])) == ["cuda:1"]


def test_it_looks_once_a_second_at_most() -> None:
    looks: list[int] = []

    def look(devices: object) -> tuple[int | None, ...]:
        looks.append(1)
        return (GIB,)

    live = Live([_foretold(processor(), GIB)], [0], look)
    assert "cpu" in live.news()["live"]
    assert live.news() == {}
    assert len(looks) == 1


def test_what_this_process_uses() -> None:
    (used,) = in_use([processor()])
    assert used is None or 20e6 < used < processor().capacity_bytes
