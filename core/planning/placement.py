"""Which layer goes on which device: what the forecast of memory goes by, and what is loaded.

Devices come in the order in which layers pass through them. Where GPUs are followed by the
processor, what they cannot hold may wait in the machine's memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, compress
from typing import Literal

from core.planning.devices import Device, published
from core.planning.execution import AS_STORED, QUANTISED, Execution
from core.planning.memory import DeviceMemory, Load

Mode = Literal["single", "replicas", "split", "offload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the layers are.

    Attributes:
        mode: "single" where one device holds everything, "replicas" where each of several does,
            "split" where layers are spread, "offload" where the last of them wait in the machine's
            memory and visit the last device used, one at a time.
        layers: for each device the layers it holds, in order and contiguous.
        used: the devices that hold a part of the model and run it, by number.
        replicas: on how many of the devices the whole model would fit, each for itself.
    """

    mode: Mode
    layers: tuple[range, ...]
    used: tuple[int, ...]
    replicas: int


def place(load: Load, devices: tuple[Device, ...], execution: Execution = AS_STORED) -> Placement:
    """Where everything lies already, or else is best laid, as ``execution.placement`` has it.

    The device that everything fits on, with replicas on the others that hold it too; otherwise
    contiguous layers over several, the last of them in the machine's memory if only so it fits. A
    device that would make it fit nowhere is left out, so that one more never makes things worse.
    Where nothing fits, what lacks the least without the machine's memory.
    """
    there = processors(devices)
    if execution.layers is not None:
        return place_held(execution.layers, devices)
    fitting = [number for number, each in enumerate(there) if not load.whole(each).missing]
    mode = execution.placement
    if len(there) > 1 and (mode == "split" or (mode == "auto" and not fitting)):
        used, counts = _split(load, there)
    else:
        used = tuple(fitting) if fitting else (_roomiest(there),)
        if mode == "single" or len(used) == 1:
            used = (max(used, key=lambda number: speed(devices[number])),)
            counts = [load.layers]
        else:
            spans = [range(load.layers if number in used else 0) for number in range(len(devices))]
            return _placement("replicas", spans, used, len(fitting))
    placed = _placement("split", _spans(used, counts, len(devices)), used, len(fitting))
    lacking = any(each.missing for each in memory_on(load, placed, devices))
    if lacking and mode in ("auto", "split") and execution.precision not in QUANTISED:
        fewest = min(2, len(there)) if mode == "split" else 1
        return _offloaded(load, devices, fewest=fewest) or placed  # packed ones cannot come and go
    return placed


