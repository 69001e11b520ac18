"""Many requests to an engine: each is answered as if it were alone, whatever becomes of others."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from asking_by_hand import NEVER, Passes, ask, ending, listening, request, said
from core.batch import answer_all
from core.batch_files import Asked
from core.engine import Event, Finished, Progress, Request, Started, Text
from core.engine.answering import Answering
from core.engine.base import Failed, FramesNeeded
from core.engine.feeding import READY, Feed
from core.engine.local import LocalEngine
from core.engine.many import stream_many
from core.engine.replicas import Replicas
from core.errors import ContextOverflow, MemoryOverflow
from core.planning import ModelCard, Settings, load_card
from core.planning.machine import processor as this_processor
from core.video import iter_frames
from fake_engine import FakeEngine, wait_until
from holding import assert_back_to, holdings

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
QUESTIONS = ("What is this?", "And that?", "Why?", "When does it appear?", "Where?", "Who?")
LENGTHS = (12, 1, 5, 9, 20, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Engines of one model whose replies vary, which have seen nothing."""

    card: ModelCard
    network: Any
    processor: Any

    def engine(self, rows: int | None = 3, **changed: Any) -> tuple[LocalEngine, Any]:
        network, card = copy.deepcopy(self.network), replace(self.card, **changed)
        return LocalEngine(card, network, self.processor, (this_processor(),), rows=rows), network

    def asked(self) -> list[Request]:
        return [
            replace(request(self.card, question=q, reply_tokens=n), video=("film", n % 2))
            for q, n in zip(QUESTIONS, LENGTHS, strict=True)
        ]


@pytest.fixture(scope="module")
def maker(tiny_model: Path, processor: Any) -> Maker:
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(1)
    network = AutoModelForImageTextToText.from_pretrained(tiny_model).eval()
    torch.manual_seed(3)
    for each in network.parameters():
        if each.dim() > 1:
            each.data.copy_(torch.randn_like(each) * 2 / each[0].numel() ** 0.5)
    head = torch.randn_like(network.lm_head.weight)
    network.lm_head.weight = torch.nn.Parameter(head)
    settings = network.generation_config
    settings.eos_token_id = None
    settings.suppress_tokens = [*range(min(processor.tokenizer.all_special_ids), len(head))]
    return Maker(card=load_card(tiny_model), network=network, processor=processor)


@pytest.fixture(scope="module")
def alone(maker: Maker) -> list[str]:
    """What each of Maker.asked is answered by itself."""
    found = []
    for each in maker.asked():
        engine, _ = maker.engine()
        found.append(said(list(engine.stream(each, stop=NEVER))))
    assert len(set(found)) == len(found)
    return found


def heard(told: Iterator[tuple[int, Event | Failed]]) -> dict[int, list[Any]]:
    """What was told of each request, without the waiting."""
    found: dict[int, list[Any]] = {}
    for number, event in told:
        if not isinstance(event, Progress):
            found.setdefault(number, []).append(event)
    return found


def replies(found: dict[int, list[Any]]) -> list[str]:
    return [said(found[number]) for number in sorted(found)]


def sometimes(asked: list[Request], every: int) -> Iterator[Request | None]:
    """One that is ready, and then so many times nothing."""
    for each in asked:
        yield each
        yield from [None] * every


class Pulled:
    """Requests that are all ready, and how many of them were taken."""

    def __init__(self, asked: list[Request]) -> None:
        self._left, self.count = iter(asked), 0

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        self.count += 1  # also when there are no more: whoever comes here has made all before
        return next(self._left)

    def wait(self, count: int) -> None:
        """Until so many were taken, the one before the last of which is made ready by then."""
        assert wait_until(lambda: self.count >= count, seconds=60)


class Ready:
    """Called before a pass, waits until so many requests were taken; see Pulled."""

    def __init__(self, asked: Pulled, *counts: int) -> None:
        self._asked, self._counts = asked, iter(counts)

    def __call__(self) -> None:
        self._asked.wait(next(self._counts, 0))


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


