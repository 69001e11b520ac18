"""A served page and a Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.engine.base import Engine
from core.planning import load_card
from tiny_checkpoint import write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 30_000  # machines that run tests are busy; nothing here is about speed
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _chromium() -> str | None:
    """The path that `make test` found, or one on PATH; None lets Playwright take its own."""
    noted = ROOT / ".venv" / "chromium.path"
    if noted.is_file() and noted.read_text().strip():
        return noted.read_text().strip()
    return shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        chromium = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def tiny_card(tmp_path_factory: pytest.TempPathFactory):
    return load_card(str(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny-vl")))


@pytest.fixture
def serve() -> Iterator[Callable[[Engine], str]]:
    """Serve an engine's page; gives its address."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from ui.page import build, launch_options

    pages = []

    def start(engine: Engine) -> str:
        page = build(engine)
        page.queue(max_size=64, default_concurrency_limit=4)
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
        pages.append(page)
        return url

    yield start
    for page in pages:
        page.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address; afterwards no error may have reached the console."""
    faults: list[str] = []
    contexts = []

    def open_page(url: str, *, width: int = 1440, height: int = 860) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#player input[type=file]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
