"""Jobs for a sandbox that hang, crash, lie and eat memory; an entry like core.video.jobs."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import CheckpointError, VideoError
from core.video.jobs import JOBS as REAL_JOBS

Message = dict[str, Any]
IMPORTS: dict[str, tuple[str, ...]] = {"pyav": (), "missing": ("no.such.library",)}


def _echo(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {"pid": os.getpid(), **arguments}


def _signal(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {"begun": True}
    os.kill(os.getpid(), signal.Signals[arguments["name"]])
    time.sleep(60)


def _segfault(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {"address": ctypes.string_at(1)}


def _sleep(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {"pid": os.getpid()}
    time.sleep(arguments.get("seconds", 600))
    yield {"awake": True}


def _spin(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {"pid": os.getpid()}
    while True:
        pass


def _hold(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """Sleep in C without giving the interpreter back, as a deadlocked library would."""
    yield {"pid": os.getpid()}
    ctypes.PyDLL(None).sleep(600)


def _little_processor_time(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    soft = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
    yield from _spin(arguments, buffer)


def _eat(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    eaten = []
    while len(eaten) < arguments["most_mib"]:
        eaten.append(bytearray(2**20))
    yield {"mib": len(eaten)}


def _eat_in_c(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    yield {"given": bool(malloc(ctypes.c_size_t(arguments["bytes"])))}


def _exit(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {"begun": True}
    os._exit(arguments["code"])


def _raise(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    known = {"VideoError": VideoError, "CheckpointError": CheckpointError}
    name = arguments["name"]
    if name in known:
        raise known[name]("It is 7 too large.", remedy="Make it smaller.")
    raise {"KeyError": KeyError, "SystemExit": SystemExit}[name]("a defect")
    yield {}


def _count(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    for number in range(arguments["most"]):
        yield {"number": number}


def _fill(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    assert buffer is not None
    for place in range(len(buffer)):
        buffer[place] = place % 251
    yield {"bytes": len(buffer)}


def open_as(kind: str) -> list[int]:
    """Descriptors of this process whose name says ``kind``."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own
            if kind in str(link.readlink()):
                found.append(int(link.name))
    return found


def _shrink(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """Try to make the shared file shorter than the page believes it to be."""
    refused = False
    for descriptor in open_as("memfd"):
        try:
            os.ftruncate(descriptor, 0)
        except PermissionError:
            refused = True
    yield {"refused": refused}


def _nonsense(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """Write past the protocol, straight into the socket."""
    for descriptor in open_as("socket"):
        os.write(descriptor, bytes.fromhex(arguments["bytes"]))
    yield {}


def _write_a_file(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    Path(arguments["path"]).write_bytes(b"x" * 10)
    yield {}


def _open_files(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    files = []
    try:
        while len(files) < 5000:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        for file in files:
            os.close(file)
        yield {"opened": len(files), "error": error.strerror}


def _surroundings(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    yield {
        "environment": dict(os.environ),
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
        "threads": threading.active_count(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
    }


def _child(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    child = subprocess.Popen(["/bin/sleep", "600"])
    yield {"pid": child.pid}
    time.sleep(600)


def _talk(arguments: Message, buffer: memoryview | None) -> Iterator[Message]:
    """More on stderr than a pipe holds, with nobody reading."""
    for _ in range(3000):
        try:
            os.write(2, b"a warning of a decoder, as they come by the thousands " * 20 + b"\n")
        except BlockingIOError:
            yield {"full": True}
            return
    yield {"full": False}


JOBS = REAL_JOBS | {
    name.removeprefix("_"): value
    for name, value in list(globals().items())
    if name.startswith("_") and not name.startswith("__") and callable(value)
}
