"""What the controls become when another model, route, strategy or preset is chosen."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection
from typing import Any

import gradio as gr

from core.asking import with_preset
from core.engine.base import Engine
from core.errors import FramewiseError
from core.planning import ModelCard, Settings
from core.planning.family import Route
from core.planning.machine import THIS_MACHINE
from ui import controls, render, texts
from ui.sessions import Session
from ui.targets import described, is_loaded, target_of

Values = dict[str, Any]
Follow = Callable[[Session, Values, str], Values]
RESET_BY_MODEL = {*controls.SLIDERS, "min_frame_tokens", "route", "strategy"}


class Chooser:
    """Values of the controls in, updates out; ``follow`` gives the meter of new values."""

    def __init__(self, engine: Engine, follow: Follow) -> None:
        self.engine, self._follow = engine, follow

    def preset(self, values: Values, name: str) -> Values:
        """Slider values of a preset for the model that is planned for."""
        card = target_of(values, self.engine).card
        route = controls.route_of(card, values.get("route"))
        chosen = with_preset(name, Settings(route=route.name), card)
        return {
            key: each.nearest(getattr(chosen, key))
            for key, each in controls.ranges(card, route).items()
        }

    def choose(
        self, session: Session, values: Values, question: str, *, reset: Collection[str] = ()
    ) -> Values:
        """What the controls become once another model, route or strategy is chosen.

        Those named in ``reset`` go to where the model has them at first; the meter follows.
        """
        try:
            card = target_of(values, self.engine).card
        except FramewiseError as error:
            return without_plan(render.notice(error))
        route = controls.route_of(card, None if "route" in reset else values.get("route"))
        offered = controls.strategies(session.info)
        strategy = values.get("strategy", "fps")
        if "strategy" in reset or strategy not in offered:
            strategy = controls.usual_strategy(route)
        updates, usual = _sliders(card, route, strategy=strategy, reset=reset)
        values = {**values, **usual, "route": route.name, "strategy": strategy}
        routes = [(texts.ROUTES[each.name], each.name) for each in card.routes]
        return {
            **updates,
            "route": gr.update(choices=routes, value=route.name, visible=len(routes) > 1),
            "strategy": gr.update(choices=offered, value=strategy),
            **self._who_answers(values),
            **self._follow(session, values, question),
        }

    def choose_model(self, session: Session, values: Values, question: str) -> Values:
        """Plan for another model, from where it begins itself."""
        return self.choose(session, values, question, reset=RESET_BY_MODEL)

    def choose_devices(self, session: Session, values: Values, question: str) -> Values:
        """Plan for other devices: no control is touched, as a model's own may be on their way."""
        return {**self._who_answers(values), **self._follow(session, values, question)}

    def choose_route(self, session: Session, values: Values, question: str) -> Values:
        """Plan by another route: what a frame may cost has another range there."""
        return self.choose(session, values, question, reset=controls.OF_A_FRAME)

    def back(self, session: Session, values: Values, question: str) -> Values:
        """Plan for the model that answers, where it is."""
        here = {**values, "model": self.engine.card.name, "devices": THIS_MACHINE}
        other = values.get("model") not in (None, here["model"])
        updates = self.choose(session, here, question, reset=RESET_BY_MODEL if other else ())
        return {**updates, "model": here["model"], "devices": THIS_MACHINE}

    def _who_answers(self, values: Values) -> Values:
        """Ask is there for the loaded model only; otherwise a line says why, with a way back."""
        loaded = is_loaded(values, self.engine)
        names = (*described(values, self.engine), self.engine.card.name)
        line = texts.NOT_LOADED.format(*map(html.escape, names))
        return {
            "unasked": "" if loaded else f'<p class="fw-quiet">{line}</p>',
            "back": gr.update(visible=not loaded),
            "askable": loaded,
        }


def _sliders(
    card: ModelCard, route: Route, *, strategy: str, reset: Collection[str]
) -> tuple[Values, Values]:
    """Updates of the sliders, and the values that change with them."""
    ranges = controls.ranges(card, route)
    shown = controls.meaningful(card, route, strategy)
    updates = {name: gr.update(visible=name in shown) for name in controls.SLIDERS}
    again = {name: each for name, each in ranges.items() if name in reset}
    for name, each in again.items():
        updates[name] |= {
            "minimum": each.low, "maximum": each.high, "step": each.step, "value": each.value
        }  # fmt: skip
    updates["min_frame_tokens"] = gr.update(visible="min_frame_tokens" in shown)
    usual: Values = {name: each.value for name, each in again.items()}
    if "min_frame_tokens" in reset:
        updates["min_frame_tokens"]["value"], usual["min_frame_tokens"] = 0, None
    return updates, usual


def without_plan(content: str) -> Values:
    """Where no plan can be made, ``content`` stands in the meter's place."""
    return {
        "meter": content,
        "timeline": "",
        "plan": "",
        "fit": gr.update(visible=False),
    }
