"""From a checkpoint to engines that hold it: on one device, on each of several, or spread."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from core.engine.answering import short
from core.engine.base import Engine
from core.engine.compiling import exclusive
from core.engine.local import LocalEngine
from core.engine.mapping import device_map
from core.engine.quantizing import check_precision, packed, unpacked_dtype
from core.engine.replicas import Replicas
from core.engine.shortage import is_out_of_memory
from core.errors import CheckpointError, FramewiseError, MemoryOverflow, SettingsError
from core.planning.card import ModelCard
from core.planning.devices import Device, limited
from core.planning.execution import AS_STORED, QUANTISED, Execution, run_dtype
from core.planning.holding import hold
from core.planning.machine import processor, this_machine, unused
from core.planning.placement import place_held


def load_engine(
    card: ModelCard,
    *,
    device: str = "auto",
    max_memory: str | None = None,
    execution: Execution = AS_STORED,
) -> Engine:
    """Load the checkpoint that ``card`` describes, with room for usual requests.

    Args:
        card: the checkpoint.
        device: see choose_devices.
        max_memory: likewise.
        execution: the precision and the placement; see core.planning.holding.hold.

    Raises:
        SettingsError: no such device here, or no way to hold weights in that precision.
        CheckpointError: the weights or the processor's files cannot be loaded.
        MemoryOverflow: it does not fit.
    """
    check_precision(execution, card)
    there = with_host(choose_devices(device, max_memory))
    return load_held(card, *hold(card, there, execution))


def load_held(card: ModelCard, devices: tuple[Device, ...], execution: Execution) -> Engine:
    """Load it where ``execution.layers`` says, all of it on each device where they are replicas.

    Raises:
        SettingsError, CheckpointError, MemoryOverflow: see load_engine.
    """
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # nvidia-smi's, whose numbers we use
    check_precision(execution, card)
    if place_held(execution.layers or (), devices).mode != "replicas":
        engine = _load(card, devices, execution)
        engine.set_up()
        return engine
    engines: list[LocalEngine] = []
    try:
        for each in devices:
            whole = replace(execution, layers=(range(card.text.layers),))
            engines.append(_load(card, (each,), whole, replicas=len(devices)))
    except FramewiseError:
        for engine in engines:
            engine.close()
        raise
    for engine in engines:  # only now: see core/engine/compiling.py
        engine.set_up()
    return Replicas(engines)


def choose_devices(device: str, max_memory: str | None = None) -> tuple[Device, ...]:
    """What ``device`` means on this machine, in the order given.

    "auto" is all CUDA devices, or else the processor; otherwise "cpu", "cuda", "cuda:1" or
    "cuda:0,cuda:2". Of each at most ``max_memory`` is used: "20GiB", or a size for each.

    Raises:
        SettingsError: no such device, or no such size.
    """
    here = this_machine()
    if device == "auto":
        found = here
    elif device == "cpu":
        found = (processor(),)
    else:
        found = tuple(_named(name.strip(), here) for name in device.split(","))
    if len({each.name for each in found}) < len(found):
        raise SettingsError(f"{device!r} names a device twice.", remedy="Name each device once.")
    found = unused(found)
    return found if max_memory is None else limited(found, max_memory)


def with_host(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """GPUs and behind them the machine's memory, for layers that they cannot hold."""
    return (*devices, processor()) if devices[0].kind == "cuda" else devices


def _named(name: str, here: tuple[Device, ...]) -> Device:
    found = [each for each in here if each.name in (name, f"{name}:0")]
    if not found:
        names = ", ".join(each.name for each in here if each.kind == "cuda") or "no CUDA devices"
        raise SettingsError(
            f"There is no device {name!r}: this machine has {names}.",
            remedy="Choose auto or cpu, or one of the devices listed.",
        )
    return found[0]


def _load(
    card: ModelCard, devices: tuple[Device, ...], execution: Execution, *, replicas: int = 1
) -> LocalEngine:
    """One model on these devices, one of so many."""
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(card.source)
        with exclusive:
            model = load_model(card, devices, execution)
    except FramewiseError:
        raise
    except Exception as error:  # each file format and class has its own ways to fail
        said = f"{type(error).__name__}: {short(error)}"
        if is_out_of_memory(error):
            raise MemoryOverflow(
                f"{card.name} does not fit: {said}",
                remedy="Choose a smaller model or more memory.",
            ) from error
        raise CheckpointError(
            f"{card.name} cannot be loaded: {said}",
            remedy="Check that the download is complete and the installed transformers knows it.",
        ) from error
    return LocalEngine(card, model.eval(), processor, devices, execution, replicas=replicas)


def load_model(card: ModelCard, devices: tuple[Device, ...], execution: Execution) -> Any:
    """The model, every weight where it belongs; what enters it goes to the first device."""
    import torch
    from transformers import AutoModelForImageTextToText

    first, precision = devices[0].name, execution.precision
    if precision in QUANTISED:
        dtype = unpacked_dtype(card)
    else:
        dtype = run_dtype(card, devices[0], execution)
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "device_map": {"": first}}
    if len(devices) == 1 and precision not in QUANTISED:
        return AutoModelForImageTextToText.from_pretrained(card.source, **options)
    drawn = draw(card)
    if precision in QUANTISED:
        if getattr(drawn.config, "quantization_config", None) is not None:
            raise SettingsError(
                f"The weights of {card.name} are packed already.",
                remedy=f"Leave {precision} out.",
            )
        options["quantization_config"] = packed(drawn, precision, options["dtype"])
    if len(devices) > 1:
        names = [each.name for each in devices]
        options["device_map"] = device_map(drawn, execution.layers or (), names)
    return _spread(AutoModelForImageTextToText, card, devices, options)


def _spread(
    auto: Any, card: ModelCard, devices: tuple[Device, ...], options: dict[str, Any]
) -> Any:
    """Loaded by its device map, which accelerate dispatches by.

    Layers that wait in the machine's memory visit the last GPU, where the forecast counts them;
    from_pretrained would let them visit any.
    """
    from accelerate import dispatch_model

    visiting = len(devices) > 1 and devices[-1].kind == "cpu"
    if visiting:
        places = options.pop("device_map")
        model = auto.from_pretrained(card.source, **options)
        skipped = getattr(model, "_skip_keys_device_placement", None)
        dispatch_model(model, places, main_device=devices[-2].name, skip_keys=skipped)
    else:
        model = auto.from_pretrained(card.source, **options)
    if len(devices) > 1:
        enter_on(model, devices[0].name)
    return model


def enter_on(model: Any, device: str) -> None:
    """Let what the whole model is given go to ``device``, and not to any of its devices."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module

    remove_hook_from_module(model)
    skipped = getattr(model, "_skip_keys_device_placement", None)
    hook = AlignDevicesHook(execution_device=device, io_same_device=True, skip_keys=skipped)
    add_hook_to_module(model, hook)


def draw(card: ModelCard) -> Any:
    """The model without its weights: every module there, on the meta device."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(card.source)
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)
