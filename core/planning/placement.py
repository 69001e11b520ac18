"""Which layer goes on which device: the one place that decides, for forecast and engine alike."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from core.planning.devices import Device
from core.planning.memory import DeviceMemory, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the layers are.

    Attributes:
        mode: "single" where one device holds everything, "split" where layers are spread.
        layers: for each device the layers it holds, in order and contiguous.
        replicas: on how many of the devices the whole model would fit, each for itself.
    """

    mode: Literal["single", "split"]
    layers: tuple[range, ...]
    replicas: int


def place(load: Load, devices: tuple[Device, ...]) -> Placement:
    """One device if everything fits on it, otherwise contiguous layers over all of them.

    The tower and the embeddings go with the first device, the head with the last. Each next layer
    goes where the most memory stays free with it, so that the fullest device is as free as can be
    (a device's need only grows with its layers, which makes the greedy choice the best one).
    """
    fitting = [number for number, each in enumerate(devices) if not load.whole(each).missing]
    single = bool(fitting) or len(devices) == 1
    if single:
        counts = [0] * len(devices)
        counts[fitting[0] if fitting else 0] = load.layers
    else:
        counts = _balanced(load, devices)
    ends = accumulate(counts)
    return Placement(
        mode="single" if single else "split",
        layers=tuple(range(end - count, end) for end, count in zip(ends, counts, strict=True)),
        replicas=len(fitting),
    )


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
    if placement.mode == "split":
        return tuple(
            _part(load, devices, number, layers) for number, layers in enumerate(placement.layers)
        )
    return tuple(
        load.whole(device)
        if layers
        else DeviceMemory(device=device, weights=0, kv_cache=0, activations=0, reserve=0)
        for device, layers in zip(devices, placement.layers, strict=True)
    )


def _part(load: Load, devices: tuple[Device, ...], number: int, layers: range) -> DeviceMemory:
    last = number == len(devices) - 1
    return load.on(devices[number], layers, first=number == 0, last=last)
