"""Several engines that hold the same model, as one: each request goes to one of them."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import replace

from core.engine.base import Engine, Event, Finished, Progress, Request, reuse_of
from core.engine.dealing import Dealing
from core.engine.many import Told, stream_many
from core.engine.reply import Either
from core.engine.waiting import Line, Ticket
from core.errors import SettingsError
from core.planning.card import ModelCard
from core.planning.execution import Execution
from core.planning.machine import Device
from core.planning.seconds import Reused

HEARTBEAT_SECONDS = 0.3
# Replicas are threads of one process. One that reads a prompt keeps Python busy for seconds; one
# that writes needs it for a moment each token, and would wait these seconds for it (5 ms by
# default, which is as long as a token takes).
SWITCH_SECONDS = 0.0005
STOPPED = Finished(
    prompt_tokens=0,
    reply_tokens=0,
    seconds_to_first_token=0.0,
    tokens_per_second=0.0,
    peak_bytes=(),
    reason="stopped",
)


class Replicas:
    """Engines side by side; see core.engine.base.Engine.

    A request goes to a free replica, to the one that keeps most of it; with none free it waits in
    line. It does not wait for one that keeps more while another is free: what that
    saves is seconds, an answer before it can take minutes, and all who ask about one video would
    queue at one replica. Replicas share nothing, so that Stop or a failure of one request stays
    its own.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        if not engines:
            raise SettingsError("There are no replicas.", remedy="Give at least one engine.")
        self.engines = tuple(engines)
        if len(self.engines) > 1:
            sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
        self._line = Line([each for each in engines for _ in range(each.capacity)])

    @property
    def card(self) -> ModelCard:
        """The checkpoint that each of them holds."""
        return self.engines[0].card

    @property
    def capacity(self) -> int:
        """That of all of them together."""
        return sum(each.capacity for each in self.engines)

    @property
    def execution(self) -> Execution:
        """Each device holds all layers."""
        layers = tuple(range(self.card.text.layers) for _ in self.devices())
        return replace(self.engines[0].execution, layers=layers)

    def devices(self) -> tuple[Device, ...]:
        """Those of all of them."""
        return tuple(device for each in self.engines for device in each.devices())

    def knows(self, video: Hashable) -> bool:
        """Whether one of them can answer about this video without its frames."""
        return any(each.knows(video) for each in self.engines)

    def reuse(self, request: Request) -> Reused:
        """That of the free one it would go to, or with none free the most that one keeps."""
        among = self._line.free() or self.engines
        return max((reuse_of(each, request) for each in among), key=_worth)

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        """Wait for a replica and hand on what it says; see Engine.stream."""
        ticket = self._join(request)
        try:
            while not ticket.wait(HEARTBEAT_SECONDS):
                if stop.is_set():
                    yield STOPPED
                    return
                yield Progress(stage="waiting", done=ticket.before())
            assert ticket.slot is not None
            yield from ticket.slot.stream(request, stop=stop)
        finally:
            ticket.leave()

    def stream_many(
        self, requests: Iterator[Request | None], *, stop: threading.Event
    ) -> Generator[Told]:
        """Each takes the next when it has room, see dealing.py; see core.engine.many.stream_many.

        Beside requests that wait for a replica here, each replica sees to its own line.
        """
        told: queue.Queue[Told | BaseException | None] = queue.Queue()
        gone, dealing = threading.Event(), Dealing(requests, [e.knows for e in self.engines])
        threads = [
            threading.Thread(
                target=_relay, args=(each, dealing, own, Either(stop, gone), told), daemon=True
            )
            for own, each in enumerate(self.engines)
        ]
        try:
            for thread in threads:
                thread.start()
            left = len(threads)
            while left:
                found = told.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    left -= 1
                else:
                    yield found
            dealing.check()
        finally:
            gone.set()
            for thread in threads:
                if thread.ident is not None:  # or there was no thread to be had for it
                    thread.join()

    def close(self) -> None:
        """Free the memory of all of them."""
        for each in self.engines:
            each.close()

    def _join(self, request: Request) -> Ticket[Engine]:
        if request.video is None:
            return self._line.join()
        return self._line.join(lambda engine: _worth(reuse_of(engine, request)))


def _worth(reused: Reused) -> tuple[int, bool, bool]:
    """The more, the sooner the answer: tokens are never kept of a video that was not seen."""
    return reused.tokens, reused.seen, reused.reading == "none"


def _relay(
    engine: Engine,
    dealing: Dealing,
    own: int,
    stop: threading.Event,
    told: queue.Queue[Told | BaseException | None],
) -> None:
    """Hand on what one engine says, and its end or death."""
    numbers: list[int] = []
    try:
        for number, event in stream_many(engine, dealing.taken(own, numbers), stop=stop):
            told.put((numbers[number] if number < len(numbers) else 0, event))
        told.put(None)
    except BaseException as error:
        told.put(error)
