"""For which model on which devices the page plans: the loaded one, or one of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.engine.base import Engine
from core.planning import Device, ModelCard, load_card
from core.planning.catalog import catalog
from core.planning.execution import AS_STORED, Execution
from core.planning.machine import GIB, THIS_MACHINE, device_choices, devices_named
from core.planning.placement import processors
from ui import texts

Choices = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a forecast is for.

    Attributes:
        execution: how they hold it.
        loaded: True for the engine's own model where it is; False for an estimate "as if".
    """

    card: ModelCard
    devices: tuple[Device, ...]
    execution: Execution
    loaded: bool


def target_of(values: Mapping[str, Any], engine: Engine) -> Target:
    """The target that the choices ``model`` and ``devices`` name; loads no weights.

    Raises:
        CheckpointError, SettingsError: a name that means nothing.
    """
    model, devices = _names(values, engine)
    own = model == engine.card.name
    loaded = own and devices == THIS_MACHINE
    return Target(
        card=engine.card if own else load_card(model),
        devices=engine.devices() if loaded else devices_named(devices),
        execution=engine.execution if loaded else AS_STORED,
        loaded=loaded,
    )


def described(values: Mapping[str, Any], engine: Engine) -> tuple[str, str]:
    """The names of model and devices."""
    model, devices = _names(values, engine)
    return model, texts.THIS_MACHINE if devices == THIS_MACHINE else devices


def is_loaded(values: Mapping[str, Any], engine: Engine) -> bool:
    """Whether what is chosen is what answers questions."""
    return _names(values, engine) == (engine.card.name, THIS_MACHINE)


def model_choices(engine: Engine) -> Choices:
    """Labels and names: the loaded model, then the catalog's."""
    own = engine.card.name
    others = [(each.name, each.name) for each in catalog() if each.name != own]
    return [(f"{own} · {texts.LOADED}", own), *others]


def places(engine: Engine) -> Choices:
    """Labels and names of devices: this machine's, then those one can have or rent."""
    found = []
    for name in device_choices():
        own = name == THIS_MACHINE
        devices = processors(engine.devices()) if own else devices_named(name)
        memory = f"{devices[0].capacity_bytes / GIB:.3g} GiB"
        count = f"{len(devices)} × " if len(devices) > 1 else ""
        label = f"{texts.THIS_MACHINE}, {devices[0].kind}" if own else name
        found.append((f"{label} · {count}{memory}", name))
    return found


def _names(values: Mapping[str, Any], engine: Engine) -> tuple[str, str]:
    return values.get("model") or engine.card.name, values.get("devices") or THIS_MACHINE
