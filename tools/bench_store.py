"""What the second reading of a plan costs, against the first.

    make bench
    python tools/bench_store.py VIDEO --counts 64     of another video than the one drawn here

The video is that of bench_reading.py, unless another is given. Each reading is a process of its
own, as after a restart of the page; seconds are those of reading, without imports and probing.
Rounds alternate, and the best of each counts.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_clip import GRAIN, make_clip
from bench_report import machine, write_section

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 252, 448
HOW = {"exact": "evenly spread", "keyframes": "keyframes"}


def read_once(video: Path, how: str, count: int, folder: Path | None) -> None:
    """Print the seconds until the last frame is there, and until everything is on the disk."""
    import numpy  # noqa: F401  # whoever uses frames has it already
    from PIL import Image

    from core.video import iter_frames, probe
    from core.video.store import FrameStore

    Image.preinit()

    info = probe(video)
    if how == "keyframes":
        keys = info.keyframes
        indices = sorted({keys[place * len(keys) // count] for place in range(count)})
    else:
        indices = [int((place + 0.5) * info.frame_count / count) for place in range(count)]
    store = FrameStore(folder) if folder else None
    begun = time.perf_counter()
    source = store.frames if store else iter_frames
    for _ in source(info, indices, height=HEIGHT, width=WIDTH):
        pass
    read = time.perf_counter() - begun
    if store:
        store.settle()
    print(read, time.perf_counter() - begun)


def in_a_process(video: Path, how: str, count: int, folder: Path | None) -> tuple[float, float]:
    """The two figures of read_once."""
    command = [sys.executable, __file__, str(video), "--once", how, str(count), str(folder or "")]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    read, settled = map(float, done.stdout.split())
    return read, settled


def row(video: Path, how: str, count: int, rounds: int) -> str:
    """One line of the table."""
    plain, first, kept, second = [], [], [], []
    for _ in range(rounds):
        folder = Path(tempfile.mkdtemp(prefix="bench-store-"))
        try:
            plain.append(in_a_process(video, how, count, None)[0])
            read, settled = in_a_process(video, how, count, folder)
            first.append(read)
            kept.append(settled)
            second.append(in_a_process(video, how, count, folder)[0])
            size = sum(each.stat().st_size for each in folder.rglob("*.jpeg"))
        finally:
            shutil.rmtree(folder)
    return (
        f"| {count} {HOW[how]} | {min(plain):.2f} s | {min(first):.2f} s | {min(kept):.2f} s "
        f"| {min(second):.3f} s | {min(second) / min(first):.1%} | {size / 1e6:.1f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", type=Path, nargs="?", help="drawn here where none is given")
    parser.add_argument("--seconds", type=int, default=1800, help="length of the one drawn here")
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--how", nargs="+", choices=HOW, default=list(HOW))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="Write the table to BENCHMARKS.md.")
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        how, count, folder = options.once
        read_once(options.video, how, int(count), Path(folder) if folder else None)
        return
    with tempfile.TemporaryDirectory() as passing:
        video = options.video or Path(passing) / "drawn.mp4"
        if options.video is None:
            size, told = (1280, 720), {"preset": "medium"}
            make_clip(video, seconds=options.seconds, size=size, grain=GRAIN, options=told)
        lines = table(video.resolve(), options)
    if options.write:
        write_section("store", "\n".join(lines))


def table(video: Path, options: argparse.Namespace) -> list[str]:
    """All of it, each line printed as it is known."""
    lines = [
        "## Kept frames\n",
        machine("av", "pillow") + "\n",
        f"{video.name}, {video.stat().st_size / 1e6:,.0f} MB, frames of {WIDTH}x{HEIGHT} as JPEG; "
        f"the best of {options.rounds} rounds, each reading in a process of its own. *On the disk* "
        "includes hashing the file, which happens after the last frame.\n",
        "| frames | no store | first reading | ... on the disk | second reading | second / first "
        "| kept |",
        "|---|---|---|---|---|---|---|",
    ]
    print(*lines, sep="\n", flush=True)
    for how in options.how:
        for count in options.counts:
            lines.append(row(video, how, count, options.rounds))
            print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()
