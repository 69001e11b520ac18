"""The engine on a CUDA device: types, memory, real out-of-memory. Needs neither gradio nor network.

python -m pytest -m gpu tests/gpu
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from asking_by_hand import NEVER, ask, ending, request, said
from core.engine import Started, Text
from core.engine.kernels import WAYS, has_kernels, ways
from core.engine.loading import load_engine
from core.engine.local import LocalEngine
from core.errors import MemoryOverflow
from core.planning import Settings, Turn, estimate, load_card, make_plan
from core.video import describe_video

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def engine(request: pytest.FixtureRequest, model: Path) -> Iterator[LocalEngine]:
    card = replace(load_card(model), dtype=request.param, context_tokens=10**6)
    engine = load_engine(card, device="cuda:0")
    yield engine
    engine.close()


def test_it_answers(engine: LocalEngine) -> None:
    assert [device.name for device in engine.devices()] == ["cuda:0"]
    events = ask(engine)
    assert said(events)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.prompt_tokens == ending(events).prompt_tokens


def test_prompt_is_as_long_as_foretold(engine: LocalEngine) -> None:
    asked = request(engine.card, seconds=20.0)
    info = describe_video(width=320, height=180, duration_seconds=20, frame_rate=25)
    chosen = Settings(max_frame_tokens=16)
    found = estimate(
        make_plan(info, chosen, engine.card),
        info,
        chosen,
        engine.card,
        [Turn("user", "What happens?")],
        devices=engine.devices(),
    )
    finished = ending(list(engine.stream(asked, stop=NEVER)))
    assert finished.prompt_tokens == found.tokens.prompt


def test_stop_ends_the_reply(engine: LocalEngine) -> None:
    stop, events = threading.Event(), []
    for event in engine.stream(request(engine.card, reply_tokens=4000), stop=stop):
        events.append(event)
        if isinstance(event, Text):
            stop.set()
    finished = ending(events)
    assert finished.reason in ("stopped", "end")
    assert finished.reply_tokens < 100


def test_peak_bytes_are_those_of_the_device(engine: LocalEngine) -> None:
    """More frames, more memory; and never less than the weights."""
    few = ending(ask(engine, max_frames=4)).peak_bytes
    many = ending(ask(engine, seconds=60.0, max_frames=120, max_frame_tokens=200)).peak_bytes
    size = {"float32": 4, "bfloat16": 2}[engine.card.dtype]
    assert len(few) == len(many) == 1
    assert engine.card.parameters * size <= few[0] < many[0]
    assert many[0] < torch.cuda.get_device_properties(0).total_memory


def test_questions_while_things_are_set_up(model: Path) -> None:
    """From the moment it is loaded; what is compiled in the background spoils none."""
    engine = load_engine(replace(load_card(model), dtype="bfloat16"), device="cuda:0")
    replies = set()
    for _ in range(200):
        replies.add(said(ask(engine, reply_tokens=16)))
        if not any(thread.name == "set-up" for thread in threading.enumerate()):
            break
    assert all(replies)
    assert ending(ask(engine)).reply_tokens > 0
    engine.close()


def test_real_out_of_memory_is_told_and_survived(engine: LocalEngine) -> None:
    """Nearly the whole device is taken by somebody else; freed again, the next question works."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(0)
    taken = torch.empty(free - 256 * 2**20, dtype=torch.uint8, device="cuda:0")
    try:
        with pytest.raises(MemoryOverflow, match="Out of memory with a prompt of"):
            ask(engine, seconds=120.0, max_frames=400, max_frame_tokens=200)
        assert ending(ask(engine)).reply_tokens > 0
    finally:
        del taken
        torch.cuda.empty_cache()
    assert ending(ask(engine, seconds=60.0, max_frames=100)).reply_tokens > 0


def test_a_gpu_that_decodes_by_graphs_has_its_ways_on() -> None:
    """What doctor reports is what the engine asks; an H200 lacks nothing."""
    found = {each.name: each.lack for each in ways()}
    assert len(found) == len(WAYS)
    assert has_kernels(torch.device("cuda:0")) == (found["replies from CUDA graphs"] is None)
    if torch.cuda.get_device_capability(0)[0] == 9:
        assert set(found.values()) == {None}
