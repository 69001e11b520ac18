"""What is foretold to be reused is what is reused: a real small model, question after question."""

from __future__ import annotations

import copy
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from asking_by_hand import NEVER, ending, listening, request, said
from core.asking import Foreseen, answer, foresee
from core.engine import Engine, Finished, Request
from core.engine import fast as fast_module
from core.engine.base import reuse_of
from core.engine.local import LocalEngine
from core.engine.replicas import Replicas
from core.planning import Reused, Settings, Turn, load_card
from core.planning.machine import processor as this_processor
from core.planning.seconds import NOTHING
from core.recalling import recalled
from core.video import VideoInfo, iter_frames, probe
from core.video.digest import learn
from core.video.store import FrameStore
from fake_engine import FakeEngine, wait_until

PATIENCE_SECONDS = 60.0


@pytest.fixture
def make(tiny_model: Path, untouched: Any, processor: Any) -> Iterator[Callable[[], LocalEngine]]:
    """Makes engines that have seen nothing."""
    torch.set_num_threads(1)
    made: list[LocalEngine] = []

    def engine() -> LocalEngine:
        card = load_card(tiny_model)
        made.append(LocalEngine(card, copy.deepcopy(untouched), processor, (this_processor(),)))
        return made[-1]

    yield engine
    for each in made:
        each.close()


@pytest.fixture
def info(clip_file: Callable[[str], Path]) -> VideoInfo:
    return probe(clip_file("h264.mp4"))


class Asking:
    """Asks one engine about one video; fails unless all that was foretold of a question happens."""

    def __init__(self, engine: Engine, info: VideoInfo, frames_from: Any = iter_frames) -> None:
        self.engine, self._info, self._frames_from = engine, info, frames_from

    def foreseen(self, *words: str, **chosen: Any) -> Foreseen:
        """``words`` are the turns: user and assistant, by turns."""
        turns = [Turn("assistant" if n % 2 else "user", each) for n, each in enumerate(words)]
        settings = Settings(**{"reply_tokens": 8, "max_frame_tokens": 16, **chosen})
        found = foresee(
            self._info, settings, self.engine.card, turns, devices=self.engine.devices()
        )
        return recalled(found, self.engine, frames_from=self._frames_from)

    def __call__(self, *words: str, **chosen: Any) -> tuple[str, Reused]:
        """The reply, and what was reused."""
        foreseen = self.foreseen(*words, **chosen)
        events = list(answer(self.engine, foreseen, stop=NEVER, frames_from=self._frames_from))
        finished = ending(events)
        assert finished.prompt_tokens == foreseen.estimate.tokens.prompt
        assert finished.reused == foreseen.estimate.reused
        return said(events), finished.reused


def test_what_was_asked_before_the_digest_was_known_is_of_use_after(
    make: Callable[[], LocalEngine], info: VideoInfo, tmp_path: Path
) -> None:
    """A long upload is still being hashed at the first question."""
    assert info.path is not None
    fresh = replace(info, path=Path(shutil.copy(info.path, tmp_path / "fresh.mp4")))
    ask = Asking(make(), fresh)
    reply, _ = ask("What happens?")
    assert fresh.path is not None
    learn(fresh.path)
    _, reused = ask("What happens?", reply, "And then?")
    assert reused.tokens > 0
    assert reused.reading == "none"


def _all_but(tokens: int, reused: Reused) -> bool:
    """Whether the model knew the video, and so many tokens or more."""
    return (reused.seen, reused.reading) == (True, "none") and reused.tokens >= tokens


def test_a_conversation(make: Callable[[], LocalEngine], info: VideoInfo) -> None:
    """The first question is read whole, each later one from where it is new."""
    ask, words = Asking(make(), info), ["What is this?"]
    reply, reused = ask(*words)
    assert reused == NOTHING
    least = 0
    for question in ("And then?", " 7 of them?", "<|im_end|> or 漢字 🎬?"):
        before = ask.foreseen(*words).estimate.tokens.prompt
        words += [reply, question]
        reply, reused = ask(*words)
        assert _all_but(before, reused)
        assert reused.tokens > least
        least = reused.tokens


