"""What may be kept on devices for later questions: a share of what the weights leave.

It is given up for whoever needs it, so that it decides nothing; but it is in use.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.planning.memory import DeviceMemory
from core.planning.placement import Placement

KEPT_PART = {"cuda": 2, "cpu": 4}  # conversations: one part in so many
# What the tower saw lies on the first device: beside the conversations that a device may keep, one
# part in so many, and as much beside those in the machine's memory.
VISION_SHARE = 4


def budget(kind: str, capacity_bytes: int, weights: int) -> int:
    """Bytes of conversations that may be kept on devices of this kind, all of one model."""
    return max(0, capacity_bytes - weights) // KEPT_PART[kind]


def kept_beside(memory: Sequence[DeviceMemory], placement: Placement) -> tuple[int, ...]:
    """On each device the most that earlier questions leave there, beside a request's own peak.

    A conversation lies with the layers that read it. Of a model that core/engine runs its own way:
    transformers keeps nothing.
    """
    holding = [each for each in memory if each.weights]  # one of them perhaps no layers
    if placement.mode == "replicas":
        return tuple(_on(each, [each], first=True) if each.layers else 0 for each in memory)
    first = placement.used[0]
    return tuple(_on(each, holding, first=n == first) for n, each in enumerate(memory))


def _on(one: DeviceMemory, together: Sequence[DeviceMemory], *, first: bool) -> int:
    """On one of the devices that hold a model together."""
    capacity = sum(each.device.capacity_bytes for each in together)
    whole = budget(one.device.kind, capacity, sum(each.weights for each in together))
    share = whole * len(one.layers) // sum(len(each.layers) for each in together)
    found = max(0, share - one.kv_cache)  # others go for the one that is being read
    if first:
        found += whole // (VISION_SHARE * sum(bool(each.layers) for each in together))
    return min(found, max(0, one.device.capacity_bytes - one.peak))
