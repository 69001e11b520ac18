"""The devices a model could be held on, and how fast they are; asks no torch.

Rates here are rough: published ones, or what a usual machine reaches. ``Rates.corrected`` puts
measured ones in their place once a request has been answered.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from core.errors import SettingsError

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One place for weights: ``name`` as torch calls it, and its memory in bytes."""

    name: str
    kind: Literal["cpu", "cuda"]
    model: str
    capacity_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast things go.

    Attributes:
        decoded_pixels: video pixels decoded in a second.
        vision_flops, prefill_flops: floating-point operations in a second.
        weight_bytes: bytes of weights and cache read in a second while the reply is written.
        measured: False while these are guesses.
    """

    decoded_pixels: float
    vision_flops: float
    prefill_flops: float
    weight_bytes: float
    measured: bool = False

    def corrected(
        self, *, read: float | None, prompt: float | None, per_token: float | None
    ) -> Rates:
        """These rates after an answer, given measured / foretold seconds of each part."""
        prompt_factor = _factor(prompt)
        return replace(
            self,
            decoded_pixels=self.decoded_pixels / _factor(read),
            vision_flops=self.vision_flops / prompt_factor,
            prefill_flops=self.prefill_flops / prompt_factor,
            weight_bytes=self.weight_bytes / _factor(per_token),
            measured=True,
        )


def _factor(ratio: float | None) -> float:
    return ratio if ratio is not None and ratio > 0 else 1.0


def this_machine() -> tuple[Device, ...]:
    """The CUDA devices that nvidia-smi lists, or else the processor."""
    return _cuda_devices() or (processor(),)


def processor() -> Device:
    """The CPU, with the memory this process may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device(
        name="cpu", kind="cpu", model=f"{os.cpu_count()} cores", capacity_bytes=_cgroup_limit(total)
    )


def parse_devices(text: str) -> tuple[Device, ...]:
    """Devices that may not be here: "2x24GiB", "80GB", "24GiB,48GiB".

    Raises:
        SettingsError: the text does not say a number and a size.
    """
    sizes: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(?:(\d{1,3})x)?(\d+(?:\.\d+)?)(GiB|GB)", part, re.IGNORECASE)
        count = int(match[1] or 1) if match else 0
        if match is None or count < 1 or float(match[2]) <= 0:
            raise SettingsError(
                f"{text!r} does not name devices.",
                remedy="Write a count and a memory size, for example 2x24GiB or 80GB.",
            )
        unit = GIB if match[3].lower() == "gib" else 10**9
        sizes += [int(float(match[2]) * unit)] * count
    return tuple(
        Device(name=f"cuda:{number}", kind="cuda", model="", capacity_bytes=size)
        for number, size in enumerate(sizes)
    )


def rough_rates(devices: tuple[Device, ...]) -> Rates:
    """What such devices usually reach, before anything was measured."""
    cores = os.cpu_count() or 1
    if devices[0].kind == "cpu":
        return Rates(
            decoded_pixels=4e8 * cores,
            vision_flops=3e10 * cores,
            prefill_flops=3e10 * cores,
            weight_bytes=4e9,
        )
    flops, bandwidth = _PUBLISHED.get(_known_model(devices[0].model), (1.2e14, 9e11))
    return Rates(
        decoded_pixels=4e8 * cores,
        vision_flops=0.1 * flops,  # the tower's many small attention calls keep it far below
        prefill_flops=0.4 * flops,
        weight_bytes=0.06 * bandwidth,  # bound by kernel launches, not by memory
    )


# dense bf16 operations a second and bytes a second, from the vendor's data sheets
_PUBLISHED = {
    "T4": (6.5e13, 3.2e11),
    "L4": (1.21e14, 3.0e11),
    "A10G": (1.25e14, 6.0e11),
    "L40S": (3.62e14, 8.64e11),
    "A100": (3.12e14, 2.0e12),
    "H100": (9.9e14, 3.35e12),
    "H200": (9.9e14, 4.8e12),
    "RTX 3090": (7.1e13, 9.36e11),
    "RTX 4090": (1.65e14, 1.0e12),
}


def _known_model(model: str) -> str:
    matches = [known for known in _PUBLISHED if re.search(rf"\b{known}\b", model)]
    return max(matches, key=len, default="")


@lru_cache(maxsize=1)
def _cuda_devices() -> tuple[Device, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (subprocess.SubprocessError, OSError):
        return ()
    rows = [line.rsplit(",", 1) for line in answer.stdout.splitlines() if "," in line]
    return tuple(
        Device(
            name=f"cuda:{number}",
            kind="cuda",
            model=model.strip(),
            capacity_bytes=int(float(mebibytes) * 1024**2),
        )
        for number, (model, mebibytes) in enumerate(rows)
    )


def _cgroup_limit(total: int) -> int:
    """A container may be allowed less than the machine has."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")
        return min(total, int(limit))
    except (OSError, ValueError):  # no such limit ("max"), or no cgroup at all
        return total
