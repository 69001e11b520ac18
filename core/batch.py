"""Many requests in, many answers out, as they finish; knows no page and no command line.

Videos are probed, planned and read by a few threads, each of which has its decoding done in a
process of its own; the engine gets them as they are ready, and answers several at once where that
gains. What goes wrong with one request is that request's answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TypeVar

from core.asking import (
    Foreseen,
    Read,
    foresee,
    is_kept,
    met,
    name_of_frames,
    request_of,
    require,
    with_reading,
)
from core.batch_files import Asked, Record, Refused
from core.engine.base import Engine, Event, Failed, Finished, Request, Text
from core.engine.many import stream_many
from core.errors import Cancelled, FramewiseError, MemoryOverflow
from core.measuring import measurable
from core.planning import Device, ModelCard, Turn, make_plan
from core.planning.execution import AS_STORED, Execution
from core.pooling import awaited, unordered
from core.records import answered_record, frames_record, video_record
from core.video import probe, profiled
from core.video.info import VideoInfo
from core.video.reading import DEFAULT_READER, collect
from core.video.store import FrameStore
from core.video.wanted import FrameSource

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 0.3  # after which whoever waits for a request is told that there is none yet

Result = TypeVar("Result")
Requests = Iterable[Asked | Refused]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A request whose frames are there."""

    asked: Asked
    foreseen: Foreseen
    request: Request
    read: Read


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
    execution: Execution = AS_STORED,
    frames_from: FrameSource,
    workers: int,
    reader: str = DEFAULT_READER,
) -> Generator[Record]:
    """Answer every request, while the frames of the next ones are read.

    ``load`` is called when the first request is ready, so that a batch of which none is costs no
    weights; ``devices`` and ``execution`` are what it will be given. Yields a record a request, in
    the order they are ready. Closing it ends what is under way.
    """
    stop = threading.Event()
    ahead = partial(foresee, devices=devices, execution=execution)
    prepare = partial(_attempt, partial(_prepare, card, ahead, frames_from, reader, stop))
    engine: Engine | None = None
    try:
        # closed by name: Ctrl-C in the engine must end the reading, not wait for it
        with closing(
            awaited(
                prepare, requests, workers=workers, stop=stop, patience_seconds=PATIENCE_SECONDS
            )
        ) as prepared:
            asking = _Asking(prepared)
            for first in asking.requests:
                yield from asking.refused()
                if first is None:
                    continue
                engine = load()
                # not the reading's stop: an error there must not cut short what is being answered
                handed = [first]
                del first
                asked = _led(handed, asking.requests)
                told = stream_many(engine, asked, stop=threading.Event())
                with closing(told):
                    for number, event in told:
                        yield from asking.refused()
                        yield from asking.answered(number, event, engine)
            yield from asking.refused()
    finally:
        if engine is not None:
            engine.close()


class _Asking:
    """What is known of requests between their reading and their answers.

    Attributes:
        requests: for the engine, None where none is ready yet; numbered in this order.
    """

    def __init__(self, prepared: Iterator[tuple[_Ready | Record] | None]) -> None:
        self.requests = self._taken(prepared)
        self._under_way: dict[int, _Ready] = {}
        self._pieces: dict[int, list[str]] = {}
        self._refused: deque[Record] = deque()

    def refused(self) -> Iterator[Record]:
        """Records of those that did not get as far as the engine."""
        while self._refused:
            yield self._refused.popleft()

    def answered(self, number: int, event: Event | Failed, engine: Engine) -> Iterator[Record]:
        """The record of a request, with its last event."""
        if isinstance(event, Text):
            self._pieces[number].append(event.text)
        if not isinstance(event, Finished | Failed):
            return
        ready, pieces = self._under_way.pop(number), self._pieces.pop(number)
        if isinstance(event, Failed):
            error = event.error
            if isinstance(error, MemoryOverflow):
                error = met(error, ready.foreseen, engine)
            yield _wrong(ready.asked, error)
            return
        # as if it had been asked alone: the frames were read before
        finished = with_reading(event, ready.read)
        record = answered_record(ready.foreseen, "".join(pieces), finished)
        yield {**ready.asked.head, **record}

    def _taken(self, prepared: Iterator[tuple[_Ready | Record] | None]) -> Iterator[Request | None]:
        numbers = count()
        for found in prepared:
            ready = found[0] if found else None
            if not isinstance(ready, _Ready):
                if ready is not None:
                    self._refused.append(ready)
                yield None
                continue
            number = next(numbers)
            self._pieces[number] = []
            self._under_way[number] = replace(ready, request=replace(ready.request, frames=None))
            handed = [ready.request]
            del found, ready
            yield handed.pop()  # frames: not to be held until the next one is taken


def _led(first: list[Request], others: Iterator[Request | None]) -> Iterator[Request | None]:
    """One before the others; its frames are not held here, as long as the batch goes on."""
    yield first.pop()
    yield from others


def _attempt(work: Callable[[Asked], Result], asked: Asked | Refused) -> Result | Record:
    """What ``work`` gives, or the record of what went wrong.

    Raises:
        Cancelled: the whole batch is being ended.
    """
    try:
        if isinstance(asked, Refused):
            raise asked.error
        return work(asked)
    except Exception as error:
        return _wrong(asked, error)


def _wrong(asked: Asked | Refused, error: Exception) -> Record:
    """The record of a request without an answer.

    Raises:
        Cancelled: see _attempt.
    """
    if isinstance(error, Cancelled):
        raise error
    if isinstance(error, FramewiseError):
        message, remedy = error.message, error.remedy
    else:  # a defect, but the other requests must be answered
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
    ahead: Callable[..., Foreseen],
    frames_from: FrameSource,
    reader: str,
    stop: threading.Event,
    asked: Asked,
) -> _Ready:
    info = _probed(asked, stop)
    foreseen = ahead(info, asked.settings, card, [Turn("user", asked.question)])
    require(foreseen)
    plan, kept = foreseen.plan, is_kept(foreseen, reader=reader, frames_from=frames_from)
    begun = time.perf_counter()
    reading = frames_from(
        info, plan.indices, height=plan.height, width=plan.width, stop=stop, reader=reader
    )
    frames = collect(reading)
    read = Read(
        seconds=time.perf_counter() - begun,
        frame_times=frames.seconds,
        reading="store" if kept else "video",
    )
    return _Ready(
        asked=asked,
        foreseen=foreseen,
        request=request_of(foreseen, frames, name_of_frames(foreseen, reader)),
        read=read,
    )


def _probed(asked: Asked, stop: threading.Event) -> VideoInfo:
    if stop.is_set():
        raise Cancelled
    info = probe(asked.video, stop=stop)
    return profiled(info, stop=stop) if asked.settings.strategy == "scenes" else info