@pytest.mark.parametrize(
    "words",
    [
        ["What is this?"],
        ["When does it appear?"],
        ["What is this?", "An edited answer.", "And then?"],
        ["Edited, what is this?", "A circle.", "And then?"],
        ["\nWhat?"],
    ],
    ids=["the same", "cleared", "an edited answer", "an edited question", "an odd beginning"],
)
def test_after_a_conversation(
    words: list[str], make: Callable[[], LocalEngine], info: VideoInfo
) -> None:
    ask = Asking(make(), info)
    reply, _ = ask("What is this?")
    ask("What is this?", reply, "And then?")
    _, reused = ask(*words)
    video = ask.foreseen(*words).estimate.tokens.video
    assert _all_but(video, reused)


@pytest.mark.parametrize(
    "changed",
    [{"max_frame_tokens": 32}, {"fps": 1.0}, {"end": 1.5}],
    ids=["size", "rate", "span"],
)
def test_a_changed_plan_and_back(
    changed: dict[str, Any], make: Callable[[], LocalEngine], info: VideoInfo
) -> None:
    ask = Asking(make(), info)
    ask("What is this?")
    assert ask("What is this?", **changed)[1] == NOTHING
    assert (
        ask("What is this?")[1].tokens == ask.foreseen("What is this?").estimate.tokens.prompt - 1
    )
    assert ask.foreseen("What is this?", **changed).estimate.reused.reading == "none"
    assert ask.foreseen("What is this?", reply_tokens=99).estimate.reused.reading == "none"


def test_two_sessions_about_one_video(make: Callable[[], LocalEngine], info: VideoInfo) -> None:
    ask = Asking(make(), info)
    one, two = ["What is this?"], ["What is that?"]
    for number, question in enumerate(("And then?", "Why?", "Why?")):
        for session in (one, two):
            reply, reused = ask(*session)
            assert (reused == NOTHING) == (number == 0 and session is one)
            session += [reply, question]


def test_two_replicas(make: Callable[[], LocalEngine], info: VideoInfo) -> None:
    """Each has its own conversation; a question goes to the one that keeps most of it."""
    engines = make(), make()
    both = Replicas(engines)
    alone = [Asking(each, info) for each in engines]
    said_there = [each(f"What is number {n}?")[0] for n, each in enumerate(alone)]
    ask = Asking(both, info)
    for number in (1, 0, 1):
        words = [f"What is number {number}?", said_there[number], "And then?"]
        best = alone[number].foreseen(*words).estimate.reused
        assert best.tokens > alone[1 - number].foreseen(*words).estimate.reused.tokens
        assert ask(*words)[1] == best


def test_a_busy_replica_is_not_counted_on(make: Callable[[], LocalEngine], info: VideoInfo) -> None:
    """Who asks now gets the free one, which has to read it all."""
    knowing, other = make(), make()
    both = Replicas((knowing, other))
    Asking(knowing, info)("What is this?")
    under_way = both.stream(replace(request(both.card), video="film"), stop=NEVER)
    next(under_way)  # takes the first of two that know nothing of it: the one that knows ours
    assert Asking(both, info)("What is this?")[1] == NOTHING
    list(under_way)
    assert Asking(both, info)("What is this?")[1].tokens > 0


def test_frames_of_a_store(
    make: Callable[[], LocalEngine], info: VideoInfo, tmp_path: Path
) -> None:
    """Another day: the model knows nothing, the disk does."""
    store = FrameStore(tmp_path / "store")
    ask = Asking(make(), info, store)
    assert ask("What is this?")[1] == NOTHING
    store.settle()
    assert ask("And then?")[1].reading == "none"
    again = Asking(make(), info, FrameStore(tmp_path / "store"))
    assert again("What is this?")[1] == Reused(reading="store")
    assert again.foreseen("What?", fps=1.0).estimate.reused == NOTHING


def test_another_copy_of_the_video(
    make: Callable[[], LocalEngine], info: VideoInfo, tmp_path: Path
) -> None:
    """Known by its content, once somebody has looked at it."""
    assert info.path is not None
    learn(info.path)
    engine, twin = make(), Path(shutil.copy(info.path, tmp_path / "twin.mp4"))
    Asking(engine, info)("What is this?")
    ask = Asking(engine, probe(twin))
    assert ask.foreseen("What is that?").estimate.reused == NOTHING
    learn(twin)
    assert ask("What is that?")[1].tokens > 0


def _foretold_of(engine: LocalEngine, asked: Request) -> Reused:
    """What is foretold of a request, which must happen too."""
    foretold = engine.reuse(replace(asked, frames=None))
    finished = ending(list(engine.stream(asked, stop=NEVER)))
    assert replace(finished.reused, reading=foretold.reading) == foretold
    return foretold


