"""The next question about a video: nothing read twice, the same words as from a fresh engine."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from asking_by_hand import NEVER, Passes, ending, listening, request, said
from core.asking import answer, foresee
from core.engine import Event, Started
from core.engine import fast as fast_module
from core.engine.base import FramesNeeded
from core.engine.local import LocalEngine
from core.errors import MemoryOverflow
from core.planning import Settings, Turn, load_card
from core.planning.machine import processor as this_processor
from core.video import VideoInfo, iter_frames, probe
from core.video.reading import Frame

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes engines that have seen nothing, of one model whose replies vary."""

    folder: Path
    network: Any
    processor: Any

    def engine(self) -> tuple[LocalEngine, Any]:
        network = copy.deepcopy(self.network)
        card = load_card(self.folder)
        return LocalEngine(card, network, self.processor, (this_processor(),)), network


@pytest.fixture(scope="module")
def maker(tiny_model: Path, lively: Any, processor: Any) -> Maker:
    network = copy.deepcopy(lively)
    network.generation_config.repetition_penalty = 1.5  # more words, and each depends on the past
    return Maker(folder=tiny_model, network=network, processor=processor)


@pytest.fixture
def info(clip_file: Callable[[str], Path]) -> VideoInfo:
    return probe(clip_file("h264.mp4"))


def never_read(*_: Any, **__: Any) -> Iterator[Frame]:
    """A source of frames that must not be asked."""
    raise AssertionError("frames were read again")
    yield


class Reads:
    """Counts how often frames were asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *args: Any, **named: Any) -> Iterator[Frame]:
        self.count += 1
        return iter_frames(*args, **named)


def _answer(
    engine: LocalEngine,
    info: VideoInfo,
    turns: Sequence[Turn],
    frames_from: Any = iter_frames,
    **chosen: Any,
) -> list[Event]:
    settings = Settings(**{"reply_tokens": 8, "max_frame_tokens": 16, **chosen})
    foreseen = foresee(info, settings, engine.card, turns, devices=engine.devices())
    return list(answer(engine, foreseen, stop=threading.Event(), frames_from=frames_from))


def _asked(*words: str) -> list[Turn]:
    """User and assistant by turns."""
    return [Turn("assistant" if n % 2 else "user", each) for n, each in enumerate(words)]


def _fresh(maker: Maker, info: VideoInfo, turns: Sequence[Turn], **chosen: Any) -> str:
    engine, _ = maker.engine()
    events = _answer(engine, info, turns, **chosen)
    assert ending(events).reused_tokens == 0
    assert len(set(said(events))) > 1
    return said(events)


def test_three_questions_read_the_frames_once(maker: Maker, info: VideoInfo) -> None:
    engine, _ = maker.engine()
    turns: list[Turn] = []
    source: Any = iter_frames
    for number, question in enumerate(("What is this?", "And then?", " 7 of them?")):
        turns.append(Turn("user", question))
        events = _answer(engine, info, turns, source)
        finished = ending(events)
        assert said(events) == _fresh(maker, info, turns)
        assert (finished.reused_tokens > 0) == (number > 0)
        assert finished.reused_tokens < finished.prompt_tokens
        assert len([event for event in events if isinstance(event, Started)]) == 1
        assert finished.frame_times
        turns.append(Turn("assistant", said(events)))
        source = never_read


@pytest.mark.parametrize(
    "turns",
    [
        _asked("What is this?"),
        _asked("When does it appear?"),
        _asked("What is this?", "An edited answer.", "And then?"),
        _asked("\nWhat?"),
    ],
    ids=["the same", "another", "an edited history", "an odd beginning"],
)
def test_another_conversation_reads_no_frames(
    turns: list[Turn], maker: Maker, info: VideoInfo
) -> None:
    engine, _ = maker.engine()
    first = _answer(engine, info, _asked("What is this?"))
    _answer(engine, info, _asked("What is this?", said(first), "And then?"), never_read)
    events = _answer(engine, info, turns, never_read)
    assert said(events) == _fresh(maker, info, turns)
    assert ending(events).reused_tokens > 0


@pytest.mark.parametrize(
    "changed",
    [{"max_frame_tokens": 32}, {"fps": 1.0}, {"end": 1.5}],
    ids=["size", "rate", "span"],
)
def test_changed_settings_read_anew(changed: dict[str, Any], maker: Maker, info: VideoInfo) -> None:
    engine, _ = maker.engine()
    turns, reads = _asked("What is this?"), Reads()
    _answer(engine, info, turns, reads)
    events = _answer(engine, info, turns, reads, **changed)
    assert reads.count == 2
    assert ending(events).reused_tokens == 0
    assert said(events) == _fresh(maker, info, turns, **changed)


def test_other_reply_lengths_change_nothing_that_was_read(maker: Maker, info: VideoInfo) -> None:
    engine, _ = maker.engine()
    turns = _asked("What is this?")
    _answer(engine, info, turns, reply_tokens=3)
    events = _answer(engine, info, turns, never_read, reply_tokens=400)
    assert ending(events).reused_tokens > 0
    assert said(events) == _fresh(maker, info, turns, reply_tokens=400)


class Forgetful(LocalEngine):
    """Says that it knows a video, and no longer does once it is asked."""

    def knows(self, video: Any) -> bool:
        return True

    def stream(self, request: Any, *, stop: threading.Event) -> Iterator[Event]:
        if request.frames is None:
            raise FramesNeeded
        return super().stream(request, stop=stop)


def test_an_engine_that_forgot_meanwhile(maker: Maker, info: VideoInfo) -> None:
    engine = Forgetful(
        load_card(maker.folder), copy.deepcopy(maker.network), maker.processor, (this_processor(),)
    )
    reads, turns = Reads(), _asked("What is this?")
    assert said(_answer(engine, info, turns, reads)) == _fresh(maker, info, turns)
    assert reads.count == 1


def test_a_request_without_frames_of_a_video_never_seen(maker: Maker) -> None:
    engine, _ = maker.engine()
    asked = replace(request(engine.card), frames=None, video="never seen")
    with pytest.raises(FramesNeeded):
        list(engine.stream(asked, stop=NEVER))
    assert ending(list(engine.stream(request(engine.card), stop=NEVER))).reply_tokens > 0


class Scarce:
    """Memory runs out at the first ``times`` passes."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise FULL


