"""What the forecast says fits does not run out: real shapes in a part of a device's memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from asking_by_hand import NEVER, ending, said
from core.engine.loading import choose_devices
from core.planning import Turn, estimate, load_card
from core.planning.devices import GIB

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CONTEXT_BYTES = int(0.6 * GIB)  # of the driver and its libraries, which torch does not count
MOST_FRAMES = 768


@pytest.fixture(params=[9, 10, 12], ids=lambda gib: f"{gib}GiB")
def capacity(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many bytes of the first device, and no more to be had."""
    nbytes = request.param * GIB
    whole = torch.cuda.get_device_properties(0).total_memory
    gc.collect()
    torch.cuda.empty_cache()
    others = torch.cuda.memory_reserved(0)  # of tests before this one
    torch.cuda.set_per_process_memory_fraction((others + nbytes - CONTEXT_BYTES) / whole, 0)
    yield nbytes
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
    gc.collect()
    torch.cuda.empty_cache()


def test_what_fits_does_not_run_out(capacity: int, caplog: pytest.LogCaptureFixture) -> None:
    """The most frames that are said to fit, asked about twice."""
    from bench_models import asked, planned, random_engine, wait_until_set_up

    card = load_card("Qwen/Qwen2.5-VL-3B-Instruct")
    device = replace(choose_devices("cuda:0")[0], capacity_bytes=capacity)
    engine = random_engine(card, (device,))
    wait_until_set_up()

    def fits(frames: int) -> bool:
        info, settings, plan = planned(card, frames)
        found = estimate(
            plan,
            info,
            settings,
            card,
            [Turn("user", "x " * 40)],
            devices=engine.devices(),
            execution=engine.execution,
        )
        return found.verdict == "fits"

    frames = max(n for n in range(8, MOST_FRAMES + 1, 8) if fits(n))
    asking = asked(planned(card, frames)[2], video=capacity)
    first = list(engine.stream(asking, stop=NEVER))
    assert ending(first).reply_tokens == asking.reply_tokens
    again = replace(asking, prompt=f"{asking.prompt} {said(first)} w1 w2 w3", reply_tokens=8)
    second = ending(list(engine.stream(again, stop=NEVER)))
    assert second.reply_tokens == 8
    assert second.reused_tokens > 0.9 * ending(first).prompt_tokens
    engine.close()
