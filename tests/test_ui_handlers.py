"""The handlers without a browser: what a person did goes in, updates come out."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from core.engine.base import Request
from core.engine.loading import load_engine
from core.planning import DEMO_MODEL, ModelCard, Reused, load_card
from core.planning.seconds import NOTHING
from core.video.store import FrameStore
from fake_engine import FakeEngine, wait_until
from tiny_checkpoint import write_tiny_checkpoint
from ui import texts
from ui.film import fill_strip
from ui.handlers import Handlers
from ui.sessions import IDLE_SECONDS, Session, Sessions

Result = TypeVar("Result")
CLIP = str(DEMO_MODEL.parent / "examples" / "order.mp4")
VALUES: dict[str, Any] = {"fps": 1.0, "min_frames": 4, "max_frames": 64, "max_frame_tokens": 64}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return load_card(str(write_tiny_checkpoint(tmp_path_factory.mktemp("handlers") / "tiny")))


@pytest.fixture
def handlers(card: ModelCard) -> Handlers:
    return Handlers(FakeEngine(card, words=["One ", "two."]))


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """In a thread of its own: the browser tests keep an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def opened(handlers: Handlers, path: str | None = CLIP) -> Session:
    session = Session()
    handlers.open_video(path, session, VALUES, "")
    return session


def asked(handlers: Handlers, session: Session, question: str) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [update async for update in handlers.ask(session, VALUES, question)]

    return run(collect())


def test_a_question_is_answered_and_remembered(handlers: Handlers) -> None:
    session = opened(handlers)
    updates = asked(handlers, session, "What happens?")
    assert updates[0]["busy"] is True
    assert updates[-1]["busy"] is False
    assert "One two." in updates[-1]["chat"][-1]["content"]
    asked(handlers, session, "And then?")
    assert [turn.text for turn in session.turns("x")] == [
        "What happens?", "One two.", "And then?", "One two.", "x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "question", "message"),
    [
        (None, "What?", "There is no video yet"),
        (CLIP, "  ", "The question is empty"),
        (CLIP, "word " * 40_000, "exceed the 32,768"),
    ],
    ids=["no-video", "empty", "too-long"],
)
def test_a_refused_question_is_given_back_with_a_notice(
    handlers: Handlers, path: str | None, question: str, message: str
) -> None:
    session = opened(handlers, path)
    (update,) = asked(handlers, session, question)
    assert message in update["notice"]
    assert update["question"] == question
    assert session.exchanges == []


def test_a_defect_of_the_engine_keeps_question_and_details_apart(handlers: Handlers) -> None:
    session = opened(handlers)
    handlers.engine.fail_with = ZeroDivisionError("secret")  # type: ignore[attr-defined]
    update = asked(handlers, session, "What?")[-1]
    assert "ZeroDivisionError" in update["notice"]
    assert "secret" not in update["notice"]
    assert update["question"] == "What?"


def test_stop_keeps_what_was_said(card: ModelCard) -> None:
    engine = FakeEngine(card, words=["word "] * 500, pause_seconds=0.02)
    handlers = Handlers(engine)
    session = opened(handlers)
    stopper = threading.Timer(0.8, lambda: handlers.stop(session))
    stopper.start()
    update = asked(handlers, session, "Go on")[-1]
    assert "stopped" in update["chat"][-1]["content"]
    assert 0 < engine.said < 500
    assert wait_until(lambda: engine.answering == 0)


def test_settings_that_contradict_each_other_are_told_in_the_meter(handlers: Handlers) -> None:
    session = opened(handlers)
    update = handlers.follow(session, {**VALUES, "start": 5.0, "end": 2.0}, "")
    assert "start (5 s) is not before end (2 s)" in update["meter"]
    assert session.foreseen is None
    assert list(fill_strip(session)) == [""]


