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

if TYPE_CHECKING:
    import torch

    from core.engine.stepping import Run

AHEAD = 1  # steps under way that nobody has looked at yet
Heard = Sequence["torch.Tensor | Exception"]  # of each row: (1,) on the processor, or what happened


class Row:
    """One reply under way.

    Attributes:
        kept: what was read: the prompt, and the reply without its last token.
        picker: picks its tokens.
        last: the token that was shown last.
        done: nothing follows; ``error`` is why, where it is not the reply's end or limit.
    """

    def __init__(
        self, kept: Conversation, picker: Picker, *, streamer: Any, limit: int, ends: set[int]
    ) -> None:
        self.kept, self.picker = kept, picker
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

    def __len__(self) -> int:
        return len(self._rows)

    def join(self, row: Row) -> None:
        """Step this one too from now on; its first token has been shown."""
        self.settle()
        self._rows.append(row)

    def settle(self) -> None:
        """Hear what is under way; whoever has ended meanwhile leaves with the next step."""
        while self._under_way:
            self._hear()
        self._steps = None

    def step(self) -> list[Row]:
        """One more token for each; returns the rows that have ended, and are no longer stepped."""
        rows = [row for row in self._rows if not row.done]
        if rows and len(rows) == len(self._rows):
            self._step(rows)
        gone = [row for row in self._rows if row.done]
        if gone:
            self.settle()
            gone = [row for row in self._rows if row.done]
            self._rows = [row for row in self._rows if not row.done]
        return gone

    def _step(self, rows: Sequence[Row]) -> None:
        try:
            if self._steps is None:
                self._steps = self._make(rows)
        except Exception as error:
            rows[-1].fail(error)  # it came last: the others had been stepped without it
            return
        try:
            while len(self._under_way) <= min(self._ahead, max(row.left for row in rows) - 1):
                self._under_way.append(self._steps.step())
        except Exception as error:
            self._fail(error)
            return
        self._hear()

    def _hear(self) -> None:
        try:
            heard = self._under_way.popleft()()
        except Exception as error:
            self._fail(error)
            return
        for row, told in zip(self._rows, heard, strict=True):
            row.hear(told)

    def _fail(self, error: Exception) -> None:
        """Of a step of all nobody knows whose fault it is."""
        self._under_way.clear()
        for row in self._rows:
            if not row.done:
                row.fail(error)


class OneByOne:
    """Steps through the model's own layers, row after row."""

    def __init__(
        self, rows: Sequence[Row], logits: Callable[[int, Conversation], torch.Tensor]
    ) -> None:
        self._rows, self._logits = rows, logits

    def step(self) -> Callable[[], Heard]:
        """See Steps."""
        found = [self._one(row) for row in self._rows]
        return lambda: [found.pop(0) for _ in self._rows]  # an error's traceback holds this frame

    def _one(self, row: Row) -> torch.Tensor | Exception:
        try:
            return row.picker.pick(self._logits(row.last, row.kept)).cpu()
        except Exception as error:
            return error


class Together:
    """Steps of a decoder: one for all rows, and their tokens on the way while the next one runs."""

    def __init__(self, rows: Sequence[Row], run: Run) -> None:
        import torch

        self._run = run
        self._pickers = [] if rows[0].picker.greedy else [row.picker for row in rows]
        run.start(torch.tensor([row.last for row in rows]))
        self._notes = deque(_Note(run.token) for _ in range(AHEAD + 1))

    def step(self) -> Callable[[], Heard]:
        """See Steps."""
        run = self._run
        run.step()
        for row, picker in enumerate(self._pickers):
            assert run.logits is not None
            run.token[row : row + 1].copy_(picker.pick(run.logits[row : row + 1]))
        self._notes.rotate()
        return self._notes[0].take(run.token)


class _Note:
    """Memory that a device writes tokens to while others go on."""

    def __init__(self, token: torch.Tensor) -> None:
        import torch

        self._device = token.device
        on_cuda = token.is_cuda
        self._here = torch.empty(len(token), dtype=torch.long, pin_memory=on_cuda)
        self._written: Any = torch.cuda.Event() if on_cuda else None  # type: ignore[no-untyped-call]

    def take(self, token: torch.Tensor) -> Callable[[], Heard]:
        """Begin to write; what is returned waits for it, and is of use until the next take."""
        import torch

        self._here.copy_(token, non_blocking=True)
        if self._written is not None:
            self._written.record(torch.cuda.current_stream(self._device))
        return self._read

    def _read(self) -> Heard:
        if self._written is not None:
            self._written.synchronize()
        return [self._here[row : row + 1] for row in range(len(self._here))]
