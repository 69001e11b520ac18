"""The pass behind a profile: small pictures of all of a video, within a given time.

Runs in the decoding process. Several threads, each with a container of its own, do the tasks of one
schedule; then scenes.py says what the pictures show.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from core.errors import VideoError
from core.video.album import Album
from core.video.glances import Bytes
from core.video.info import VideoInfo
from core.video.scenes import profile_from
from core.video.skimming import Skimmer, suspicions
from core.video.stretches import Schedule, Task, stretches

USUAL_PIXELS = 1280 * 720  # of smaller pictures more can be scaled in the same time
MOST_PER_SLOT = 3
SCORING_SECONDS = 3e-4  # for each slot, after all is decoded
SCORING_SHARE = 0.3  # of the time, at most


def measure(
    info: VideoInfo,
    *,
    budget_seconds: float,
    threads: int,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Yield {"done", "total"} (seconds of the video) while it goes on, at last the profile.

    The last message has the fields of core.video.profile.Profile. It comes after about
    ``budget_seconds``, or earlier if the whole video has been looked at.

    Raises:
        VideoError: nothing of it can be decoded, or it has no file.
    """
    if info.path is None:
        raise VideoError("This video is only described: there is no file to profile.")
    album, parts = Album(info.duration_seconds), stretches(info)
    reserve = min(album.slots * SCORING_SECONDS, SCORING_SHARE * budget_seconds)
    schedule = Schedule(
        parts,
        budget_seconds=budget_seconds - reserve,
        suspicions=lambda: suspicions(info, parts),
        clock=clock,
    )
    done = 0.0
    for _ in _looked(info, schedule, album, threads=threads):
        done = max(done, schedule.progress())
        yield {"done": done, "total": info.duration_seconds}
    profile = profile_from(album.glances(), duration_seconds=info.duration_seconds)
    yield {
        "seconds": list(profile.seconds),
        "activity": list(profile.activity),
        "cuts": list(profile.cuts),
        "duration_seconds": profile.duration_seconds,
    }


def _looked(info: VideoInfo, schedule: Schedule, album: Album, *, threads: int) -> Iterator[None]:
    """Do the schedule's tasks in ``threads``; yield after each. None runs on afterwards."""
    news: queue.SimpleQueue[BaseException | bool] = queue.SimpleQueue()
    decoders = threads if len(schedule) < threads else 1
    every = album.slot_seconds * min(
        1.0, max(1 / MOST_PER_SLOT, info.width * info.height / USUAL_PIXELS)
    )

    def work() -> None:
        try:
            with ExitStack() as stack:
                skimmer = Skimmer(info, stack, decoders=decoders, every=every)
                while (task := schedule.next()) is not None:
                    _look(skimmer, task, schedule, album)
                    news.put(True)
            news.put(False)
        except BaseException as error:  # whatever it is, it goes to the one who waits
            news.put(error)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads // decoders)]
    for worker in workers:
        worker.start()
    try:
        running = len(workers)
        while running:
            word = news.get()
            if isinstance(word, BaseException):
                raise word
            running -= not word
            if word:
                yield
    finally:
        schedule.stop()
        for worker in workers:
            worker.join()


def _look(skimmer: Skimmer, task: Task, schedule: Schedule, album: Album) -> None:
    """Do one task: its pictures into the album."""
    number, reached = 0, task.stretch.begin_seconds

    def wanted() -> Iterator[tuple[float, Bytes]]:
        nonlocal number, reached
        for seconds, picture in skimmer.pictures(task):
            number, reached = number + 1, seconds
            if picture is not None:
                yield seconds, picture
            if schedule.over:
                return

    if album.put(wanted()) and task.depth != "keys":
        whole = not schedule.over
        end = task.stretch.end_seconds if whole else reached
        album.mark_seen(task.stretch.begin_seconds, end)
    schedule.finished(task, pictures=number)
