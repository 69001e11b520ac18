"""Devices by name or by size, with what their vendor publishes of them; asks no machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from core.errors import SettingsError

GIB = 1024**3
MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One place for weights: ``name`` as torch calls it, and its memory in bytes."""

    name: str
    kind: Literal["cpu", "cuda"]
    model: str
    capacity_bytes: int


@dataclass(frozen=True, slots=True)
class Published:
    """A device as sold: memory in MiB, dense bf16 operations and bytes a second.

    Memory is what nvidia-smi reports as total, not the round number on the box (an L4 of "24 GB"
    has 23,034 MiB); what the driver and the framework take of it is counted as a reserve.
    ``kernels`` are those of core/engine, for compute capability 8.0 and later.
    """

    memory_mib: int
    flops: float
    bandwidth: float
    kernels: bool = True


# From NVIDIA's data sheets: tensor cores, no sparsity, float32 accumulation; SXM where there are
# several forms. The T4 has no bfloat16, its float16 rate stands here.
PUBLISHED: dict[str, Published] = {
    "T4": Published(15_360, 6.5e13, 3.2e11, kernels=False),
    "L4": Published(23_034, 1.21e14, 3.0e11),
    "A10G": Published(23_028, 7.0e13, 6.0e11),
    "RTX 3090": Published(24_576, 7.1e13, 9.36e11),
    "RTX 4090": Published(24_564, 1.65e14, 1.008e12),
    "RTX 5090": Published(32_607, 2.09e14, 1.792e12),
    "L40S": Published(46_068, 3.62e14, 8.64e11),
    "A100-40": Published(40_960, 3.12e14, 1.555e12),
    "A100-80": Published(81_920, 3.12e14, 2.039e12),
    "H100": Published(81_559, 9.89e14, 3.35e12),
    "H200": Published(143_771, 9.89e14, 4.8e12),
    "B200": Published(183_359, 2.25e15, 8.0e12),
}
_KEYS = {re.sub(r"\W", "", name).lower(): name for name in PUBLISHED}
_PART = re.compile(r"(?:(\d{1,3})x)?(?:(\d{1,9}(?:\.\d+)?)(GiB|GB)|(.+))", re.IGNORECASE)


def parse_devices(text: str) -> tuple[Device, ...]:
    """Devices that may not be here: "2x24GiB", "80GB", "24GiB,48GiB", "4xL4", "A100-80,T4".

    GiB is 2^30 bytes, GB 10^9. Case, spaces and hyphens do not matter: "rtx4090" is "RTX 4090".

    Raises:
        SettingsError: the text says neither a size nor a known name; the names are listed.
    """
    found = [each for part in text.split(",") for each in _devices_of(part, text)]
    return tuple(
        Device(name=f"cuda:{number}", kind="cuda", model=model, capacity_bytes=capacity)
        for number, (model, capacity) in enumerate(found)
    )


def _devices_of(part: str, text: str) -> list[tuple[str, int]]:
    """Model and bytes of each device in one part between commas: "2xL4", "24GiB"."""
    match = _PART.fullmatch(re.sub(r"[\s_-]", "", part))
    count = int(match[1] or 1) if match else 0
    if match is not None and match[2]:
        unit = GIB if match[3].lower() == "gib" else 10**9
        model, capacity = "", int(float(match[2]) * unit)
    else:
        model = _KEYS.get(match[4].lower(), "") if match else ""
        capacity = PUBLISHED[model].memory_mib * MIB if model else 0
    if count < 1 or capacity < 1 or part.strip().startswith("-"):
        raise SettingsError(
            f"{text!r} does not name devices.",
            remedy="Write a count and a memory size, for example 2x24GiB or 80GB, or a name, for "
            f"example 4xL4: {', '.join(PUBLISHED)}.",
        )
    return [(model, capacity)] * count


def limited(devices: tuple[Device, ...], text: str) -> tuple[Device, ...]:
    """Of each device at most so much: "20GiB" of every one, or "20GiB,40GiB" in their order.

    Raises:
        SettingsError: not a size, or not as many as there are devices.
    """
    try:
        named = parse_devices(text)
    except SettingsError:
        named = ()
    sizes = [each.capacity_bytes for each in named if not any(other.model for other in named)]
    if len(sizes) == 1:
        sizes *= len(devices)
    if len(sizes) != len(devices):
        names = ", ".join(each.name for each in devices)
        raise SettingsError(
            f"{text!r} is not a memory size for each of {names}.",
            remedy="Write one size for all, for example 20GiB, or one for each: 20GiB,40GiB.",
        )
    return tuple(
        replace(device, capacity_bytes=min(size, device.capacity_bytes))
        for device, size in zip(devices, sizes, strict=True)
    )


def published(model: str) -> Published | None:
    """What is known of a device by the name its driver gives: "NVIDIA A100-SXM4-80GB"."""
    names = [name for name in PUBLISHED if _is_named(model, name)]
    return PUBLISHED[max(names, key=len)] if names else None


def _is_named(model: str, name: str) -> bool:
    """A100-80 -> both "A100" and "80" or "80GB" as words of the model's name."""
    return all(re.search(rf"\b{word}(GB)?\b", model) for word in name.split("-"))
