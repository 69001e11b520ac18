"""Settings for the memory there was, when a request was said to fit and did not: other programs
take some too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.errors import MemoryOverflow
from core.planning.card import ModelCard
from core.planning.devices import Device
from core.planning.execution import Execution
from core.planning.fit import changes, fit
from core.planning.forecast import estimate
from core.planning.plan import Plan
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.video.info import VideoInfo

LESS = 0.9  # of what was too much, at most


def with_settings(
    error: MemoryOverflow,
    plan: Plan,
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    *,
    devices: tuple[Device, ...],
    execution: Execution,
) -> MemoryOverflow:
    """The error with the richest settings that fit beside the weights in ``error.free_bytes``.

    They need less than those that were too much, whatever was free. The error itself where none
    fit.
    """
    found = estimate(plan, info, settings, card, turns, devices=devices, execution=execution)
    there = {}
    for each in found.memory:
        name, needed = each.device.name, each.kv_cache + each.activations
        if name in error.free_bytes:
            room = min(error.free_bytes[name], int(LESS * needed))
            there[name] = each.weights + each.reserve + room
    scarce = tuple(
        replace(each, capacity_bytes=there.get(each.name, each.capacity_bytes)) for each in devices
    )
    fitting = fit(info, settings, card, turns, scarce, execution=execution) if there else None
    if fitting is None:
        return error
    return MemoryOverflow(
        error.message,
        remedy=f"{changes(settings, fitting)} Then ask again.",
        free_bytes=error.free_bytes,
    )