def test_what_is_kept_makes_room(maker: Maker, info: VideoInfo) -> None:
    """The next question does not fit beside the first one's: that goes, and nothing else."""
    engine, network = maker.engine()
    turns, reads = _asked("What is this?"), Reads()
    first = said(_answer(engine, info, turns, reads))
    turns = _asked(turns[0].text, first, "And then?")
    with listening(network, Scarce(1)):
        events = _answer(engine, info, turns, reads)
    assert reads.count == 1
    assert said(events) == _fresh(maker, info, turns)


def test_another_videos_leavings_make_room(maker: Maker) -> None:
    engine, network = maker.engine()
    asked = request(engine.card)
    expected = said(list(engine.stream(asked, stop=NEVER)))
    list(engine.stream(replace(asked, video="one"), stop=NEVER))
    assert engine.knows("one")
    with listening(network, Scarce(1)):
        events = list(engine.stream(asked, stop=NEVER))
    assert said(events) == expected
    assert not engine.knows("one")


@pytest.mark.parametrize(
    ("times", "left"),
    [(1, {"three", "four"}), (2, {"four"}), (3, set()), (4, set())],
    ids="{} times".format,
)
def test_only_as_much_as_helps_makes_room(times: int, left: set[str], maker: Maker) -> None:
    """Other people's conversations stay, those used last; after the fourth time nothing is left."""
    engine, network = maker.engine()
    asked = request(engine.card)
    videos = ("one", "two", "three", "four")
    for video in videos:
        list(engine.stream(replace(asked, video=video), stop=NEVER))
    with listening(network, Scarce(times)):
        if times == 4:
            with pytest.raises(MemoryOverflow):
                list(engine.stream(asked, stop=NEVER))
        else:
            assert ending(list(engine.stream(asked, stop=NEVER))).reply_tokens == 8
    assert {video for video in videos if engine.knows(video)} == left
    for video in left:
        again = ending(list(engine.stream(replace(asked, frames=None, video=video), stop=NEVER)))
        assert again.reused_tokens == again.prompt_tokens - 1


