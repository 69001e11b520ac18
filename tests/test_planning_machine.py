"""Devices that are written down, and those that are here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.planning import Device, parse_devices, rough_rates, this_machine
from core.planning.devices import MIB, PUBLISHED, limited, published
from core.planning.machine import GIB, device_choices, devices_named, processor


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
    ("text", "models"),
    [
        ("L4", ["L4"]),
        ("l4", ["L4"]),
        ("4xL4", ["L4"] * 4),
        ("2xH200", ["H200"] * 2),
        ("rtx4090", ["RTX 4090"]),
        ("2x RTX 4090, a100-80", ["RTX 4090", "RTX 4090", "A100-80"]),
        ("A100 40", ["A100-40"]),
        ("T4,24GiB", ["T4", ""]),
    ],
    ids=str,
)
def test_devices_by_name(text: str, models: list[str]) -> None:
    devices = parse_devices(text)
    assert [device.model for device in devices] == models
    assert [device.name for device in devices] == [f"cuda:{n}" for n in range(len(models))]
    for device in devices:
        size = PUBLISHED[device.model].memory_mib * MIB if device.model else 24 * GIB
        assert device.capacity_bytes == size


@pytest.mark.parametrize("text", ["H300", "3xGTX", "RTX", "L4,H300", "0xL4", "-1xL4", "A100"])
def test_an_unknown_name_lists_the_known(text: str) -> None:
    with pytest.raises(SettingsError, match="does not name devices") as caught:
        parse_devices(text)
    assert all(name in caught.value.remedy for name in PUBLISHED)


def test_every_choice_names_devices() -> None:
    first, *others = device_choices()
    assert devices_named(first) == this_machine()
    assert [devices_named(choice) for choice in others] == [*map(parse_devices, others)]


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("NVIDIA A100-SXM4-40GB", "A100-40"),
        ("NVIDIA A100 80GB PCIe", "A100-80"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("A100-80", "A100-80"),
    ],
    ids=str,
)
def test_names_that_drivers_give(driver: str, name: str) -> None:
    assert published(driver) is PUBLISHED[name]


def test_an_unknown_device_is_not_published() -> None:
    assert published("NVIDIA GeForce GTX 1080") is None
    assert published("") is None


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


def test_layers_split_over_devices_are_no_faster() -> None:
    one, two = rough_rates(parse_devices("L4")), rough_rates(parse_devices("2xL4"))
    assert two.prefill_flops == pytest.approx(one.prefill_flops)
    assert two.weight_bytes == pytest.approx(one.weight_bytes)
    assert (two.vision_flops, two.layer_seconds) == (one.vision_flops, one.layer_seconds)


def test_unlike_devices_run_at_a_rate_between_theirs() -> None:
    slow, mixed, fast = (rough_rates(parse_devices(text)) for text in ("L4", "L4,H100", "H100"))
    assert slow.prefill_flops < mixed.prefill_flops < fast.prefill_flops
    assert slow.weight_bytes < mixed.weight_bytes < fast.weight_bytes


DRIVER = """#!/bin/sh
case "$1" in
*used*) printf '[N/A]\\n20480\\n0\\n2048\\n' ;;
*) printf 'NVIDIA L4, 23034\\nNVIDIA H200, 143771\\nOdd, name, 1024\\nNVIDIA T4, 15360\\n' ;;
esac
"""
ASK = """
import json
from core.planning.machine import this_machine, unused
print(json.dumps([[d.name, d.model, d.capacity_bytes >> 20] for d in unused(this_machine())]))
"""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (
            None,
            [
                ("NVIDIA L4", 23_034),
                ("NVIDIA H200", 123_291),
                ("Odd, name", 1_024),
                ("NVIDIA T4", 13_312),
            ],
        ),
        ("1,0", [("NVIDIA H200", 123_291), ("NVIDIA L4", 23_034)]),
        ("2", [("Odd, name", 1_024)]),
    ],
    ids=str,
)
def test_gpus_as_the_driver_tells(
    visible: str | None, expected: list[tuple[str, int]], tmp_path: Path
) -> None:
    """Numbered as torch does, and less what other programs use of them, where that is told."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text(DRIVER, encoding="ascii")
    driver.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, env=environment, capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    assert found == [[f"cuda:{n}", *each] for n, each in enumerate(expected)]


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("20GiB", [20, 20]), ("20GiB,12GiB", [20, 12]), ("99GiB", [24, 24])],
    ids=str,
)
def test_devices_with_a_limit(text: str, sizes: list[int]) -> None:
    found = limited(parse_devices("2x24GiB"), text)
    assert [each.capacity_bytes for each in found] == [size * GIB for size in sizes]


@pytest.mark.parametrize("text", ["", "20", "L4", "20GiB,L4", "20GiB,20GiB,20GiB"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(SettingsError, match="not a memory size for each of cuda:0, cuda:1"):
        limited(parse_devices("2x24GiB"), text)