def test_fit_gives_values_that_fit(handlers: Handlers) -> None:
    session = opened(handlers)
    values = {**VALUES, "fps": 30.0, "max_frames": 768, "max_frame_tokens": 768}
    update = handlers.follow(session, values, "")
    assert 'data-verdict="over_context"' in update["meter"]
    assert update["fit"]["visible"] is True
    fitting = {**values, **handlers.fit(session)}
    assert 'data-verdict="fits"' in handlers.follow(session, fitting, "")["meter"]


def test_the_strip_shows_exactly_the_planned_frames(handlers: Handlers) -> None:
    session = opened(handlers)
    last = list(fill_strip(session))[-1]
    assert session.foreseen is not None
    assert last.count("<img") == len(session.foreseen.plan.indices)
    assert set(session.pictures) == set(session.foreseen.plan.indices)


def test_a_refused_file_leaves_nothing_of_the_old_video(handlers: Handlers, tmp_path: Path) -> None:
    session = opened(handlers)
    asked(handlers, session, "What happens?")
    fake = tmp_path / "fake.mp4"
    fake.write_text("not a video")
    update = handlers.open_video(str(fake), session, VALUES, "")
    assert "is not a video" in update["notice"]
    assert update["chat"] == []
    assert session.info is None
    assert session.exchanges == []


def test_rates_follow_what_was_measured(handlers: Handlers) -> None:
    session = opened(handlers)
    assert session.foreseen is not None
    assert session.foreseen.estimate.seconds.rough
    asked(handlers, session, "What happens?")
    handlers.follow(session, VALUES, "")
    assert not session.foreseen.estimate.seconds.rough


class Remembering(FakeEngine):
    """Says of every request that so much of it is kept."""

    keeps = NOTHING

    def reuse(self, request: Request) -> Reused:
        return self.keeps


@pytest.mark.parametrize(
    ("keeps", "words"),
    [
        (NOTHING, None),
        (Reused(tokens=100, seen=True, reading="none"), "100 of {} tokens are kept."),
        (Reused(tokens=100_000, seen=True), "{0} of {0} tokens are kept."),
        (Reused(seen=True, reading="none"), "What it saw of the frames is kept."),
        (Reused(reading="store"), "The frames are on disk."),
    ],
    ids=["nothing", "tokens", "an approximate prompt", "frames", "store"],
)
def test_the_meter_says_what_is_kept(keeps: Reused, words: str | None, card: ModelCard) -> None:
    engine = Remembering(card)
    handlers = Handlers(engine)
    session = opened(handlers)
    engine.keeps = keeps
    meter = handlers.follow(session, VALUES, "What?")["meter"]
    assert session.foreseen is not None
    estimate = session.foreseen.estimate
    assert estimate.reused == keeps
    assert ("kept" in meter or "on disk" in meter) == (words is not None)
    assert words is None or words.format(f"{estimate.tokens.prompt:,}") in meter
    handlers.follow(session, {**VALUES, "model": QWEN}, "What?")
    assert session.foreseen.estimate.reused == NOTHING  # what is not loaded keeps nothing


def test_a_defect_in_what_is_kept_is_told_in_the_meter(card: ModelCard) -> None:
    class Confused(FakeEngine):
        def reuse(self, request: Request) -> Reused:
            raise ArithmeticError("confused")

    handlers = Handlers(Confused(card))
    session = opened(handlers)
    assert texts.DEFECT in handlers.follow(session, VALUES, "What?")["meter"]
    assert session.foreseen is None


def test_what_is_kept_is_soon_answered(card: ModelCard) -> None:
    engine = Remembering(card)
    handlers = Handlers(engine)
    session = opened(handlers)
    values = {**VALUES, "fps": 8.0, "max_frame_tokens": 256}
    whole = handlers.follow(session, values, "What?")["meter"]
    assert "First word in roughly" in whole
    engine.keeps = Reused(tokens=10_000_000, seen=True, reading="none")
    assert "First word in less than 0.1 s" in handlers.follow(session, values, "What?")["meter"]


