"""One decoding process, seen from the page: started, asked, ended, and what it died of.

Started by exec, not by fork: no memory of the page, no CUDA context and no open file goes along,
and it works from any thread, a notebook, or a script without a guard around its main part.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import VideoError
from core.video import channel

# passwords and proxies that the page's environment may hold are not among these
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE",
               "TMPDIR", "SYSTEMROOT")  # fmt: skip
# decoding is for the CPU; and threads that libraries start at import only take address space
SET = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
BOOT = (
    "import sys; arguments, sys.path[:] = sys.argv[1:4], sys.argv[4:]; "
    "from core.video.worker import main; main(*arguments)"
)
LAST_WORDS = 4000


class Worker:
    """A decoding process of one reader; busy with one request at a time."""

    def __init__(self, *, entry: str, reader: str) -> None:
        """Start it; it says when it is ready, so that starting takes no time here.

        Raises:
            VideoError: the system starts no more processes.
        """
        self.reader, self.requests, self.is_ready = reader, 0, False
        self._end, other = socket.socketpair()
        try:
            with other:
                self._process: subprocess.Popen[bytes] | None = _started(entry, reader, other)
        except OSError as error:
            self._end.close()
            raise VideoError(
                f"No decoding process could be started: {error.strerror}.",
                remedy="Close other programs, or raise the limit on processes and open files.",
            ) from error

    def alive(self) -> bool:
        """False once the process has ended."""
        return self._process is not None and self._process.poll() is None

    def ask(self, request: dict[str, Any], *, descriptor: int | None) -> None:
        """Hand over a request, as soon as the process is ready, and see it begun.

        Raises:
            EOFError, OSError: it died before; where it ``is_ready``, that was while it waited.
        """
        if not self.is_ready:
            channel.receive(self._end)
            self.is_ready = True
        self.requests += 1
        channel.send(self._end, request, descriptor=descriptor)
        channel.receive(self._end)

    def reply(self) -> dict[str, Any]:
        """The next message; EOFError or OSError when it died, ValueError for nonsense."""
        return channel.receive(self._end)

    def kill(self) -> None:
        """End the process and all it started now, from any thread; ``reap`` must follow."""
        if self._process is None:
            return
        if self._process.returncode is None:  # not reaped: the number is still its own
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(OSError):  # wakes who waits for a reply, even if the kernel is slow to kill
            self._end.shutdown(socket.SHUT_RDWR)

    def reap(self, *, patience_seconds: float = 1.0) -> tuple[int | None, str]:
        """Wait for the end, close everything; the exit status and the last words on stderr.

        None for a status that did not come in time: the process hangs in the kernel.
        """
        process, self._process = self._process, None
        self._end.close()
        if process is None:
            return None, ""
        said = _last_words(process)
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience_seconds)
        return process.returncode, said

    def died(self, *, patience_seconds: float = 0.5) -> bool:
        """True where it ends by itself within a moment: a closed socket comes before the status."""
        until = time.monotonic() + patience_seconds
        while self.alive() and time.monotonic() < until:
            time.sleep(0.005)
        return not self.alive()

    def disown(self) -> None:
        """In a forked child: let go of a process that belongs to the parent, without a signal."""
        process, self._process = self._process, None
        self._end.close()
        if process is not None:
            process.returncode = 0  # not ours to wait for
            for pipe in (process.stdin, process.stderr):
                if pipe is not None:
                    pipe.close()


def _started(entry: str, reader: str, end: socket.socket) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[2])
    places = [root, *(str(Path(place).absolute()) for place in sys.path if place)]
    no_bytecode = ["-B"] if sys.dont_write_bytecode else []
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    python = [sys.executable, "-I", "-X", f"utf8={sys.flags.utf8_mode}", *no_bytecode]
    return subprocess.Popen(
        [*python, "-c", BOOT, entry, reader, str(end.fileno()), *places],
        env=kept | SET,
        stdin=subprocess.PIPE,  # never written to: closed when the page ends, however it ends
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=[end.fileno()],
        start_new_session=True,  # Ctrl-C is for the page
    )


def _last_words(process: subprocess.Popen[bytes]) -> str:
    if process.stderr is None:
        return ""
    try:
        os.set_blocking(process.stderr.fileno(), False)
        said = process.stderr.read(65536) or b""
    except OSError:
        return ""
    return said[-LAST_WORDS:].decode(errors="replace").strip()
