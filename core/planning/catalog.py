"""The published checkpoints that are known offline, read from catalog.toml; knows no rules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALIKE = 0.6  # as difflib.get_close_matches has it
_FILE = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A checkpoint as its JSON files describe it, as far as planning needs them.

    Attributes:
        name: its repository on the Hugging Face hub.
        config: values of config.json, under its keys; not to be changed.
        video: values of the video processor's file, under its keys; not to be changed.
        parameters: number of weights.
        active_parameters: number of weights that a token passes through; less than
            ``parameters`` in a mixture of experts only.
        dtype: what the weights are stored in.
    """

    name: str
    config: dict[str, Any]
    video: dict[str, Any]
    parameters: int
    active_parameters: int
    dtype: str


@lru_cache(maxsize=1)
def catalog() -> tuple[Published, ...]:
    """Every checkpoint, in the file's order; a repository of the same shapes follows its model."""
    families = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(found for family in families.values() for found in _checkpoints(family))


def published(name: str) -> Published | None:
    """The checkpoint of that name, in whatever case; None where the catalog lacks it."""
    return _by_name().get(name.lower())


def nearest(name: str) -> tuple[str, ...]:
    """Up to three names of the catalog like ``name``, the likest first; owners do not count.

    A name cut short is like all that begin with it: ``"smolvlm2"`` finds three.
    """
    wanted = _without_owner(name)
    likeness = {each.name: _likeness(wanted, _without_owner(each.name)) for each in catalog()}
    best = sorted(likeness, key=lambda known: -likeness[known])[:3]
    return tuple(known for known in best if likeness[known] >= ALIKE)


def named_like(name: str) -> Published | None:
    """The checkpoint whose name ends as ``name`` does, whoever owns it: a folder's name will do."""
    return _by_last_part().get(_without_owner(name))


@lru_cache(maxsize=1)
def _by_last_part() -> dict[str, Published]:
    return {_without_owner(each.name): each for each in reversed(catalog())}


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Published]:
    return {each.name.lower(): each for each in catalog()}


def _without_owner(name: str) -> str:
    """``"Qwen/Qwen3-VL-8B-Instruct"`` -> ``"qwen3-vl-8b-instruct"``."""
    return name.rpartition("/")[2].lower()


def _likeness(wanted: str, known: str) -> float:
    """From 0 to 1, by the whole of ``known`` or by as much of it as ``wanted`` is long."""
    beginnings = (known, known[: len(wanted)])
    return max(SequenceMatcher(None, wanted, each).ratio() for each in beginnings)


def _checkpoints(family: dict[str, Any]) -> Iterator[Published]:
    shared = {key: value for key, value in family.items() if key != "checkpoints"}
    for own in family["checkpoints"]:
        entry = laid_over(shared, own)
        _repeat_layer_types(entry["config"].get("text_config", {}))
        for name in (entry["name"], *entry.get("also", ())):
            yield Published(
                name=name,
                config=entry["config"],
                video=entry["video"],
                parameters=entry["parameters"],
                active_parameters=entry.get("active_parameters", entry["parameters"]),
                dtype=entry["dtype"],
            )


def laid_over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A new table with the keys of both; where both have tables, these laid over one another."""
    both = {key: base[key] for key in base.keys() & own.keys() if isinstance(own[key], dict)}
    merged = {key: laid_over(below, own[key]) for key, below in both.items()}
    return {**base, **own, **merged}


def _repeat_layer_types(text_config: dict[str, Any]) -> None:
    """Write the period of ``layer_types`` out over all layers."""
    period = text_config.get("layer_types")
    if period:
        layers = range(text_config["num_hidden_layers"])
        text_config["layer_types"] = [period[layer % len(period)] for layer in layers]