def test_another_beginning_is_seen_but_not_read(make: Callable[[], LocalEngine]) -> None:
    engine = make()
    asked = replace(request(engine.card), video="film")
    _foretold_of(engine, asked)
    other = replace(asked, prompt="Be brief. " + asked.prompt)
    assert _foretold_of(engine, other) == Reused(seen=True)


def test_nothing_is_kept_of_a_video_without_a_name(make: Callable[[], LocalEngine]) -> None:
    engine = make()
    for _ in range(2):
        assert _foretold_of(engine, request(engine.card)) == NOTHING


def test_a_closed_engine_keeps_nothing(make: Callable[[], LocalEngine]) -> None:
    engine = make()
    asked = replace(request(engine.card), video="film")
    _foretold_of(engine, asked)
    assert engine.reuse(asked).tokens > 0
    engine.close()
    assert engine.reuse(asked) == NOTHING


def test_without_a_tokenizer_at_hand_the_video_is_sure(
    tiny_model: Path, untouched: Any, processor: Any
) -> None:
    """Words are then unknown; the video before them was read all the same."""
    card = replace(load_card(tiny_model), folder=None)
    engine = LocalEngine(card, copy.deepcopy(untouched), processor, (this_processor(),))
    asked = replace(request(load_card(tiny_model)), video="film")
    list(engine.stream(asked, stop=NEVER))
    found = engine.reuse(replace(asked, frames=None))
    assert asked.plan.video_tokens <= found.tokens
    finished = ending(list(engine.stream(asked, stop=NEVER)))
    assert found.tokens < finished.reused.tokens
    engine.close()


@pytest.mark.parametrize("known", [False, True])
def test_of_an_engine_that_does_not_say(known: bool, tiny_model: Path) -> None:
    engine = FakeEngine(load_card(tiny_model))
    engine.known = {"film"} if known else set()
    asked = replace(request(engine.card), video="film", frames=None)
    assert reuse_of(engine, asked) == Reused(reading="none" if known else "video")
    assert reuse_of(engine, replace(asked, video=None)) == NOTHING


class Held:
    """Lets the model go on with the second part of its prompt when it is told to."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._passes = 0

    def __call__(self) -> None:
        self._passes += 1
        if self._passes == 2:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_SECONDS)


def test_the_answer_under_way_is_not_waited_for(
    tiny_model: Path,
    untouched: Any,
    processor: Any,
    info: VideoInfo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked while the model is amid the video, of which no part counts, and again afterwards."""
    monkeypatch.setattr(fast_module, "CHUNK_TOKENS", 32)
    own = copy.deepcopy(untouched)
    engine = LocalEngine(load_card(tiny_model), own, processor, (this_processor(),))
    ask, held, heard = Asking(engine, info), Held(), list[Finished]()

    def answered() -> None:
        foreseen = ask.foreseen("What is this?")
        heard.append(ending(list(answer(engine, foreseen, stop=NEVER))))

    with listening(own, held):
        thread = threading.Thread(target=answered, daemon=True)
        thread.start()
        assert held.reached.wait(PATIENCE_SECONDS)
        assert ask.foreseen("And then?").estimate.reused == Reused(seen=True, reading="none")
        held.go_on.set()
        thread.join(PATIENCE_SECONDS)
    assert heard[0].reused == NOTHING
    assert ask("And then?")[1].tokens > 0
    engine.close()


def test_asked_all_the_time_beside_answers(
    make: Callable[[], LocalEngine], info: VideoInfo
) -> None:
    """No answer and no forecast fails of the other, whatever is kept or let go meanwhile."""
    engine = make()
    ask, over = Asking(engine, info), threading.Event()
    told, faults = list[int](), list[Exception]()

    def look() -> None:
        try:
            while not over.wait(0.001):  # lets the answers have a turn
                found = ask.foreseen("What is this?", "A circle.", "Why?").estimate.reused
                told.append(found.tokens)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=look, daemon=True) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        for number in range(8):
            reply, _ = ask(f"What is number {number}?")
            ask(f"What is number {number}?", reply, "Why?")
        assert wait_until(lambda: faults or (told and told[-1] > 0))
    finally:
        over.set()
        for each in threads:
            each.join(PATIENCE_SECONDS)
    assert faults == []
