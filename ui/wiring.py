"""Which handler each event of the page calls, with what, and where its updates go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import gradio as gr
from gradio.components import Component

from core.planning.presets import PRESETS
from ui.examples import EXAMPLES, examples
from ui.film import fill_strip
from ui.handlers import Handlers, Values
from ui.sessions import Session
from ui.watching import watch

CONTROLS = (
    "fps",
    "min_frames",
    "max_frames",
    "max_frame_tokens",
    "max_tiles",
    "strategy",
    "route",
    "start",
    "end",
    "min_frame_tokens",
    "reply_tokens",
    "model",
    "devices",
    "reader",
)
CHOICES = {"strategy", "route", "model", "devices", "reader"}
WHOLE = {
    "min_frames",
    "max_frames",
    "max_frame_tokens",
    "max_tiles",
    "min_frame_tokens",
    "reply_tokens",
}
OPTIONAL = {"start", "end", "min_frame_tokens"}
IN_LINE = 8  # requests whose frames are read, which take some 100 MB each
Parts = dict[str, Component]
Data = dict[Component, Any]


def wire(handlers: Handlers, parts: Parts, page: gr.Blocks) -> None:
    """Attach every event of the page."""
    calls = _Calls(handlers, parts)
    inputs = {parts[name] for name in (*CONTROLS, "question")}
    shown = [parts[name] for name in ("meter", "timeline", "plan", "fit", "measuring")]
    talk = [parts[name] for name in ("chat", "question", "ask", "stop")]
    notice = parts["notice"]
    chosen = [parts[name] for name in (*CONTROLS, "unasked", "back", "ask")]
    # Values go unchecked by gradio, which would refuse one that is on its way while a slider's
    # range or a radio's choices change; Settings checks them anyway.
    quick: dict[str, Any] = {
        "queue": False,
        "show_progress": "hidden",
        "api_visibility": "private",
        "preprocess": False,
    }
    parts["video"].change(
        calls.opened,
        inputs | {parts["video"]},
        [*shown, *chosen, notice, parts["line"], parts["chat"]],
        api_visibility="private",
    ).then(
        calls.watched,
        None,
        [parts["line"], parts["strategy"], parts["measuring"]],
        concurrency_limit=16,  # all but one of them wait
        show_progress="hidden",
        api_visibility="private",
    )
    # One listener over everything that moves the meter, outside the queue: a second one, or one
    # that may be dropped while another runs, loses the last value.
    moves = [parts[name].change for name in (*CONTROLS, "question") if name not in CHOICES]
    gr.on(moves, calls.moved, inputs, shown, trigger_mode="always_last", **quick)
    for event, call in (
        (parts["model"].input, calls.model_chosen),
        (parts["route"].input, calls.route_chosen),
        (parts["strategy"].input, calls.chosen),
        (parts["devices"].input, calls.devices_chosen),
        (parts["back"].click, calls.back),
    ):
        event(call, inputs, [*shown, *chosen], trigger_mode="always_last", **quick)
    parts["plan"].change(
        calls.filled,
        None,
        parts["strip"],
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    parts["measuring"].change(
        calls.measured,
        parts["measuring"],
        shown,
        concurrency_limit=8,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    gr.on(
        [parts["question"].submit, parts["ask"].click],
        calls.asked,
        inputs,
        [*talk, notice, *shown, parts["live"]],
        show_progress="hidden",
        api_name="ask",
        concurrency_id="gpu",
        # Those beyond its capacity wait at the engine, which tells them their place.
        concurrency_limit=handlers.engine.capacity + IN_LINE,
    )
    clears = [parts["clear"].click, parts["chat"].clear]
    gr.on(clears, calls.cleared, inputs, [*shown, *talk], **quick)
    parts["stop"].click(calls.stopped, None, None, **quick)
    settings = [parts[name] for name in CONTROLS]
    parts["fit"].click(calls.fitted, None, settings, **quick)
    for name in PRESETS:
        _wire_preset(calls, parts[f"preset:{name}"], name, inputs=inputs, outputs=settings, **quick)
    for entry in examples():
        _wire_example(parts, entry)
    page.unload(calls.left)


class _Calls:
    """Gradio's way of calling (components, a request) made the handlers' own."""

    def __init__(self, handlers: Handlers, parts: Parts) -> None:
        self._handlers, self._parts = handlers, parts

    def opened(self, data: Data, request: gr.Request) -> Data:
        path = data[self._parts["video"]]
        values, question = self._settings(data), self._question(data)
        return self._updates(
            self._handlers.open_video(path, self._session(request), values, question)
        )

    def chosen(self, data: Data, request: gr.Request) -> Data:
        return self._chosen(self._handlers.chooser.choose, data, request)

    def model_chosen(self, data: Data, request: gr.Request) -> Data:
        return self._chosen(self._handlers.chooser.choose_model, data, request)

    def devices_chosen(self, data: Data, request: gr.Request) -> Data:
        return self._chosen(self._handlers.chooser.choose_devices, data, request)

    def route_chosen(self, data: Data, request: gr.Request) -> Data:
        return self._chosen(self._handlers.chooser.choose_route, data, request)

    def back(self, data: Data, request: gr.Request) -> Data:
        return self._chosen(self._handlers.chooser.back, data, request)

    def preset(self, data: Data, name: str) -> Data:
        return self._updates(self._handlers.chooser.preset(self._settings(data), name))

    def moved(self, data: Data, request: gr.Request) -> Data:
        values, question = self._settings(data), self._question(data)
        return self._updates(self._handlers.follow(self._session(request), values, question))

    def filled(self, request: gr.Request) -> Iterator[str]:
        yield from fill_strip(self._session(request))

    def watched(self, request: gr.Request) -> Iterator[Data]:
        for each in watch(self._session(request)):
            yield self._updates(each)

    async def asked(self, data: Data, request: gr.Request) -> AsyncIterator[Data]:
        values, question = self._settings(data), self._question(data)
        async for each in self._handlers.ask(self._session(request), values, question):
            yield self._updates(each)

    def measured(self, asking: str, request: gr.Request) -> Data:
        session = self._session(request)
        news = self._handlers.measured(session) if asking else {"measuring": gr.skip()}
        return self._updates(news)

    def cleared(self, data: Data, request: gr.Request) -> Data:
        return self._updates(self._handlers.clear(self._session(request), self._settings(data)))

    def fitted(self, request: gr.Request) -> Data:
        return self._updates(self._handlers.fit(self._session(request)))

    def stopped(self, request: gr.Request) -> None:
        self._handlers.stop(self._session(request))

    def left(self, request: gr.Request) -> None:
        self._handlers.sessions.drop(request.session_hash)

    def _chosen(
        self, choose: Callable[[Session, Values, str], Values], data: Data, request: gr.Request
    ) -> Data:
        return self._updates(
            choose(self._session(request), self._settings(data), self._question(data))
        )

    def _session(self, request: gr.Request) -> Session:
        return self._handlers.sessions.of(request.session_hash)

    def _settings(self, data: Data) -> Values:
        return {name: _value(name, data[self._parts[name]]) for name in CONTROLS}

    def _question(self, data: Data) -> str:
        return data[self._parts["question"]] or ""

    def _updates(self, values: Values) -> Data:
        """Names to components; "busy" is which of Ask and Stop can be seen."""
        states = ("busy", "askable")
        updates = {self._parts[name]: value for name, value in values.items() if name not in states}
        if "askable" in values:
            updates[self._parts["ask"]] = gr.update(interactive=values["askable"])
        if "busy" in values:
            updates[self._parts["ask"]] = gr.update(visible=not values["busy"])
            updates[self._parts["stop"]] = gr.update(visible=values["busy"])
        return updates


def _wire_preset(calls: _Calls, button: Component, name: str, **event: Any) -> None:
    def move(data: Data) -> Data:
        return calls.preset(data, name)

    button.click(move, **event)


def _wire_example(parts: Parts, entry: dict[str, Any]) -> None:
    """A click loads the clip, and puts its first question where it can be asked."""

    def load() -> tuple[str, str]:
        return str(EXAMPLES / entry["file"]), entry["questions"][0]

    parts[f"example:{entry['file']}"].click(
        load,
        None,
        [parts["video"], parts["question"]],
        show_progress="hidden",
        api_visibility="private",
    )


def _value(name: str, value: Any) -> Any:
    """What a component holds, as Settings takes it.

    Whole numbers come as floats, and a number field that was left alone comes as 0.
    """
    if name in OPTIONAL and not value:
        return None
    if name in WHOLE and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
