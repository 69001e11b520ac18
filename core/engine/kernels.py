"""Which fast ways this torch has on a device, and what it lacks for the others.

The one place that decides; the engine asks it before it takes a way, ``doctor`` for its report.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LEAST_CAPABILITY = (8, 0)  # Ampere, for FlashAttention and bfloat16
FUSED_GENERATION = 9  # Hopper, where it was measured to be faster
FUSED_CUDNN = 91000  # 9.10
COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Something that is done fast where it can be.

    Attributes:
        name: what it is, for a person.
        lack: why it is off; None where it is on.
    """

    name: str
    lack: str | None


def has_kernels(device: torch.device) -> bool:
    """Whether torch can do variable lengths and offsets on this device."""
    return lack_of_kernels(device) is None


def has_fused(device: torch.device, head_size: int) -> bool:
    """Whether cuDNN's attention serves: 650 TFLOP/s on an H200, where FlashAttention 2 has 350."""
    return head_size <= 128 and lack_of_fused(device) is None


@functools.cache
def lack_of_kernels(device: torch.device) -> str | None:
    """Why torch has no attention of variable length there."""
    import torch

    if device.type != "cuda":
        return "it takes a CUDA device"
    if torch.version.hip is not None:
        return "this torch is a build for ROCm"
    capability = torch.cuda.get_device_capability(device)
    if capability < LEAST_CAPABILITY:
        return f"it takes compute capability {_dotted(LEAST_CAPABILITY)}, not {_dotted(capability)}"
    if not torch.backends.cuda.is_flash_attention_available():
        return "this torch is built without FlashAttention"
    return None


@functools.cache
def lack_of_fused(device: torch.device) -> str | None:
    """Why cuDNN's attention is not taken there."""
    import torch

    lack = lack_of_kernels(device)
    if lack is not None:
        return lack
    generation = torch.cuda.get_device_capability(device)[0]
    if generation != FUSED_GENERATION:
        return f"it is taken on compute capability {FUSED_GENERATION}, not {generation}"
    found = torch.backends.cudnn.version() or 0  # type: ignore[no-untyped-call]
    if found < FUSED_CUDNN:
        return f"it takes cuDNN {FUSED_CUDNN}, not {found}"
    return None


@functools.cache
def lack_of_compiling(device: torch.device) -> str | None:
    """Why torch.compile makes no kernels there."""
    lack = lack_of_kernels(device)
    if lack is not None:
        return lack
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if not any(map(shutil.which, (os.environ.get("CC") or COMPILERS[0], *COMPILERS))):
        return f"Triton needs a C compiler, and there is no {' or '.join(COMPILERS)}"
    return None


WAYS: dict[str, Callable[[torch.device], str | None]] = {
    "attention of variable length (FlashAttention)": lack_of_kernels,
    "cuDNN's fused attention": lack_of_fused,
    "replies from CUDA graphs": lack_of_kernels,
    "fused kernels (torch.compile)": lack_of_compiling,
}


def ways() -> tuple[Way, ...]:
    """Each of WAYS over all CUDA devices of this machine: on where no device lacks it."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [torch.device("cuda", number) for number in range(count)] or [torch.device("cpu")]
    return tuple(Way(name=name, lack=_first(lack, devices)) for name, lack in WAYS.items())


def _first(lack: Callable[[torch.device], str | None], devices: list[torch.device]) -> str | None:
    found = {str(device): lack(device) for device in devices}
    lacking = {name: reason for name, reason in found.items() if reason is not None}
    if len(lacking) == len(devices):
        return next(iter(lacking.values()))
    return next((f"on {name} {reason}" for name, reason in lacking.items()), None)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
