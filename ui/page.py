"""The components of the page, and how it is served; what its events do is said in wiring.py."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from core.engine.base import Engine
from core.errors import SettingsError
from core.planning.card import DEMO_MODEL, ModelCard
from ui import texts
from ui.examples import ASSETS, EXAMPLES, examples
from ui.handlers import Handlers
from ui.wiring import Parts, wire


def launch(engine: Engine, *, host: str, port: int) -> None:
    """Serve the page for ``engine`` until interrupted.

    Raises:
        SettingsError: the address is taken or not this machine's.
    """
    page = build(engine)
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


def build(engine: Engine) -> gr.Blocks:
    """The page for one engine."""
    handlers = Handlers(engine)
    with gr.Blocks(
        title=texts.TITLE, fill_width=True, analytics_enabled=False, delete_cache=(600, 86400)
    ) as page:
        gr.HTML(_header(engine), elem_id="header", padding=False)
        with gr.Row(elem_id="columns", equal_height=False):
            with gr.Column(scale=11, min_width=340, elem_id="left"):
                parts = _left(engine)
            with gr.Column(scale=9, min_width=340, elem_id="right"):
                parts |= _right(engine)
        wire(handlers, parts, page)
    return page


def _header(engine: Engine) -> str:
    devices = engine.devices()
    where = " + ".join(f"{each.name}" for each in devices[:4])
    return (
        f'<div class="fw-header"><h1>{texts.TITLE}</h1><span>{texts.TAGLINE}</span>'
        f"<em>{engine.card.name}</em><em>{where}</em>"
        '<button type="button" id="dark" aria-label="Dark or light">◐</button></div>'
    )


def _left(engine: Engine) -> Parts:
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
    with gr.Row(elem_id="sliders"):
        parts |= _sliders(engine.card)
    with gr.Accordion(texts.LABELS["advanced"], open=False, elem_id="advanced"), gr.Row():
        parts |= _advanced(engine)
    parts["meter"] = gr.HTML(
        f'<p class="fw-quiet">{texts.EMPTY_METER}</p>', elem_id="meter", padding=False
    )
    parts["fit"] = gr.Button(texts.LABELS["fit"], visible=False, size="sm", elem_id="fit")
    parts["plan"] = gr.Textbox(visible="hidden", elem_id="plan")
    return parts


def _sliders(card: ModelCard) -> Parts:
    limits = card.limits

    def slider(name: str, low: float, high: float, value: float, step: float) -> Component:
        return gr.Slider(
            low,
            high,
            value=value,
            step=step,
            label=texts.LABELS[name],
            elem_id=name.replace("_", "-"),
            min_width=240,
        )

    most = limits.max_frames
    highest = min(card.family.limits.max_frame_tokens, 4 * limits.max_frame_tokens)
    return {
        "fps": slider("fps", 0.05, max(8.0, limits.fps), limits.fps, 0.05),
        "max_frames": slider("max_frames", 2, most, most, 2),
        "max_frame_tokens": slider("max_frame_tokens", 4, highest, limits.max_frame_tokens, 4),
        "min_frames": slider("min_frames", 2, min(most, 128), limits.min_frames, 2),
    }


def _advanced(engine: Engine) -> Parts:
    labels = texts.LABELS
    reply = min(512, engine.card.context_tokens // 4)
    return {
        "strategy": gr.Radio(
            ["fps", "uniform"], value="fps", label=labels["strategy"], elem_id="strategy"
        ),
        "start": gr.Number(label=labels["start"], elem_id="start", min_width=120),
        "end": gr.Number(label=labels["end"], elem_id="end", min_width=120),
        "min_frame_tokens": gr.Number(
            label=labels["min_frame_tokens"],
            elem_id="min-frame-tokens",
            min_width=120,
        ),
        "reply_tokens": gr.Number(
            value=reply, label=labels["reply_tokens"], elem_id="reply-tokens", min_width=120
        ),
    }


def _right(engine: Engine) -> Parts:
    parts: Parts = {
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
    if engine.card.folder.resolve() == DEMO_MODEL:
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
