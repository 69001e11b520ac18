"""A model in this process, through transformers: one code path for every class it knows."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Generator, Hashable, Iterator
from functools import partial
from typing import Any

from core.engine import room
from core.engine.answering import Answering, Task, short
from core.engine.base import Event, Finished, Progress, Request
from core.engine.batching import Batch, Guest
from core.engine.compiling import allow_compiled
from core.engine.fast import Fast, execution_of
from core.engine.feeding import Feed
from core.engine.lasting import Lasting
from core.engine.many import Told, one_by_one
from core.engine.rehearsal import rehearse
from core.engine.reply import Either, Reply
from core.engine.shortage import free_memory
from core.engine.stepping import MOST_ROWS
from core.engine.waiting import Line, Ticket
from core.errors import CheckpointError
from core.planning.card import ModelCard
from core.planning.execution import AS_STORED, Execution
from core.planning.machine import Device
from core.planning.seconds import NOTHING, Reused

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 0.3


class LocalEngine:
    """One model that answers one request at a time, or a batch; see core.engine.base.Engine."""

    capacity = 1

    def __init__(
        self,
        card: ModelCard,
        model: Any,
        processor: Any,
        devices: tuple[Device, ...],
        execution: Execution = AS_STORED,
        *,
        rows: int | None = None,
        replicas: int = 1,
    ) -> None:
        """A model that is loaded.

        Args:
            card: its checkpoint.
            model, processor: of transformers.
            devices: where it is held.
            execution: likewise.
            rows: of a batch that are answered side by side; None takes as many as gain by it.
            replicas: how many engines like this one share the machine's memory.
        """
        self.card = card
        self._devices = devices
        self._answering: Answering | None = Answering(card, model, processor, devices, replicas)
        fast = self._answering.fast
        self.execution = execution_of(card, fast, execution)
        self._line = Line((0,))  # one turn
        self._thread = Lasting("model")
        gains = fast is not None and fast.decoder is not None
        self._most = 1 if fast is None else rows or (MOST_ROWS if gains else 1)
        self._setting_up: threading.Thread | None = None

    def set_up(self) -> None:
        """Compile and rehearse in the background, where that gains; questions need not wait."""
        fast = self._loaded().fast
        if fast is None or fast.decoder is None:
            return
        fast.decoder.graphs = False  # from before the first question until all is set up
        self._thread.bring(allow_compiled)
        thread = threading.Thread(target=self._set_up, args=(fast,), name="set-up", daemon=True)
        self._setting_up = thread
        thread.start()

    def devices(self) -> tuple[Device, ...]:
        """Where the model is held."""
        return self._devices

    def knows(self, video: Hashable) -> bool:
        """Whether it can answer about this video without its frames."""
        answering = self._answering  # which may be closed meanwhile
        return answering is not None and answering.knows(video)

    def reuse(self, request: Request) -> Reused:
        """What it would not do again; see core.engine.base.Remembers."""
        answering = self._answering
        return NOTHING if answering is None else answering.reuse(request)

    def close(self) -> None:
        """Free the memory, once those who came before are answered."""
        if self._setting_up is not None:
            self._setting_up.join()  # it holds the model too, and rehearses in line
        ticket = self._line.join()
        ticket.wait()
        self._answering = None
        self._thread.close()
        free_memory([each.name for each in self._devices if each.kind == "cuda"])
        ticket.leave()

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        """Answer in a thread of its own and hand on what happens there; see Engine.stream."""
        answering = self._loaded()
        events: queue.Queue[Event | BaseException] = queue.Queue()
        gone = threading.Event()
        ticket = self._line.join()  # here, so that threads that start late lose no place
        args = (answering, request, Either(stop, gone), events, ticket)
        worker = threading.Thread(target=self._work, args=args, daemon=True)
        try:
            worker.start()
        except RuntimeError:  # no more threads: those behind must not wait for this one
            ticket.leave()
            raise
        try:
            while True:
                event = _next(events, worker)
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            gone.set()  # whoever was listening has left, so the model has nothing to say

    def stream_many(
        self, requests: Iterator[Request | None], *, stop: threading.Event
    ) -> Generator[Told]:
        """Several side by side where that gains; see core.engine.many.stream_many.

        They have the model together, and let those who asked meanwhile go first when they come to
        an end.
        """
        if self._most == 1:
            yield from one_by_one(self.stream, requests, stop=stop)
            return
        answering = self._loaded()
        told: queue.Queue[Told | BaseException | None] = queue.Queue()
        gone = threading.Event()
        either = Either(stop, gone)
        feed = Feed(requests, lambda number, request: _guest(answering, number, request, either))
        batch = Batch(
            answering,
            feed,
            most=self._most,
            tell=lambda number, event: told.put((number, event)),
            stop=either,
            fits=self._fits,
        )
        args = (answering, batch, either, told)
        worker = threading.Thread(target=self._work_many, args=args, daemon=True)
        try:
            worker.start()
            yield from _all(told, worker)
        finally:
            gone.set()
            feed.close()
            if worker.ident is not None:  # or there was no thread to be had for it
                worker.join()

    def _loaded(self) -> Answering:
        if self._answering is None:
            raise CheckpointError(
                f"{self.card.name} has been unloaded.", remedy="Load the model again."
            )
        return self._answering

    def _work(
        self,
        answering: Answering,
        request: Request,
        stop: Either,
        events: queue.Queue[Event | BaseException],
        ticket: Ticket[int],
    ) -> None:
        """Wait for the turn, run, and report whatever comes, errors included."""
        try:
            task = _waited(answering, request, stop, events, ticket)
            reply = Reply(answering.tokenizer, stop, events.put)
            if task is None:
                reply.stopped = True
                events.put(reply.finished())
                return
            self._loaded()  # or it was closed while this one waited
            answering.stop = stop
            try:
                self._thread.run(lambda: answering.answer(task, reply))
            finally:
                answering.stop = threading.Event()
            peaks = answering.peaks()
            events.put(reply.finished(limit=request.reply_tokens, peak_bytes=peaks))
        except BaseException as error:
            events.put(error)
        finally:
            ticket.leave()

    def _work_many(
        self,
        answering: Answering,
        batch: Batch,
        stop: Either,
        told: queue.Queue[Told | BaseException | None],
    ) -> None:
        """The same for a batch, which waits in line again whenever others have come."""
        try:
            while batch.wait():  # not in its turn: nobody else waits for that
                self._one_turn(answering, batch, stop)
            told.put(None)
        except BaseException as error:
            told.put(error)

    def _one_turn(self, answering: Answering, batch: Batch, stop: Either) -> None:
        ticket = self._line.join(patience=self._most)  # or two batches take turns of one request
        try:
            while not ticket.wait(HEARTBEAT_SECONDS):
                if stop.is_set():
                    return
            self._loaded()
            answering.stop = stop  # only now: until its turn comes it is another's
            try:
                answering.reset_peaks()
                self._thread.run(partial(batch.run, ticket.others))
            finally:
                answering.stop = threading.Event()
        finally:
            ticket.leave()

    def _set_up(self, fast: Fast) -> None:
        """Beside the first questions; without it they only take longer."""
        try:
            fast.warm_up()
            if self._answering is not None:
                rehearse(self)
        except Exception as error:  # a GPU with no room left for it, a compiler that is not there
            log.warning("Not all could be set up in advance: %s", short(error))

    def _fits(self, task: Task) -> bool:
        answering = self._loaded()
        assert answering.fast is not None
        return room.fits(
            self.card,
            task.request,
            answering.tokens(task),
            devices=self._devices,
            execution=self.execution,
            kept_bytes=answering.fast.conversations.nbytes,
        )


def _waited(
    answering: Answering,
    request: Request,
    stop: Either,
    events: queue.Queue[Event | BaseException],
    ticket: Ticket[int],
) -> Task | None:
    """The request when its turn has come; None if it was stopped before.

    The next in line makes its inputs meanwhile: one, so that what is made takes little memory.
    """
    task: Task | None = None
    while not ticket.wait(HEARTBEAT_SECONDS):
        before = ticket.before()
        events.put(Progress(stage="waiting", done=before))
        if stop.is_set():
            return None
        if task is None and before <= 1:
            task = answering.ahead(request, stop)
    return task or Task(request=request)


def _guest(answering: Answering, number: int, request: Request, stop: Either) -> Guest:
    try:
        return Guest(number=number, task=answering.ahead(request, stop))
    except Exception as error:  # frames that are none, a prompt that the processor refuses
        return Guest(number=number, task=None, error=error)


def _all(told: queue.Queue[Any], worker: threading.Thread) -> Iterator[Told]:
    """What is told, until None."""
    number = 0
    while (found := _next(told, worker)) is not None:
        if isinstance(found, BaseException):
            raise found
        if isinstance(found, Progress):
            yield number, found
        else:
            number = found[0]
            yield found


def _next(events: queue.Queue[Any], worker: threading.Thread) -> Any:
    try:
        return events.get(timeout=HEARTBEAT_SECONDS)
    except queue.Empty:
        if worker.is_alive() or not events.empty():
            return Progress(stage="thinking")
        return RuntimeError("The thread that runs the model ended without a word.")
