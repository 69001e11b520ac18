"""Jobs carried out by a few decoding processes: bounded, stopped in time, replaced when they die.

What a file does to a decoder (hang, crash, eat memory) costs its own request an error and nothing
else. Knows nothing of what the jobs are.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import weakref
from collections.abc import Generator
from typing import Any

from core.errors import Cancelled
from core.video.budget import usable_threads
from core.video.buffer import Buffer
from core.video.process import Worker
from core.video.request import DiedWaitingError, Request, Task

log = logging.getLogger(__name__)

MOST_REQUESTS = 200  # then a worker is replaced, whatever it has leaked
MOST_RESIDENT_BYTES = 512 * 2**20
POLL_SECONDS = 0.03


class Sandbox:
    """A pool of decoding processes; those that wait are kept, at least one of them warm."""

    def __init__(self, *, entry: str = "core.video.jobs", workers: int | None = None) -> None:
        """``entry`` names the module with JOBS and IMPORTS; ``workers`` may be busy at once."""
        self._entry = entry
        self._most = workers or max(2, usable_threads())
        self._forget()

    def _forget(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._busy: dict[Worker, Request | None] = {}
        self._closed = False

    def run(
        self, task: Task, buffer: Buffer | None = None, *, stop: threading.Event | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """Yield the messages of a job as they come. Closed early, its process is killed at once.

        Raises:
            FramewiseError: what the job raised, with the same class, message and remedy.
            VideoError: the process crashed, ran out of memory or took too long.
            Cancelled: ``stop`` was set.
        """
        begun = False
        while not begun:
            worker = self._take(task.reader, stop)
            request = self._busy[worker] = Request(worker, task, stop=stop)
            try:
                yield from request.messages(buffer)
                begun = True
            except DiedWaitingError:
                pass  # a fresh worker never says so: this comes to an end
            finally:
                request.end()
                sound = request.sound and request.resident < MOST_RESIDENT_BYTES
                self._give_back(worker, healthy=sound)

    def warm(self, reader: str = "pyav") -> None:
        """Start a process for the first request, unless one is there; it gets ready by itself."""
        with self._changed:
            there = [*self._idle, *self._busy]
            if not self._closed and not any(worker.reader == reader for worker in there):
                self._idle.append(self._started(reader))

    def close(self) -> None:
        """Kill every process, busy or not; nothing can be run afterwards."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._busy:
                worker.kill()
            for worker in idle:
                worker.kill()
                worker.reap()

    def disown(self) -> None:
        """In a forked child: the processes stay those of the parent; start afresh."""
        for worker in [*self._idle, *self._busy]:
            worker.disown()
        self._forget()

    def _take(self, reader: str, stop: threading.Event | None) -> Worker:
        """A worker that waits, or a new one; where all are busy, wait for a turn."""
        with self._changed:
            while self._counted() >= self._most:
                if stop is not None and stop.is_set():
                    raise Cancelled
                self._changed.wait(POLL_SECONDS)
            if stop is not None and stop.is_set():
                raise Cancelled
            if self._closed:
                raise RuntimeError("The sandbox is closed.")
            worker = self._waiting(reader) or self._started(reader)
            self._busy[worker] = None
            return worker

    def _counted(self) -> int:
        """Busy ones, but for those whose consumer is busy with something else for long.

        It may be waiting for a turn itself, and then nobody would ever get one.
        """
        return sum(request is None or not request.parked() for request in [*self._busy.values()])

    def _waiting(self, reader: str) -> Worker | None:
        for worker in [each for each in self._idle if each.reader == reader]:
            self._idle.remove(worker)
            if worker.alive():
                return worker
            worker.reap()  # killed while it waited, for example for its memory
        return None

    def _started(self, reader: str) -> Worker:
        _watch_over(self)
        return Worker(entry=self._entry, reader=reader)

    def _give_back(self, worker: Worker, *, healthy: bool) -> None:
        with self._changed:
            self._busy.pop(worker, None)
            if self._closed or not healthy or worker.requests >= MOST_REQUESTS:
                worker.kill()
                worker.reap()
            else:
                self._idle.append(worker)
            alike = [each for each in self._idle if each.reader == worker.reader]
            if len(alike) > self._most:  # of each reader: starting another's takes seconds
                self._idle.remove(alike[0])
                alike[0].kill()
                alike[0].reap()
            self._changed.notify_all()
        if not healthy:
            self._replace(worker.reader)

    def _replace(self, reader: str) -> None:
        """Have one warm again for who comes next, such as a slider's next position."""
        try:
            self.warm(reader)
        except Exception:  # the one who comes next will be told
            log.warning("No decoding process in reserve", exc_info=True)


_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _watch_over(sandbox: Sandbox) -> None:
    _sandboxes.add(sandbox)
    _once()


@functools.cache
def _once() -> None:
    atexit.register(_each, Sandbox.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(_each, Sandbox.disown))


def _each(do: Any) -> None:
    for sandbox in list(_sandboxes):
        do(sandbox)


SHARED = Sandbox()  # the one behind the doors of core.video; it starts nothing by itself


def run(
    job: str,
    arguments: dict[str, Any],
    *,
    buffer: Buffer | None = None,
    deadline_seconds: float,
    stop: threading.Event | None = None,
    reader: str = "pyav",
    **more: Any,
) -> Generator[dict[str, Any], None, None]:
    """Sandbox.run in the shared sandbox; the rest are fields of core.video.request.Task."""
    task = Task(
        job=job, arguments=arguments, deadline_seconds=deadline_seconds, reader=reader, **more
    )
    return SHARED.run(task, buffer, stop=stop)


def warm(reader: str = "pyav") -> None:
    """Have a decoding process ready in the shared sandbox before it is needed."""
    SHARED.warm(reader)
