"""Which frames are decoded in one go, and how threads are shared out."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from core.video.schedule import LONG_TASK, PICTURE_BYTES, SEEK_COST, crew, tasks
from core.video.spread import spread

HD = 1280 * 720 * 3 // 2
EVERY_50 = range(0, 1000, 50)


@pytest.mark.parametrize(
    ("keyframes", "wanted", "expected"),
    [
        pytest.param(EVERY_50, [], [], id="nothing"),
        pytest.param(EVERY_50, [0], [(0, (0,))], id="the first"),
        pytest.param(EVERY_50, [999], [(950, (999,))], id="the last"),
        pytest.param(EVERY_50, [50, 100], [(50, (50,)), (100, (100,))], id="keyframes"),
        pytest.param(EVERY_50, [3, 9, 60], [(0, (3, 9)), (50, (60,))], id="a shared keyframe"),
        pytest.param(EVERY_50, [48, 60], [(0, (48, 60))], id="cheaper than a jump"),
        pytest.param(
            EVERY_50, [49 - SEEK_COST, 60], [(0, (49 - SEEK_COST, 60))], id="as cheap as a jump"
        ),
        pytest.param(
            EVERY_50,
            [48 - SEEK_COST, 60],
            [(0, (48 - SEEK_COST,)), (50, (60,))],
            id="dearer than a jump",
        ),
        pytest.param([], [3, 700], [(0, (3, 700))], id="no table of keyframes"),
        pytest.param([0], [3, 700], [(0, (3, 700))], id="one keyframe"),
        pytest.param([8, 30], [3, 9], [(0, (3,)), (8, (9,))], id="no keyframe before the first"),
        pytest.param(range(9), range(9), [(0, tuple(range(9)))], id="only keyframes, all wanted"),
    ],
)
def test_tasks(
    keyframes: range | list[int], wanted: list[int], expected: list[tuple[int, tuple[int, ...]]]
) -> None:
    assert [(task.start, task.indices) for task in tasks(keyframes, wanted)] == expected


def test_a_dense_plan_is_long_passes_of_bounded_length() -> None:
    found = tasks(range(0, 10_000, 25), range(10_000))
    assert 10_000 / len(found) >= LONG_TASK
    assert max(len(task.indices) for task in found) <= LONG_TASK + 25


@pytest.mark.parametrize("seed", range(200))
def test_every_frame_once_from_a_keyframe_that_is_before_it(seed: int) -> None:
    chance = random.Random(seed)
    count = chance.randint(1, 3000)
    keyframes = sorted({0, *chance.sample(range(count), k=chance.randint(0, count // 2))})
    wanted = sorted(chance.sample(range(count), k=chance.randint(0, count)))
    found = tasks(keyframes, wanted)
    assert [index for task in found for index in task.indices] == wanted
    assert all(task.start in keyframes and task.start <= task.indices[0] for task in found)
    decoded = sum(task.indices[-1] - task.start + 1 for task in found)
    alone = sum(_behind(keyframes, index) for index in wanted)
    one_pass = wanted[-1] + 1 if wanted else 0
    assert decoded <= min(alone, one_pass) + SEEK_COST * len(wanted)


def _behind(keyframes: list[int], index: int) -> int:
    return index - max(keyframe for keyframe in keyframes if keyframe <= index) + 1


@pytest.mark.parametrize(
    ("tasks_count", "threads", "picture_bytes", "decoders", "each"),
    [
        pytest.param(64, 2, HD, 2, 1, id="many tasks: a decoder for each thread"),
        pytest.param(1, 2, HD, 1, 2, id="one task: all threads in it"),
        pytest.param(3, 8, HD, 3, 2, id="few tasks: some threads in each"),
        pytest.param(0, 4, HD, 1, 4, id="nothing to do"),
        pytest.param(64, 1, HD, 1, 1, id="one thread"),
        pytest.param(64, 64, HD, 10, 1, id="no more pictures than there is room for"),
        pytest.param(64, 16, 8192 * 8192 * 3 // 2, 1, 1, id="huge pictures"),
    ],
)
def test_crew(tasks_count: int, threads: int, picture_bytes: int, decoders: int, each: int) -> None:
    found = crew(tasks_count, threads=threads, picture_bytes=picture_bytes)
    assert (found.decoders, found.threads_each) == (decoders, each)
    assert picture_bytes > PICTURE_BYTES or decoders * each * picture_bytes <= PICTURE_BYTES


def _doing(
    work: Callable[[int], Iterator[int]], closed: list[int]
) -> Callable[[threading.Event], object]:
    @contextmanager
    def begin(stop: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
        try:
            yield work
        finally:
            closed.append(threading.get_ident())

    return begin


each_number = pytest.mark.parametrize("workers", [1, 2, 5])


@each_number
def test_spread_gives_what_every_task_yields(workers: int) -> None:
    closed: list[int] = []
    begin = _doing(lambda task: iter([task * 10, task * 10 + 1]), closed)
    found = sorted(spread(range(50), workers=workers, begin=begin))
    assert found == sorted(task * 10 + i for task in range(50) for i in (0, 1))
    assert len(closed) == workers


@each_number
def test_the_death_of_a_thread_reaches_whoever_iterates(workers: int) -> None:
    def work(task: int) -> Iterator[int]:
        if task == 3:
            raise ZeroDivisionError("in task 3")
        yield task

    closed: list[int] = []
    with pytest.raises(ZeroDivisionError, match="task 3"):
        list(spread(range(50), workers=workers, begin=_doing(work, closed)))
    assert len(closed) == workers


@each_number
def test_closing_early_ends_all_threads(workers: int) -> None:
    """Each task would go on for ever; a worker that waits for room is let go as well."""

    def work(task: int) -> Iterator[int]:
        while True:
            yield task

    closed: list[int] = []
    before = threading.active_count()
    found = spread(range(50), workers=workers, begin=_doing(work, closed))
    next(found)
    begun = time.monotonic()
    found.close()
    assert time.monotonic() - begun < 5
    assert len(closed) == workers
    assert threading.active_count() == before


def test_results_wait_in_a_bounded_queue() -> None:
    given = threading.Semaphore(0)

    def work(task: int) -> Iterator[int]:
        for number in range(1000):
            given.release()
            yield number

    found = spread([0, 1], workers=2, begin=_doing(work, []))
    next(found)
    count = 0
    while given.acquire(timeout=0.3):  # until both workers wait
        count += 1
    found.close()
    assert 2 <= count < 20
