"""Which strategy sees brief events: half-second events in long clips, over three backgrounds.

    python tools/bench_sampling.py
    python tools/bench_sampling.py --minutes 2 --clips 1 --frames 32
    python tools/bench_sampling.py --write                put the table into BENCHMARKS.md

The clips are drawn and encoded here (most of the time goes there). Recall is the share of events
with a sampled frame inside; the gap is the largest one between neighbouring frames, in multiples of
that of an even spread, in clips of the same kind in which nothing happens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench_report import machine, write_section  # noqa: E402
from core.planning.keyframes import keyframes  # noqa: E402
from core.planning.scenes import scenes_indices  # noqa: E402
from core.planning.spreading import spread  # noqa: E402
from core.video import VideoInfo, probe  # noqa: E402
from core.video.activity import profile_of  # noqa: E402
from event_clips import BACKGROUNDS, EventClip, write_clip  # noqa: E402

STRATEGIES = ("uniform", "keyframes", "scenes")
# how one clip after the other is made, over again with another seed when they are used up
VARIANTS: tuple[dict[str, Any], ...] = (
    {"width": 480, "height": 270, "options": {"preset": "veryfast"}},
    {
        "width": 640,
        "height": 360,
        "rate": Fraction(24),
        "noise": 12.0,
        "shake": 4,
        "object_size": 0.1,
        "contrast": 50,
        "options": {"preset": "medium", "crf": "28", "g": "96", "sc_threshold": "0"},
    },
    {
        "width": 320,
        "height": 180,
        "rate": Fraction(50),
        "options": {"preset": "ultrafast", "g": "12"},
    },
    {
        "width": 426,
        "height": 240,
        "codec": "libvpx-vp9",
        "container": "webm",
        "contrast": 50,
        "options": {"deadline": "realtime", "cpu-used": "8"},
    },
    {
        "width": 320,
        "height": 180,
        "rate": Fraction(25),
        "noise": 14.0,
        "codec": "libx265",
        "options": {"preset": "ultrafast", "x265-params": "log-level=none"},
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a strategy made of one clip; ``recall`` is None where nothing happens in it."""

    background: str
    strategy: str
    frames: int
    recall: float | None
    gap: float
    seconds: float


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("--minutes", type=float, default=10.0, help="length of each clip")
    asked.add_argument("--clips", type=int, default=2, help="clips of each background")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--frames", default="32,64", help="budgets, with commas between")
    asked.add_argument("--backgrounds", default=",".join(BACKGROUNDS))
    asked.add_argument("--write", action="store_true", help="put it into BENCHMARKS.md")
    options = asked.parse_args()
    budgets = [int(each) for each in options.frames.split(",")]
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for background in options.backgrounds.split(","):
            for number in range(options.clips):
                variant = VARIANTS[number % len(VARIANTS)]
                clip = EventClip(
                    background=background,
                    seed=1000 * options.seed + number,
                    seconds=60 * options.minutes,
                    **variant,
                )
                for each in (clip, replace(clip, events=0, seed=clip.seed + 500)):
                    print(f"{background} {number + 1}, {each.events} events", file=sys.stderr)
                    found += outcomes(each, Path(folder), budgets)
    text = (
        "## Sampling: which strategy sees brief events\n\n"
        f"{options.clips} clips of {options.minutes:g} minutes for each background, with 10 events "
        f"of half a second, and as many without. {machine('av')}.\n\n{table(found, budgets)}"
    )
    print(text)
    if options.write:
        write_section("sampling", text)


def outcomes(clip: EventClip, folder: Path, budgets: list[int]) -> Iterator[Outcome]:
    path = folder / f"clip.{clip.container}"
    events = write_clip(clip, path)
    info = probe(path)
    begun = time.perf_counter()
    info = replace(info, profile=profile_of(info))
    seconds = time.perf_counter() - begun
    path.unlink()
    for budget in budgets:
        for strategy in STRATEGIES:
            taken = sampled(info, strategy, budget)
            seen = [any(event.first <= index < event.end for index in taken) for event in events]
            even = (info.frame_count - 1) / (budget - 1)
            yield Outcome(
                background=clip.background,
                strategy=strategy,
                frames=budget,
                recall=sum(seen) / len(seen) if seen else None,
                gap=float(np.diff((0, *taken, info.frame_count - 1)).max()) / even,
                seconds=seconds,
            )


def sampled(info: VideoInfo, strategy: str, budget: int) -> tuple[int, ...]:
    last = info.frame_count - 1
    if strategy == "keyframes":
        return keyframes(info.keyframes, first=0, last=last, budget=budget)
    if strategy == "scenes" and info.profile is not None:
        return scenes_indices(info, info.profile, first=0, last=last, budget=budget)
    return spread(0, last, budget)


def table(found: list[Outcome], budgets: list[int]) -> str:
    """A row for each background and strategy: mean recall, worst gap, mean seconds."""
    rows: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for each in found:
        rows[each.background, each.strategy].append(each)
    heads = [f"{kind}, {budget} frames" for kind in ("recall", "largest gap") for budget in budgets]
    lines = [
        f"| background | strategy | {' | '.join(heads)} | profile |",
        f"|---|---|{'---|' * len(heads)}---|",
    ]
    for (background, strategy), each in rows.items():
        cells = [f"{_recall(each, budget):.0%}" for budget in budgets]
        cells += [f"{_gap(each, budget):.2f}x" for budget in budgets]
        seconds = f"{np.mean([one.seconds for one in each]):.1f} s" if strategy == "scenes" else ""
        lines.append(f"| {background} | {strategy} | {' | '.join(cells)} | {seconds} |")
    return "\n".join(lines)


def _recall(found: list[Outcome], budget: int) -> float:
    shares = [one.recall for one in found if one.frames == budget and one.recall is not None]
    return float(np.mean(shares))


def _gap(found: list[Outcome], budget: int) -> float:
    return max(one.gap for one in found if one.frames == budget and one.recall is None)


if __name__ == "__main__":
    main()
