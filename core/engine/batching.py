"""Requests answered side by side: each joins when it is ready and there is room, and leaves alone.

Continuous batching: whoever has ended makes place for the next at once, nobody waits for a whole
batch. Prompts are read one after the other, in between steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.engine.answering import Answering, Task, short
from core.engine.base import Event, Failed, Request
from core.engine.feeding import Feed
from core.engine.reply import Reply
from core.engine.shortage import is_out_of_memory
from core.engine.writing import Row
from core.errors import Cancelled, MemoryOverflow

Tell = Callable[[int, Event | Failed], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One of the requests, with its number, or why it cannot be asked.

    Attributes:
        prompt_tokens: where it has been told already that it is Started.
    """

    number: int
    task: Task | None
    prompt_tokens: int = 0
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A reply that is being written; what the request brought with it is not held any more."""

    number: int
    limit: int
    reply: Reply
    row: Row


class Batch:
    """At most ``most`` requests at a time, through one model.

    Attributes:
        tell: is given the number of a request and what happens to it.
        fits: whether there is memory for one more beside those that are answered.
    """

    def __init__(
        self,
        answering: Answering,
        feed: Feed[Request, Guest],
        *,
        most: int,
        tell: Tell,
        stop: threading.Event,
        fits: Callable[[Task], bool],
    ) -> None:
        assert answering.fast is not None
        self._answering, self._feed, self._most = answering, feed, most
        self._tell, self._stop, self._fits = tell, stop, fits
        self._rows = answering.fast.rows()
        self._seats: list[Seat] = []
        self._held: Guest | None = None
        self._full = False  # for the one held, until somebody leaves
        self._wants_all = False  # it has run out of memory beside others

    def wait(self) -> bool:
        """Until somebody is ready to join; False where nobody comes any more. Needs no turn.

        Raises:
            BaseException: what the requests' iterator has raised, once all before are answered.
        """
        self._held = self._held or self._feed.take(until=self._stop.is_set)
        return self._held is not None and not self._stop.is_set()

    def run(self, others: Callable[[], float]) -> None:
        """Until nobody is ready; in all only as many join as ``others`` let who wait for the model.

        They let one join at least, if it is ready, so that a batch gets on whoever else asks.
        """
        import torch

        joined = 0
        with torch.inference_mode():
            while True:
                while self._may_join() and joined < others() and self._join():
                    joined += 1
                if not self._seats:
                    return
                for row in self._rows.step():
                    self._end(next(each for each in self._seats if each.row is row))

    def _may_join(self) -> bool:
        room = len(self._seats) < self._most and not self._rows.tight
        return room and not self._stop.is_set()

    def _join(self) -> bool:
        """Let the next one join, if it is there and there is room; False where not."""
        guest = self._held or self._feed.ready()
        self._held = guest
        if guest is None or not self._has_room(guest):
            return False
        self._held = None
        error: Exception | None = guest.error
        if guest.task is not None:
            reply = self._reply(guest)
            try:
                row = self._answering.begin(guest.task, reply)
            except MemoryOverflow as overflow:
                if self._seats:  # it may have all the memory when they have left
                    self._held = replace(guest, prompt_tokens=reply.prompt_tokens)
                    self._wants_all = True
                    return False
                error = overflow
            except Exception as caught:
                error = caught
            else:
                self._sit(guest.number, guest.task.request.reply_tokens, reply, row)
                return True
        assert error is not None
        self._tell(guest.number, Failed(error=error))
        return True

    def _has_room(self, guest: Guest) -> bool:
        if not self._seats:
            self._wants_all = self._full = False
            return True
        if guest.task is None:
            return True
        if not self._full and not self._wants_all:
            self._full = not self._fits(guest.task)
        return not self._full and not self._wants_all

    def _sit(self, number: int, limit: int, reply: Reply, row: Row | None) -> None:
        if row is None:
            self._finish(number, limit, reply)
            return
        seat = Seat(number=number, limit=limit, reply=reply, row=row)
        self._seats.append(seat)
        if row.done:
            self._end(seat)
        else:
            self._rows.join(row)

    def _end(self, seat: Seat) -> None:
        self._seats.remove(seat)
        self._full = False
        fast, error = self._answering.fast, seat.row.taken_error()
        assert fast is not None
        fast.leave(seat.row)
        if error is None or isinstance(error, Cancelled):
            seat.reply.stopped = error is not None
            self._finish(seat.number, seat.limit, seat.reply)
            return
        if is_out_of_memory(error):
            said, error = short(error), None  # its traceback may hold tensors
            self._answering.free_memory()
            error = self._answering.overflow(seat.reply.prompt_tokens, said)
        self._tell(seat.number, Failed(error=error))

    def _finish(self, number: int, limit: int, reply: Reply) -> None:
        peaks = self._answering.peaks()
        self._tell(number, reply.finished(limit=limit, peak_bytes=peaks))

    def _reply(self, guest: Guest) -> Reply:
        """Another for each try: the seconds before it are not the answer's."""
        tokenizer, number = self._answering.tokenizer, guest.number
        reply = Reply(tokenizer, self._stop, lambda event: self._tell(number, event))
        reply.prompt_tokens = guest.prompt_tokens
        return reply
