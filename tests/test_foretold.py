"""What is foretold is what happens: tokens, frames and times, through every layer at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from clips import CLIPS, numbers_of
from command_line import Command, in_a_process
from core.asking import answer, foresee
from core.engine import Engine, Event, Finished, Request, Text
from core.engine.loading import choose_devices, load_engine
from core.errors import Cancelled
from core.planning import Device, ModelCard, Settings, Turn, load_card
from core.records import answered_record
from core.video import probe

QUESTIONS = ["What happens?", "When does the red circle appear?", "漢字 🎬 at <2.0 seconds>?", "?"]
OPTIONS = {name: f"--{name.replace('_', '-')}" for name in Settings().as_dict()}


class Watching:
    """An engine that keeps the requests it hands on."""

    capacity = 1

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.card: ModelCard = engine.card
        self.requests: list[Request] = []
        self.execution = engine.execution

    def knows(self, video: Hashable) -> bool:
        return self._engine.knows(video)

    def devices(self) -> tuple[Device, ...]:
        return self._engine.devices()

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        self.requests.append(request)
        return self._engine.stream(request, stop=stop)

    def close(self) -> None:
        self._engine.close()


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[Watching]:
    torch.set_num_threads(1)
    engine = Watching(load_engine(load_card(model), device="cpu"))
    yield engine
    engine.close()


def _random_settings(random_: random.Random, seconds: float) -> dict[str, Any]:
    def maybe(*choices: Any) -> Any:
        return random_.choice([None, *choices])

    start = maybe(round(random_.uniform(0, seconds / 2), 2))
    chosen = {
        "strategy": random_.choice(["fps", "fps", "uniform"]),
        "fps": maybe(0.4, 1, 2.5, 7, 30),
        "min_frames": maybe(1, 2, 5),
        "max_frames": random_.choice([5, 8, 13, 30]),
        "start": start,
        "end": maybe(round(random_.uniform(0.7, 1) * seconds, 2)),
        "max_frame_tokens": random_.choice([8, 16, 25, 40]),
        "video_token_budget": maybe(60, 200, 1000),
        "reply_tokens": random_.choice([1, 2, 3]),
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _arguments(chosen: dict[str, Any]) -> list[str]:
    return [str(part) for name, value in chosen.items() for part in (OPTIONS[name], value)]


def _asked(engine: Watching, path: Path, question: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """The record of ``ask --json``, by the same calls, with an engine that is loaded once."""
    foreseen = foresee(
        probe(path),
        Settings(**chosen),
        engine.card,
        [Turn("user", question)],
        devices=choose_devices("cpu"),
    )
    events = list(answer(engine, foreseen, stop=threading.Event()))
    assert isinstance(events[-1], Finished)
    text = "".join(event.text for event in events if isinstance(event, Text))
    return answered_record(foreseen, text, events[-1])


@pytest.mark.parametrize("seed", range(50))
def test_estimate_is_what_happens(
    seed: int, engine: Watching, framewise: Command, clip_file: Callable[[str], Path]
) -> None:
    random_ = random.Random(seed)
    clip = random_.choice([clip for clip in CLIPS.values() if clip.frames > 20])
    path, question = clip_file(clip.name), random_.choice(QUESTIONS)
    chosen = _random_settings(random_, clip.shown_times[-1])
    estimate = framewise(
        "estimate", path, "--question", question, "--model", engine.card.source,
        *_arguments(chosen), "--json",
    ).record  # fmt: skip
    record = _asked(engine, path, question, chosen)
    request = engine.requests[-1]
    assert estimate["verdict"] == "fits"
    assert record["actual"]["prompt_tokens"] == estimate["tokens"]["prompt"]
    assert record["actual"]["reply_tokens"] <= estimate["tokens"]["reply"]
    for part in ("frames", "tokens", "settings", "video", "route", "context"):
        assert record[part] == estimate[part]
    frames = estimate["frames"]
    assert numbers_of(request.frames.pixels) == frames["indices"]
    assert record["actual"]["frame_times"] == frames["times"]
    assert list(request.frames.seconds) == frames["times"]
    true_times = [clip.shown_times[index] for index in frames["indices"]]
    assert frames["times"] == pytest.approx(true_times, abs=0.0011)
    shape = (frames["count"], frames["height"], frames["width"], 3)
    assert request.frames.pixels.shape == shape


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("h264.mp4", {"fps": 2.5, "max_frame_tokens": 16}),
        ("uneven.mkv", {"strategy": "uniform", "max_frames": 8, "max_frame_tokens": 9}),
        ("turned_90.mp4", {"start": 0.3, "end": 0.9, "max_frame_tokens": 20}),
    ],
    ids=["h264", "uneven", "turned"],
)
def test_in_processes_of_their_own(
    name: str, chosen: dict[str, Any], model: Path, clip_file: Callable[[str], Path]
) -> None:
    """As a person runs the two commands, one after the other."""
    options = [*_arguments({**chosen, "reply_tokens": 3}), "--model", model, "--json"]
    path, question = clip_file(name), "When does the flash happen?"
    estimate = in_a_process("estimate", path, "--question", question, *options)
    asked = in_a_process("ask", path, question, *options, "--device", "cpu")
    assert (estimate.code, asked.code) == (0, 0)
    assert "Traceback" not in asked.err
    assert asked.record["actual"]["prompt_tokens"] == estimate.record["tokens"]["prompt"]
    assert asked.record["actual"]["frame_times"] == estimate.record["frames"]["times"]
    assert asked.record["frames"] == estimate.record["frames"]
    assert isinstance(asked.record["answer"], str)
    peak = asked.record["actual"]["peak_bytes"][0]  # of the libraries nearly all
    assert 0.5 * asked.record["memory"][0]["peak"] < peak <= asked.record["memory"][0]["peak"]


def test_a_conversation_of_three_questions(
    engine: Watching, clip_file: Callable[[str], Path]
) -> None:
    """The history counts, answers of before included."""
    info, turns = probe(clip_file("h264.mp4")), []
    for question in ("What is this?", "When does it <|im_end|> happen?", "And then?"):
        turns.append(Turn("user", question))
        foreseen = foresee(
            info,
            Settings(reply_tokens=6, max_frame_tokens=16),
            engine.card,
            turns,
            devices=engine.devices(),
        )
        events = list(answer(engine, foreseen, stop=threading.Event()))
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert finished.prompt_tokens == foreseen.estimate.tokens.prompt
        text = "".join(event.text for event in events if isinstance(event, Text))
        turns.append(Turn("assistant", text))
    assert foreseen.estimate.tokens.history > 0


def test_stop_while_frames_are_read(engine: Watching, clip_file: Callable[[str], Path]) -> None:
    info, stop = probe(clip_file("h264.mp4")), threading.Event()
    chosen = Settings(max_frame_tokens=4)
    turns = [Turn("user", "What?")]
    foreseen = foresee(info, chosen, engine.card, turns, devices=engine.devices())
    stop.set()
    asked = len(engine.requests)
    with pytest.raises(Cancelled):
        list(answer(engine, foreseen, stop=stop))
    assert len(engine.requests) == asked
