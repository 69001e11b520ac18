"""What makes the next tokens of rows: the model's own layers, or a decoder for all together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.engine.keeping import Conversation
from core.engine.writing import AHEAD, Heard, Row

if TYPE_CHECKING:
    import torch

    from core.engine.stepping import Run


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
