"""Many requests to replicas: each is answered once, and a replica's death is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from asking_by_hand import NEVER, said
from asking_many import (
    Maker,
    heard,
)
from core.engine import Event, Finished, Request
from core.engine.many import stream_many
from core.engine.replicas import Replicas
from core.planning import ModelCard
from fake_engine import FakeEngine


@pytest.mark.parametrize("kinds", [("local", "local"), ("fake", "fake"), ("local", "fake")])
def test_replicas_share_them(kinds: tuple[str, ...], maker: Maker, alone: list[str]) -> None:
    """Each request is answered once, under its own number, and every replica has some."""
    both = threading.Barrier(kinds.count("fake") or 1, timeout=60)
    engines = [maker.engine(2)[0] if kind == "local" else Meets(maker.card, both) for kind in kinds]
    found = heard(stream_many(Replicas(engines), iter(maker.asked() * 3), stop=NEVER))
    assert sorted(found) == list(range(18))
    for number, events in found.items():
        assert len([each for each in events if isinstance(each, Finished)]) == 1
        assert said(events) in (alone[number % 6], "Yes.")
    fakes = [len(each.requests) for each in engines if isinstance(each, FakeEngine)]
    assert sum(fakes) == 18 or "local" in kinds
    assert all(0 < each < 18 for each in fakes) or "local" in kinds


class Meets(FakeEngine):
    """Answers its first request only when all others have one too."""

    def __init__(self, card: ModelCard, both: threading.Barrier) -> None:
        super().__init__(card)
        self._both = both

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        if not self.requests:
            self._both.wait()
        return super().stream(request, stop=stop)


def test_a_replica_that_dies_is_told(maker: Maker) -> None:
    both = threading.Barrier(2, timeout=60)

    class Dies(FakeEngine):
        def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
            both.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(
            stream_many(
                Replicas((Meets(maker.card, both), Dies(maker.card))),
                iter(maker.asked() * 3),
                stop=NEVER,
            )
        )
