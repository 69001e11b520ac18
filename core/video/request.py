"""One request to a decoding process: its deadline, its end, and what to say when it fails."""

from __future__ import annotations

import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from core import errors
from core.errors import Cancelled, FramewiseError, VideoError
from core.video.budget import BASE_BYTES
from core.video.buffer import Buffer
from core.video.process import Worker

log = logging.getLogger(__name__)

POLL_SECONDS = 0.03
START_SECONDS = 120.0  # importing a reader's libraries from a cold disk
PARKED_SECONDS = 5.0
DAMAGED = "The file may be damaged or made to do harm: convert it, or choose another."
SMALLER = "Choose fewer or smaller frames, scale the video down, or close other programs."

_ERRORS: dict[str, type[FramewiseError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, FramewiseError) and kind is not Cancelled
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to do, and what it may cost.

    Attributes:
        job: a key of core.video.jobs.JOBS.
        arguments: what JSON can say.
        what: the file's name, for messages.
        deadline_seconds: after so long the process is killed; time in which the messages' consumer
            does something else is not counted.
        more_bytes: address space beyond the libraries and the buffer.
        threads: that may use a processor at once.
        reader: which libraries the process has imported.
    """

    job: str
    arguments: dict[str, Any]
    deadline_seconds: float
    what: str = "The video"
    more_bytes: int = BASE_BYTES
    threads: int = 2
    reader: str = "pyav"


class DiedWaitingError(Exception):
    """The worker died before it began with this request, which another one can have."""


class Request:
    """A task in the hands of a worker, with a thread that watches the clock and the stop event."""

    def __init__(self, worker: Worker, task: Task, *, stop: threading.Event | None) -> None:
        self._worker, self._task, self._stop = worker, task, stop
        self._over = threading.Event()
        self._guard = threading.Thread(target=self._watch, daemon=True, name="frames-guard")
        # not the error itself: it would keep its traceback, and that the frames' memory
        self._killed_for: Literal["stop", "deadline"] | None = None
        self._paused_since: float | None = None
        self._seconds = self._ends_at = math.inf
        self.resident = 0
        self.sound = False  # whether the worker has kept to the rules and can be asked again

    def messages(self, buffer: Buffer | None) -> Iterator[dict[str, Any]]:
        """What the job yields; see Sandbox.run for what is raised.

        Raises:
            DiedWaitingError: nothing has been done.
        """
        waited = self._worker.is_ready  # it has served before, and may have died since
        self._limit(self._task.deadline_seconds if waited else START_SECONDS)
        self._guard.start()
        begun = False
        try:
            self._worker.ask(self._order(buffer), descriptor=buffer.descriptor if buffer else None)
            begun = True
            self._limit(self._task.deadline_seconds)
            while "given" in (reply := self._worker.reply()):
                self._paused_since = time.monotonic()
                yield reply["given"]
                self._ends_at += time.monotonic() - self._paused_since
                self._paused_since = None
        except (EOFError, OSError) as error:
            self.end()
            if waited and not begun and self._killed_for is None:
                raise DiedWaitingError from error
            raise self._why() from error
        except ValueError as error:
            raise self._failed(f"answered with {error}", DAMAGED) from error
        if "error" in reply:
            raise self._told(reply)
        self.resident, self.sound = int(reply.get("resident_bytes", 0)), True

    def parked(self) -> bool:
        """True where the consumer has not come back for a message for a while."""
        since = self._paused_since
        return since is not None and time.monotonic() - since > PARKED_SECONDS

    def end(self) -> None:
        """No more watching; from here on nothing kills the worker for this request's sake."""
        self._over.set()
        if sys.is_finalizing():
            return  # threads like that one stand still already, and Python 3.13 waits for them
        if self._guard.ident is not None and self._guard is not threading.current_thread():
            self._guard.join()

    def _limit(self, seconds: float) -> None:
        self._seconds, self._ends_at = seconds, time.monotonic() + seconds

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            if self._stop is not None and self._stop.is_set():
                self._killed_for = "stop"
            elif self._paused_since is None and time.monotonic() > self._ends_at:
                self._killed_for = "deadline"
            if self._killed_for is not None:
                self._worker.kill()
                return

    def _order(self, buffer: Buffer | None) -> dict[str, Any]:
        task, size = self._task, buffer.size if buffer else 0
        return {
            "job": task.job,
            "arguments": task.arguments,
            "buffer_bytes": size,
            "limits": {
                "more_bytes": task.more_bytes + size,
                "cpu_seconds": task.deadline_seconds * max(1, task.threads),
            },
        }

    def _told(self, reply: dict[str, Any]) -> FramewiseError:
        """The error that the job raised."""
        name, message = reply["error"], str(reply.get("message", ""))
        if name == MemoryError.__name__:
            return self._failed(f"needed over {self._task.more_bytes / 1e9:.1f} GB", SMALLER)
        if name in _ERRORS:
            self.sound = True
            return _ERRORS[name](message, remedy=str(reply.get("remedy", "")))
        log.warning("%s of %s: %s", self._task.job, self._task.what, reply.get("trace"))
        return self._failed(f"failed with {message}", DAMAGED)

    def _why(self) -> FramewiseError:
        """What the process died of."""
        if self._killed_for == "stop":
            return Cancelled()
        if self._killed_for == "deadline":
            how = f"took longer than {self._seconds:,g} s and was stopped"
            return self._failed(how, f"{DAMAGED} Or ask for less of it.")
        if not self._worker.died():
            return self._failed("closed its connection", DAMAGED)
        status, said = self._worker.reap()
        log.warning("A decoding process died (status %s): %s", status, said or "no last words")
        if not self._worker.is_ready:
            reason = said.splitlines()[-1] if said else "it said nothing"
            return VideoError(
                f"The decoding process did not start (exit code {status}): {reason[:200]}.",
                remedy="Run 'python app.py doctor', or install Framewise again.",
            )
        return self._fate(status)

    def _fate(self, status: int | None) -> VideoError:
        if status is None or status >= 0:
            return self._failed(f"ended with exit code {status}", DAMAGED)
        if -status == signal.SIGXCPU:
            limit = self._task.deadline_seconds * self._task.threads
            return self._failed(f"used more than {limit:,.0f} s of processor time", DAMAGED)
        if -status in (signal.SIGKILL, signal.SIGBUS):
            why = "was killed from outside, most likely because memory ran out"
            return self._failed(f"{why} ({_signal(-status)})", SMALLER)
        return self._failed(f"crashed ({_signal(-status)})", DAMAGED)

    def _failed(self, how: str, remedy: str) -> VideoError:
        return VideoError(f"{self._task.what}: decoding {how}.", remedy=remedy)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
