"""Where a model is held before any request is known: room for usual ones, or what would fit."""

from __future__ import annotations

from dataclasses import replace

from core.errors import MemoryOverflow, SettingsError
from core.planning.card import ModelCard
from core.planning.devices import GIB, Device
from core.planning.execution import AS_STORED, QUANTISED, Execution, run_dtype
from core.planning.memory import Load, load_of
from core.planning.placement import Placement, memory_on, place, processors, settled
from core.planning.weights import has_experts, weight_bytes

# Tokens of video that there should be room for, the best first: some 230 frames of 72 tokens, and
# then less, as a model that answers about eight frames is better than none.
USUAL_TOKENS = (16_384, 4_096, 1_024, 64)
REPLY_TOKENS = 1_024


def hold(
    card: ModelCard, devices: tuple[Device, ...], execution: Execution = AS_STORED
) -> tuple[tuple[Device, ...], Execution]:
    """The devices that hold ``card``, and how: ``execution`` with the layers of each.

    Raises:
        MemoryOverflow: it does not fit; the remedy says what would.
        SettingsError: replicas or a split with one device.
    """
    check_placement(devices, execution)
    found = _found(card, devices, execution)
    if found is None:
        raise _refusal(card, devices, execution)
    among, placement = found
    return settled(placement, among, execution)


def check_placement(devices: tuple[Device, ...], execution: Execution) -> None:
    """Refuse a placement for which there are too few devices.

    Raises:
        SettingsError: replicas or a split with one device.
    """
    there = processors(devices)
    if execution.placement in ("replicas", "split") and len(there) < 2:
        raise SettingsError(
            f"Placement {execution.placement!r} takes several devices; there is {there[0].name}.",
            remedy="Choose the placement auto or single.",
        )


def _found(
    card: ModelCard, devices: tuple[Device, ...], execution: Execution
) -> tuple[tuple[Device, ...], Placement] | None:
    """The placement with the most room; the machine's memory helps only where nothing else does.

    Where replicas are asked for there are at least two, with less room if need be.
    """
    for among in dict.fromkeys((processors(devices), devices)):
        away = among != processors(devices) and execution.in_chunks is None
        how = replace(execution, in_chunks=False) if away else execution  # the plain way then
        for tokens in USUAL_TOKENS:
            load = _usual(card, tokens, run_dtype(card, devices[0], how), how)
            placement = place(load, among, how)
            if execution.placement == "replicas" and placement.mode != "replicas":
                continue
            if not any(each.missing for each in memory_on(load, placement, among)):
                return among, placement
    return None


def _usual(card: ModelCard, tokens: int, dtype: str, execution: Execution) -> Load:
    prompt = min(tokens, card.context_tokens)
    patches = prompt * card.patches.merge_size**2
    if card.frame_tokens is not None and card.family.frame_side is not None:  # some pool them more
        side = card.family.frame_side // card.patches.patch_size
        patches = -(-prompt // card.frame_tokens) * side**2
    return load_of(
        card,
        dtype=dtype,
        prompt=prompt,
        total=min(prompt + REPLY_TOKENS, card.context_tokens),
        patches=patches,
        execution=execution,
    )


def _refusal(card: ModelCard, devices: tuple[Device, ...], execution: Execution) -> MemoryOverflow:
    there = processors(devices)
    ways = ["a smaller checkpoint", "a machine with more memory"]
    if there[0].kind == "cuda" and execution.precision not in QUANTISED and not has_experts(card):
        ways = [
            f"--quantize {precision}"
            for precision in QUANTISED
            if _found(card, there, replace(execution, precision=precision))
        ] + ways
    usual = replace(execution, placement="auto")
    if usual != execution and _found(card, devices, usual):
        ways.insert(0, "--placement auto")
    return MemoryOverflow(
        _lack(card, there, execution), remedy=f"Choose {', '.join(ways[:-1])}, or {ways[-1]}."
    )


def _lack(card: ModelCard, there: tuple[Device, ...], execution: Execution) -> str:
    """What it would take, and what there is."""
    alone = _found(card, there, replace(execution, placement="single"))
    if execution.placement == "replicas" and alone is not None:
        return f"{card.name} fits on 1 of {len(there)} devices, and replicas take two."
    needed = weight_bytes(card, there[0], execution)
    available = sum(each.capacity_bytes for each in there)
    return (
        f"The weights of {card.name} need {needed / GIB:.1f} GiB in "
        f"{run_dtype(card, there[0], execution)}, with room to work beside them; "
        f"{', '.join(each.name for each in there)} have {available / GIB:.1f} GiB."
    )
