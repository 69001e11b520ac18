"""Many requests in, many answers out, as they finish; knows no page and no command line.

Videos are probed, planned and read by a few threads, each of which has its decoding done in a
process of its own; the engine gets one request after the other. What goes wrong with one request is
that request's answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from core.asking import Foreseen, answer, foresee, require
from core.batch_files import Asked, Record, Refused
from core.engine.base import Engine, Finished, Text
from core.errors import Cancelled, FramewiseError
from core.measuring import measurable
from core.planning import Device, ModelCard, Turn, make_plan
from core.records import answered_record, frames_record, video_record
from core.video import probe, profiled
from core.video.info import VideoInfo
from core.video.reading import DEFAULT_READER, Frame
from core.video.store import FrameStore
from core.video.wanted import FrameSource

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Requests = Iterable[Asked | Refused]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A request whose frames are there."""

    asked: Asked
    foreseen: Foreseen
    frames: tuple[Frame, ...]
    read_seconds: float


def keep_frames(
    requests: Requests,
    card: ModelCard,
    store: FrameStore,
    *,
    workers: int,
    reader: str = DEFAULT_READER,
) -> Generator[Record]:
    """Have the frames of every request in the store; no weights are needed.

    Yields a record a request, in the order they finish. Closing it ends what is under way.
    """
    stop = threading.Event()
    card = measurable(card)
    keep = partial(_attempt, partial(_keep, card, store, reader, stop))
    yield from unordered(keep, requests, workers=workers, stop=stop)


def answer_all(
    requests: Requests,
    card: ModelCard,
    load: Callable[[], Engine],
    *,
    devices: tuple[Device, ...],
    frames_from: FrameSource,
    workers: int,
    reader: str = DEFAULT_READER,
) -> Generator[Record]:
    """Answer every request, while the frames of the next ones are read.

    ``load`` is called when the first request is ready, so that a batch of which none is costs no
    weights. Yields a record a request, in the order they are ready. Closing it ends what is under
    way.
    """
    stop = threading.Event()
    prepare = partial(_attempt, partial(_prepare, card, devices, frames_from, reader, stop))
    engine: Engine | None = None
    try:
        # closed by name: Ctrl-C in the engine must end the reading, not wait for it
        with closing(unordered(prepare, requests, workers=workers, stop=stop)) as prepared:
            for ready in prepared:
                if isinstance(ready, _Ready):
                    engine = engine or load()
                    yield _attempt(partial(_answer, engine, stop, ready), ready.asked)
                else:
                    yield ready
    finally:
        if engine is not None:
            engine.close()


def unordered(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, stop: threading.Event
) -> Generator[Result]:
    """Yield ``work(item)`` of each item as they finish; at most ``workers`` wait or are under way.

    Closing it sets ``stop``, which ``work`` looks at, and returns when all work has ended.
    """
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
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                finished.extend(done)
                continue
            yield finished.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _attempt(work: Callable[[Asked], Result], asked: Asked | Refused) -> Result | Record:
    """What ``work`` gives, or the record of what went wrong.

    Raises:
        Cancelled: the whole batch is being ended.
    """
    try:
        if isinstance(asked, Refused):
            raise asked.error
        return work(asked)
    except Cancelled:
        raise
    except FramewiseError as error:
        message, remedy = error.message, error.remedy
    except Exception as error:  # a defect, but the other requests must be answered
        log.exception("A defect of Framewise", exc_info=error)
        message = f"A defect of Framewise: {type(error).__name__}: {error}"
        remedy = "Report it with the lines above. The other requests are not touched by it."
    return {**asked.head, "error": {"message": message, "remedy": remedy}}


def _keep(
    card: ModelCard, store: FrameStore, reader: str, stop: threading.Event, asked: Asked
) -> Record:
    info = _probed(asked, stop)
    plan = make_plan(info, asked.settings, card)
    begun = time.perf_counter()
    kept = store.keep(
        info, plan.indices, height=plan.height, width=plan.width, stop=stop, reader=reader
    )
    true = dict(zip((each.index for each in kept.pictures), kept.seconds, strict=True))
    return {
        **asked.head,
        "model": card.name,
        "route": plan.route,
        "settings": asked.settings.as_dict(),
        "video": video_record(info),
        "frames": frames_record(plan),
        "folder": str(kept.folder.absolute()),
        "files": [each.file for each in kept.pictures],
        "actual": {
            "frame_times": [true[index] for index in plan.indices],
            "seconds_to_read": time.perf_counter() - begun,
        },
    }


def _prepare(
    card: ModelCard,
    devices: tuple[Device, ...],
    frames_from: FrameSource,
    reader: str,
    stop: threading.Event,
    asked: Asked,
) -> _Ready:
    info = _probed(asked, stop)
    turns = [Turn("user", asked.question)]
    foreseen = foresee(info, asked.settings, card, turns, devices=devices)
    require(foreseen)
    plan, begun = foreseen.plan, time.perf_counter()
    reading = frames_from(
        info, plan.indices, height=plan.height, width=plan.width, stop=stop, reader=reader
    )
    frames = tuple(reading)
    read_seconds = time.perf_counter() - begun
    return _Ready(asked=asked, foreseen=foreseen, frames=frames, read_seconds=read_seconds)


def _probed(asked: Asked, stop: threading.Event) -> VideoInfo:
    if stop.is_set():
        raise Cancelled
    info = probe(asked.video, stop=stop)
    return profiled(info, stop=stop) if asked.settings.strategy == "scenes" else info


def _answer(engine: Engine, stop: threading.Event, ready: _Ready, asked: Asked) -> Record:
    pieces: list[str] = []

    def given(
        info: VideoInfo,
        indices: Sequence[int],
        *,
        height: int,
        width: int,
        stop: threading.Event | None = None,
        reader: str = DEFAULT_READER,
    ) -> Iterator[Frame]:
        return iter(ready.frames)

    for event in answer(engine, ready.foreseen, stop=stop, frames_from=given):
        if isinstance(event, Text):
            pieces.append(event.text)
        elif isinstance(event, Finished):
            if event.reason == "stopped":
                raise Cancelled
            event = replace(  # as if it had been asked alone: the frames were read before
                event,
                read_seconds=event.read_seconds + ready.read_seconds,
                seconds_to_first_token=event.seconds_to_first_token + ready.read_seconds,
            )
            return {**asked.head, **answered_record(ready.foreseen, "".join(pieces), event)}
    raise FramewiseError("The engine ended without a reply.", remedy="Ask again.")
