"""How a model is run, as far as its memory and speed go; knows no torch and no placement."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import SettingsError
from core.planning.card import ModelCard
from core.planning.devices import Device

# Bytes of a weight in the layers; int4 is nf4 with a float32 scale for each 64 weights, as
# https://github.com/bitsandbytes-foundation/bitsandbytes stores it.
WEIGHT_BYTES = {
    "float32": 4.0,
    "bfloat16": 2.0,
    "float16": 2.0,
    "float8_e4m3fn": 1.0,
    "int8": 1.0,
    "int4": 0.5625,
}
PRECISIONS = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp8": "float8_e4m3fn",
    "int8": "int8",
    "int4": "int4",
}
QUANTISED = ("int8", "int4")  # by a library, while the weights are loaded
MODES = ("auto", "single", "replicas", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a model is run, as far as memory goes.

    Attributes:
        precision: a key of PRECISIONS; None for what run_dtype() takes by itself.
        in_chunks: whether tower and layers go through a prompt chunk by chunk; None while that is
            not known, for what core/engine does with the family.
        placement: one of MODES; "auto" takes one device where that is enough, with replicas on the
            others, and splits elsewhere.
        layers: which layers each device holds already, every device a part of the model; None while
            that is to be chosen.
    """

    precision: str | None = None
    in_chunks: bool | None = None
    placement: str = "auto"
    layers: tuple[range, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can run.

        Raises:
            SettingsError: no such precision or placement.
        """
        if self.placement not in MODES:
            raise SettingsError(
                f"There is no placement {self.placement!r}.",
                remedy=f"Choose one of: {', '.join(MODES)}.",
            )
        if self.precision is not None and self.precision not in PRECISIONS:
            raise SettingsError(
                f"There is no precision {self.precision!r}.",
                remedy=f"Choose one of: {', '.join(PRECISIONS)}.",
            )


AS_STORED = Execution()


def run_dtype(card: ModelCard, device: Device, execution: Execution = AS_STORED) -> str:
    """What the layers' weights are held in: as stored on a GPU, float32 on a processor.

    bfloat16 is no faster on most processors, and some of its operations are missing there.
    """
    if execution.precision is not None:
        return PRECISIONS[execution.precision]
    return "float32" if device.kind == "cpu" else card.dtype


def value_bytes(dtype: str) -> int:
    """Bytes of what no quantisation touches: embeddings, tower, head, cache and activations."""
    return 4 if dtype == "float32" else 2


def goes_in_chunks(card: ModelCard, execution: Execution = AS_STORED) -> bool:
    """Whether core/engine goes through this model's prompts chunk by chunk."""
    return card.family.in_chunks if execution.in_chunks is None else execution.in_chunks
