"""What the page remembers of each open tab: its video, its conversation, its request under way."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from core.asking import Foreseen
from core.planning import Turn
from core.video.info import VideoInfo
from ui.pending import Pending

IDLE_SECONDS = 6 * 3600.0
MAX_PICTURES = 4000


class Pictures(OrderedDict[int, str]):
    """Thumbnails of one video as data URLs, by frame index; the oldest go first."""

    def __setitem__(self, index: int, picture: str) -> None:
        super().__setitem__(index, picture)
        while len(self) > MAX_PICTURES:
            self.popitem(last=False)


@dataclass(slots=True)
class Exchange:
    """A question and its answer as the model gave it, with the line shown under it."""

    question: str
    answer: str = ""
    footer: str = ""


@dataclass(slots=True)
class Session:
    """One tab. The engine never sees it: requests are made from it as frozen values.

    Attributes:
        info: the video, None before one is there.
        exchanges: the conversation about it.
        values, question: the sliders and the question box as they were last seen.
        foreseen: what they mean, None while they or the video make no plan.
        stop: ends the request under way.
        pictures: thumbnails of this video; a new video gets a new store.
        watching: ends the search for scenes in this video.
        pending: plans that are still being worked out.
        used: when a handler last looked at it.
    """

    info: VideoInfo | None = None
    name: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    question: str = ""
    foreseen: Foreseen | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    pictures: Pictures = field(default_factory=Pictures)
    watching: threading.Event = field(default_factory=threading.Event)
    pending: Pending = field(default_factory=Pending)
    used: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Stop all that goes on for it."""
        self.stop.set()
        self.watching.set()

    def turns(self, question: str) -> list[Turn]:
        """The conversation so far and one more question."""
        turns: list[Turn] = []
        for each in self.exchanges:
            turns += [Turn("user", each.question), Turn("assistant", each.answer)]
        return [*turns, Turn("user", question)]


class Sessions:
    """The open tabs, by Gradio's session hash; safe with many threads."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, key: str | None) -> Session:
        """The session of a tab, made when first seen."""
        with self._lock:
            now = time.monotonic()
            old = [k for k, s in self._sessions.items() if now - s.used > IDLE_SECONDS]
            for each in old:
                self._sessions.pop(each).end()
            session = self._sessions.setdefault(key or "", Session())
            session.used = now
            return session

    def drop(self, key: str | None) -> None:
        """Forget a closed tab and stop what it still asked for."""
        with self._lock:
            session = self._sessions.pop(key or "", None)
        if session is not None:
            session.end()
