"""What every engine offers: a request in, events out; knows no library that runs models."""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from core.planning.card import ModelCard
from core.planning.execution import Execution
from core.planning.machine import Device
from core.planning.plan import Plan
from core.planning.seconds import NOTHING, Reused
from core.video.reading import Frames

Stage = Literal["reading", "waiting", "thinking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question, ready for the model.

    Attributes:
        frames: the plan's frames; None where the engine ``knows`` the video without them.
        video: names the file's content and the plan; None keeps nothing for later.
        plan: what the frames obey.
        prompt: the rendered conversation, with the marker token where the video goes.
        reply_tokens: the longest reply.
    """

    frames: Frames | None
    plan: Plan
    prompt: str
    reply_tokens: int
    video: Hashable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Still at work on ``stage``; ``done`` of ``total`` where that can be counted.

    While waiting, ``done`` is how many requests came before and are not answered yet.
    """

    stage: Stage
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The prompt is tokenized: this is the true length of ``input_ids``.

    Told once, also where a request begins again for want of memory.
    """

    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The next piece of the reply."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The reply is complete.

    Attributes:
        prompt_tokens, reply_tokens: true counts.
        read_seconds: time spent on reading frames.
        frame_times: seconds of the video at which the frames that were read are shown.
        seconds_to_first_token: from the start of the request, reading included.
        tokens_per_second: of the reply after its first token; 0 for a reply of one token.
        reused: what had been done for an earlier question; who read the frames fills in from where.
        peak_bytes: the most memory in use on each device; on a processor, of the whole process.
        reason: "end" of the reply, its "length" limit, or "stopped".
    """

    prompt_tokens: int
    reply_tokens: int
    read_seconds: float = 0.0
    frame_times: tuple[float, ...] = ()
    seconds_to_first_token: float
    tokens_per_second: float
    reused: Reused = NOTHING
    peak_bytes: tuple[int, ...]
    reason: Literal["end", "length", "stopped"]

    @property
    def reused_tokens(self) -> int:
        """Of the prompt, those that had been read for an earlier question."""
        return self.reused.tokens


Event = Progress | Started | Text | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One of many requests has no answer, for this reason; the others go on."""

    error: Exception


class FramesNeeded(Exception):
    """What was known of a video has been dropped: ask again with its frames."""


class Engine(Protocol):
    """A model that answers."""

    @property
    def card(self) -> ModelCard:
        """The checkpoint it holds."""

    @property
    def capacity(self) -> int:
        """How many requests it answers at the same time; more wait their turn."""

    def devices(self) -> tuple[Device, ...]:
        """Where it is held."""

    @property
    def execution(self) -> Execution:
        """How devices() hold it: the precision, and the layers of each where that is settled."""

    def knows(self, video: Hashable) -> bool:
        """Whether it can answer about this video without its frames."""

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        """Answer; ends with Finished. ``stop`` ends the reply within one token.

        Set before the first token, ``stop`` still ends in Finished: "stopped", with no tokens.

        Raises:
            ContextOverflow, MemoryOverflow: it did not fit after all; the engine stays usable.
            FramesNeeded: it came without frames, and the video is no longer known.
        """

    def close(self) -> None:
        """Free the memory; the engine is not used again."""


@runtime_checkable
class Remembers(Protocol):
    """An engine that knows what it keeps of earlier questions."""

    def reuse(self, request: Request) -> Reused:
        """What it would not do again if it answered this now; ``request`` needs no frames.

        Asked with every letter that is typed, beside answers under way: it waits for none, and says
        of what is being read at this moment what is read by now.
        """


def reuse_of(engine: Engine, request: Request) -> Reused:
    """The same of any engine: one that does not say reads every prompt from its beginning."""
    if isinstance(engine, Remembers):
        return engine.reuse(request)
    known = request.video is not None and engine.knows(request.video)
    return Reused(reading="none") if known else NOTHING


@runtime_checkable
class AnswersMany(Protocol):
    """An engine that gains by having several requests at once; see core.engine.many."""

    def stream_many(
        self, requests: Iterator[Request | None], *, stop: threading.Event
    ) -> Generator[tuple[int, Event | Failed]]:
        """Answer requests as they come, see core.engine.many.stream_many."""
