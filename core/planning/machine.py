"""The devices of this machine, and how fast devices are; asks no torch.

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
from statistics import harmonic_mean

from core.planning.devices import GIB, MIB, Device, Published, parse_devices, published

__all__ = [
    "GIB",
    "Device",
    "Rates",
    "device_choices",
    "devices_named",
    "parse_devices",
    "processor",
    "rough_rates",
    "this_machine",
]

THIS_MACHINE = "this machine"
# Shares of the published rates, and time beside them, that transformers reaches as it comes: the
# shapes of Qwen2.5-VL-7B on an H200 (989 TFLOP/s, 4.8 TB/s), 64 to 768 frames of 252x448.
PREFILL_EFFICIENCY = 0.45  # 0.56 at 4,608 tokens, 0.46 at 55,296
VISION_EFFICIENCY = 0.1  # 0.03 with a launch for each window, 0.13 to 0.19 with one for all
BANDWIDTH_EFFICIENCY = 0.8
LAYER_SECONDS = 2e-3  # launches of one eager layer: 64 ms a token for 28, 149 ms for 80
# The same with core/engine's kernels, chunks and CUDA graphs, for shapes and frames likewise. What
# the tower and the layers took apart was timed with waits in between; together they make the first
# token of tools/bench_engine.py, less its patches, within 5%.
FAST_PREFILL_EFFICIENCY = 0.62  # 0.65 at 4,608 tokens, 0.61 at 55,296
FAST_VISION_EFFICIENCY = 0.37
FAST_LAYER_SECONDS = 4.5e-5  # 7B; 3e-5 for a 72B over two
UNKNOWN = Published(0, 1.2e14, 9e11)
PIXELS_PER_CORE = 4e8  # decoded a second
FLOPS_PER_CORE = 3e10
CPU_BANDWIDTH = 4e9
OF_OTHERS = 512 * MIB  # an idle driver takes less


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast things go.

    Attributes:
        decoded_pixels: video pixels decoded in a second.
        vision_flops, prefill_flops: floating-point operations in a second.
        weight_bytes: bytes of weights and cache read in a second while the reply is written.
        layer_seconds: what each layer takes for each token of the reply beside that reading.
        measured: False while these are guesses.
    """

    decoded_pixels: float
    vision_flops: float
    prefill_flops: float
    weight_bytes: float
    layer_seconds: float = 0.0
    measured: bool = False

    def corrected(
        self, *, read: float | None, prompt: float | None, per_token: float | None
    ) -> Rates:
        """These rates after an answer, given measured / foretold seconds of each part."""
        prompt_factor, token_factor = _factor(prompt), _factor(per_token)
        return replace(
            self,
            decoded_pixels=self.decoded_pixels / _factor(read),
            vision_flops=self.vision_flops / prompt_factor,
            prefill_flops=self.prefill_flops / prompt_factor,
            weight_bytes=self.weight_bytes / token_factor,
            layer_seconds=self.layer_seconds * token_factor,
            measured=True,
        )


def _factor(ratio: float | None) -> float:
    return ratio if ratio is not None and ratio > 0 else 1.0


def rough_rates(devices: tuple[Device, ...], *, graphs: bool = False) -> Rates:
    """What such devices usually reach, before anything was measured.

    ``graphs`` where the model is one that core/engine decodes by CUDA graphs, on devices that can.

    Layers that are split over devices run one device after the other: no faster than on one, and
    on unlike ones at the harmonic mean of their rates. The tower runs on the first.
    """
    cores = os.cpu_count() or 1
    if devices[0].kind == "cpu":
        return Rates(
            decoded_pixels=PIXELS_PER_CORE * cores,
            vision_flops=FLOPS_PER_CORE * cores,
            prefill_flops=FLOPS_PER_CORE * cores,
            weight_bytes=CPU_BANDWIDTH,
        )
    known = [published(device.model) or UNKNOWN for device in devices]
    fast = graphs and all(each.kernels for each in known)
    vision = FAST_VISION_EFFICIENCY if fast else VISION_EFFICIENCY
    prefill = FAST_PREFILL_EFFICIENCY if fast else PREFILL_EFFICIENCY
    return Rates(
        decoded_pixels=PIXELS_PER_CORE * cores,
        vision_flops=vision * known[0].flops,
        prefill_flops=prefill * harmonic_mean(each.flops for each in known),
        weight_bytes=BANDWIDTH_EFFICIENCY * harmonic_mean(each.bandwidth for each in known),
        layer_seconds=FAST_LAYER_SECONDS if fast else LAYER_SECONDS,
    )


def device_choices() -> tuple[str, ...]:
    """What devices_named() takes and people have or rent, smallest first, to choose from."""
    rented = ("L4", "4xL4", "RTX 4090", "L40S", "2xL40S", "A100-80", "H100", "H200", "2xH200")
    return (THIS_MACHINE, "T4", *rented)


def devices_named(text: str) -> tuple[Device, ...]:
    """The devices of one of device_choices(), or of what else parse_devices() takes.

    Raises:
        SettingsError: the text names no devices.
    """
    return this_machine() if text == THIS_MACHINE else parse_devices(text)


def this_machine() -> tuple[Device, ...]:
    """The CUDA devices that nvidia-smi lists, or else the processor."""
    return _cuda_devices() or (processor(),)


def processor() -> Device:
    """The CPU, with the memory this process may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device(
        name="cpu", kind="cpu", model=f"{os.cpu_count()} cores", capacity_bytes=_cgroup_limit(total)
    )


def unused(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The same with what other programs leave of their memory at this moment."""
    if devices[0].kind != "cuda":
        return devices
    rows = _visible(_asked_driver("memory.used"))
    used = {f"cuda:{number}": int(float(row[0]) * MIB) for number, row in enumerate(rows)}
    return tuple(
        replace(each, capacity_bytes=each.capacity_bytes - others)
        if (others := used.get(each.name, 0)) > OF_OTHERS
        else each
        for each in devices
    )


@lru_cache(maxsize=1)
def _cuda_devices() -> tuple[Device, ...]:
    return tuple(
        Device(
            name=f"cuda:{number}",
            kind="cuda",
            model=model.strip(),
            capacity_bytes=int(float(mebibytes) * MIB),
        )
        for number, (model, mebibytes) in enumerate(_visible(_asked_driver("name,memory.total")))
    )


def _asked_driver(columns: str) -> list[list[str]]:
    """A row for each GPU as nvidia-smi tells of it; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={columns}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (subprocess.SubprocessError, OSError):
        return []
    # what it cannot tell of one, "[N/A]", must not number the others anew
    lines = re.sub(r"\[[^]\n]*\]$", "0", answer.stdout, flags=re.MULTILINE).splitlines()
    rows = [line.rsplit(",", columns.count(",")) for line in lines]
    return [row for row in rows if re.fullmatch(r" *[\d.]+ *", row[-1])]


def _visible(rows: list[list[str]]) -> list[list[str]]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order, as torch counts them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not re.fullmatch(r"[\d, ]*", chosen):
        return rows
    numbers = [int(each) for each in chosen.split(",") if each.strip()]
    return [rows[number] for number in numbers if number < len(rows)]


def _cgroup_limit(total: int) -> int:
    """A container may be allowed less than the machine has."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")
        return min(total, int(limit))
    except (OSError, ValueError):  # no such limit ("max"), or no cgroup at all
        return total
