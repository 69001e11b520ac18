"""What comes next is made ready in order, so many ahead, and errors come last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.engine.feeding import READY, Feed
from fake_engine import wait_until


def never() -> bool:
    return False


def _feed(items: Any, work: Callable[[int, Any], Any] = lambda number, item: item) -> Any:
    return Feed(iter(items), work)


def test_a_feed_gives_all_in_order() -> None:
    feed = _feed([3, None, 1, None, None, 2], lambda number, item: (number, item))
    assert [feed.take(until=never) for _ in range(4)] == [(0, 3), (1, 1), (2, 2), None]
    feed.close()


def test_a_feed_makes_so_many_ahead() -> None:
    made: list[int] = []
    feed = _feed(range(100), lambda number, item: made.append(item) or item)
    assert wait_until(lambda: len(made) == READY)
    time.sleep(0.3)
    assert len(made) == READY
    assert feed.take(until=lambda: True) == 0
    assert wait_until(lambda: len(made) == READY + 1)
    feed.close()
    assert len(made) == READY + 1


def test_a_feed_that_has_nothing_yet() -> None:
    let = threading.Event()
    feed = _feed(each if let.is_set() else None for each in iter(lambda: "x", None))
    assert feed.take(until=lambda: True) is None
    tries = iter([False, False, True])
    assert feed.take(until=lambda: next(tries)) is None
    assert list(tries) == []
    let.set()
    assert feed.take(until=never) == "x"
    feed.close()


def test_a_feed_tells_what_went_wrong_after_all_before() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ArithmeticError("confused")

    feed = _feed(broken())
    assert feed.take(until=never) == 1
    with pytest.raises(ArithmeticError):
        feed.take(until=never)
    feed.close()
