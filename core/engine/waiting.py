"""A line for what only a few can use at once: first come, first served, places told."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

Slot = TypeVar("Slot")


class Ticket(Generic[Slot]):
    """A place in a line, and then one of its slots; see Line."""

    def __init__(self, line: Line[Slot], prefers: Callable[[Slot], Any], patience: int) -> None:
        self.prefers, self.patience = prefers, patience
        self.slot: Slot | None = None
        self.called = threading.Event()
        self._line = line

    def wait(self, seconds: float | None = None) -> bool:
        """Whether there is a slot by now, or within so many seconds."""
        return self.called.wait(seconds)

    def before(self) -> int:
        """How many that came earlier are not done yet."""
        return self._line.before(self)

    def others(self) -> float:
        """How patient those are who wait for a slot: the least patient; inf where nobody waits."""
        return self._line.patience()

    def leave(self) -> None:
        """Hand the slot to the next in line, or give up the place; once is enough."""
        self._line.leave(self)


class Line(Generic[Slot]):
    """Gives out slots in the order of coming; safe with many threads."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._lock = threading.Lock()
        self._slots = list(slots)
        self._free = list(range(len(slots)))
        self._taken: dict[Ticket[Slot], int] = {}
        self._waiting: list[Ticket[Slot]] = []

    def join(
        self, prefers: Callable[[Slot], Any] = lambda _: True, *, patience: int = 1
    ) -> Ticket[Slot]:
        """Take a place at the end; of several free slots that is given for which this is most.

        ``patience``: how many requests may be answered in a turn for which this one waits.
        """
        ticket = Ticket(self, prefers, patience)
        with self._lock:
            self._waiting.append(ticket)
            self._call()
        return ticket

    def before(self, ticket: Ticket[Slot]) -> int:
        """See Ticket.before."""
        with self._lock:
            if ticket not in self._waiting:
                return 0
            return self._waiting.index(ticket) + len(self._taken)

    def free(self) -> tuple[Slot, ...]:
        """Those that nobody has."""
        with self._lock:
            return tuple(self._slots[number] for number in self._free)

    def patience(self) -> float:
        """See Ticket.others."""
        with self._lock:
            return min((each.patience for each in self._waiting), default=math.inf)

    def leave(self, ticket: Ticket[Slot]) -> None:
        """See Ticket.leave."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            number = self._taken.pop(ticket, None)
            if number is not None:
                self._free = sorted([*self._free, number])
            self._call()

    def _call(self) -> None:
        while self._waiting and self._free:
            ticket = self._waiting.pop(0)
            number = self._liked(ticket)
            self._free.remove(number)
            self._taken[ticket] = number
            ticket.slot = self._slots[number]
            ticket.called.set()

    def _liked(self, ticket: Ticket[Slot]) -> int:
        """Of the free ones the most preferred, or the first where that cannot be said."""
        if len(self._free) == 1:
            return self._free[0]
        try:
            return max(self._free, key=lambda number: ticket.prefers(self._slots[number]))
        except Exception:  # whoever calls here is not whose request that is: it is told in its turn
            return self._free[0]
