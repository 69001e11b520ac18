"""What a decoding process can be asked to do: a name, plain arguments, plain messages back.

A job is ``job(arguments, buffer)``: it takes what JSON can say and, where frames come back, memory
shared with the page, and yields what JSON can say. It runs in the decoding process.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.video.reading import READERS
from core.video.wire import info_from_json, info_to_json

Message = dict[str, Any]
Job = Callable[[Message, memoryview | None], Iterator[Message]]

# reader -> what is imported before the address space is limited; what is missing is told by the job
IMPORTS = {
    "pyav": ("numpy", "core.video.probing", "core.video.pyav", "core.video.profiling"),
    "torchcodec": ("numpy", "core.video.torchcodec", "torchcodec.decoders"),
    "decord": ("numpy", "core.video.decord", "decord"),
}
BACKGROUND_PRIORITY = 10


def _probe(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """path -> one message, a VideoInfo."""
    from core.video.probing import probe_file

    yield info_to_json(probe_file(Path(arguments["path"])))


def _read(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """info, indices, height, width, threads, reader -> the place in the buffer of each frame."""
    import numpy as np

    indices, size = arguments["indices"], (arguments["height"], arguments["width"])
    pixels = np.frombuffer(buffer or b"", dtype=np.uint8).reshape(len(indices), *size, 3)
    slots = {index: slot for slot, index in enumerate(indices)}
    reader: Any = importlib.import_module(READERS[arguments["reader"]])
    frames = reader.read(
        info_from_json(arguments["info"]),
        indices,
        height=size[0],
        width=size[1],
        threads=arguments["threads"],
    )
    for frame in frames:
        slot = slots[frame.index]
        pixels[slot] = frame.pixels
        yield {"slot": slot, "seconds": float(frame.seconds)}


def _profile(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """info, budget_seconds, threads -> what is done of the total, at last the profile's fields.

    Whoever waits for frames goes first.
    """
    from core.video.profiling import measure

    os.setpriority(os.PRIO_PROCESS, 0, BACKGROUND_PRIORITY)

    yield from measure(
        info_from_json(arguments["info"]),
        budget_seconds=arguments["budget_seconds"],
        threads=arguments["threads"],
    )


JOBS: dict[str, Job] = {"probe": _probe, "read": _read, "profile": _profile}
