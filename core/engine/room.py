"""Room beside the weights: for what is kept, and whether one more request fits beside others.

The one is a share, the other as the forecast counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.engine.base import Request
from core.engine.quantizing import held_bytes
from core.planning.card import ModelCard
from core.planning.execution import Execution, run_dtype
from core.planning.keeping import budget
from core.planning.machine import Device, processor
from core.planning.memory import load_of
from core.planning.placement import memory_on, place_held
from core.video.budget import free_bytes


def budgets(model: Any, devices: tuple[Device, ...]) -> tuple[int, int]:
    """Bytes of conversations that may be kept on the devices, and beside them in the machine.

    Half of what the weights leave of the GPUs (a request that needs it has it), an eighth of the
    machine's memory beside them, all replicas together; where there is no GPU, a quarter of what
    the weights leave.
    """
    weights = sum(held_bytes(each) for each in model.parameters())
    gpus = [each.capacity_bytes for each in devices if each.kind == "cuda"]
    if gpus:
        return budget("cuda", sum(gpus), weights), processor().capacity_bytes // 8
    return budget("cpu", devices[0].capacity_bytes, weights), 0


def needed(
    card: ModelCard,
    request: Request,
    prompt_tokens: int,
    *,
    devices: tuple[Device, ...],
    execution: Execution,
) -> tuple[int, ...]:
    """Bytes on each device on top of the weights: the cache, and what reading the prompt takes."""
    frames, high, wide = request.plan.grid
    load = load_of(
        card,
        dtype=run_dtype(card, devices[0], execution),
        prompt=prompt_tokens,
        total=prompt_tokens + request.reply_tokens,
        patches=frames * high * wide,
        execution=execution,
    )
    layers = execution.layers or (range(card.text.layers),)
    found = memory_on(load, place_held(layers, devices), devices)
    return tuple(each.kv_cache + each.activations for each in found)


def free(device: Device) -> int:
    """Bytes that can be had: what is free, and of a GPU what torch holds unused.

    No more of a GPU than the user lets it take.
    """
    import torch

    if device.kind == "cpu":
        found = free_bytes()
        return device.capacity_bytes if found is None else found
    unused, _ = torch.cuda.mem_get_info(device.name)
    taken = torch.cuda.memory_allocated(device.name)
    held = torch.cuda.memory_reserved(device.name) - taken
    return min(unused + held, device.capacity_bytes - taken)


def fits(
    card: ModelCard,
    request: Request,
    prompt_tokens: int,
    *,
    devices: tuple[Device, ...],
    execution: Execution,
    kept_bytes: int,
    free_on: Callable[[Device], int] = free,
) -> bool:
    """Whether every device has the room; ``kept_bytes`` on them can be given up for it."""
    wanted = needed(card, request, prompt_tokens, devices=devices, execution=execution)
    share = kept_bytes // len(devices)
    return all(size <= free_on(each) + share for each, size in zip(devices, wanted, strict=False))