def test_a_second_question_is_foretold_and_answered_alike() -> None:
    """With the demo model: the meter's number is the one under the answer."""
    engine = load_engine(load_card(DEMO_MODEL), device="cpu")
    handlers = Handlers(engine)
    session = opened(handlers)
    first = asked(handlers, session, "What happens?")[-1]
    assert "kept" not in first["chat"][-1]["content"]
    meter = handlers.follow(session, VALUES, "And then?")["meter"]
    (kept,) = re.findall(r"([\d,]+) of [\d,]+ tokens are kept", meter)
    last = asked(handlers, session, "And then?")[-1]
    assert f"as foretold ({kept} kept)" in last["chat"][-1]["content"]
    meter = handlers.clear(session, VALUES)["meter"]
    (cleared,) = re.findall(r"([\d,]+) of [\d,]+ tokens are kept", meter)
    assert int(cleared.replace(",", "")) < int(kept.replace(",", ""))
    changed = {**VALUES, "max_frame_tokens": 32}
    assert "kept" not in handlers.follow(session, changed, "What?")["meter"]
    engine.close()


def test_frames_from_the_store_say_nothing_of_the_decoder(card: ModelCard, tmp_path: Path) -> None:
    """They come a hundred times as fast, and the next video has to be decoded again."""
    store = FrameStore(tmp_path / "store")
    handlers = Handlers(FakeEngine(card), frames_from=store)
    session = opened(handlers)
    before = handlers.rates
    asked(handlers, session, "What happens?")
    decoder = handlers.rates.decoded_pixels
    assert decoder != before.decoded_pixels
    store.settle()
    assert "on disk" in handlers.follow(session, VALUES, "Again?")["meter"]
    asked(handlers, session, "Again?")
    assert handlers.rates.decoded_pixels == decoder


def test_frames_that_the_engine_knows_say_nothing_of_the_decoder(card: ModelCard) -> None:
    engine = Knowing(card)
    handlers = Handlers(engine)
    session = opened(handlers)
    decoder = handlers.rates.decoded_pixels
    asked(handlers, session, "What happens?")
    assert engine.requests[0].frames is None
    assert handlers.rates.decoded_pixels == decoder


class Knowing(FakeEngine):
    """Knows every video, and says no more of what it keeps."""

    def knows(self, video: object) -> bool:
        return True


def test_sessions_are_apart_and_forgotten_when_closed_or_idle() -> None:
    sessions = Sessions()
    first, second = sessions.of("a"), sessions.of("b")
    assert sessions.of("a") is first
    assert first is not second
    sessions.drop("a")
    assert first.stop.is_set()
    assert not second.stop.is_set()
    second.used -= IDLE_SECONDS + 1
    assert sessions.of("c") is not second
    assert second.stop.is_set()


def test_the_meter_counts_the_answer_as_history_for_the_sliders_as_they_are_by_then(
    handlers: Handlers,
) -> None:
    session = opened(handlers)
    before = session.foreseen
    assert before is not None

    async def ask_and_move() -> dict[str, Any]:
        last: dict[str, Any] = {}
        async for update in handlers.ask(session, VALUES, "What happens?"):
            handlers.follow(session, {**VALUES, "fps": 2.0}, "")  # the slider moves meanwhile
            last = update
        return last

    update = run(ask_and_move())
    after = session.foreseen
    assert after is not None
    assert after.estimate.tokens.history > 0
    assert len(after.plan.indices) > len(before.plan.indices)
    assert f"{after.estimate.tokens.prompt:,} tokens" in update["meter"]


def test_a_stop_before_the_first_word_teaches_no_rates(card: ModelCard) -> None:
    handlers = Handlers(FakeEngine(card, words=["word "] * 500, pause_seconds=5.0))
    session = opened(handlers)
    before = handlers.rates
    threading.Timer(0.5, lambda: handlers.stop(session)).start()
    update = asked(handlers, session, "Go on")[-1]
    assert update["question"] == "Go on"
    assert handlers.rates == before


