"""What reading frames costs beside other libraries, printed as a table.

    make bench
    python tools/bench_reading.py --seconds 120 --frames 16 --size 640x360    in a minute
    python tools/bench_reading.py --write                                     into BENCHMARKS.md

The clips are made here: see bench_clip.py. Every reader runs on the same file in a process of its
own, several times in turn; the best counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench_clip import GRAIN, make_clip  # noqa: E402
from bench_peers import PEERS  # noqa: E402
from bench_report import machine, write_section  # noqa: E402
from core.video import VideoInfo, probe  # noqa: E402

TARGET = "1008x560"  # what qwen-vl-utils makes of 1280x720 by itself, up to 256 frames
# what the encoder is told -> options; the first is its default
ENCODINGS: dict[str, dict[str, str]] = {
    "medium": {"preset": "medium"},
    "veryfast": {"preset": "veryfast"},
    "ultrafast, no B-frames": {"preset": "ultrafast"},
}
OURS = "framewise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one reader took.

    Attributes:
        seconds: from the call to the last frame.
        processor_seconds: on all cores together; hardly longer where others use them as well.
        peak_bytes: of memory, over what its imports took.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int


def main() -> None:
    """Measure, print the rows as they are known, and write the table where that is asked for."""
    options = _options()
    width, height = (int(n) for n in options.size.split("x"))
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say("## Reading\n")
    say(machine("av", "decord", "qwen-vl-utils", "transformers", "torch") + "\n")
    with tempfile.TemporaryDirectory() as passing:
        for name in ENCODINGS:
            preset = name.split(",")[0]
            if preset in options.encodings.split(","):
                folder = Path(options.folder or passing)
                kind = f"{preset}-{options.seconds}s-{options.size}-grain-{options.grain:g}"
                clip, size = folder / f"{kind}.mp4", (width, height)
                if not clip.exists():
                    told = ENCODINGS[name]
                    make_clip(
                        clip, seconds=options.seconds, size=size, grain=options.grain, options=told
                    )
                for line in _table(clip, name, options):
                    say(line)
    if options.write:
        write_section("reading", "\n".join(lines))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=1800, help="length of the clip")
    parser.add_argument("--frames", default="64,256", help="how many frames to read, by commas")
    parser.add_argument("--size", default="1280x720", help="of the clip")
    parser.add_argument(
        "--rounds", type=int, default=2, help="runs of each reader; the best counts"
    )
    parser.add_argument("--target", default=TARGET, help="what frames are scaled to")
    parser.add_argument("--limit", type=int, default=300, help="seconds that a reader may take")
    parser.add_argument("--peers", default="", help="only names with one of these parts")
    parser.add_argument("--encodings", default="medium", help="of the clip, by commas")
    parser.add_argument("--grain", type=float, default=GRAIN, help="of the clip, in levels of 255")
    parser.add_argument("--folder", help="where the clips are kept for the next time")
    parser.add_argument("--write", action="store_true", help="put the table into BENCHMARKS.md")
    return parser.parse_args()


def _table(clip: Path, encoding: str, options: argparse.Namespace) -> Iterator[str]:
    info = probe(clip)
    yield (
        f"{info.frame_count / float(info.frame_rate):,.0f} s of {info.width}x{info.height} H.264 "
        f"({encoding}), {info.frame_count:,} frames, {len(info.keyframes)} keyframes, "
        f"{clip.stat().st_size / 1e6:.0f} MB; frames spread evenly, scaled to "
        f"{options.target}; the best of {options.rounds}.\n"
    )
    yield (
        "| frames | reader | seconds | times ours | processor seconds | times ours "
        "| MB at the peak, imports aside |"
    )
    yield "|---|---|---|---|---|---|---|"
    chosen = [name for name in PEERS if any(part in name for part in options.peers.split(","))]
    for text in options.frames.split(","):
        count = int(text)
        every = np.linspace(0, info.frame_count - 1, count).round().astype(int).tolist()
        jobs = dict.fromkeys(chosen, every)
        found = yield from _rows(clip, jobs, str(count), options, ours=OURS)
        keys = _nearest_keyframes(info, every)
        label = f"{len(keys)} keyframes for {count}"
        snapped = yield from _rows(clip, {OURS: keys}, label, options, ours=OURS)
        yield from _verdict(found, snapped, count)
    yield ""


def _rows(
    clip: Path, jobs: dict[str, list[int]], label: str, options: argparse.Namespace, *, ours: str
) -> Iterator[str]:
    """A row for each reader; gives the results that there were."""
    best: dict[str, Result] = {}
    failed: dict[str, str] = {}
    for _ in range(options.rounds):  # in turn: what else the machine does changes by the minute
        for name in [name for name in jobs if name not in failed]:
            found = _in_process(name, clip, jobs[name], options)
            if isinstance(found, str):
                failed[name] = found
            elif name in best:
                best[name] = _better(best[name], found)
            else:
                best[name] = found
    for name in jobs:
        row = f"| {label} | {name} |"
        if name in failed:
            yield f"{row} {failed[name]} | | | | |"
            best.pop(name, None)
            continue
        result, us = best[name], best.get(ours, best[name])
        yield (
            f"{row} {result.seconds:.2f} | {result.seconds / us.seconds:.1f} "
            f"| {result.processor_seconds:.2f} "
            f"| {result.processor_seconds / us.processor_seconds:.1f} "
            f"| {result.peak_bytes / 1e6:.0f} |"
        )
    return best


def _better(one: Result, other: Result) -> Result:
    return Result(
        seconds=min(one.seconds, other.seconds),
        processor_seconds=min(one.processor_seconds, other.processor_seconds),
        peak_bytes=max(one.peak_bytes, other.peak_bytes),
    )


def _verdict(found: dict[str, Result], snapped: dict[str, Result], count: int) -> Iterator[str]:
    qwen = [found[name].seconds for name in found if name.startswith("qwen-vl-utils")]
    if qwen and OURS in found and OURS in snapped:
        exact, keys = min(qwen) / found[OURS].seconds, min(qwen) / snapped[OURS].seconds
        yield (
            f"| {count} | **qwen-vl-utils with its best reader, times ours** "
            f"| | **exact {exact:.1f}, keyframes {keys:.1f}** | | | |"
        )


def _nearest_keyframes(info: VideoInfo, indices: Sequence[int]) -> list[int]:
    keyframes = np.asarray(info.keyframes)
    return sorted({int(keyframes[np.abs(keyframes - index).argmin()]) for index in indices})


def _in_process(
    name: str, clip: Path, indices: list[int], options: argparse.Namespace
) -> Result | str:
    """What the reader took, or why it gave nothing."""
    size = [int(n) for n in reversed(options.target.split("x"))]
    job = {"peer": name, "path": str(clip), "indices": indices, "size": size}
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "bench_peers.py")],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=options.limit,
        )
    except subprocess.TimeoutExpired:
        return f"over {options.limit} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return "cannot: " + last[:100].replace("|", "/")
    seconds, used, peak_bytes = json.loads(done.stdout.splitlines()[-1])
    return Result(seconds=seconds, processor_seconds=used, peak_bytes=peak_bytes)


if __name__ == "__main__":
    main()
