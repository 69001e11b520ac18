"""Which layer would go on which device: what the forecast of memory goes by."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from core.planning.devices import Device, published
from core.planning.memory import DeviceMemory, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the layers are.

    Attributes:
        mode: "single" where one device holds everything, "split" where layers are spread.
        layers: for each device the layers it holds, in order and contiguous.
        used: the devices that hold a part of the model, by number.
        replicas: on how many of the devices the whole model would fit, each for itself.
    """

    mode: Literal["single", "split"]
    layers: tuple[range, ...]
    used: tuple[int, ...]
    replicas: int


def place(load: Load, devices: tuple[Device, ...]) -> Placement:
    """The fastest device that everything fits on, otherwise contiguous layers over several.

    A device that would make it fit nowhere is left out, so that one more never makes things worse.

    The tower and the embeddings go with the first device, the head with the last. Each next layer
    goes where the most memory stays free with it, so that the fullest device is as free as can be
    (a device's need only grows with its layers, which makes the greedy choice the best one).
    """
    fitting = [number for number, each in enumerate(devices) if not load.whole(each).missing]
    counts = [0] * len(devices)
    used: tuple[int, ...] = tuple(range(len(devices)))
    if fitting or len(devices) == 1:
        used = (max(fitting, key=lambda number: _speed(devices[number])),) if fitting else (0,)
        counts[used[0]] = load.layers
    else:
        used, shares = _split(load, devices)
        for number, count in zip(used, shares, strict=True):
            counts[number] = count
    ends = accumulate(counts)
    return Placement(
        mode="split" if len(used) > 1 else "single",
        layers=tuple(range(end - count, end) for end, count in zip(ends, counts, strict=True)),
        used=used,
        replicas=len(fitting),
    )


def _speed(device: Device) -> float:
    known = published(device.model)
    return known.flops if known else 0.0


def _split(load: Load, devices: tuple[Device, ...]) -> tuple[tuple[int, ...], list[int]]:
    """Which devices to use, and how many layers each gets.

    All of them, or fewer if only so it fits: a small one can be too small for its own part.
    """
    used = tuple(range(len(devices)))
    everywhere = used, _balanced(load, devices)
    counts = everywhere[1]
    while True:
        among = _among(devices, used)
        parts = [_part(load, among, place, range(n)) for place, n in enumerate(counts)]
        if not any(part.missing for part in parts):
            return used, counts
        smallest = min(used, key=lambda number: devices[number].capacity_bytes)
        used = tuple(number for number in used if number != smallest)
        if len(used) < 2:
            return everywhere
        counts = _balanced(load, _among(devices, used))


def _among(devices: tuple[Device, ...], used: tuple[int, ...]) -> tuple[Device, ...]:
    return tuple(devices[number] for number in used)


def _balanced(load: Load, devices: tuple[Device, ...]) -> list[int]:
    peaks: dict[tuple[bool, bool, str, int], int] = {}  # devices in the middle are all alike

    def entry(number: int, count: int) -> tuple[int, int]:
        device = devices[number]
        alike = number == 0, number == len(devices) - 1, device.kind, count
        if alike not in peaks:
            peaks[alike] = _part(load, devices, number, range(count)).peak
        return peaks[alike] - device.capacity_bytes, number

    counts = [0] * len(devices)
    waiting = [entry(number, 1) for number in range(len(devices))]
    heapq.heapify(waiting)
    for _ in range(load.layers):
        number = waiting[0][1]
        counts[number] += 1
        heapq.heapreplace(waiting, entry(number, counts[number] + 1))
    return counts


def memory_on(
    load: Load, placement: Placement, devices: tuple[Device, ...]
) -> tuple[DeviceMemory, ...]:
    """The bytes on each device, in order; a device that stays free has none."""
    among = _among(devices, placement.used)
    parts = {
        number: _part(load, among, place, placement.layers[number])
        for place, number in enumerate(placement.used)
    }
    return tuple(
        parts.get(number)
        or DeviceMemory(device=device, weights=0, kv_cache=0, activations=0, reserve=0)
        for number, device in enumerate(devices)
    )


def _part(load: Load, devices: tuple[Device, ...], number: int, layers: range) -> DeviceMemory:
    last = number == len(devices) - 1
    return load.on(devices[number], layers, first=number == 0, last=last)
