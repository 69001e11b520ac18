"""From a placement to a device for each part of a real model: what accelerate dispatches by.

Works on the module tree of any class, by its shape and not by names: the layers are the list of
modules in the decoder, norm and head follow them, all else comes before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import CheckpointError

if TYPE_CHECKING:
    import torch


def device_map(model: Any, layers: Sequence[range], devices: Sequence[str]) -> dict[str, str]:
    """Module and parameter names to devices; no layer is divided, tied weights stay together.

    Args:
        model: its weights may be on the meta device.
        layers: those of each device, in order.
        devices: names; "cpu" behind GPUs for layers that wait in the machine's memory.

    Raises:
        CheckpointError: the model's layers are not as many, or not to be found.
    """
    prefix, modules = _layers(model)
    count = sum(len(each) for each in layers)
    if len(modules) != count:
        raise CheckpointError(
            f"{type(model).__name__} has {len(modules)} layers where {count} were foreseen.",
            remedy="Choose the placement single.",
        )
    device_of = {n: name for span, name in zip(layers, devices, strict=True) for n in span}
    running = [name for name in devices if name != "cpu"] or list(devices)
    places = {f"{prefix}.{n}": device_of[n] for n in range(count)}
    places |= dict.fromkeys(_after(model, prefix), running[-1])
    places |= dict.fromkeys(_tied(model), running[0])
    return dict(_compact(model, "", places, running[0]))


def _layers(model: Any) -> tuple[str, Any]:
    """Name and modules of the longest list of modules in the decoder."""
    import torch

    decoder = model.get_decoder() or model
    lists = [each for each in decoder.modules() if isinstance(each, torch.nn.ModuleList) and each]
    names = {id(module): name for name, module in model.named_modules()}
    lists = [each for each in lists if id(each) in names]
    if not lists:
        raise CheckpointError(
            f"{type(model).__name__} has no list of layers to spread.",
            remedy="Choose the placement single.",
        )
    found = max(lists, key=_weight)
    return names[id(found)], found


def _weight(module: Any) -> int:
    return sum(each.numel() for each in module.parameters())


def _after(model: Any, prefix: str) -> Iterator[str]:
    """Names of the norm, which is the first to have weights behind the layers, and of the head."""
    parent, _, name = prefix.rpartition(".")
    beside = iter(model.get_submodule(parent).named_children())
    next(each for each, _ in beside if each == name)
    norm = next((each for each, module in beside if any(True for _ in module.parameters())), None)
    if norm is not None:
        yield f"{parent}.{norm}" if parent else norm
    head = model.get_output_embeddings()
    if head is not None:
        yield next(name for name, module in model.named_modules() if module is head)


def _tied(model: Any) -> Iterator[str]:
    """The head, where it is the token embeddings over again."""
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and embeddings is not None and head.weight is embeddings.weight:
        yield next(name for name, module in model.named_modules() if module is head)


def _compact(
    module: torch.nn.Module, name: str, places: dict[str, str], usual: str
) -> Iterator[tuple[str, str]]:
    """As few entries as tell every weight its place: a whole branch where it is in one."""
    if name in places:
        yield name, places[name]
        return
    start = f"{name}." if name else ""
    inside = {place for each, place in places.items() if each.startswith(start)}
    if inside <= {usual}:
        yield name, usual
        return
    for own, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        yield start + own, usual
    for child, part in module.named_children():
        yield from _compact(part, start + child, places, usual)
