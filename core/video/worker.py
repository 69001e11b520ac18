"""The decoding process: one job after the other, and gone the moment nobody listens any more.

The main thread listens, so that it sees the page go away while a job decodes in another thread.
"""

from __future__ import annotations

import faulthandler
import importlib
import mmap
import os
import queue
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from core.errors import FramewiseError
from core.video import channel, limits

Request = tuple[dict[str, Any], int | None]


def main(entry: str, reader: str, descriptor: str) -> None:
    """Serve the jobs of module ``entry`` over the socket ``descriptor`` until it is closed."""
    _leave_with_the_page()
    faulthandler.enable()
    os.set_blocking(sys.stderr.fileno(), False)  # what nobody reads must not hold anything up
    end = socket.socket(fileno=int(descriptor))
    module = importlib.import_module(entry)
    for name in module.IMPORTS.get(reader, ()):
        with suppress(Exception):
            importlib.import_module(name)
    limits.confine()
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_serve, args=(end, module.JOBS, requests), daemon=True).start()
    with suppress(EOFError, OSError):
        channel.send(end, {"ready": True})
        while True:
            requests.put(channel.receive_with_file(end))
    os._exit(0)


def _leave_with_the_page() -> None:
    """Let the kernel end this process when the other end of stdin is closed, whatever runs here.

    A decoder that never gives the interpreter back would keep the main thread from seeing it.
    (PR_SET_PDEATHSIG would do, if it did not look at the thread that started this process.)
    """
    with suppress(ImportError, OSError, AttributeError):
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(
    end: socket.socket, jobs: Mapping[str, Any], requests: queue.SimpleQueue[Request]
) -> None:
    while True:
        request, descriptor = requests.get()
        try:
            reply = _carry_out(end, jobs, request, descriptor)
        except OSError:  # the other end is closed
            os._exit(0)
        with suppress(OSError):
            channel.send(end, reply)


def _carry_out(
    end: socket.socket, jobs: Mapping[str, Any], request: dict[str, Any], descriptor: int | None
) -> dict[str, Any]:
    """Do the job, its messages sent as they come; the last word on it."""
    try:
        channel.send(end, {"begun": True})
        limits.allow(**request["limits"])
        with _shared(request["buffer_bytes"], descriptor) as buffer:
            for message in jobs[request["job"]](request["arguments"], buffer):
                channel.send(end, {"given": message})
        return {"done": True, "resident_bytes": limits.resident_bytes()}
    except FramewiseError as error:
        return {"error": type(error).__name__, "message": error.message, "remedy": error.remedy}
    except MemoryError:
        return {"error": "MemoryError"}
    except BrokenPipeError:
        raise
    except BaseException as error:
        said = "".join(traceback.format_exception(error))
        return {"error": "defect", "message": repr(error)[:300], "trace": said[-4000:]}


@contextmanager
def _shared(size: int, descriptor: int | None) -> Iterator[memoryview | None]:
    """The memory behind ``descriptor``; unmapped when nothing refers to it any more."""
    if descriptor is None:
        yield None
        return
    try:
        yield memoryview(mmap.mmap(descriptor, size))
    finally:
        os.close(descriptor)