@contextmanager
def scarce(
    network: Any, *, prompts: tuple[int, ...] = (), steps: tuple[int, ...] = (), after: Any = None
) -> Iterator[None]:
    """Memory runs out at these prompts and at these single tokens, each counted from 1.

    ``after``, Pulled, holds the first prompt until the next request is ready, so that it joins
    before the first step.
    """
    counts = {"prompt": 0, "step": 0}

    def listen(_module: Any, args: tuple[Any, ...], told: dict[str, Any]) -> None:
        hidden = args[0] if args else told["hidden_states"]
        kind = "prompt" if hidden.shape[1] > 1 else "step"
        counts[kind] += 1
        if after is not None and kind == "prompt" and counts[kind] == 1:
            after.wait(3)
        if counts[kind] in {"prompt": prompts, "step": steps}[kind]:
            raise FULL

    first = network.model.language_model.layers[0]
    handle = first.register_forward_pre_hook(listen, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def test_one_that_does_not_fit_beside_others_has_its_turn_alone(
    maker: Maker, alone: list[str]
) -> None:
    """Out of memory in the second prompt: answered when the first has left, and so are all."""
    engine, network = maker.engine(3)
    order: list[int] = []
    found: dict[int, list[Any]] = {}
    asked = Pulled(maker.asked())
    with scarce(network, prompts=(2, 3), after=asked):  # the second time without what was kept
        for number, event in stream_many(engine, asked, stop=NEVER):
            if isinstance(event, Finished):
                order.append(number)
            found.setdefault(number, []).append(event)
    assert replies(found) == alone
    assert order[0] == 0
    assert len([each for each in found[1] if isinstance(each, Started)]) == 2  # it began twice


def test_one_for_which_there_is_no_room_waits_until_others_leave(
    maker: Maker, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the forecast counts it: nothing is tried, and it is counted again only then."""
    engine, network = maker.engine(3)
    answers, counted = iter([False, False, True]), list[int]()

    def fits(_card: Any, asked: Request, prompt_tokens: int, **_: Any) -> bool:
        assert prompt_tokens > 0
        counted.append(asked.reply_tokens)
        return next(answers, True)

    monkeypatch.setattr("core.engine.room.fits", fits)
    asked = Pulled(maker.asked())
    order: list[int] = []
    found: dict[int, list[Any]] = {}
    with scarce(network, after=asked):
        for number, event in stream_many(engine, asked, stop=NEVER):
            if isinstance(event, Finished):
                order.append(number)
            found.setdefault(number, []).append(event)
    assert replies(found) == alone
    assert order[0] == 0
    assert counted[0] == LENGTHS[1]
    assert len(counted) <= len(LENGTHS) + 2


def test_one_that_does_not_fit_at_all(maker: Maker, alone: list[str]) -> None:
    """Nobody is beside it, and without what was kept it is too large too."""
    engine, network = maker.engine(3)
    list(engine.stream(replace(maker.asked()[0], video="other"), stop=NEVER))
    with scarce(network, prompts=(1, 2)):
        found = heard(stream_many(engine, iter(maker.asked()), stop=NEVER))
    assert isinstance(found[0][-1].error, MemoryOverflow)
    assert replies({n: found[n] for n in range(1, 6)}) == alone[1:]
    assert not engine.knows("other")


@pytest.mark.parametrize("times", range(1, 7), ids="{} times".format)
def test_out_of_memory_beside_others_ends_no_reply(
    times: int, maker: Maker, alone: list[str]
) -> None:
    """So many tokens in a row; less is kept, then fewer are written at a time; nothing twice."""
    engine, network = maker.engine(2)
    asked = Pulled([replace(each, reply_tokens=max(LENGTHS)) for each in maker.asked()])
    with scarce(network, steps=tuple(range(5, 5 + times)), after=asked):
        found = heard(stream_many(engine, asked, stop=NEVER))
    assert _all_of(alone, replies(found))
    assert [found[number][-1].reply_tokens for number in range(6)] == [max(LENGTHS)] * 6


def _all_of(alone: list[str], replies: list[str]) -> bool:
    """Whether these go on like those, which may be shorter."""
    return all(long.startswith(short) for short, long in zip(alone, replies, strict=True))


@contextmanager
def too_long(network: Any, most: int) -> Iterator[None]:
    """Memory runs out at every single token behind so many."""

    def listen(_module: Any, args: tuple[Any, ...], told: dict[str, Any]) -> None:
        hidden = args[0] if args else told["hidden_states"]
        if hidden.shape[1] == 1 and told["past_key_values"].get_seq_length() >= most:
            raise FULL

    first = network.model.language_model.layers[0]
    handle = first.register_forward_pre_hook(listen, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def test_only_one_that_does_not_fit_alone_ends(maker: Maker, alone: list[str]) -> None:
    """Five words in; those that were written beside it and those after it are answered."""
    engine, network = maker.engine(3)
    asked = [replace(each, reply_tokens=max(LENGTHS)) for each in maker.asked()]
    asked[1] = request(maker.card, question=QUESTIONS[0] * 9, reply_tokens=12)
    long = list(maker.engine()[0].stream(asked[1], stop=NEVER))
    tokens = ending(long).prompt_tokens
    pulled = Pulled(asked)
    with too_long(network, tokens + 4), scarce(network, after=pulled):
        found = heard(stream_many(engine, pulled, stop=NEVER))
    assert [n for n, each in found.items() if isinstance(each[-1], Failed)] == [1]
    told = found.pop(1)
    assert isinstance(told[-1].error, MemoryOverflow)
    assert f"with a prompt of {tokens} tokens" in told[-1].error.message
    assert told[-1].error.__context__ is None
    assert 0 < len(said(told)) < len(said(long))
    assert said(long).startswith(said(told))
    assert _all_of([alone[0], *alone[2:]], replies(found))


def test_stop_ends_those_that_wait_for_memory(maker: Maker) -> None:
    """They are not gone on with for that; memory runs out in the third step of all four."""
    engine, network = maker.engine(4)
    stop, passes = threading.Event(), Passes(0.005)
    asked = Pulled([replace(each, reply_tokens=2000, video=None) for each in maker.asked()[:4]])
    at_stop = 0
    found: dict[int, list[Any]] = {}
    all_join = listening(network, Ready(asked, 3, 4, 5))
    with all_join, scarce(network, steps=(9, 10, 11, 12)), listening(network, passes):
        for number, event in stream_many(engine, asked, stop=stop):
            found.setdefault(number, []).append(event)
            if not stop.is_set() and len(said(found.get(0, []))) > 40:
                stop.set()
                at_stop = passes.count
    assert passes.count <= at_stop + 2
    assert [each[-1].reason for each in found.values()] == ["stopped"] * 4
    assert max(len(said(found[number])) for number in (2, 3)) < len(said(found[1]))
    assert ending(ask(engine)).reply_tokens > 0


@pytest.mark.parametrize("rows", [1, 3])
def test_stop_ends_all(rows: int, maker: Maker) -> None:
    """Within a token of each; those that had not begun are not begun."""
    engine, network = maker.engine(rows)
    stop, passes = threading.Event(), Passes(0.005)
    asked = [replace(each, reply_tokens=2000) for each in maker.asked()]
    told: list[tuple[int, Event | Failed]] = []
    at_stop = 0
    with listening(network, passes):
        for number, event in stream_many(engine, iter(asked), stop=stop):
            told.append((number, event))
            if isinstance(event, Text) and len(told) > 40 and not stop.is_set():
                stop.set()
                at_stop = passes.count
    assert passes.count <= at_stop + rows
    last = dict(told)
    assert 0 < len(last) <= rows + 1
    assert all(each.reason == "stopped" for each in last.values() if isinstance(each, Finished))
    assert ending(ask(engine)).reply_tokens > 0


def test_who_leaves_ends_all(maker: Maker) -> None:
    """And nobody takes from the requests any more: they can be closed."""
    engine, _ = maker.engine(2)
    closed = threading.Event()

    def requests() -> Iterator[Request | None]:
        try:
            yield from itertools.cycle(maker.asked())
        finally:
            closed.set()

    list(stream_many(engine, iter(maker.asked()[:1]), stop=NEVER))
    before, asked = holdings(), requests()
    told = stream_many(engine, asked, stop=NEVER)
    for _, event in told:
        if isinstance(event, Finished):
            break
    told.close()
    asked.close()
    assert closed.is_set()
    assert_back_to(before)
    assert ending(ask(engine)).reply_tokens > 0


def test_requests_that_cannot_be_had(maker: Maker) -> None:
    """What their iterator raises is told to whoever asked for all of them."""
    engine, _ = maker.engine(2)

    def requests() -> Iterator[Request | None]:
        yield maker.asked()[0]
        raise ArithmeticError("confused")

    with pytest.raises(ArithmeticError, match="confused"):
        list(stream_many(engine, requests(), stop=NEVER))
    assert ending(ask(engine)).reply_tokens > 0


@pytest.mark.parametrize("replicas", [1, 2])
def test_those_before_one_that_cannot_be_had_are_answered(
    replicas: int, maker: Maker, alone: list[str]
) -> None:
    """Although the error was there before the first of them had ended."""
    engines = [maker.engine(2) for _ in range(replicas)]
    confused = threading.Event()

    def requests() -> Iterator[Request | None]:
        yield from maker.asked()[:2]
        confused.set()
        raise ArithmeticError("confused")

    told: list[tuple[int, Event | Failed]] = []
    with ExitStack() as listened:
        for _, network in engines:
            listened.enter_context(listening(network, lambda: confused.wait(60)))
        together = Replicas([engine for engine, _ in engines])
        with pytest.raises(ArithmeticError, match="confused"):
            told.extend(stream_many(together, requests(), stop=NEVER))
    found = heard(iter(told))
    assert replies(found) == alone[:2]
    assert [found[number][-1].reason for number in (0, 1)] == ["length"] * 2


def test_batches_that_wait_for_requests_take_no_turns(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them handed the model to and fro, which kept a processor busy."""
    engine, _ = maker.engine(2)
    turns: list[int] = []
    monkeypatch.setattr(Answering, "reset_peaks", lambda _: turns.append(1))

    def nothing() -> Iterator[Request | None]:
        for _ in range(10):
            time.sleep(0.02)
            yield None

    batches = [
        threading.Thread(target=lambda: list(stream_many(engine, nothing(), stop=NEVER)))
        for _ in range(2)
    ]
    for each in batches:
        each.start()
    for each in batches:
        each.join(60)
    assert turns == []
    assert replies(heard(stream_many(engine, iter(maker.asked()[:1]), stop=NEVER)))
    assert turns != []


def test_others_are_let_in_between(maker: Maker) -> None:
    """A person who asks during a long batch waits for what is under way, not for all of it."""
    engine, network = maker.engine(2)
    finished: list[str] = []
    begun, waits = threading.Event(), threading.Event()

    def person() -> None:
        for _ in engine.stream(request(maker.card, question="A person"), stop=NEVER):
            waits.set()
        finished.append("person")

    def wait_for_the_person() -> None:
        assert not begun.is_set() or waits.wait(60)

    thread = threading.Thread(target=person)
    asked = [replace(each, reply_tokens=4 + n) for n, each in enumerate(maker.asked() * 4)]
    with listening(network, wait_for_the_person):
        for number, event in stream_many(engine, iter(asked), stop=NEVER):
            if number == 1 and isinstance(event, Started):
                begun.set()
                thread.start()
            if isinstance(event, Finished):
                finished.append(str(number))
        thread.join(60)
    assert len(finished) == 25
    assert "person" in finished[:6]


def test_who_waits_for_a_request_keeps_nobody_waiting(maker: Maker) -> None:
    """The next one of the batch is ready only when a person has been answered."""
    engine, _ = maker.engine(2)

    def requests() -> Iterator[Request | None]:
        yield maker.asked()[0]
        person = threading.Thread(target=lambda: ask(engine))
        person.start()
        while person.is_alive():
            yield None
        yield maker.asked()[1]

    found = heard(stream_many(engine, requests(), stop=NEVER))
    assert [found[number][-1].reason for number in (0, 1)] == ["length", "length"]


def test_a_batch_that_is_stopped_while_it_waits_touches_nobody(maker: Maker) -> None:
    """Whoever has the model meanwhile can still be stopped before the next layer, and only so."""
    engine, network = maker.engine(2)
    own, others, seen = threading.Event(), threading.Event(), list[str]()

    def batch_comes_and_goes() -> None:
        batch = threading.Thread(
            target=lambda: list(stream_many(engine, iter(maker.asked()), stop=others))
        )
        batch.start()
        time.sleep(0.2)  # it stands in line by then
        others.set()
        batch.join(60)
        assert not batch.is_alive()
        own.set()

    layers = network.model.language_model.layers
    layers[1].register_forward_hook(lambda *_: seen.append("second layer"))
    with listening(network, batch_comes_and_goes):
        finished = ending(ask(engine, own))
    assert (finished.reason, finished.reply_tokens, seen) == ("stopped", 0, [])


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


def test_a_batch_whose_requests_cannot_be_read_on(
    maker: Maker, clip_file: Callable[[str], Path]
) -> None:
    """Those under way are answered first, and what went wrong is told, not that all was stopped."""
    engine, network = maker.engine(2)
    confused = threading.Event()
    settings = Settings(max_frame_tokens=16, max_frames=4, reply_tokens=20)

    def asked() -> Iterator[Asked]:
        for number in range(2):
            video = str(clip_file("h264.mp4"))
            yield Asked(id=number, video=video, question=QUESTIONS[number], settings=settings)
        confused.set()
        raise ArithmeticError("confused")

    records: list[dict[str, Any]] = []
    with (
        listening(network, lambda: confused.wait(60)),
        pytest.raises(ArithmeticError, match="confused"),
    ):
        records.extend(
            answer_all(
                asked(),
                maker.card,
                lambda: engine,
                devices=engine.devices(),
                frames_from=iter_frames,
                workers=1,
            )
        )
    assert [each["actual"]["reply_tokens"] for each in records] == [20] * len(records) != []


@pytest.mark.parametrize("kind", ["local", "replicas"])
def test_a_batch_for_which_there_is_no_thread_leaves_none(
    kind: str, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one that it starts cannot be had; what the first one does comes to an end."""
    replicas = Replicas([FakeEngine(maker.card, pause_seconds=0.01) for _ in range(2)])
    engine = maker.engine(2)[0] if kind == "local" else replicas
    start, started = threading.Thread.start, list[threading.Thread]()

    def refuse_the_second(thread: threading.Thread) -> None:
        if len(started) == 1:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    asked = itertools.cycle(maker.asked())
    with monkeypatch.context() as refused:
        refused.setattr(threading.Thread, "start", refuse_the_second)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            list(stream_many(engine, asked, stop=NEVER))
    assert [each.is_alive() for each in started] == [False]


def test_an_unloaded_engine_says_so(maker: Maker) -> None:
    engine, _ = maker.engine(2)
    engine.close()
    with pytest.raises(Exception, match="has been unloaded"):
        list(stream_many(engine, iter(maker.asked()), stop=NEVER))


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


@pytest.mark.parametrize("kinds", [("local", "local"), ("fake", "fake"), ("local", "fake")])
def test_replicas_share_them(kinds: tuple[str, ...], maker: Maker, alone: list[str]) -> None:
    """Each request is answered once, under its own number, and every replica has some."""
    both = threading.Barrier(kinds.count("fake") or 1, timeout=60)
    engines = [maker.engine(2)[0] if kind == "local" else Meets(maker.card, both) for kind in kinds]
    found = heard(stream_many(Replicas(engines), iter(maker.asked() * 3), stop=NEVER))
    assert sorted(found) == list(range(18))
    for number, events in found.items():
        assert len([each for each in events if isinstance(each, Finished)]) == 1
        assert said(events) in (alone[number % 6], "Yes.")
    fakes = [len(each.requests) for each in engines if isinstance(each, FakeEngine)]
    assert sum(fakes) == 18 or "local" in kinds
    assert all(0 < each < 18 for each in fakes) or "local" in kinds


class Meets(FakeEngine):
    """Answers its first request only when all others have one too."""

    def __init__(self, card: ModelCard, both: threading.Barrier) -> None:
        super().__init__(card)
        self._both = both

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        if not self.requests:
            self._both.wait()
        return super().stream(request, stop=stop)


def test_a_replica_that_dies_is_told(maker: Maker) -> None:
    both = threading.Barrier(2, timeout=60)

    class Dies(FakeEngine):
        def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
            both.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(
            stream_many(
                Replicas((Meets(maker.card, both), Dies(maker.card))),
                iter(maker.asked() * 3),
                stop=NEVER,
            )
        )


def test_the_next_one_is_made_ready_while_one_is_answered(
    maker: Maker, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processor has run before the first one's reply has ended."""
    engine, network = maker.engine(1)
    made: list[str] = []
    call = type(maker.processor).__call__

    def listen(self: Any, *args: Any, **named: Any) -> Any:
        made.append("made")
        return call(self, *args, **named)

    monkeypatch.setattr(type(maker.processor), "__call__", listen)
    first, _, second, third = maker.asked()[:4]
    replies_of: dict[int, list[Event]] = {}
    stop = threading.Event()

    def ask_one(number: int, asked: Request) -> None:
        replies_of[number] = list(engine.stream(asked, stop=NEVER))

    with listening(network, Passes(0.005)):
        long = engine.stream(replace(first, reply_tokens=4000), stop=stop)
        next(event for event in long if isinstance(event, Text))
        assert len(made) == 1
        threads = []
        for number, asked in enumerate((second, third)):
            asked = replace(asked, video=("film", 7 + number))
            threads.append(threading.Thread(target=ask_one, args=(number, asked)))
            threads[-1].start()
            time.sleep(0.05)
        assert wait_until(lambda: len(made) == 2)
        assert not wait_until(lambda: len(made) > 2, seconds=1)  # the one behind it has to wait
        stop.set()
        assert ending(list(long)).reason == "stopped"
        for thread in threads:
            thread.join(60)
    assert [said(replies_of[n]) for n in (0, 1)] == [alone[2], alone[3]]
    assert len(made) == 3


def test_frames_that_are_none_are_told_before_the_turn(maker: Maker) -> None:
    engine, network = maker.engine(1)
    asked = maker.asked()[0]
    broken = replace(asked.frames, pixels=asked.frames.pixels[:, :31])
    stop = threading.Event()
    with listening(network, Passes(0.005)):
        long = engine.stream(replace(asked, reply_tokens=4000), stop=stop)
        next(event for event in long if isinstance(event, Text))
        with pytest.raises((RuntimeError, ValueError)):
            list(engine.stream(replace(asked, frames=broken, video=None), stop=NEVER))
        stop.set()
        assert ending(list(long)).reason == "stopped"


def never() -> bool:
    return False


def _feed(items: Any, work: Callable[[int, Any], Any] = lambda number, item: item) -> Any:
    return Feed(iter(items), work)


def test_a_feed_gives_all_in_order() -> None:
    feed = _feed([3, None, 1, None, None, 2], lambda number, item: (number, item))
    assert [feed.take(until=never) for _ in range(4)] == [(0, 3), (1, 1), (2, 2), None]
    feed.close()


def test_a_feed_makes_so_many_ahead() -> None:
    made: list[int] = []
    feed = _feed(range(100), lambda number, item: made.append(item) or item)
    assert wait_until(lambda: len(made) == READY)
    time.sleep(0.3)
    assert len(made) == READY
    assert feed.take(until=lambda: True) == 0
    assert wait_until(lambda: len(made) == READY + 1)
    feed.close()
    assert len(made) == READY + 1


def test_a_feed_that_has_nothing_yet() -> None:
    let = threading.Event()
    feed = _feed(each if let.is_set() else None for each in iter(lambda: "x", None))
    assert feed.take(until=lambda: True) is None
    tries = iter([False, False, True])
    assert feed.take(until=lambda: next(tries)) is None
    assert list(tries) == []
    let.set()
    assert feed.take(until=never) == "x"
    feed.close()


def test_a_feed_tells_what_went_wrong_after_all_before() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ArithmeticError("confused")

    feed = _feed(broken())
    assert feed.take(until=never) == 1
    with pytest.raises(ArithmeticError):
        feed.take(until=never)
    feed.close()
