"""Memory on GPUs at its fullest: what the forecast says of whole requests, and what they took.

    python tools/bench_peaks.py --models 3B,7B,32B       on one GPU, and split over two, and all
    python tools/bench_peaks.py --write                  into BENCHMARKS.md

Real classes with published shapes and random weights, of Qwen2.5-VL where only a size is given;
videos of 252x448 frames (InternVL and LLaVA-OneVision: of the one size they take). They have no
name here, so that nothing is kept: foretold is also what the tower saw, kept for later questions,
which is up to a fiftieth. Frames beyond a model's context are left out.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from bench_models import (  # noqa: E402
    asked,
    card_of,
    planned,
    random_engine,
    settle,
    wait_until_set_up,
    within,
)
from bench_report import machine, write_section  # noqa: E402
from core.engine import Finished  # noqa: E402
from core.engine.loading import choose_devices  # noqa: E402
from core.engine.local import LocalEngine  # noqa: E402
from core.errors import FramewiseError  # noqa: E402
from core.planning import Turn, estimate  # noqa: E402
from core.planning.execution import Execution  # noqa: E402
from core.planning.memory import DeviceMemory  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="3B,7B,32B,72B", help="names, or sizes of it")
    parser.add_argument("--frames", default="16,64,256,768", help="by commas")
    parser.add_argument("--write", action="store_true", help="put the table into BENCHMARKS.md")
    parser.add_argument("--section", default="peaks", help="in the place of which table there")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say("## Memory, foretold and measured\n")
    say(f"{torch.cuda.get_device_name(0)}. {machine('torch', 'transformers', 'accelerate')}.\n")
    say("| model | placement | frames | device | foretold | measured | off |")
    say("|---|---|---|---|---|---|---|")
    counts = [int(text) for text in options.frames.split(",")]
    for name in options.models.split(","):
        for placement, device in _ways():
            for line in _rows(name, placement, device, counts):
                say(line)
    if options.write:
        write_section(options.section, "\n".join(lines))


def _ways() -> Iterator[tuple[str, str]]:
    yield "single", "cuda:0"
    if torch.cuda.device_count() > 1:
        yield "split", "cuda:0,cuda:1"
    if torch.cuda.device_count() > 2:
        yield "split", ",".join(f"cuda:{n}" for n in range(torch.cuda.device_count()))


def _rows(name: str, placement: str, device: str, counts: list[int]) -> Iterator[str]:
    card = card_of(name)
    try:
        engine = random_engine(card, choose_devices(device), Execution(placement=placement))
    except FramewiseError as error:
        yield f"| {name} | {placement} | cannot: {error.message} | | | | |"
        return
    wait_until_set_up()
    for frames in counts:
        if not within(card, frames):
            continue
        start = f"| {name} | {placement} | {frames}"
        for each, measured in _peaks(engine, frames):
            foretold = each.peak - each.reserve
            end = f"does not fit: {each.missing / 1e9:.2f} GB too much |"
            if measured:
                end = f"{measured / 1e9:.2f} GB | {foretold / measured - 1:+.1%}"
            yield f"{start} | {each.device.name} | {foretold / 1e9:.2f} GB | {end} |"
    engine.close()
    del engine
    settle()
    torch.cuda.empty_cache()


def _peaks(engine: LocalEngine, frames: int) -> Iterator[tuple[DeviceMemory, int]]:
    """What was foretold of each device, and torch's peak on it; 0 where it was not to fit."""
    info, settings, plan = planned(engine.card, frames)
    turns = [Turn("user", "x " * 18)]
    foretold = estimate(
        plan,
        info,
        settings,
        engine.card,
        turns,
        devices=engine.devices(),
        execution=engine.execution,
    )
    measured: tuple[int, ...] = (0,) * len(foretold.memory)
    for _ in range(2 if foretold.verdict == "fits" else 0):
        settle()
        for event in engine.stream(asked(engine.card, plan), stop=threading.Event()):
            if isinstance(event, Finished):
                measured = event.peak_bytes
    yield from zip(foretold.memory, measured, strict=True)


if __name__ == "__main__":
    main()
