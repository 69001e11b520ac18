"""An engine without a model: says its words slowly, and counts who is being answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator, Sequence

from core.engine.base import Event, Finished, Request, Started, Text
from core.planning import Device, ModelCard
from core.planning.execution import AS_STORED


class FakeEngine:
    """Answers with ``words``, one every ``pause_seconds``; one request at a time."""

    capacity = 1
    execution = AS_STORED

    def __init__(
        self, card: ModelCard, *, words: Sequence[str] = ("Yes.",), pause_seconds: float = 0.0
    ) -> None:
        self.card, self.words, self.pause_seconds = card, words, pause_seconds
        self.requests: list[Request] = []
        self.answering = 0
        self.said = 0
        self.fail_with: Exception | None = None
        self.known: set[Hashable] = set()
        self._turn = threading.Lock()

    def knows(self, video: Hashable) -> bool:
        return video in self.known

    def devices(self) -> tuple[Device, ...]:
        return (Device(name="cpu", kind="cpu", model="none", capacity_bytes=64 * 2**30),)

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        with self._turn:
            self.answering += 1
            self.requests.append(request)
            try:
                yield from self._speak(stop)
            finally:
                self.answering -= 1

    def _speak(self, stop: threading.Event) -> Iterator[Event]:
        if self.fail_with is not None:
            raise self.fail_with
        yield Started(prompt_tokens=1)
        said = 0
        for word in self.words:
            if stop.wait(self.pause_seconds):
                break
            said += 1
            self.said += 1
            yield Text(text=word)
        yield Finished(
            prompt_tokens=1,
            reply_tokens=said,
            seconds_to_first_token=self.pause_seconds,
            tokens_per_second=1 / max(self.pause_seconds, 1e-3),
            peak_bytes=(0,),
            reason="stopped" if stop.is_set() else "end",
        )

    def close(self) -> None:
        pass


def wait_until(condition: object, *, seconds: float = 10.0) -> bool:
    """True as soon as ``condition()`` is; False after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False