QWEN, INTERN = "Qwen/Qwen3-VL-8B-Instruct", "OpenGVLab/InternVL3-8B"


def test_another_model_brings_its_own_controls_and_its_meter(handlers: Handlers) -> None:
    session = opened(handlers)
    update = handlers.chooser.choose_model(session, {**VALUES, "model": INTERN}, "")
    assert session.foreseen is not None
    assert session.foreseen.card.name == INTERN
    assert f"as if <b>{INTERN}</b>" in update["meter"]
    assert update["max_frame_tokens"]["visible"] is False
    assert update["fps"]["visible"] is False  # begins with uniform
    assert update["strategy"]["value"] == "uniform"
    assert update["max_frames"] | {"value": 32, "visible": True} == update["max_frames"]
    assert [name for _, name in update["route"]["choices"]] == ["processor", "tiles"]
    assert (update["askable"], update["back"]["visible"]) == (False, True)


def test_other_devices_change_the_memory_and_nothing_else(handlers: Handlers) -> None:
    session = opened(handlers)
    before = session.foreseen
    assert before is not None
    update = handlers.chooser.choose_devices(session, {**VALUES, "devices": "4xL4"}, "")
    assert session.foreseen is not None
    assert session.foreseen.plan == before.plan
    assert update["meter"].count("fw-device") == 4
    assert not {"max_frames", "strategy", "route"} & update.keys()
    assert update["askable"] is False


def test_asking_is_refused_while_planning_for_what_is_not_loaded(handlers: Handlers) -> None:
    session = opened(handlers)

    async def collect() -> list[dict[str, Any]]:
        values = {**VALUES, "model": QWEN}
        return [update async for update in handlers.ask(session, values, "What?")]

    (update,) = run(collect())
    assert "not loaded" in update["notice"]
    assert update["question"] == "What?"
    assert handlers.engine.requests == []  # type: ignore[attr-defined]


def test_the_way_back_gives_the_loaded_model_and_its_plan(handlers: Handlers) -> None:
    session = opened(handlers)
    values = {**VALUES, "model": QWEN, "devices": "H200"}
    handlers.chooser.choose_model(session, values, "")
    update = handlers.chooser.back(session, values, "")
    assert update["model"] == handlers.engine.card.name
    assert (update["askable"], update["back"]["visible"]) == (True, False)
    assert session.foreseen is not None
    assert session.foreseen.card is handlers.engine.card
    assert "as if" not in update["meter"]


def test_another_route_keeps_the_frames_and_moves_the_patches(handlers: Handlers) -> None:
    session = opened(handlers)
    values = {**VALUES, "model": QWEN, "route": "processor", "strategy": "fps"}
    update = handlers.chooser.choose_route(session, values, "")
    assert update["max_frame_tokens"]["maximum"] == 12_288
    assert "value" not in update["fps"]
    assert session.foreseen is not None
    assert session.foreseen.settings.fps == VALUES["fps"]
    assert session.foreseen.plan.route == "processor"


def test_a_preset_moves_the_sliders_of_the_model_that_is_planned_for(handlers: Handlers) -> None:
    found = handlers.chooser.preset({"model": INTERN, "route": "tiles"}, "detailed")
    assert (found["max_tiles"], found["max_frames"]) == (12, 32)
    assert "max_frame_tokens" not in found


def test_a_video_without_what_the_strategy_needs_gets_another_one(handlers: Handlers) -> None:
    session = Session()
    update = handlers.open_video(CLIP, session, {**VALUES, "strategy": "scenes"}, "")
    assert "scenes" not in update["strategy"]["choices"]
    assert update["strategy"]["value"] == "fps"
    assert session.foreseen is not None