@pytest.mark.parametrize("times", [1, 2])
def test_nothing_kept_that_could_make_room(times: int, maker: Maker) -> None:
    engine, network = maker.engine()
    asked = request(engine.card)
    if times == 2:  # what is there goes, and it is still not enough
        list(engine.stream(replace(asked, video="one"), stop=NEVER))
    with listening(network, Scarce(times)), pytest.raises(MemoryOverflow, match="Out of memory"):
        list(engine.stream(asked, stop=NEVER))
    assert ending(list(engine.stream(asked, stop=NEVER))).reply_tokens == 8


@pytest.mark.parametrize("kept", [True, False])
def test_out_of_memory_within_the_reply(kept: bool, maker: Maker) -> None:
    """Gone on with once what is kept has gone, no word twice; without that it ends there."""
    engine, network = maker.engine()
    asked = request(engine.card)
    expected = said(list(engine.stream(asked, stop=NEVER)))
    if kept:
        list(engine.stream(replace(asked, video="one"), stop=NEVER))
    passes = Passes()

    def third() -> None:
        passes()
        if passes.count == 3:
            raise FULL

    heard: list[Event] = []
    with listening(network, third):
        if kept:
            heard += engine.stream(asked, stop=NEVER)
        else:
            with pytest.raises(MemoryOverflow):
                heard += engine.stream(asked, stop=NEVER)
    assert passes.count == (9 if kept else 3)
    assert said(heard) == expected if kept else expected.startswith(said(heard))
    assert not engine.knows("one")
    assert ending(list(engine.stream(asked, stop=NEVER))).reply_tokens == 8


@pytest.mark.parametrize("at_pass", [1, 2, 4])
def test_stop_between_chunks_leaves_what_was_read(
    at_pass: int, maker: Maker, info: VideoInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = _asked("What is this? " * 4)
    engine, network = maker.engine()
    settings = Settings(reply_tokens=8, max_frame_tokens=16)
    foreseen = foresee(info, settings, engine.card, turns, devices=engine.devices())
    size = -(-foreseen.estimate.tokens.prompt // 5)
    monkeypatch.setattr(fast_module, "CHUNK_TOKENS", size)
    stop, passes = threading.Event(), Passes()

    def stop_there() -> None:
        passes()
        if passes.count > at_pass:
            stop.set()

    with listening(network, stop_there):
        events = list(answer(engine, foreseen, stop=stop))
    assert (ending(events).reason, ending(events).reply_tokens) == ("stopped", 0)
    assert passes.count == at_pass + 1
    again = _answer(engine, info, turns, never_read)
    assert said(again) == _fresh(maker, info, turns)
    assert ending(again).reused_tokens == (size * at_pass if at_pass == 4 else 0)


def test_two_sessions_about_one_video(maker: Maker, info: VideoInfo) -> None:
    """By turns, each with its own past; each hears what it would hear alone."""
    engine, _ = maker.engine()
    one: list[Turn] = []
    two: list[Turn] = []
    source: Any = iter_frames
    for questions in (("What is this?", "What is that?"), ("And then?", "When?"), ("Why?", "Why?")):
        for turns, question in zip((one, two), questions, strict=True):
            turns.append(Turn("user", question))
            events = _answer(engine, info, turns, source)
            source = never_read
            assert said(events) == _fresh(maker, info, turns)
            turns.append(Turn("assistant", said(events)))
    assert {turn.text for turn in one} != {turn.text for turn in two}


def test_two_sessions_at_the_same_time(maker: Maker, info: VideoInfo) -> None:
    engine, _ = maker.engine()
    asked = [_asked(f"What is number {number}?") for number in range(4)]
    heard: dict[int, str] = {}

    def ask_one(number: int) -> None:
        heard[number] = said(_answer(engine, info, asked[number]))

    threads = [threading.Thread(target=ask_one, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert heard == {number: _fresh(maker, info, asked[number]) for number in range(4)}
