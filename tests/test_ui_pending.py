"""A model whose real processor has to be asked: the page shows the last plan until the new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.planning import ModelCard, load_card
from core.planning.measured import unlisted_family
from core.video import describe_video
from fake_engine import FakeEngine
from ui import texts
from ui.handlers import Handlers
from ui.sessions import Session

VALUES = {"strategy": "uniform", "max_frames": 4}


@pytest.fixture
def handlers(model: Path) -> Handlers:
    """An engine with the demo model, as if there were no rules for its family."""
    card: ModelCard = load_card(model)
    family = unlisted_family("unheard_of", model, patch_size=16)
    family = replace(
        family,
        routes=tuple(
            replace(route, text=card.routes[0].text, limits=replace(route.limits, max_frames=8))
            for route in family.routes
        ),
    )
    return Handlers(FakeEngine(replace(card, family=family, routes=family.routes)))


def _session() -> Session:
    return Session(info=describe_video(width=64, height=64, duration_seconds=4, frame_rate=8))


def _settled(handlers: Handlers, session: Session, found: dict[str, object]) -> dict[str, object]:
    for _ in range(6):
        if not found["measuring"]:
            return found
        found = handlers.measured(session)
    raise AssertionError("the plan never came")


def test_first_there_is_nothing_then_the_plan(handlers: Handlers) -> None:
    session = _session()
    first = handlers.follow(session, VALUES, "")
    assert texts.MEASURING in str(first["meter"])
    assert session.foreseen is None
    last = _settled(handlers, session, first)
    assert texts.MEASURING not in str(last["meter"])
    assert session.foreseen is not None
    assert len(session.foreseen.plan.indices) == 4


def test_the_last_plan_stays_with_a_mark(handlers: Handlers) -> None:
    session = _session()
    _settled(handlers, session, handlers.follow(session, VALUES, ""))
    moved = handlers.follow(session, {**VALUES, "max_frames": 6}, "")
    assert texts.MEASURING in str(moved["meter"])
    assert session.foreseen is not None
    assert len(session.foreseen.plan.indices) == 4
    _settled(handlers, session, moved)
    assert len(session.foreseen.plan.indices) == 6


def test_rules_need_no_waiting(model: Path) -> None:
    handlers, session = Handlers(FakeEngine(load_card(model))), _session()
    found = handlers.follow(session, VALUES, "")
    assert not found["measuring"]
    assert session.foreseen is not None
