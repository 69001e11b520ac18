"""Replies that go on when memory has run out: less is kept, then fewer are written at a time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

from core.engine.remembering import Remembered
from core.engine.shortage import bare, is_out_of_memory
from core.engine.writing import Row, Rows


class Relieved:
    """Rows, see writing.py, of which only one that does not fit alone ends for want of memory.

    First goes what is kept. Then half of the rows wait until others have ended: what they have
    read lies in the machine's memory meanwhile.

    Attributes:
        tight: memory has run out, and rows that were there then still are.
    """

    def __init__(
        self, rows: Rows, remembered: Remembered, sparing: Callable[[], Iterator[bool]]
    ) -> None:
        self._rows, self._remembered, self._sparing = rows, remembered, sparing
        self._waiting: list[tuple[Row, int]] = []  # with the room that each had
        self._most = 0  # are written at a time
        self.tight = False

    def __len__(self) -> int:
        return len(self._rows) + len(self._waiting)

    def join(self, row: Row) -> None:
        """See Rows."""
        self._rows.join(row)

    def step(self) -> list[Row]:
        """See Rows; with a shortage some get no token."""
        gone = self._rows.step()
        shortage = self._rows.taken_shortage()
        if shortage is not None:
            self._relieve(shortage)
        if gone or not self._rows:
            self._call_back()
        self.tight = self.tight and len(self) > 0
        return gone

    def _relieve(self, shortage: Exception) -> None:
        self.tight = True
        rows = self._rows.going_on
        if not rows or self._spare():
            return
        self._most = len(rows) // 2
        if len(rows) == 1:
            rows[0].fail(shortage)
            return
        for row in reversed(rows[self._most :]):
            self._send_away(row)

    def _spare(self) -> bool:
        gc.collect()
        return next(self._sparing(), False)

    def _send_away(self, row: Row) -> None:
        room = row.kept.room
        try:
            row.kept = self._remembered.aside(row.kept)
        except Exception as error:  # the machine has no memory left either
            row.fail(bare(error))
        else:
            self._rows.leave(row)
            self._waiting.insert(0, (row, room))  # it came before those that wait

    def _call_back(self) -> None:
        """As many as may be written at a time, in their order; those that were stopped to end."""
        while self._waiting and len(self._rows) < max(1, self._most):
            row, room = self._waiting[0]
            if not self._brought_back(row, room):
                return
            del self._waiting[0]
            self._rows.join(row)

    def _brought_back(self, row: Row, room: int) -> bool:
        """Whether it is there again, or has ended; False where it may fit when others have left."""
        while (error := self._attempt(row, room)) is not None:
            if is_out_of_memory(error):
                if self._rows:
                    return False
                if self._spare():
                    continue
            row.fail(error)
            break
        return True

    def _attempt(self, row: Row, room: int) -> Exception | None:
        try:
            row.look()
            row.kept = self._remembered.back(row.kept, room)
        except Exception as error:
            return bare(error)
        return None
