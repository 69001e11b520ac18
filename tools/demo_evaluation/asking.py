"""Asks the model about a clip the way the app does: probe, plan, read the frames, answer."""

import threading
from pathlib import Path

from core.asking import answer, foresee
from core.engine.base import Engine, Text
from core.planning import Settings, Turn
from core.video import probe


def ask_model(engine: Engine, clip: Path, question: str, settings: Settings) -> str:
    """The whole answer to one question, without a history."""
    turns = (Turn(role="user", text=question),)
    foreseen = foresee(probe(clip), settings, engine.card, turns, devices=engine.devices())
    events = answer(engine, foreseen, stop=threading.Event())
    return "".join(event.text for event in events if isinstance(event, Text)).strip()
