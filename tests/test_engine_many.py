"""Many requests to an engine: each is answered as if it were alone, whatever becomes of others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asking_by_hand import NEVER, ask, ending, listening, said
from asking_many import (
    LENGTHS,
    QUESTIONS,
    Maker,
    Pulled,
    Ready,
    heard,
    replies,
    scarce,
    sometimes,
)
from core.batch import answer_all
from core.batch_files import Asked
from core.engine import Finished, Progress, Request, Started, Text
from core.engine.base import Failed, FramesNeeded
from core.engine.many import stream_many
from core.errors import ContextOverflow
from core.planning import Settings
from core.video import iter_frames
from fake_engine import FakeEngine


@pytest.mark.parametrize("rows", [None, 1, 2, 3, 8], ids="{} rows".format)
def test_each_is_answered_as_if_it_were_alone(
    rows: int | None, maker: Maker, alone: list[str]
) -> None:
    engine, _ = maker.engine(rows)
    found = heard(stream_many(engine, iter(maker.asked()), stop=NEVER))
    assert replies(found) == alone
    for number, length in enumerate(LENGTHS):
        started, *texts, finished = found[number]
        assert isinstance(started, Started)
        assert isinstance(finished, Finished)
        assert {type(each) for each in texts} <= {Text}
        assert (finished.reply_tokens, finished.reason) == (length, "length")
        assert finished.prompt_tokens == started.prompt_tokens
        assert finished.seconds_to_first_token > 0


def test_they_are_answered_side_by_side(maker: Maker) -> None:
    """The first one's words come between those of the others; as many at once as there are rows."""
    engine, network = maker.engine(3)
    asked = Pulled([replace(each, reply_tokens=12) for each in maker.asked()])
    under_way, most, changes, last = set[int](), 0, 0, -1
    with listening(network, Ready(asked, 3, 3, 4)):
        for number, event in stream_many(engine, asked, stop=NEVER):
            if isinstance(event, Started):
                under_way.add(number)
            elif isinstance(event, Finished):
                under_way.remove(number)
            elif isinstance(event, Text):
                changes += number != last
                last = number
            most = max(most, len(under_way))
    assert most == 3
    assert changes > 2 * len(maker.asked())


def test_nobody_waits_for_a_request_that_is_not_ready(maker: Maker, alone: list[str]) -> None:
    """The second is ready only when the first has been answered."""
    engine, _ = maker.engine(3)
    first_done = threading.Event()

    def requests() -> Iterator[Request | None]:
        first, second, *_ = maker.asked()
        yield first
        while not first_done.wait(0.01):
            yield None
        yield second

    found: dict[int, list[Any]] = {}
    for number, event in stream_many(engine, requests(), stop=NEVER):
        found.setdefault(number, []).append(event)
        if isinstance(event, Finished):
            first_done.set()
    assert replies(found) == alone[:2]


@pytest.mark.parametrize("every", [1, 3])
def test_they_join_as_they_come(every: int, maker: Maker, alone: list[str]) -> None:
    engine, _ = maker.engine(2)
    told = stream_many(engine, sometimes(maker.asked(), every), stop=NEVER)
    assert replies(heard(told)) == alone


def test_what_was_read_is_used_again(maker: Maker, alone: list[str]) -> None:
    """The same video and words again: all but the last token of the prompt had been read."""
    engine, _ = maker.engine(3)
    asked = maker.asked()
    for _ in range(2):
        found = heard(stream_many(engine, iter(asked), stop=NEVER))
        assert replies(found) == alone
    for events in found.values():
        finished = events[-1]
        assert finished.reused_tokens == finished.prompt_tokens - 1


def test_one_video_is_read_once_for_all_who_ask_about_it(maker: Maker) -> None:
    """Also by those who join while the first reply is being written."""
    engine, network = maker.engine(6)
    asked = Pulled([replace(each, video="film") for each in maker.asked()])
    with scarce(network, after=asked):
        found = heard(stream_many(engine, asked, stop=NEVER))
    assert [found[number][-1].reused_tokens > 0 for number in range(6)] == [False] + [True] * 5
    fresh = [maker.engine()[0] for _ in maker.asked()]
    assert replies(found) == [
        said(list(each.stream(replace(one, video=None), stop=NEVER)))
        for each, one in zip(fresh, maker.asked(), strict=True)
    ]


def test_no_requests(maker: Maker) -> None:
    engine, _ = maker.engine()
    assert heard(stream_many(engine, iter(()), stop=NEVER)) == {}
    assert heard(stream_many(engine, iter([None, None]), stop=NEVER)) == {}


@pytest.mark.parametrize("rows", [1, 3])
def test_what_goes_wrong_with_one_is_its_answer(rows: int, maker: Maker, alone: list[str]) -> None:
    engine, _ = maker.engine(rows, context_tokens=600)
    asked = maker.asked()
    broken = replace(asked[1].frames, pixels=asked[1].frames.pixels[:, :31])
    asked[1] = replace(asked[1], frames=broken, video=None)
    asked[2] = replace(asked[2], frames=None, video="never seen")
    asked[3] = replace(asked[3], reply_tokens=10**6)
    found = heard(stream_many(engine, iter(asked), stop=NEVER))
    errors = {n: type(each[-1].error) for n, each in found.items() if isinstance(each[-1], Failed)}
    assert errors.keys() == {1, 2, 3}
    assert issubclass(errors[1], (ValueError, RuntimeError))
    assert (errors[2], errors[3]) == (FramesNeeded, ContextOverflow)
    assert [said(found[n]) for n in (0, 4, 5)] == [alone[n] for n in (0, 4, 5)]
    assert ending(ask(engine)).reply_tokens > 0


def test_a_batch_of_videos(maker: Maker, clip_file: Callable[[str], Path]) -> None:
    """The last replies are written to their end, although there is nothing left to be read."""
    engine, _ = maker.engine(3)
    settings = Settings(max_frame_tokens=16, max_frames=4, reply_tokens=20)
    video = str(clip_file("h264.mp4"))
    records = answer_all(
        [Asked(id=n, video=video, question=q, settings=settings) for n, q in enumerate(QUESTIONS)],
        maker.card,
        lambda: engine,
        devices=engine.devices(),
        frames_from=iter_frames,
        workers=2,
    )
    found = {each["id"]: each for each in records}
    assert sorted(found) == list(range(len(QUESTIONS)))
    assert [each["actual"]["reply_tokens"] for each in found.values()] == [20] * len(QUESTIONS)


def test_an_engine_of_another_kind(maker: Maker) -> None:
    """One after the other, by the same interface."""
    engine = FakeEngine(maker.card, words=("Yes, ", "it is."))
    engine.fail_with = ArithmeticError("confused")
    told = stream_many(engine, sometimes(maker.asked()[:2], 1), stop=NEVER)
    number, failed = next(told)
    assert (number, type(failed)) == (0, Failed)
    engine.fail_with = None
    assert next(told) == (1, Progress(stage="reading"))
    assert replies(heard(told)) == ["Yes, it is."]
