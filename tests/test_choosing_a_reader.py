"""The reader is chosen by name, and what it cannot do is an answer, not a detour to another."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from command_line import Command
from core.planning import DEMO_MODEL, load_card
from core.video.reading import READERS
from fake_engine import FakeEngine
from ui.handlers import Handlers
from ui.sessions import Session

HAS_DECORD = (platform.system(), platform.machine()) == ("Linux", "x86_64")
needs_decord = pytest.mark.skipif(not HAS_DECORD, reason="there is no decord for this platform")


@pytest.mark.parametrize("command", ["ask", "serve"])
def test_help_lists_the_readers(command: str, framewise: Command) -> None:
    words = framewise(command, "--help").out
    assert "--reader" in words
    assert all(reader in words for reader in READERS)


@pytest.mark.parametrize("command", [["ask", "clip.mp4", "What?"], ["serve"]], ids=["ask", "serve"])
def test_an_unknown_reader_is_refused_before_anything_is_loaded(
    command: list[str], framewise: Command
) -> None:
    done = framewise(*command, "--reader", "vhs", "--model", "no/such-model")
    assert done.code == 2
    assert "There is no reader 'vhs'" in done.err
    assert all(reader in done.err for reader in READERS)


@needs_decord
def test_the_chosen_reader_answers_or_says_why_not(
    framewise: Command, tiny_model: Path, clip_file: Callable[[str], Path]
) -> None:
    def ask(name: str, reader: str) -> tuple[int, str]:
        question = (clip_file(name), "What?", "--model", tiny_model, "--reply-tokens", "2")
        done = framewise("ask", *question, "--reader", reader)
        return done.code, done.err

    assert ask("h264.mp4", "decord")[0] == 0
    assert ask("av1.mp4", "pyav")[0] == 0
    code, said = ask("av1.mp4", "decord")
    assert code == 2
    assert "The reader decord cannot read av1.mp4: it has no decoder for AV1." in said
    assert "Choose the reader pyav." in said


def test_doctor_says_which_readers_work_here(framewise: Command) -> None:
    readers = framewise("doctor", "--json").record["readers"]
    assert set(readers) == set(READERS)
    assert readers["pyav"] is None
    words = framewise("doctor").out
    for reader, fault in readers.items():
        assert (fault or f"The reader {reader} works.") in words
        assert fault is None or "Or choose the reader pyav." in fault


def test_the_page_reads_with_the_reader_chosen_there(clip_file: Callable[[str], Path]) -> None:
    """decord cannot decode AV1 and says so; the page's own choice has it read."""
    handlers = Handlers(FakeEngine(load_card(str(DEMO_MODEL)), words=["Seen."]))
    session = Session()
    handlers.open_video(str(clip_file("av1.mp4")), session, {}, "")

    async def said(reader: str) -> dict[str, Any]:
        values = {"strategy": "uniform", "max_frames": 4, "reader": reader}
        return [each async for each in handlers.ask(session, values, "What happens?")][-1]

    def run(reader: str) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as pool:  # browser tests keep an event loop in this thread
            return pool.submit(asyncio.run, said(reader)).result()

    if HAS_DECORD:
        assert "The reader decord cannot read av1.mp4" in run("decord")["notice"]
    assert "Seen." in run("pyav")["chat"][-1]["content"]
