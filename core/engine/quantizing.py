"""Weights packed into fewer bytes while they are loaded, by a library where one is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

from core.engine.mapping import device_map
from core.errors import SettingsError
from core.planning.memory import QUANTISED, Execution

LIBRARIES = ("bitsandbytes", "torchao")
LOADABLE = ("fp32", "bf16", "fp16", *QUANTISED)


def check_precision(execution: Execution) -> None:
    """Refuse before anything is loaded what weights cannot be held in here.

    Raises:
        SettingsError: an estimate knows the precision, but nothing here can load it.
    """
    precision = execution.precision
    if precision is None:
        return
    if precision not in LOADABLE:
        raise SettingsError(
            f"Weights cannot be loaded as {precision}.",
            remedy=f"Choose one of: {', '.join(LOADABLE)}.",
        )
    if precision in QUANTISED and library() is None:
        raise SettingsError(
            f"{precision} needs bitsandbytes or torchao, and neither is installed.",
            remedy="pip install bitsandbytes",
        )


def library() -> str | None:
    """The library that packs weights, of those installed."""
    return next((name for name in LIBRARIES if importlib.util.find_spec(name)), None)


def packed(model: Any, precision: str | None) -> Any:
    """transformers' settings for packed layers; all else stays as the forecast counts it."""
    import torch
    from transformers import BitsAndBytesConfig, TorchAoConfig

    left = apart(model)
    if library() == "bitsandbytes":
        return BitsAndBytesConfig(
            load_in_8bit=precision == "int8",
            load_in_4bit=precision == "int4",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=left,
        )
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    packing = Int8WeightOnlyConfig() if precision == "int8" else Int4WeightOnlyConfig()
    return TorchAoConfig(packing, modules_to_not_convert=left)


def apart(model: Any) -> list[str]:
    """Names of the branches that are not the decoder's layers."""
    count = model.config.get_text_config().num_hidden_layers
    places = device_map(model, [range(0), range(count), range(0)], ["before", "layers", "after"])
    return [name for name, place in places.items() if place != "layers"]
