"""Work through tasks in several threads, results as they come; knows nothing of video."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def spread(
    tasks: Sequence[T],
    *,
    workers: int,
    begin: Callable[[threading.Event], AbstractContextManager[Callable[[T], Iterator[R]]]],
) -> Iterator[R]:
    """Yield what each task yields, as it comes; tasks are begun in their order.

    ``begin`` opens what a worker needs, in the worker's own thread, and gives the function that
    does a task. Its event is set when nobody wants the results any more. What a worker raises is
    raised here, and ends the others. When this iterator is closed, all threads have ended.
    """
    stop = threading.Event()
    if workers == 1:
        with begin(stop) as work:
            for task in tasks:
                yield from work(task)
        return
    channel: _Channel[R] = _Channel(workers=workers)
    waiting = iter(tasks)
    taking = threading.Lock()

    def take() -> Iterator[T]:
        while not stop.is_set():
            with taking:
                task = next(waiting, None)
            if task is None:
                return
            yield task

    def run() -> None:
        error: BaseException | None = None
        try:
            with begin(stop) as work:
                for task in take():
                    for result in work(task):
                        if not channel.put(result):
                            return
        except BaseException as caught:  # whatever it is, whoever iterates must hear of it
            error = caught
        finally:
            channel.end(error)

    threads = [threading.Thread(target=run, name="frames", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield from channel
    finally:
        stop.set()
        channel.close()
        for thread in threads:
            thread.join()


class _Channel(Generic[R]):
    """From several workers to one reader, with a bound, an end and a way to hang up."""

    def __init__(self, *, workers: int) -> None:
        self._workers, self._room = workers, 2 * workers
        self._results: deque[R] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._closed = False

    def put(self, result: R) -> bool:
        """Wait for room; False when the reader has gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._results) < self._room)
            if not self._closed:
                self._results.append(result)
                self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None) -> None:
        """One worker less."""
        with self._changed:
            self._workers -= 1
            self._error = self._error or error
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[R]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._results or self._error or not self._workers)
                if self._error:
                    raise self._error
                if not self._results:
                    return
                result = self._results.popleft()
                self._changed.notify_all()
            yield result
