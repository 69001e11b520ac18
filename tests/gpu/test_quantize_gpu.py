"""Packed weights on a CUDA device: real classes, random weights; what they take, what they say.

python -m pytest -m gpu tests/gpu/test_quantize_gpu.py
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from asking_by_hand import NEVER, ending, request, said
from core.engine.loading import choose_devices, load_engine, load_model
from core.engine.quantizing import LIBRARIES, check_library, held_bytes
from core.errors import SettingsError
from core.planning import ModelCard, load_card
from core.planning.execution import QUANTISED, Execution
from core.planning.weights import weight_bytes
from tiny_checkpoint import SMALL, write_small_checkpoint

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
two_devices = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
FORETOLD = 0.08
# relative distance of logits from those in bf16; 1.4 by chance, measured 0.04 and 0.42
NOISE = {"int8": 0.1, "int4": 0.7}


@pytest.fixture(scope="module", params=SMALL)
def card(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return load_card(write_small_checkpoint(tmp_path_factory.mktemp("small"), request.param))


@pytest.fixture(params=QUANTISED)
def execution(request: pytest.FixtureRequest) -> Execution:
    try:
        check_library(request.param)
    except SettingsError as error:
        pytest.skip(error.message)
    return Execution(precision=request.param)


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    yield
    gc.collect()
    torch.cuda.empty_cache()


def test_weights_take_what_is_foretold(card: ModelCard, execution: Execution) -> None:
    """Counted tensor by tensor, and as the allocator has it."""
    devices = choose_devices("cuda:0")
    gc.collect()
    before = torch.cuda.memory_allocated(0)
    model = load_model(card, devices, replace(execution, layers=(range(card.text.layers),)))
    gc.collect()
    foretold = weight_bytes(card, devices[0], execution)
    held = sum(map(held_bytes, model.parameters()))
    assert held == pytest.approx(foretold, rel=FORETOLD)
    assert torch.cuda.memory_allocated(0) - before == pytest.approx(foretold, rel=FORETOLD)


def test_it_answers_and_reads_only_what_is_new(card: ModelCard, execution: Execution) -> None:
    engine = load_engine(card, device="cuda:0", execution=execution)
    asked = replace(request(card, reply_tokens=16, seconds=20.0), video="clip")
    first, again = (list(engine.stream(asked, stop=NEVER)) for _ in range(2))
    assert ending(first).reply_tokens == 16
    assert ending(again).reused_tokens == ending(first).prompt_tokens - 1
    foretold = weight_bytes(card, engine.devices()[0], execution)
    assert foretold * (1 - FORETOLD) < ending(first).peak_bytes[0]
    engine.close()


def test_it_says_nearly_what_it_says_in_full(card: ModelCard, execution: Execution) -> None:
    devices, layers = choose_devices("cuda:0"), (range(card.text.layers),)
    ids = torch.randint(0, 255, (1, 300), generator=torch.Generator().manual_seed(0)).to("cuda:0")
    found = []
    for each in (Execution(layers=layers), replace(execution, layers=layers)):
        model = load_model(card, devices, each).eval()
        with torch.inference_mode():
            found.append(model(input_ids=ids).logits.float())
        del model
    expected, packed = found
    assert (packed - expected).norm() < NOISE[str(execution.precision)] * expected.norm()


@two_devices
def test_packed_layers_split_over_two(card: ModelCard, execution: Execution) -> None:
    replies = []
    for device, placement in (("cuda:0", "single"), ("cuda:0,cuda:1", "split")):
        held = replace(execution, placement=placement)
        engine = load_engine(card, device=device, execution=held)
        assert len(engine.devices()) == len(device.split(","))
        replies.append(list(engine.stream(request(card, reply_tokens=16), stop=NEVER)))
        engine.close()
    assert said(replies[0]) == said(replies[1])


def test_the_libraries_are_named() -> None:
    assert set(LIBRARIES) == set(QUANTISED)
