"""Many requests for several engines: each takes the next, if it can one whose video it knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence

from core.engine.base import Request
from core.engine.waiting import Line

RECENT = 32  # videos that an engine was given requests about, and is going to know
Dealt = tuple[int, Request]  # a request with its number


class Dealing:
    """Requests that several engines take from; each is told which it got.

    A request about a video that another engine knows is put by for that one: one at a time, as it
    holds frames. Nobody waits for that: whoever puts it by takes the next at once, and where none
    is ready, he takes what was put by, unless it was just now. The other one could not have come
    meanwhile: those who ask are served in turn.
    """

    def __init__(
        self,
        requests: Iterator[Request | None],
        knows: Sequence[Callable[[Hashable], bool]],
    ) -> None:
        """``knows``: of each engine, whether it knows a video."""
        self._requests, self._knows = requests, knows
        self._line = Line((0,))
        self._put_by: dict[int, Dealt] = {}  # in the order of coming
        self._recent = [deque[Hashable](maxlen=RECENT) for _ in knows]
        self._count = 0
        self._ended = False
        self._error: BaseException | None = None

    def taken(self, own: int, numbers: list[int]) -> Iterator[Request | None]:
        """What the engine of this number takes; the requests' numbers are added to ``numbers``."""
        while True:
            ticket = self._line.join()
            try:
                ticket.wait()
                found = self._next(own)
                if found is None and self._ended and not self._put_by:
                    return
                if found is not None:  # in one's turn: the next one is dealt by it
                    self._recent[own].append(found[1].video)
                    numbers.append(found[0])
            finally:
                ticket.leave()
            handed = [found and found[1]]
            del found
            yield handed.pop()  # frames: not to be held until the next one is taken

    def check(self) -> None:
        """Raise what the requests' iterator has raised."""
        if self._error is not None:
            raise self._error

    def _next(self, own: int) -> Dealt | None:
        if own in self._put_by:
            return self._put_by.pop(own)
        before = next(iter(self._put_by), None)
        while (request := self._request()) is not None:
            dealt = (self._count, request)
            self._count += 1
            other = self._other(own, request.video)
            if other is None or other in self._put_by:
                return dealt
            self._put_by[other] = dealt
        return None if before is None else self._put_by.pop(before)

    def _request(self) -> Request | None:
        if self._ended:
            return None
        try:
            return next(self._requests)
        except StopIteration:
            self._ended = True
        except BaseException as error:  # told when those before it are answered
            self._ended, self._error = True, error
        return None

    def _other(self, own: int, video: Hashable | None) -> int | None:
        """An engine that knows this video, or soon will, where one's own does not."""
        if video is None or self._likes(own, video):
            return None
        return next((n for n in range(len(self._knows)) if self._likes(n, video)), None)

    def _likes(self, number: int, video: Hashable) -> bool:
        return video in self._recent[number] or self._knows[number](video)