def processors(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The devices that run layers: all but the processor behind GPUs."""
    gpus = tuple(each for each in devices if each.kind == "cuda")
    return gpus or devices


def memory_on(
    load: Load, placement: Placement, devices: tuple[Device, ...]
) -> tuple[DeviceMemory, ...]:
    """The bytes on each device, in order; a device that stays free has none.

    A processor behind GPUs is left out where it holds nothing.
    """
    there, layers, used = processors(devices), placement.layers, placement.used
    away = sum(len(each) for each in layers[len(there) :])
    found = []
    for number, device in enumerate(there):
        if number not in used:
            found.append(
                DeviceMemory(device=device, weights=0, kv_cache=0, activations=0, reserve=0)
            )
            continue
        alone = placement.mode == "replicas"
        last = alone or number == used[-1]
        found.append(
            load.on(
                device,
                layers[number],
                first=alone or number == used[0],
                last=last,
                visiting=away if last else 0,
            )
        )
    hosts = zip(devices[len(there) :], layers[len(there) :], strict=True)
    return (*found, *(load.waiting(host, held) for host, held in hosts if held))


def settled(
    placement: Placement, devices: tuple[Device, ...], execution: Execution
) -> tuple[tuple[Device, ...], Execution]:
    """The devices that hold a part of the model, and an execution that leaves it there."""
    there = len(processors(devices))
    kept = [
        number
        for number in range(len(devices))
        if number in placement.used or (number >= there and placement.layers[number])
    ]
    layers = tuple(placement.layers[number] for number in kept)
    return tuple(devices[number] for number in kept), replace(execution, layers=layers)


def place_held(layers: tuple[range, ...], devices: tuple[Device, ...]) -> Placement:
    """Where everything lies already: layers of devices that each hold a part of the model."""
    there = len(processors(devices))
    used = tuple(range(there))
    if len(layers) > there:
        return _placement("offload", layers, used, 0)
    if there > 1 and layers[0] and all(each == layers[0] for each in layers):
        return _placement("replicas", layers, used, there)
    return _placement("split", layers, used, 1 if there == 1 else 0)


def _placement(
    mode: Mode, spans: Sequence[range], used: tuple[int, ...], replicas: int
) -> Placement:
    if mode == "split" and len(used) == 1:
        mode = "single"
    return Placement(mode=mode, layers=tuple(spans), used=used, replicas=replicas)


def _roomiest(devices: tuple[Device, ...]) -> int:
    return max(range(len(devices)), key=lambda number: devices[number].capacity_bytes)


def speed(device: Device) -> float:
    """Operations a second as published; 0 where nothing is known."""
    known = published(device.model)
    return known.flops if known else 0.0


def _spans(used: tuple[int, ...], counts: Sequence[int], devices: int) -> list[range]:
    """Counts of layers on the devices used -> the layers of each device."""
    each = [0] * devices
    for number, count in zip(used, counts, strict=True):
        each[number] = count
    return [range(end - n, end) for end, n in zip(accumulate(each), each, strict=True)]


def _split(load: Load, devices: tuple[Device, ...]) -> tuple[tuple[int, ...], list[int]]:
    """Which devices to use, and how many layers each gets; all of them where it does not fit."""
    found = _laid(load, devices, load.layers, fewest=2)
    return found or (tuple(range(len(devices))), _balanced(load, devices, load.layers))


def _offloaded(load: Load, devices: tuple[Device, ...], *, fewest: int) -> Placement | None:
    """As few layers in the machine's memory as make it fit; None where it does not even so."""
    there = processors(devices)
    if len(there) == len(devices):
        return None
    host = devices[len(there)]
    for away in range(1, load.layers + 1):
        found = _laid(load, there, load.layers - away, fewest=fewest, visiting=away)
        if found is not None:
            used, counts = found
            spans = _spans((*used, len(there)), [*counts, away], len(devices))
            if load.waiting(host, spans[len(there)]).missing:
                return None
            return _placement("offload", spans, used, 0)
    return None


def _laid(
    load: Load, devices: tuple[Device, ...], layers: int, *, fewest: int, visiting: int = 0
) -> tuple[tuple[int, ...], list[int]] | None:
    """Which devices to use, and how many of ``layers`` each gets; None where it does not fit.

    All of them, or fewer if only so it fits: a small one can be too small for its own part. One
    that would get nothing is not used.
    """
    used = tuple(range(len(devices)))
    while len(used) >= fewest:
        among = _among(devices, used)
        counts = _balanced(load, among, layers, visiting=visiting)
        parts = [_part(load, among, place, n, visiting) for place, n in enumerate(counts)]
        if not any(each.missing for each in parts):
            holds = [bool(each.layers) or each.peak > each.reserve for each in parts]
            return tuple(compress(used, holds)), [*compress(counts, holds)]
        smallest = min(used, key=lambda number: devices[number].capacity_bytes)
        used = tuple(number for number in used if number != smallest)
    return None


def _among(devices: tuple[Device, ...], used: tuple[int, ...]) -> tuple[Device, ...]:
    return tuple(devices[number] for number in used)


def _balanced(
    load: Load, devices: tuple[Device, ...], layers: int, *, visiting: int = 0
) -> list[int]:
    """How many of ``layers`` each device gets.

    The tower and the embeddings go with the first device, the head with the last. Each next layer
    goes where the most memory stays free with it, so that the fullest device is as free as can be
    (a device's need only grows with its layers, which makes the greedy choice the best one).
    """
    peaks: dict[tuple[bool, bool, str, int], int] = {}  # devices in the middle are all alike

    def entry(number: int, count: int) -> tuple[int, int]:
        device = devices[number]
        alike = number == 0, number == len(devices) - 1, device.kind, count
        if alike not in peaks:
            peaks[alike] = _part(load, devices, number, count, visiting).peak
        return peaks[alike] - device.capacity_bytes, number

    counts = [0] * len(devices)
    waiting = [entry(number, 1) for number in range(len(devices))]
    heapq.heapify(waiting)
    for _ in range(layers):
        number = waiting[0][1]
        counts[number] += 1
        heapq.heapreplace(waiting, entry(number, counts[number] + 1))
    return counts


def _part(
    load: Load, devices: tuple[Device, ...], number: int, count: int, visiting: int
) -> DeviceMemory:
    last = number == len(devices) - 1
    return load.on(
        devices[number],
        range(count),
        first=number == 0,
        last=last,
        visiting=visiting if last else 0,
    )
