"""What this machine can run, and what is missing."""

from __future__ import annotations

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from core.engine.kernels import Way, ways
from core.engine.live import lack_of_nvml
from core.engine.quantizing import LIBRARIES, check_library
from core.errors import SettingsError
from core.planning.card import DEMO_MODEL
from core.planning.machine import GIB, this_machine
from core.video.reading import READERS

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "qwen-vl-utils",
    "gradio",
    "av",
    "torchcodec",
    "decord",
    "bitsandbytes",
    "torchao",
    "nvidia-ml-py",
)
OPTIONAL = {
    **dict.fromkeys(["torchcodec", "decord"], "an alternative reader; PyAV is used"),
    **{each.name: f"--quantize {precision} needs it" for precision, each in LIBRARIES.items()},
    "nvidia-ml-py": "live memory use then comes from torch",
}


def examine() -> dict[str, Any]:
    """Versions, devices and problems; ``problems`` is empty where everything is in order."""
    versions = {name: _version(name) for name in PACKAGES}
    devices = this_machine()
    problems = [
        f"{name} is not installed: pip install -r requirements.txt -c constraints.txt"
        for name, found in versions.items()
        if found is None and name not in OPTIONAL
    ]
    torch_problems = _torch_problems(devices[0].kind == "cuda")
    problems += torch_problems or _library_problems()
    if not (DEMO_MODEL / "model.safetensors").is_file():
        problems.append(f"The demo model is missing from {DEMO_MODEL}: clone the repository again.")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "ffmpeg": _ffmpeg_version(),
        "readers": {name: _fault_of_reader(place) for name, place in READERS.items()},
        "fast": [
            {"name": each.name, "on": each.lack is None, "reason": each.lack}
            for each in _fast_ways()
        ],
        "devices": [
            {"name": each.name, "model": each.model, "memory": each.capacity_bytes}
            for each in devices
        ],
        "problems": problems,
    }


def report(found: dict[str, Any]) -> str:
    """The same in words."""
    lines = [f"Python {found['python']} on {found['platform']}"]
    for name, installed in found["packages"].items():
        lines.append(f"{name} {installed or 'missing (' + OPTIONAL.get(name, 'needed') + ')'}")
    lines.append(f"FFmpeg {found['ffmpeg'] or 'missing'} (inside PyAV)")
    for name, fault in found["readers"].items():
        lines.append(fault or f"The reader {name} works.")
    for each in found["fast"]:
        lines.append(f"{each['name']}: " + ("on" if each["on"] else f"off ({each['reason']})"))
    for each in found["devices"]:
        lines.append(f"{each['name']}: {each['model']}, {each['memory'] / GIB:.1f} GiB")
    return "\n".join([*lines, *found["problems"]] + ([] if found["problems"] else ["All is well."]))


def _fast_ways() -> tuple[Way, ...]:
    """What is fast on this machine, or packed, or live; each on, or off with the reason."""
    try:
        found = ways()
    except Exception:  # torch does not load, which is told among the problems
        return ()
    packing = (
        Way(name=f"weights packed as {precision} ({each.name})", lack=_fault_of_packing(precision))
        for precision, each in LIBRARIES.items()
    )
    return (*found, *packing, Way(name="live memory of GPUs from NVML", lack=lack_of_nvml()))


def _torch_problems(has_gpu: bool) -> list[str]:
    """torch must import, beside a torchvision of the same build, and see the GPU there is."""
    try:
        import torch
        import torchvision  # noqa: F401  # it is what the processors import
    except Exception as error:  # a mismatched pair fails in many ways
        return [
            f"torch and torchvision do not work together ({' '.join(str(error).split())[:200]}): "
            "install them as a pair, from the same index."
        ]
    if has_gpu and not torch.cuda.is_available():
        return [
            "nvidia-smi lists a GPU, but torch cannot use it: install the CUDA build of torch, "
            "or a newer driver."
        ]
    return []


def _library_problems() -> list[str]:
    """Where torchao is installed, transformers imports it, and fails where it does not load."""
    fault = _fault_of_packing("int8")
    if fault is None or "does not load" not in fault:
        return []
    return [f"transformers does not load where torchao does not: {fault}"]


def _fault_of_packing(precision: str) -> str | None:
    """Why weights cannot be packed like this here, and what helps."""
    try:
        check_library(precision)
    except SettingsError as error:
        return f"{error.message} {error.remedy}"
    return None


def _fault_of_reader(place: str) -> str | None:
    """Why a reader cannot be used here and what helps, or None; it is no problem of the machine."""
    try:
        load = getattr(importlib.import_module(place), "load", None)
        if load is not None:
            load()
    except SettingsError as error:
        return f"{error.message} {error.remedy}"
    except ImportError as error:
        return f"PyAV does not load: {error}."
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _ffmpeg_version() -> str | None:
    try:
        import av
    except ImportError:
        return None
    return str(getattr(av, "ffmpeg_version_info", "")) or ".".join(
        map(str, av.library_versions["libavcodec"])
    )
