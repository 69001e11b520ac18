"""How a request reaches a model and its answer comes back; knows nothing of pages."""

from core.engine.base import Engine, Event, Finished, Progress, Request, Started, Text

__all__ = ["Engine", "Event", "Finished", "Progress", "Request", "Started", "Text"]
