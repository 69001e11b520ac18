"""A thread that stays: what is set up once a thread is set up once, not for every request.

On a GPU the first work of a thread costs some 60 ms: handles and workspaces of the libraries.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Lasting:
    """Does work on one thread, in the order in which it is brought."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._work = queue.SimpleQueue()
        threading.Thread(target=self._go, name=name, daemon=True).start()

    def bring(self, work: Callable[[], Result]) -> Future[Result]:
        """Let it be done; the future has what it gives or raises."""
        future: Future[Result] = Future()
        self._work.put((future, work))
        return future

    def run(self, work: Callable[[], Result]) -> Result:
        """The same, and wait until it is done."""
        return self.bring(work).result()

    def close(self) -> None:
        """End the thread when all that was brought is done."""
        self._work.put(None)

    def _go(self) -> None:
        while (brought := self._work.get()) is not None:
            future, work = brought
            try:
                future.set_result(work())
            except BaseException as error:  # its own, whatever it is: the thread stays
                future.set_exception(error)
            del brought, future, work  # they hold tensors
