"""Work done by a few threads, handed out as it is finished; knows nothing of what the work is."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def unordered(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, stop: threading.Event
) -> Generator[Result]:
    """Yield ``work(item)`` of each item as they finish; at most ``workers`` wait or are under way.

    Closing it before its end sets ``stop``, which ``work`` looks at, and returns when all work has
    ended.
    """
    with closing(awaited(work, items, workers=workers, stop=stop)) as found:
        for each in found:
            yield from each or ()


def awaited(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    stop: threading.Event,
    patience_seconds: float | None = None,
) -> Generator[tuple[Result] | None]:
    """The same, each by itself in a tuple; None whenever nothing has finished for so long."""
    waiting = iter(items)
    under_way: set[Future[Result]] = set()
    finished: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batch")
    try:
        while True:
            while len(under_way) + len(finished) < workers:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
                under_way.add(pool.submit(work, item))
            if not finished and not under_way:
                return
            if not finished:
                done, under_way = wait(
                    under_way, timeout=patience_seconds, return_when=FIRST_COMPLETED
                )
                finished.extend(done)
                if not done:
                    yield None
                del done  # what they gave is held by who takes it alone
                continue
            yield (finished.popleft().result(),)
    except BaseException:  # closed, or ended by an error; after the last item others may go on
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
