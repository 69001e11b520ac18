"""Bytes in use on each device at this moment, as its driver tells; knows no model."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from core.planning.devices import Device


def in_use(devices: Sequence[Device]) -> tuple[int | None, ...]:
    """For each device the bytes that all programs use; on a processor those of this process.

    From NVML where its Python package (nvidia-ml-py) is installed, otherwise from torch once it
    runs on the device; None where nobody can tell.
    """
    return tuple(_of_gpu(each.name) if each.kind == "cuda" else _of_process() for each in devices)


def lack_of_nvml() -> str | None:
    """Why the driver is not asked; then torch tells, once it runs on a device."""
    if importlib.util.find_spec("pynvml") is None:
        return "nvidia-ml-py is not installed"
    return None


def most_of_process() -> int:
    """The most bytes that this process has used, on a processor.

    Not ru_maxrss where that can be helped: on Linux it begins with what the parent has used.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        status = ""
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    if found is not None:
        return int(found[1]) * 1024
    import resource  # not on every system

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _of_process() -> int | None:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:  # not Linux
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _of_gpu(name: str) -> int | None:
    """cuda:1 -> what is in use there, by NVML or else by torch."""
    number = int(name.partition(":")[2] or 0)
    if lack_of_nvml() is None:
        return _by_nvml(number)
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    free, total = torch.cuda.mem_get_info(number)
    return int(total - free)


def _by_nvml(number: int) -> int | None:
    import pynvml

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    places = chosen.split(",") if chosen else []
    place = places[number].strip() if number < len(places) else str(number)
    try:
        pynvml.nvmlInit()  # counts its users; asking again costs nothing
        handle = (
            pynvml.nvmlDeviceGetHandleByIndex(int(place))
            if place.isdecimal()
            else pynvml.nvmlDeviceGetHandleByUUID(place)
        )
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    except pynvml.NVMLError:
        return None
