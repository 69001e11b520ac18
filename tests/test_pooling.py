"""Work of a few threads is handed out as it is finished, and ends when nobody wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from core.pooling import awaited, unordered


def test_frames_as_they_finish(write: Callable[..., Path]) -> None:
    """The first one waits until the last one has begun."""
    others = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert others.wait(30)
        elif number == 5:
            others.set()
        return number

    found = list(unordered(work, range(6), workers=2, stop=threading.Event()))
    assert found[:4] == [1, 2, 3, 4]
    assert set(found[4:]) == {0, 5}


def test_no_more_at_once_than_workers() -> None:
    """What waits to be taken counts too: frames take memory."""
    begun: list[int] = []
    results = unordered(
        lambda number: begun.append(number), range(100), workers=3, stop=threading.Event()
    )
    next(results)
    time.sleep(0.2)
    assert len(begun) <= 4


def test_its_end_stops_nothing() -> None:
    """Whoever is at work with what came last goes on."""
    stop = threading.Event()
    assert sorted(unordered(abs, [1, -2, 3], workers=2, stop=stop)) == [1, 2, 3]
    assert not stop.is_set()


def test_closing_ends_what_is_under_way() -> None:
    stop, ended, begun = threading.Event(), [], threading.Barrier(3, timeout=30)

    def work(number: int) -> int:
        begun.wait()
        if number:
            ended.append(stop.wait(30))
        return number

    results = unordered(work, range(4), workers=3, stop=stop)
    assert next(results) == 0
    results.close()
    assert ended == [True, True]


def test_it_tells_that_there_is_nothing_yet() -> None:
    """So that whoever waits can look at something else meanwhile."""
    let = threading.Event()
    results = awaited(
        lambda _: let.wait(30), [0], workers=1, stop=threading.Event(), patience_seconds=0.01
    )
    assert [next(results), next(results)] == [None, None]
    let.set()
    assert [each for each in results if each] == [(True,)]
