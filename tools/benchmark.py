"""What things cost on this machine, printed as tables: planning, and the demo model's answers.

make bench                       this, reading and kept frames, half an hour
python tools/benchmark.py --only planning
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.asking import answer, foresee  # noqa: E402
from core.planning import (  # noqa: E402
    DEMO_MODEL,
    Device,
    ModelCard,
    Settings,
    Turn,
    estimate,
    fit,
    load_card,
    make_plan,
    parse_devices,
    this_machine,
)
from core.video import VideoInfo, describe_video, probe  # noqa: E402


def main() -> None:
    """Run the chosen parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="planning,answering", help="parts, by commas")
    options = parser.parse_args()
    packages = ("torch", "transformers", "av", "decord", "qwen-vl-utils")
    print(f"{platform.processor() or platform.machine()}, {this_machine()[0].model}, ", end="")
    print(f"Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    parts: dict[str, Callable[[], None]] = {
        "planning": planning,
        "answering": answering,
    }
    for name in options.only.split(","):
        if name not in parts:
            parser.error(f"There is no part {name!r}; choose from {', '.join(parts)}.")
        print(f"\n## {name}\n")
        parts[name]()


def planning() -> None:
    """One slider move at most 768 frames: plan, tokens, memory, seconds; then Fit."""
    names = ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-72B-Instruct", "Qwen3-VL-8B-Instruct")
    models = [str(DEMO_MODEL), *(f"Qwen/{name}" for name in names)]
    models += ["OpenGVLab/InternVL3-8B-hf", "zai-org/GLM-4.6V", "google/gemma-4-E4B-it"]
    info = describe_video(width=1920, height=1080, duration_seconds=1800, frame_rate=30)
    turns, devices = [Turn("user", "When does the flash happen?")], parse_devices("8x24GiB")
    print("| model | frames | median | 99% | Fit |\n|---|---|---|---|---|")
    for model in models:
        print(_planning_row(load_card(model), info, turns, devices))


def _planning_row(
    card: ModelCard, info: VideoInfo, turns: list[Turn], devices: tuple[Device, ...]
) -> str:
    counts = set()

    def move(number: int) -> None:
        settings = Settings(fps=0.42 + number * 0.0001, max_frames=768)
        plan = make_plan(info, settings, card)
        counts.add(len(plan.indices))
        estimate(plan, info, settings, card, turns, devices=devices)

    times = _timed(move, rounds=400)
    fits = _timed(lambda _: fit(info, Settings(fps=2.0), card, turns, devices), rounds=5)
    return (
        f"| {card.name} | {max(counts)} | {statistics.median(times):.2f} ms "
        f"| {times[int(len(times) * 0.99)]:.2f} ms | {statistics.median(fits):.0f} ms |"
    )


def _timed(work: Callable[[int], object], *, rounds: int) -> list[float]:
    """Milliseconds of each round, ascending; the first one warms up and does not count."""
    times = []
    for number in range(rounds + 1):
        begun = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - begun) * 1e3)
    return sorted(times[1:])


def answering() -> None:
    """The demo model on an example: first and later questions, foretold against actual."""
    from core.engine.base import Finished
    from core.engine.loading import load_engine

    card = load_card(DEMO_MODEL)
    begun = time.perf_counter()
    engine = load_engine(card, device="cpu")
    print(f"Loading: {time.perf_counter() - begun:.2f} s\n")
    info = probe(DEMO_MODEL.parent / "examples" / "flash.mp4")
    print("| fps | prompt tokens | foretold | first token | tokens/s |\n|---|---|---|---|---|")
    for fps in (2.0, 0.5, 1.0, 2.0, 4.0):
        turns = [Turn("user", "When does the flash happen?")]
        foreseen = foresee(info, Settings(fps=fps), card, turns, devices=engine.devices())
        for event in answer(engine, foreseen, stop=threading.Event()):
            if isinstance(event, Finished):
                print(
                    f"| {fps:g} | {event.prompt_tokens} | {foreseen.estimate.tokens.prompt} "
                    f"| {event.seconds_to_first_token:.2f} s | {event.tokens_per_second:.0f} |"
                )


if __name__ == "__main__":
    main()
