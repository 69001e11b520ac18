"""Devices that are written down, and those that are here."""

from __future__ import annotations

import pytest

from core.errors import SettingsError
from core.planning import Device, parse_devices, rough_rates, this_machine
from core.planning.machine import GIB, processor


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("24GiB", [24 * GIB]),
        ("2x24GiB", [24 * GIB] * 2),
        ("80GB", [80 * 10**9]),
        ("80gb", [80 * 10**9]),
        ("24GiB,48GiB", [24 * GIB, 48 * GIB]),
        (" 2 x 24 GiB , 80GB ", [24 * GIB, 24 * GIB, 80 * 10**9]),
        ("0.5GiB", [GIB // 2]),
    ],
    ids=str,
)
def test_devices(text: str, sizes: list[int]) -> None:
    devices = parse_devices(text)
    assert [device.capacity_bytes for device in devices] == sizes
    assert [device.name for device in devices] == [f"cuda:{n}" for n in range(len(sizes))]
    assert {device.kind for device in devices} == {"cuda"}


@pytest.mark.parametrize(
    "text",
    ["", "24", "GiB", "0x24GiB", "2x0GiB", "-1x24GiB", "2x24", "24GiB,", "2*24GiB", "cuda:0",
     "1000x24GiB", "24TiB", "24GiB;24GiB"],
)  # fmt: skip
def test_what_does_not_name_devices(text: str) -> None:
    with pytest.raises(SettingsError, match="does not name devices") as caught:
        parse_devices(text)
    assert "2x24GiB" in caught.value.remedy


def test_this_machine_has_a_device_with_memory() -> None:
    devices = this_machine()
    assert devices
    assert all(device.capacity_bytes > GIB // 4 for device in devices)
    assert processor().kind == "cpu"


def test_a_better_card_is_faster() -> None:
    def rates(model: str) -> tuple[float, float]:
        device = Device(name="cuda:0", kind="cuda", model=model, capacity_bytes=80 * GIB)
        found = rough_rates((device,))
        return found.prefill_flops, found.weight_bytes

    assert rates("Tesla T4") < rates("NVIDIA A100-SXM4-80GB") < rates("NVIDIA H200")
    assert rates("NVIDIA L4") != rates("NVIDIA L40S")
    assert rates("NVIDIA H100 80GB HBM3") > rates("a card nobody knows")
