"""A reply while it is written: token ids in, text events out, a clock, a way to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.engine.base import Event, Finished, Text
from core.errors import Cancelled
from core.planning.seconds import NOTHING

if TYPE_CHECKING:
    import torch


LOOK_SECONDS = 0.05


class Either(threading.Event):
    """Set when either of two events is set."""

    def __init__(self, first: threading.Event, second: threading.Event) -> None:
        super().__init__()
        self._both = (first, second)

    def is_set(self) -> bool:
        """True once either is."""
        return any(event.is_set() for event in self._both)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether either is, by then."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (end is None or time.monotonic() < end):
            left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
            self._both[0].wait(max(0.0, left))
        return self.is_set()


class Reply:
    """A streamer for ``generate``: token ids in, text events out, and the clock."""

    def __init__(
        self, tokenizer: Any, stop: threading.Event, tell: Callable[[Event], None]
    ) -> None:
        from tokenizers.decoders import DecodeStream

        self._decoder = DecodeStream(skip_special_tokens=True)
        self._tokenizer = tokenizer.backend_tokenizer
        self._special = set(tokenizer.all_special_ids)
        self._stop, self.tell = stop, tell
        self._started = time.perf_counter()
        self._first: float | None = None
        self._last = 0.0
        self._tokens = 0
        self._ended = False
        self.prompt_tokens, self.reused = 0, NOTHING
        self.stopped = False

    def put(self, ids: torch.Tensor) -> None:
        """Called by generate: first with the whole prompt, then with each new token."""
        if self._stop.is_set():
            raise Cancelled
        if ids.dim() > 1:
            return
        self._last = time.perf_counter()
        self._first = self._first or self._last
        for token in ids.tolist():
            self._tokens += 1
            self._ended = token in self._special
            text = self._decoder.step(self._tokenizer, token)
            if text:
                self.tell(Text(text=text))

    @property
    def begun(self) -> bool:
        """Whether a token has come."""
        return self._tokens > 0

    def end(self) -> None:
        """Called by generate after the last token."""

    def finished(self, *, limit: int = 0, peak_bytes: tuple[int, ...] = ()) -> Finished:
        """The closing event; ``limit`` is the longest reply that was allowed."""
        first = self._first or time.perf_counter()
        later = self._tokens - 1
        length = self._tokens >= limit and not self._ended
        return Finished(
            prompt_tokens=self.prompt_tokens,
            reply_tokens=self._tokens,
            reused=self.reused,
            seconds_to_first_token=first - self._started,
            tokens_per_second=later / (self._last - first) if later > 0 else 0.0,
            peak_bytes=peak_bytes,
            reason="stopped" if self.stopped else "length" if length else "end",
        )
