"""Weights packed into fewer bytes while they are loaded: by which library, and whether it can."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from core.engine.mapping import device_map
from core.errors import SettingsError
from core.planning.card import ModelCard
from core.planning.execution import QUANTISED, Execution
from core.planning.weights import has_experts

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What packs weights.

    Attributes:
        name: of the package and of its module.
        least: the oldest version that transformers takes.
    """

    name: str
    least: tuple[int, ...]


# One for each precision, on processors as on GPUs. torchao's int8 leaves activations as they are,
# where bitsandbytes makes float16 of bfloat16, whose range is smaller. Its int4 needs kernels of a
# third library, or else widths of multiples of 1,024, padded where they are none.
LIBRARIES = {
    "int8": Library(name="torchao", least=(0, 15)),
    "int4": Library(name="bitsandbytes", least=(0, 46, 1)),
}
LOADABLE = ("fp32", "bf16", "fp16", *QUANTISED)
HALVES = ("bfloat16", "float16")


def check_precision(execution: Execution, card: ModelCard | None = None) -> None:
    """Refuse before anything is loaded what weights cannot be held in here.

    Raises:
        SettingsError: an estimate knows the precision, but nothing here can load it, or not this
            model in it.
    """
    precision = execution.precision
    if precision is None:
        return
    if precision not in LOADABLE:
        raise SettingsError(
            f"Weights cannot be loaded as {precision}.",
            remedy=f"Choose one of: {', '.join(LOADABLE)}.",
        )
    if precision in QUANTISED:
        if card is not None:
            check_packable(card, precision)
        check_library(precision)


def check_packable(card: ModelCard, precision: str) -> None:
    """Whether the libraries pack this model's layers, wherever it is run.

    Raises:
        SettingsError: they are experts, which are no linear layers of their own.
    """
    if has_experts(card):
        raise SettingsError(
            f"{card.name} is a mixture of experts, whose weights cannot be packed as {precision}.",
            remedy="Leave --quantize and --precision out, or choose a checkpoint without experts.",
        )


def check_library(precision: str) -> None:
    """Whether weights can be packed as ``precision`` here.

    Raises:
        SettingsError: the library for it is missing, too old, or does not load.
    """
    library = LIBRARIES[precision]
    least = ".".join(map(str, library.least))
    remedy = f'pip install "{library.name}>={least}"'
    try:
        found = version(library.name)
    except PackageNotFoundError:
        raise SettingsError(
            f"{precision} needs {library.name}, which is not installed.", remedy=remedy
        ) from None
    if _numbers(found) < library.least:
        raise SettingsError(
            f"{precision} needs {library.name} {least} or newer; {found} is installed.",
            remedy=remedy,
        )
    quiet()
    try:
        importlib.import_module(library.name)
    except Exception as error:  # it brings kernels that may not suit this torch or this machine
        said = " ".join(str(error).split())[:200]
        raise SettingsError(
            f"{precision} needs {library.name}, and {found} does not load: {said}",
            remedy=f"Install one that suits this torch, or none: pip uninstall {library.name}",
        ) from error


def quiet() -> None:
    """What importing them warns of is nobody's concern here.

    torchao, which transformers imports where it is, does what newer torch warns of; bitsandbytes
    looks for faster kernels for some processors on the hub, and goes on without.
    """
    for name in ("torch.utils._pytree", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _numbers(text: str) -> tuple[int, ...]:
    """``"0.18.0+cpu"`` -> ``(0, 18, 0)``."""
    found: list[int] = []
    for part in text.partition("+")[0].split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)


def unpacked_dtype(card: ModelCard) -> str:
    """What is not packed is held in half precision, as the forecast counts it."""
    return card.dtype if card.dtype in HALVES else "bfloat16"


def packed(model: Any, precision: str, dtype: torch.dtype) -> Any:
    """transformers' settings for packed layers; all else stays as the forecast counts it.

    Args:
        model: drawn without weights.
        precision: one of QUANTISED.
        dtype: of all else, and of the products.
    """
    left = apart(model)
    if LIBRARIES[precision].name == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        return TorchAoConfig(
            Int8WeightOnlyConfig(version=2, set_inductor_config=False), modules_to_not_convert=left
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=left,
    )


def apart(model: Any) -> list[str]:
    """Names of the branches that are not the decoder's layers."""
    count = model.config.get_text_config().num_hidden_layers
    places = device_map(model, [range(0), range(count), range(0)], ["before", "layers", "after"])
    return [name for name, place in places.items() if place != "layers"]


def held_bytes(weight: torch.Tensor) -> int:
    """What a weight takes, packed ones with their scales; ``nbytes`` tells what they stand for."""
    parts = getattr(weight, "__tensor_flatten__", None)
    if parts is not None:  # torchao: a tensor made of tensors
        return sum(held_bytes(getattr(weight, name)) for name in parts()[0])
    state = getattr(weight, "quant_state", None)  # bitsandbytes
    return int(weight.nbytes) + (0 if state is None else int(state.absmax.nbytes))
