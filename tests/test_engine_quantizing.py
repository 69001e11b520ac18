"""Packed weights: loaded for real where the libraries are installed, and refused with a reason."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from asking_by_hand import NEVER, ask, ending, request, said
from core.engine.layers import shape_of
from core.engine.loading import choose_devices, draw, load_engine, load_held, load_model
from core.engine.quantizing import (
    LIBRARIES,
    Library,
    apart,
    check_library,
    check_precision,
    held_bytes,
)
from core.errors import SettingsError
from core.planning import load_card
from core.planning.execution import QUANTISED, Execution
from core.planning.machine import processor
from core.planning.weights import weight_bytes

FORETOLD = 0.08  # the scales of rows as short as the small model's are a twelfth of them


def _missing(precision: str) -> bool:
    try:
        check_library(precision)
    except SettingsError:
        return True
    return False


INSTALLED = [
    pytest.param(
        each,
        marks=pytest.mark.skipif(_missing(each), reason=f"{LIBRARIES[each].name} is not installed"),
    )
    for each in QUANTISED
]


@pytest.fixture(scope="module", params=INSTALLED)
def loaded(request: pytest.FixtureRequest, tiny_model: Path) -> Any:
    """A model with packed weights."""
    held = Execution(precision=request.param, layers=(range(2),))
    return load_model(load_card(tiny_model), choose_devices("cpu"), held).eval()


def _in_layers(name: str) -> bool:
    return ".layers." in name and not name.startswith("model.visual")


def test_only_layers_are_packed_for_real(loaded: Any) -> None:
    for name, each in loaded.named_parameters():
        product = _in_layers(name) and name.endswith("proj.weight")
        assert (type(each) is not torch.nn.Parameter) == product, name
        assert product or each.dtype == torch.bfloat16, name


def test_packed_layers_are_not_taken_apart(loaded: Any) -> None:
    """Their type is a Linear's in one library, their weights no matrices to be joined."""
    assert all(shape_of(each) is None for each in loaded.model.language_model.layers)


@pytest.mark.parametrize("precision", INSTALLED)
def test_weights_take_what_is_foretold(precision: str, tiny_model: Path) -> None:
    card, execution = load_card(tiny_model), Execution(precision=precision, layers=(range(2),))
    devices = choose_devices("cpu")
    model = load_model(card, devices, execution)
    foretold = weight_bytes(card, devices[0], execution)
    assert sum(map(held_bytes, model.parameters())) == pytest.approx(foretold, rel=FORETOLD)


@pytest.mark.parametrize("precision", INSTALLED)
def test_it_answers_and_reads_only_what_is_new(precision: str, tiny_model: Path) -> None:
    execution = Execution(precision=precision)
    engine = load_engine(load_card(tiny_model), device="cpu", execution=execution)
    asked = replace(request(engine.card, reply_tokens=12), video="clip")
    first, again = (list(engine.stream(asked, stop=NEVER)) for _ in range(2))
    assert said(first)
    assert ending(first).reused_tokens == 0
    assert ending(again).reused_tokens == ending(first).prompt_tokens - 1
    assert said(again) == said(first)
    engine.close()


@pytest.mark.parametrize("precision", INSTALLED)
@pytest.mark.parametrize("layers", [(range(1), range(1, 2)), (range(2), range(2))])
def test_packed_layers_on_several_devices(
    layers: tuple[range, ...], precision: str, tiny_model: Path
) -> None:
    card, execution = load_card(tiny_model), Execution(precision=precision)
    whole = load_engine(card, device="cpu", execution=execution)
    spread = load_held(card, (processor(), processor()), replace(execution, layers=layers))
    assert said(ask(spread, reply_tokens=12)) == said(ask(whole, reply_tokens=12))
    spread.close()
    whole.close()


def test_only_layers_are_to_be_packed(tiny_model: Path) -> None:
    """As the forecast counts it: tower, embeddings and head stay as they are."""
    model = draw(load_card(tiny_model))
    left = tuple(f"{name}." for name in apart(model))
    packed = [name for name, _ in model.named_parameters() if not name.startswith(left)]
    assert packed
    assert all(map(_in_layers, packed))


LACKING = {
    "missing": (Library(name="no-such-library", least=(1,)), "which is not installed"),
    "too old": (Library(name="torch", least=(99, 1)), "needs torch 99.1 or newer; 2"),
    "broken": (Library(name="pytest-timeout", least=(0,)), "does not load: No module named"),
}


@pytest.mark.parametrize("precision", QUANTISED)
@pytest.mark.parametrize(("library", "said"), LACKING.values(), ids=LACKING)
def test_packing_without_a_library_is_refused_by_name(
    library: Library,
    said: str,
    precision: str,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LIBRARIES, precision, library)
    execution = Execution(precision=precision)
    with pytest.raises(SettingsError, match=said) as found:
        load_engine(load_card(tiny_model), device="cpu", execution=execution)
    assert found.value.message.startswith(f"{precision} needs {library.name}")
    assert "nstall" in found.value.remedy


def test_what_only_estimates_know_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot be loaded as fp8") as found:
        check_precision(Execution(precision="fp8"))
    assert "int4" in found.value.remedy


@pytest.mark.parametrize("precision", QUANTISED)
def test_experts_are_not_packed(precision: str, tiny_model: Path) -> None:
    """They are no linear layers, which alone are packed: they would not take what is foretold."""
    card = replace(load_card(tiny_model), active_parameters=1)
    with pytest.raises(SettingsError, match="tiny is a mixture of experts"):
        load_engine(card, device="cpu", execution=Execution(precision=precision))


@pytest.mark.parametrize("precision", INSTALLED)
def test_what_is_packed_already_is_not_packed_again(
    precision: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "packed"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(SettingsError, match="packed already"):
        load_engine(load_card(folder), device="cpu", execution=Execution(precision=precision))
