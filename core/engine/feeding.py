"""What comes next, made ready in a thread of its own: nobody waits for it who has other work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
READY = 2  # at most; what is ready takes memory
LOOK_SECONDS = 0.1


class Feed(Generic[Item, Made]):
    """Takes from ``items``, which gives None where there is nothing yet, and calls ``work``."""

    def __init__(self, items: Iterator[Item | None], work: Callable[[int, Item], Made]) -> None:
        self._items, self._work = items, work
        self._ready: queue.Queue[Made] = queue.Queue()
        self._room = threading.Semaphore(READY)
        self._closed, self._ended = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="feed")
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more."""
        return self._ended.is_set() and self._ready.empty()

    def take(self, *, until: Callable[[], bool]) -> Made | None:
        """The next; wait for it until this is so. None then, and when all have been taken.

        Raises:
            BaseException: what ``items`` or ``work`` has raised.
        """
        while True:
            ended = self._ended.is_set()  # before looking: nothing comes after it
            try:
                found = (
                    self._ready.get_nowait() if until() else self._ready.get(timeout=LOOK_SECONDS)
                )
            except queue.Empty:
                if ended and self._error is not None:
                    raise self._error from None
                if ended or until():
                    return None
                continue
            self._room.release()
            return found

    def close(self) -> None:
        """Take no more from ``items``; returns when nothing is being taken."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        try:
            while self._free():
                item = next(self._items)
                if item is None:
                    self._room.release()
                    continue
                self._ready.put(self._work(number, item))
                number += 1
                del item  # frames: not to be held while there is no room for the next
        except StopIteration:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def _free(self) -> bool:
        """Wait until one more may be made; False once closed."""
        while not self._closed.is_set():
            if self._room.acquire(timeout=LOOK_SECONDS):
                return True
        return False
