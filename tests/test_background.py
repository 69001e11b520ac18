"""Work in the background: the newest request first, the last value meanwhile."""

from __future__ import annotations

import queue
import threading

import pytest

from core.background import KEPT_VALUES, Latest, Measurer

WAIT = 10  # seconds, after which a test has failed


class Slow:
    """Doubles a number when told to go on; tells when it has begun and when there is news."""

    def __init__(self) -> None:
        self.begun: queue.Queue[int] = queue.Queue()
        self.news: queue.Queue[int] = queue.Queue()
        self._go_on = threading.Semaphore(0)

    def work(self, number: int) -> int:
        self.begun.put(number)
        assert self._go_on.acquire(timeout=WAIT)
        if number < 0:
            raise ValueError(f"{number} is below 0")
        return 2 * number

    def finish(self) -> int:
        """Let what is under way end; the key that has news."""
        self._go_on.release()
        return self.news.get(timeout=WAIT)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def doubled(slow: Slow) -> Measurer[int, int]:
    return Measurer(slow.work, ready=slow.news.put)


def test_nothing_then_the_value_then_the_last_one_with_a_mark(
    slow: Slow, doubled: Measurer[int, int]
) -> None:
    assert doubled.latest(1) is None
    assert slow.finish() == 1
    assert doubled.latest(1) == Latest(value=2, stale=False)
    assert doubled.latest(5) == Latest(value=2, stale=True)
    assert slow.finish() == 5
    assert doubled.latest(5) == Latest(value=10, stale=False)
    assert doubled.latest(1) == Latest(value=2, stale=False)


def test_of_those_waiting_only_the_newest_is_worked_out(
    slow: Slow, doubled: Measurer[int, int]
) -> None:
    for number in (1, 2, 3, 4):
        doubled.latest(number)
    assert [slow.finish(), slow.finish()] == [1, 4]
    assert [slow.begun.get(timeout=WAIT), slow.begun.get(timeout=WAIT)] == [1, 4]
    assert slow.begun.empty()


def test_back_to_what_is_under_way_drops_what_waits(
    slow: Slow, doubled: Measurer[int, int]
) -> None:
    for number in (1, 2, 1):
        doubled.latest(number)
    assert slow.finish() == 1
    assert doubled.latest(7) == Latest(value=2, stale=True)
    assert slow.finish() == 7


def test_back_to_what_is_known_drops_what_waits(slow: Slow, doubled: Measurer[int, int]) -> None:
    doubled.latest(1)
    assert slow.finish() == 1
    for number in (2, 3, 1):
        doubled.latest(number)
    assert slow.finish() == 2
    assert doubled.latest(1) == Latest(value=2, stale=False)
    doubled.latest(9)
    assert slow.finish() == 9


def test_an_error_belongs_to_its_request(slow: Slow, doubled: Measurer[int, int]) -> None:
    doubled.latest(1)
    slow.finish()
    doubled.latest(-1)
    assert slow.finish() == -1
    with pytest.raises(ValueError, match="-1 is below 0"):
        doubled.latest(-1)
    assert doubled.latest(3) == Latest(value=2, stale=True)
    assert slow.finish() == 3


def test_the_oldest_values_are_forgotten(slow: Slow, doubled: Measurer[int, int]) -> None:
    for number in range(KEPT_VALUES + 1):
        doubled.latest(number)
        slow.finish()
    assert doubled.latest(1) == Latest(value=2, stale=False)
    assert doubled.latest(0) == Latest(value=2, stale=True)
    assert slow.finish() == 0
