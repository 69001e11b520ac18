"""Replies written side by side, token after token; the end and the errors of each are its own.

On a GPU the next step is under way before the last token is looked at, so that the device never
waits for Python. A reply that has ended wastes that one step: what it read lies behind what counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.engine.keeping import Conversation
from core.engine.picking import Picker
from core.engine.shortage import bare, is_out_of_memory

if TYPE_CHECKING:
    import torch

AHEAD = 1  # steps under way that nobody has looked at yet
Heard = Sequence["torch.Tensor | Exception"]  # of each row: (1,) on the processor, or what happened


class Row:
    """One reply under way.

    Attributes:
        kept: what was read: the prompt, and the reply without its last token.
        picker: picks its tokens.
        look: may raise to end it, while it is not gone on with.
        last: the token that was shown last.
        done: nothing follows; ``error`` is why, where it is not the reply's end or limit.
    """

    def __init__(
        self,
        kept: Conversation,
        picker: Picker,
        *,
        streamer: Any,
        limit: int,
        ends: set[int],
        look: Callable[[], None],
    ) -> None:
        self.kept, self.picker, self.look = kept, picker, look
        self.last, self.done = -1, False
        self.error: Exception | None = None
        self._streamer, self._limit, self._ends = streamer, limit, ends
        self._shown = 0

    @property
    def left(self) -> int:
        """How many tokens may follow."""
        return 0 if self.done else self._limit - self._shown

    def show(self, token: torch.Tensor) -> None:
        """Hand the next token, (1,), to the streamer, which may end the reply."""
        try:
            self._streamer.put(token)
        except Exception as error:
            self.fail(error)
            return
        self.last = int(token)
        self._shown += 1
        if self.last in self._ends or self._shown == self._limit:
            self.done = True
            self._streamer.end()

    def hear(self, told: torch.Tensor | Exception) -> None:
        """What came of reading the last token."""
        if self.done:
            return
        if isinstance(told, Exception):
            self.fail(told)
            return
        self.kept.ids.append(self.last)
        self.show(told)

    def again(self) -> None:
        """Let the last token be read once more: what follows it is not known."""
        self.picker.back_to(self._shown)

    def fail(self, error: Exception) -> None:
        """End it with an error."""
        self.error, self.done = error, True

    def taken_error(self) -> Exception | None:
        """What ended it, held no more: its traceback holds this row, and all that was read."""
        error, self.error = self.error, None
        return error

    def check(self) -> None:
        """Raise what ended it, where that is an error."""
        error = self.taken_error()
        try:
            if error is not None:
                raise error
        finally:
            del error


class Steps(Protocol):
    """Reads the last token of each of some rows, over and over."""

    def step(self) -> Callable[[], Heard]:
        """Begin; what is returned waits for the tokens after them."""


class Rows:
    """Rows that are stepped together; ``steps`` makes their steps, ``ahead`` are not waited for."""

    def __init__(self, steps: Callable[[Sequence[Row]], Steps], *, ahead: int) -> None:
        self._make, self._ahead = steps, ahead
        self._rows: list[Row] = []
        self._steps: Steps | None = None
        self._under_way: deque[Callable[[], Heard]] = deque()
        self._shortage: Exception | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def going_on(self) -> list[Row]:
        """Those that have not ended, in the order of joining."""
        return [row for row in self._rows if not row.done]

    def join(self, row: Row) -> None:
        """Step this one too from now on; its first token has been shown."""
        self.settle()
        self._rows.append(row)

    def leave(self, row: Row) -> None:
        """Step this one no more, wherever it is."""
        self.settle()
        self._rows.remove(row)

    def settle(self) -> None:
        """Hear what is under way; whoever has ended meanwhile leaves with the next step."""
        while self._under_way:
            self._hear()
        self._steps = None

    def step(self) -> list[Row]:
        """One more token for each; returns the rows that have ended, and are no longer stepped.

        Where memory does not suffice they stay as they were; see ``taken_shortage``.
        """
        rows = self.going_on
        if rows and len(rows) == len(self._rows):
            self._step(rows)
        gone = [row for row in self._rows if row.done]
        if gone:
            self.settle()
            gone = [row for row in self._rows if row.done]
            self._rows = self.going_on
        return gone

    def taken_shortage(self) -> Exception | None:
        """What memory has run out for since the last time; not all have got their token."""
        found, self._shortage = self._shortage, None
        return found

    def _step(self, rows: Sequence[Row]) -> None:
        try:
            if self._steps is None:
                self._steps = self._make(rows)
        except Exception as error:
            if not self._is_shortage(error):
                rows[-1].fail(error)  # it came last: the others had been stepped without it
            return
        try:
            while len(self._under_way) <= min(self._ahead, max(row.left for row in rows) - 1):
                self._under_way.append(self._steps.step())
        except Exception as error:
            self._fail(error)
        else:
            self._hear()
        if self._shortage is not None:
            self.settle()  # what was under way before holds
            for row in rows:
                row.again()

    def _hear(self) -> None:
        try:
            heard = self._under_way.popleft()()
        except Exception as error:
            self._under_way.clear()  # it follows what was not heard
            self._fail(error)
            return
        for row, told in zip(self._rows, heard, strict=True):
            if not (isinstance(told, Exception) and self._is_shortage(told)):
                row.hear(told)

    def _fail(self, error: Exception) -> None:
        """Of a step of all nobody knows whose fault it is; without memory it can be made again."""
        if self._is_shortage(error):
            return
        self._under_way.clear()
        for row in self.going_on:
            row.fail(error)

    def _is_shortage(self, error: Exception) -> bool:
        if not is_out_of_memory(error):
            return False
        self._shortage = bare(error)
        return True
