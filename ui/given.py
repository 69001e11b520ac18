"""From options as they were given to values that core takes, or a refusal; knows no command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from core.errors import SettingsError
from core.planning.devices import Device, limited
from core.planning.execution import QUANTISED, Execution
from core.planning.machine import devices_named
from core.planning.settings import Settings
from core.video.info import VideoInfo, describe_video
from ui.options import Described, Keeping, Loading

if TYPE_CHECKING:
    from core.planning.card import ModelCard
    from core.video.store import FrameStore
    from core.video.wanted import FrameSource

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
HERE = re.compile(r"auto|cpu|cuda(:\d+)?(,cuda(:\d+)?)*")


def execution_of(loading: Loading) -> Execution:
    """How the weights are to be held.

    Raises:
        SettingsError: no such precision or placement, or two precisions.
    """
    precision, quantize = loading.precision, loading.quantize
    if quantize is not None and (precision is not None or quantize not in QUANTISED):
        raise SettingsError(
            f"--quantize {quantize} does not go with --precision {precision}."
            if precision is not None
            else f"There is no quantisation {quantize!r}.",
            remedy=f"Give one of them: --quantize {' or '.join(QUANTISED)}, or --precision.",
        )
    return Execution(precision=quantize or precision, placement=loading.placement)


def completed(settings: Settings, preset: str | None, card: ModelCard) -> Settings:
    """The settings with what they leave open decided by the preset, where there is one.

    Raises:
        SettingsError: no such preset.
    """
    from core.asking import with_preset

    return settings if preset is None else with_preset(preset, settings, card)


def devices_of(loading: Loading) -> tuple[Device, ...]:
    """This machine's devices by their names, and its memory behind GPUs.

    Raises:
        SettingsError: no such device here.
    """
    from core.engine.loading import choose_devices, with_host

    return with_host(choose_devices(loading.devices, loading.max_memory))


def imagined_devices(loading: Loading) -> tuple[Device, ...]:
    """Devices to plan for: this machine's, or any by name or size.

    Raises:
        SettingsError: the text names no devices.
    """
    if HERE.fullmatch(loading.devices):
        return devices_of(loading)
    found = devices_named(loading.devices)
    return found if loading.max_memory is None else limited(found, loading.max_memory)


def video_of(described: Described, settings: Settings) -> VideoInfo:
    """What the file is, or what the numbers say.

    Raises:
        FramewiseError: the file cannot be read, or there are both, or neither, or no numbers.
    """
    path, size, duration = described.video, described.size, described.duration
    if path is not None and size is None and duration is None:
        return probed(path, settings)
    if path is not None or size is None or duration is None:
        raise SettingsError(
            "Give either a video file, or --size and --duration.",
            remedy="For example: estimate clip.mp4, or estimate --size 1280x720 --duration 60.",
        )
    numbers = re.fullmatch(r"(-?\d{1,9})x(-?\d{1,9})", size.lower())
    if numbers is None:
        raise SettingsError(
            f"{size!r} is not a size.", remedy="Write width x height, for example 1280x720."
        )
    return describe_video(
        width=int(numbers[1]),
        height=int(numbers[2]),
        duration_seconds=duration,
        frame_rate=described.frame_rate,
    )


def probed(path: Path, settings: Settings) -> VideoInfo:
    """What the file is, and where the strategy draws on it, what happens when."""
    from core.video import probe, profiled

    info = probe(path)
    if settings.strategy != "scenes":
        return info
    errors.print(f"Looking for scenes in {path.name} …", style="dim")
    return profiled(info)


def store_of(keeping: Keeping, *, frames_only: bool = False) -> FrameStore | None:
    """Where frames are kept; None where they are not.

    Raises:
        SettingsError: a folder is given, and that there be none; or there is none, and keeping
            frames is all that is wanted.
    """
    from core.video.place import open_store

    folder = keeping.frame_store
    if keeping.no_frame_store and folder is not None:
        raise SettingsError(
            "Both --frame-store and --no-frame-store are given.", remedy="Leave one of them out."
        )
    store = None
    if not keeping.no_frame_store:
        store = open_store(folder, image_format=keeping.frame_format)
    if store is None and frames_only:
        raise SettingsError(
            "--frames-only keeps frames, and there is no folder to keep them in.",
            remedy="Leave --no-frame-store out, and give a folder that may be written.",
        )
    return store


def frames_of(store: FrameStore | None) -> FrameSource:
    """Where frames come from: the store, which reads what it has not, or else the file."""
    from core.video import iter_frames

    return iter_frames if store is None else store
