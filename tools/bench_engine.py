"""How fast answers come on a GPU: plain transformers and the engine, side by side.

    python tools/bench_engine.py                          7B on one GPU
    python tools/bench_engine.py --models 72B             over as many GPUs as it takes
    python tools/bench_engine.py --models Qwen/Qwen3-VL-8B-Instruct --frames 64
    python tools/bench_engine.py --write                  into BENCHMARKS.md

Models have published shapes, of Qwen2.5-VL where only a size is given, and random weights: speed
and memory do not depend on the values. A prompt is a video of 252x448 frames (of InternVL and
LLaVA-OneVision of the one size they take) and a few words; counts of frames that are over the
model's context are left out. Time to the first token begins with the frames in the machine's
memory; ``patches`` is the part of it that the model's processor takes, the same both ways.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from bench_models import (  # noqa: E402
    asked,
    card_of,
    planned,
    random_model,
    settle,
    wait_until_set_up,
    within,
    word_processor,
)
from bench_report import machine, write_section  # noqa: E402
from core.engine import Finished, Request, Text  # noqa: E402
from core.engine.loading import choose_devices  # noqa: E402
from core.engine.local import LocalEngine  # noqa: E402
from core.engine.preparing import Preparer  # noqa: E402
from core.planning import Device, ModelCard, Turn, estimate  # noqa: E402
from core.planning.execution import Execution  # noqa: E402
from core.planning.holding import hold  # noqa: E402

PLAIN_TOKENS = 40  # of its replies, which take a while


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer: tokens of the prompt, seconds, speed and bytes at the peak of all devices."""

    prompt_tokens: int
    patches: float
    first: float
    speed: float
    peak: int


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    say(f"## Answering on {len(gpus)} x {gpus[0]}\n")
    say(f"{machine('torch', 'transformers', 'accelerate')}.\n")
    for name in options.models.split(","):
        for line in _table(card_of(name), options):
            say(line)
    if options.write:
        write_section(options.section, "\n".join(lines))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="7B", help="names, or 3B, 7B, 32B, 72B")
    parser.add_argument("--frames", default="64,256,768", help="by commas")
    parser.add_argument("--tokens", type=int, default=200, help="of each reply")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--no-plain", action="store_true", help="leave transformers' own way out")
    parser.add_argument("--write", action="store_true", help="put the table into BENCHMARKS.md")
    parser.add_argument("--section", default="engine", help="in the place of which table there")
    return parser.parse_args()


def _table(card: ModelCard, options: argparse.Namespace) -> Iterator[str]:
    counts = [n for text in options.frames.split(",") if within(card, n := int(text))]
    where, how = _smallest(card, max(counts))
    model = random_model(card, [each.name for each in where], how.layers or ())
    plan = planned(card, counts[0])[2]
    held = sum(torch.cuda.memory_allocated(n) for n in range(torch.cuda.device_count()))
    yield (
        f"### {card.name}, its shapes with random weights on "
        f"{' and '.join(each.name for each in where)}, frames of {plan.height}x{plan.width}\n"
    )
    yield "| frames | prompt | how | first token | of it patches | tokens/s | peak over weights |"
    yield "|---|---|---|---|---|---|---|"
    if not options.no_plain:
        preparer = Preparer(card, word_processor(card), where[0].name, torch.bfloat16)
        for frames in counts:
            request = _request(card, frames, PLAIN_TOKENS)
            _plainly(model, preparer, replace(request, reply_tokens=3))
            found = [_plainly(model, preparer, request)]
            yield _row(frames, "plain transformers", found, held)
    begun = time.perf_counter()
    engine = LocalEngine(card, model, word_processor(card), where, how)
    engine.set_up()
    wait_until_set_up()
    set_up = time.perf_counter() - begun
    for frames in counts:
        request = _request(card, frames, options.tokens)
        _ask(engine, replace(request, reply_tokens=3))
        found = [_ask(engine, request)[0] for _ in range(options.rounds)]
        yield _row(frames, "the engine", found, held)
    yield _row(max(counts), "the engine, later questions", _later(engine, max(counts)), held)
    yield f"\nSetting up (compiling, in the background of a start): {set_up:.0f} s.\n"
    engine.close()
    del engine, model
    settle()
    torch.cuda.empty_cache()


def _smallest(card: ModelCard, frames: int) -> tuple[tuple[Device, ...], Execution]:
    """One device where so many frames fit on it, else all."""
    there = choose_devices("auto")
    info, settings, plan = planned(card, frames)
    turns = [Turn("user", "x " * 40)]
    alone = estimate(plan, info, settings, card, turns, devices=there[:1])
    return hold(card, there[:1] if alone.verdict == "fits" else there)


def _request(card: ModelCard, frames: int, tokens: int) -> Request:
    return asked(card, planned(card, frames)[2], reply_tokens=tokens)


def _row(frames: int, how: str, found: list[Answered], held: int) -> str:
    first, patches, speed = (
        statistics.median(getattr(each, name) for each in found)
        for name in ("first", "patches", "speed")
    )
    over = max(each.peak for each in found) - held
    return (
        f"| {frames} | {found[-1].prompt_tokens:,} | {how} | {first:.2f} s | {patches:.2f} s "
        f"| {speed:.0f} | {over / 1e9:.1f} GB |"
    )


class _Clock:
    """A streamer: when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, ids: torch.Tensor) -> None:
        if ids.dim() == 1:
            self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def _plainly(model: Any, preparer: Preparer, request: Request) -> Answered:
    settle()
    for device in range(torch.cuda.device_count()):
        torch.cuda.reset_peak_memory_stats(device)
    clock, begun = _Clock(), time.perf_counter()
    with torch.inference_mode():
        inputs = preparer.inputs(request)
        torch.cuda.synchronize()
        patches = time.perf_counter() - begun
        model.generate(
            **inputs, max_new_tokens=request.reply_tokens, streamer=clock, do_sample=False
        )
    return Answered(
        prompt_tokens=inputs["input_ids"].shape[1],
        patches=patches,
        first=clock.times[0] - begun,
        speed=(len(clock.times) - 1) / (clock.times[-1] - clock.times[0]),
        peak=sum(torch.cuda.max_memory_allocated(n) for n in range(torch.cuda.device_count())),
    )


def _ask(engine: LocalEngine, request: Request) -> tuple[Answered, str]:
    """What the engine says of the answer, and the answer."""
    settle()
    preparer = Preparer(engine.card, word_processor(engine.card), "cuda:0", torch.bfloat16)
    patches, text = 0.0, ""
    if request.frames is not None:
        begun = time.perf_counter()
        preparer.inputs(request)
        torch.cuda.synchronize()
        patches = time.perf_counter() - begun
        settle()
    for event in engine.stream(request, stop=threading.Event()):
        if isinstance(event, Text):
            text += event.text
    assert isinstance(event, Finished)
    found = Answered(
        prompt_tokens=event.prompt_tokens,
        patches=patches,
        first=event.seconds_to_first_token,
        speed=event.tokens_per_second,
        peak=sum(event.peak_bytes),
    )
    return found, text


def _later(engine: LocalEngine, frames: int) -> list[Answered]:
    """Questions that follow the first about a video, which comes without its frames then."""
    request = replace(_request(engine.card, frames, 40), video="a video")
    _, text = _ask(engine, request)
    found = []
    for number in range(3):
        words = " ".join(f"w{n}" for n in range(300 + number, 340))
        prompt = f"{request.prompt} {text} {words}"
        request = replace(request, frames=None, prompt=prompt)
        answered, text = _ask(engine, request)
        found.append(answered)
    return found


if __name__ == "__main__":
    main()
