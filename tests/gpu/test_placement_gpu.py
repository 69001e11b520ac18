"""A model over real devices says what it says on one: split, as replicas, with layers elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from asking_by_hand import NEVER, ask, ending, request, said
from core.engine import Engine
from core.engine.live import in_use
from core.engine.loading import choose_devices, load_engine, load_held
from core.engine.replicas import Replicas
from core.planning import load_card
from core.planning.execution import Execution
from core.planning.machine import processor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
two_devices = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
IN_FULL = "fp32"  # so that which device adds up what makes no difference to the words


@pytest.fixture(scope="module")
def alone(model: Path) -> Iterator[str]:
    engine = load_engine(load_card(model), device="cuda:0", execution=Execution(precision=IN_FULL))
    yield said(ask(engine, reply_tokens=16))
    engine.close()


def _answers(engine: Engine) -> str:
    try:
        events = ask(engine, reply_tokens=16)
        assert ending(events).reason in ("end", "length")
        return said(events)
    finally:
        engine.close()


def test_layers_that_wait_in_the_machines_memory(model: Path, alone: str) -> None:
    card = load_card(model)
    half = card.text.layers // 2
    layers = range(half), range(half, card.text.layers)
    devices = (*choose_devices("cuda:0"), processor())
    assert _answers(load_held(card, devices, Execution(precision=IN_FULL, layers=layers))) == alone


@two_devices
def test_layers_split_over_two(model: Path, alone: str) -> None:
    execution = Execution(precision=IN_FULL, placement="split")
    engine = load_engine(load_card(model), device="cuda:0,cuda:1", execution=execution)
    assert [each.name for each in engine.devices()] == ["cuda:0", "cuda:1"]
    assert _answers(engine) == alone


@two_devices
def test_replicas_under_load_from_the_start(model: Path) -> None:
    """In bf16, with graphs: while all is set up, and when each captures beside the other's work."""
    execution = Execution(precision="bf16", placement="replicas")
    engine = load_engine(load_card(model), device="cuda:0,cuda:1", execution=execution)
    lengths: list[int] = []

    def one(number: int) -> None:
        for turn in range(12):
            frames = 4 + 4 * ((number + turn) % 5)
            asked = request(engine.card, reply_tokens=12, seconds=20.0, max_frames=frames)
            lengths.append(ending(list(engine.stream(asked, stop=NEVER))).reply_tokens)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(200)
    assert len(lengths) == 72
    assert all(lengths)
    engine.close()


@two_devices
def test_replicas_answer_at_the_same_time(model: Path, alone: str) -> None:
    execution = Execution(precision=IN_FULL, placement="replicas")
    engine = load_engine(load_card(model), device="cuda:1,cuda:0", execution=execution)
    assert isinstance(engine, Replicas)
    replies: list[str] = []

    def one() -> None:
        asked = request(engine.card, reply_tokens=16)
        replies.append(said(list(engine.stream(asked, stop=NEVER))))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert replies == [alone] * 4
    assert all(used is None or used > 0 for used in in_use(engine.devices()))
    engine.close()
