"""Loading over parts of one machine's memory, by their names, and what cannot be loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from asking_by_hand import ask, ending, said
from core.engine.loading import choose_devices, draw, load_engine, load_held, with_host
from core.engine.local import LocalEngine
from core.engine.mapping import device_map
from core.engine.replicas import Replicas
from core.errors import MemoryOverflow, SettingsError
from core.planning import Device, load_card
from core.planning.execution import Execution
from core.planning.machine import processor

HALVES = (range(1), range(1, 2))


def _parts(count: int) -> tuple[Device, ...]:
    """This machine's memory in so many parts, each a device."""
    return tuple(processor() for _ in range(count))


def test_tied_weights_stay_together(tiny_model: Path) -> None:
    places = device_map(draw(load_card(tiny_model)), HALVES, ["a", "b"])
    assert {name: at for name, at in places.items() if at == "b"} == {
        "model.language_model.layers.1": "b",
        "model.language_model.norm": "b",
    }
    assert places["lm_head"] == places["model.language_model.embed_tokens"] == "a"
    assert places["model.visual"] == "a"


@pytest.mark.parametrize("layers", [HALVES, (range(2), range(2))], ids=["split", "replicas"])
def test_parts_of_one_machine_say_what_the_whole_says(
    layers: tuple[range, ...], tiny_model: Path, engine: LocalEngine
) -> None:
    loaded = load_held(load_card(tiny_model), _parts(2), Execution(layers=layers))
    assert isinstance(loaded, Replicas) == (layers != HALVES)
    assert loaded.capacity == (1 if layers == HALVES else 2)
    assert loaded.execution.layers == layers
    assert len(loaded.devices()) == 2
    events = ask(loaded, reply_tokens=12)
    assert said(events) == said(ask(engine, reply_tokens=12))
    assert ending(events).reply_tokens == 12
    loaded.close()


def test_one_device_holds_all(tiny_model: Path) -> None:
    loaded = load_engine(load_card(tiny_model), device="cpu")
    assert loaded.execution.layers == (range(2),)
    assert [each.kind for each in loaded.devices()] == ["cpu"]
    loaded.close()


def test_memory_can_be_limited() -> None:
    (device,) = choose_devices("cpu", "0.5GiB")
    assert device.capacity_bytes == 2**29
    with pytest.raises(SettingsError, match="'lots' is not a memory size for each of cpu"):
        choose_devices("cpu", "lots")


def test_what_does_not_fit_is_refused_before_it_is_loaded(tiny_model: Path) -> None:
    large = replace(load_card(tiny_model), parameters=10**12)
    with pytest.raises(
        MemoryOverflow, match=r"weights of tiny need [\d,.]+ GiB in float32"
    ) as found:
        load_engine(large, device="cpu")
    assert "a smaller checkpoint" in found.value.remedy


def test_the_machine_stands_behind_its_gpus() -> None:
    gpu = Device(name="cuda:0", kind="cuda", model="L4", capacity_bytes=2**34)
    assert [each.name for each in with_host((gpu,))] == ["cuda:0", "cpu"]
    assert with_host((processor(),)) == (processor(),)


@pytest.mark.parametrize("device", ["cpu,cpu", "cuda:99,cuda:98", "cpu,"])
def test_devices_that_are_not_here(device: str) -> None:
    with pytest.raises(SettingsError):
        choose_devices(device)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_memory_that_runs_out_while_it_is_loaded(
    error: Exception, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is wrong with the download."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_pretrained", refuse)
    with pytest.raises(MemoryOverflow, match=f"tiny does not fit: {type(error).__name__}"):
        load_engine(load_card(tiny_model))
