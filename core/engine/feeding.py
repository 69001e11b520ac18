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
        self._closed, self._ended, self._news = (threading.Event() for _ in range(3))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="feed")
        self._thread.start()

    def ready(self) -> Made | None:
        """The next, if it is there."""
        try:
            found = self._ready.get_nowait()
        except queue.Empty:
            return None
        self._room.release()
        return found

    def take(self, *, until: Callable[[], bool]) -> Made | None:
        """The next; wait for it until this is so. None then, and when all have been taken.

        Raises:
            BaseException: what ``items`` or ``work`` has raised, after all that came before.
        """
        while True:
            ended = self._ended.is_set()  # before looking: nothing comes after it
            found = self.ready()
            if found is not None or until():
                return found
            if ended:
                if self._error is not None:
                    raise self._error from None
                return None
            self._news.wait(LOOK_SECONDS)
            self._news.clear()

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
                self._news.set()
                number += 1
                del item  # frames: not to be held while there is no room for the next
        except StopIteration:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()
            self._news.set()

    def _free(self) -> bool:
        """Wait until one more may be made; False once closed."""
        while not self._closed.is_set():
            if self._room.acquire(timeout=LOOK_SECONDS):
                return True
        return False
