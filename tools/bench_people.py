"""How many answers a minute several people get, and a batch: from one model, from its replicas.

    python tools/bench_people.py            8 people, a 7B on one GPU and on all
    python tools/bench_people.py --write    into BENCHMARKS.md

Each person asks about a video that nobody has asked about, then asks again, and so on, without a
pause. A batch asks once about as many videos. The model has the published shapes of Qwen2.5-VL and
random weights.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from bench_models import asked, card_of, planned, random_engine, wait_until_set_up  # noqa: E402
from bench_report import machine, write_section  # noqa: E402
from core.engine import Engine, Finished, Request, Text  # noqa: E402
from core.engine.loading import choose_devices  # noqa: E402
from core.engine.local import LocalEngine  # noqa: E402
from core.engine.many import Told, one_by_one, stream_many  # noqa: E402
from core.engine.replicas import Replicas  # noqa: E402
from core.planning.execution import Execution  # noqa: E402


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say("## Several people\n")
    say(f"{torch.cuda.get_device_name(0)}. {machine('torch', 'transformers', 'accelerate')}.\n")
    for line in _table(options):
        say(line)
    if options.write:
        write_section("people", "\n".join(lines))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="7B")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--videos", type=int, default=3, help="of each person, two questions each")
    parser.add_argument("--frames", type=int, default=64, help="of each video, 252x448")
    parser.add_argument("--tokens", type=int, default=100, help="of each reply")
    parser.add_argument("--write", action="store_true", help="put the table into BENCHMARKS.md")
    return parser.parse_args()


def _table(options: argparse.Namespace) -> Iterator[str]:
    card = card_of(options.model)
    yield (
        f"{options.people} people, each with {options.videos} videos of {options.frames} frames "
        f"and two questions about each, replies of {options.tokens} tokens.\n"
    )
    yield "| replicas | answers a minute | times one | median wait for the first word |"
    yield "|---|---|---|---|"
    single = Execution(placement="single")
    engines: list[LocalEngine] = []
    alone, batches = 0.0, []
    for device in choose_devices("auto"):
        engines.append(random_engine(card, (device,), single))
        wait_until_set_up()
        engine: Engine = engines[0] if len(engines) == 1 else Replicas(engines)
        _all(engine, _fewer(options))
        rate, wait = _all(engine, options)
        alone = alone or rate
        yield f"| {len(engines)} | {rate:.0f} | {rate / alone:.2f} | {wait:.2f} s |"
        batches.append((len(engines), _batch(engine, options)))
    yield ""
    yield f"The same videos as a batch of {options.people * options.videos}, one question each.\n"
    yield "| replicas | one after the other | side by side |"
    yield "|---|---|---|"
    for count, (after, beside) in batches:
        yield f"| {count} | {after:.0f} a minute | {beside:.0f} |"


def _fewer(options: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "videos": 1})


def _all(engine: Engine, options: argparse.Namespace) -> tuple[float, float]:
    """Answers a minute, and the median seconds from asking to the first word."""
    waits: list[float] = []
    threads = [
        threading.Thread(target=_person, args=(engine, options, number, waits))
        for number in range(options.people)
    ]
    begun = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    elapsed = time.perf_counter() - begun
    return 60 * len(waits) / elapsed, sorted(waits)[len(waits) // 2]


def _batch(engine: Engine, options: argparse.Namespace) -> tuple[float, float]:
    """Answers a minute of a batch, one after the other and side by side."""
    _, _, plan = planned(engine.card, options.frames)
    requests = [asked(engine.card, plan, reply_tokens=options.tokens)] * (
        options.people * options.videos
    )
    never = threading.Event()
    return (
        _rate(one_by_one(engine.stream, iter(requests), stop=never)),
        _rate(stream_many(engine, iter(requests), stop=never)),
    )


def _rate(told: Iterator[Told]) -> float:
    begun = time.perf_counter()
    answers = sum(isinstance(event, Finished) for _, event in told)
    return 60 * answers / (time.perf_counter() - begun)


def _person(engine: Engine, options: argparse.Namespace, number: int, waits: list[float]) -> None:
    _, _, plan = planned(engine.card, options.frames)
    for video in range(options.videos):
        name = number, video, time.perf_counter()
        request = asked(engine.card, plan, reply_tokens=options.tokens, video=name)
        said = _answer(engine, request, waits)
        again = f"{request.prompt} {said} {' '.join(f'w{n}' for n in range(300, 320))}"
        _answer(engine, replace(request, prompt=again), waits)


def _answer(engine: Engine, request: Request, waits: list[float]) -> str:
    begun, words, first = time.perf_counter(), "", None
    for event in engine.stream(request, stop=threading.Event()):
        if isinstance(event, Text):
            first = first or time.perf_counter() - begun
            words += event.text
        elif isinstance(event, Finished):
            waits.append(first or event.seconds_to_first_token)
    return words


if __name__ == "__main__":
    main()
