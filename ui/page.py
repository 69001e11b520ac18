"""The components of the page, and how it is served; what its events do is said in wiring.py."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from core.engine.base import Engine
from core.errors import SettingsError
from core.planning.card import DEMO_MODEL, ModelCard
from core.planning.family import Route
from core.planning.machine import THIS_MACHINE
from core.planning.presets import PRESETS
from core.video import iter_frames
from core.video.reading import DEFAULT_READER, READERS
from core.video.wanted import FrameSource
from ui import controls, texts
from ui.examples import ASSETS, EXAMPLES, examples
from ui.handlers import Handlers
from ui.targets import Choices, model_choices, places
from ui.wiring import Parts, wire


def launch(
    engine: Engine,
    *,
    host: str,
    port: int,
    reader: str = DEFAULT_READER,
    frames_from: FrameSource = iter_frames,
) -> None:
    """Serve the page for ``engine`` until interrupted; ``reader`` is what decodes at first.

    Raises:
        SettingsError: the address is taken or not this machine's.
    """
    page = build(engine, reader=reader, frames_from=frames_from)
    page.queue(max_size=64, default_concurrency_limit=4)
    try:
        page.launch(server_name=host, server_port=port, **launch_options())
    except OSError as error:  # what gradio raises where it cannot listen
        raise SettingsError(
            f"Nothing can listen on {host}, port {port}: {error}",
            remedy="Stop the other program, or choose another port, for example --port 7861.",
        ) from error


def launch_options() -> dict[str, Any]:
    """Style and safety of the page, the same in tests."""
    return {
        "theme": gr.themes.Base(
            primary_hue="blue",
            neutral_hue="gray",
            radius_size="lg",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
        "css_paths": ASSETS / "style.css",
        "head": f"<script>{(ASSETS / 'page.js').read_text(encoding='utf-8')}</script>",
        "allowed_paths": [str(EXAMPLES)],
        "max_file_size": "4gb",
        "footer_links": ["gradio", "settings"],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "share": False,
        "ssr_mode": False,
    }


def build(
    engine: Engine, *, reader: str = DEFAULT_READER, frames_from: FrameSource = iter_frames
) -> gr.Blocks:
    """The page for one engine."""
    handlers = Handlers(engine, frames_from=frames_from)
    with gr.Blocks(
        title=texts.TITLE, fill_width=True, analytics_enabled=False, delete_cache=(600, 86400)
    ) as page:
        with gr.Row(elem_id="top"):
            parts = _top(engine)
        with gr.Row(elem_id="columns", equal_height=False):
            with gr.Column(scale=11, min_width=340, elem_id="left"):
                parts |= _left(engine, reader=reader)
            with gr.Column(scale=9, min_width=340, elem_id="right"):
                parts |= _right(engine)
        wire(handlers, parts, page)
    return page


def _top(engine: Engine) -> Parts:
    gr.HTML(
        f'<div class="fw-header"><h1>{texts.TITLE}</h1><span>{texts.TAGLINE}</span></div>',
        elem_id="header",
        padding=False,
    )

    def choice(name: str, choices: Choices, value: str) -> Component:
        return gr.Dropdown(
            choices,
            value=value,
            label=texts.LABELS[name],
            container=False,
            allow_custom_value=False,
            elem_id=name,
            min_width=150,
        )

    parts = {
        "model": choice("model", model_choices(engine), engine.card.name),
        "devices": choice("devices", places(engine), THIS_MACHINE),
    }
    gr.HTML('<button type="button" aria-label="Dark or light">◐</button>', elem_id="dark")
    return parts


def _left(engine: Engine, *, reader: str) -> Parts:
    parts: Parts = {
        "video": gr.Video(
            label=texts.LABELS["video"],
            sources=["upload"],
            elem_id="player",
            height=232,
            buttons=[],
        )
    }
    with gr.Row(elem_id="examples"):
        for entry in examples():
            parts[f"example:{entry['file']}"] = gr.Button(
                entry["title"], size="sm", variant="secondary", min_width=60
            )
    parts["line"] = gr.HTML(elem_id="line", padding=False)
    parts["timeline"] = gr.HTML(elem_id="timeline", padding=False)
    parts["strip"] = gr.HTML(elem_id="strip", padding=False)
    card, route = engine.card, engine.card.routes[0]
    with gr.Row(elem_id="choices"):
        with gr.Row(elem_classes="fw-group"):
            for name in PRESETS:
                parts[f"preset:{name}"] = gr.Button(
                    texts.PRESETS[name], size="sm", elem_id=name, min_width=60
                )
        parts |= _choices(card, route)
    with gr.Row(elem_id="sliders"):
        parts |= _sliders(card, route)
    with gr.Accordion(texts.LABELS["advanced"], open=False, elem_id="advanced"), gr.Row():
        parts |= _advanced(card, route, reader=reader)
    parts["plan"] = gr.Textbox(visible="hidden", elem_id="plan")
    parts["measuring"] = gr.Textbox(visible="hidden", elem_id="measuring")
    return parts


def _choices(card: ModelCard, route: Route) -> Parts:
    routes = [(texts.ROUTES[each.name], each.name) for each in card.routes]
    return {
        "strategy": gr.Radio(
            controls.strategies(None),
            value=controls.usual_strategy(route),
            label=texts.LABELS["strategy"],
            container=False,
            elem_id="strategy",
        ),
        "route": gr.Radio(
            routes,
            value=route.name,
            label=texts.LABELS["route"],
            container=False,
            visible=len(routes) > 1,
            elem_id="route",
        ),
    }


def _sliders(card: ModelCard, route: Route) -> Parts:
    ranges = controls.ranges(card, route)
    shown = controls.meaningful(card, route, controls.usual_strategy(route))
    nothing = controls.Range(low=1, high=2, value=1, step=1)  # what stays hidden
    parts: Parts = {}
    for name in controls.SLIDERS:
        each = ranges.get(name, nothing)
        parts[name] = gr.Slider(
            each.low,
            each.high,
            value=each.value,
            step=each.step,
            label=texts.LABELS[name],
            visible=name in shown,
            elem_id=name.replace("_", "-"),
            min_width=240,
        )
    return parts


def _advanced(card: ModelCard, route: Route, *, reader: str) -> Parts:
    labels = texts.LABELS
    reply = min(512, card.context_tokens // 4)
    return {
        "start": gr.Number(label=labels["start"], elem_id="start", min_width=120),
        "end": gr.Number(label=labels["end"], elem_id="end", min_width=120),
        "min_frame_tokens": gr.Number(
            label=labels["min_frame_tokens"],
            visible="min_frame_tokens" in controls.meaningful(card, route, "fps"),
            elem_id="min-frame-tokens",
            min_width=120,
        ),
        "reply_tokens": gr.Number(
            value=reply, label=labels["reply_tokens"], elem_id="reply-tokens", min_width=120
        ),
        "reader": gr.Dropdown(
            list(READERS), value=reader, label=labels["reader"], elem_id="reader", min_width=120
        ),
    }


def _right(engine: Engine) -> Parts:
    parts: Parts = {
        "meter": gr.HTML(
            f'<p class="fw-quiet">{texts.EMPTY_METER}</p>', elem_id="meter", padding=False
        ),
        "live": gr.HTML(elem_id="live", padding=False),
        "fit": gr.Button(texts.LABELS["fit"], visible=False, size="sm", elem_id="fit"),
        "chat": gr.Chatbot(
            elem_id="chat",
            height="100%",
            show_label=False,
            placeholder=texts.EMPTY_CHAT,
            buttons=["copy"],
            feedback_options=None,
            latex_delimiters=[],
            layout="bubble",
        ),
        "notice": gr.HTML(elem_id="notice", padding=False),
    }
    with gr.Row(elem_id="as-if"):
        parts["unasked"] = gr.HTML(elem_id="unasked", padding=False)
        parts["back"] = gr.Button(
            texts.BACK.format(engine.card.name), visible=False, size="sm", elem_id="back"
        )
    if engine.card.folder is not None and engine.card.folder.resolve() == DEMO_MODEL:
        gr.HTML(
            f'<p class="fw-quiet">{texts.DEMO_NOTICE}</p>', elem_id="demo-notice", padding=False
        )
    with gr.Row(elem_id="asking"):
        parts["question"] = gr.Textbox(
            placeholder=texts.ASK_PLACEHOLDER,
            show_label=False,
            container=False,
            elem_id="question",
            lines=1,
            max_lines=6,
            scale=8,
        )
        labels = texts.LABELS
        parts["ask"] = gr.Button(labels["ask"], variant="primary", elem_id="ask", min_width=80)
        parts["stop"] = gr.Button(
            labels["stop"], variant="stop", visible=False, elem_id="stop", min_width=80
        )
        parts["clear"] = gr.Button(labels["clear"], elem_id="clear", min_width=80)
    return parts
