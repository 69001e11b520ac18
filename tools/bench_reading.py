"""What reading frames costs beside other libraries, printed as a table.

    make bench
    python tools/bench_reading.py --seconds 120 --frames 16 --size 640x360    in a minute
    python tools/bench_reading.py --write                                     into BENCHMARKS.md

The clips are made here: a landscape of noise that drifts under moving shapes, with the grain of a
camera, H.264, a keyframe every 250 frames; two minutes are encoded and their packets repeated.
Every reader runs on the same file in a process of its own, several times in turn; the best counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench_peers import PEERS  # noqa: E402
from bench_report import machine, write_section  # noqa: E402
from core.video import VideoInfo, probe  # noqa: E402

RATE, GOP, GOPS_ENCODED = 30, 250, 15
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
    """What one reader took: seconds, and bytes at the peak over what its imports took."""

    seconds: float
    peak_bytes: int


def main() -> None:
    """Measure, print each row as it comes, and write the table where that is asked for."""
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
                clip = folder / f"{preset}-{options.seconds}s-{options.size}.mp4"
                if not clip.exists():
                    size = (width, height)
                    make_clip(clip, seconds=options.seconds, size=size, options=ENCODINGS[name])
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
    yield "| frames | reader | seconds | times ours | MB at the peak, imports aside |"
    yield "|---|---|---|---|---|"
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
    for name, indices in jobs.items():
        row = f"| {label} | {name} |"
        failed = ""
        for _ in range(options.rounds):
            found = _in_process(name, clip, indices, options)
            if isinstance(found, str):
                failed = found
                break
            if name not in best or found.seconds < best[name].seconds:
                best[name] = found
        if failed:
            yield f"{row} {failed} | | |"
            continue
        result = best[name]
        ratio = f"{result.seconds / best[ours].seconds:.1f}" if ours in best else ""
        yield f"{row} {result.seconds:.2f} | {ratio} | {result.peak_bytes / 1e6:.0f} |"
    return best


def _verdict(found: dict[str, Result], snapped: dict[str, Result], count: int) -> Iterator[str]:
    qwen = [found[name].seconds for name in found if name.startswith("qwen-vl-utils")]
    if qwen and OURS in found and OURS in snapped:
        exact, keys = min(qwen) / found[OURS].seconds, min(qwen) / snapped[OURS].seconds
        yield (
            f"| {count} | **qwen-vl-utils with its best reader, times ours** "
            f"| | **exact {exact:.1f}, keyframes {keys:.1f}** | |"
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
    seconds, peak_bytes = json.loads(done.stdout.splitlines()[-1])
    return Result(seconds=seconds, peak_bytes=peak_bytes)


def make_clip(path: Path, *, seconds: int, size: tuple[int, int], options: dict[str, str]) -> None:
    """Encode some GOPs and repeat their packets until the clip is long enough."""
    import av

    frames = min(seconds * RATE, GOP * GOPS_ENCODED)
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0"} | options
        stream.thread_type = "FRAME"  # as the encoder's own program does: one slice a picture
        for picture in _pictures(frames, *size):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = path.with_suffix(".whole.mp4")
    with av.open(str(part)) as source, av.open(str(whole), "w") as container:
        stream, first = container.add_stream_from_template(source.streams.video[0]), 0
        base = source.streams.video[0].time_base or Fraction(1)
        once: list[Any] = [packet for packet in source.demux(video=0) if packet.size]
        while first < seconds * RATE:
            for packet in once[: seconds * RATE - first]:
                copy = av.Packet(bytes(packet))
                copy.pts = packet.pts + round(first / RATE / base)
                copy.dts = packet.dts + round(first / RATE / base)
                copy.duration, copy.time_base = packet.duration, base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                container.mux(copy)
            first += frames
    part.unlink()
    whole.rename(path)


def _pictures(count: int, width: int, height: int) -> Iterator[np.ndarray[Any, Any]]:
    """4:2:0 planes of each picture below each other, as PyAV takes them."""
    random = np.random.default_rng(0)
    land = _landscape(random, height, width * 2)
    tint = [(_landscape(random, height // 2, width) // 4 + 96).astype(np.uint8) for _ in "uv"]
    grain = random.normal(0, 1.0, (8, height, width)).astype(np.int16)
    for number in range(count):
        left = int(width / 2 * (1 + np.sin(number / 90)))
        luma = land[:, left : left + width] + np.roll(grain[number % 8], number * 37, axis=1)
        chroma = [plane[:, left // 2 : left // 2 + width // 2] for plane in tint]
        for shape in range(3):
            x = number * (5 + 2 * shape) % (width - width // 8) // 2 * 2
            y = (height // 4 * shape + number) % (height - height // 5) // 2 * 2
            luma[y : y + height // 5, x : x + width // 8] = 60 + 60 * shape
        planes = [luma.clip(16, 235).astype(np.uint8), *chroma]
        yield np.concatenate([plane.reshape(-1, width) for plane in planes])


def _landscape(random: np.random.Generator, height: int, width: int) -> np.ndarray[Any, Any]:
    """Noise with the spectrum of a natural picture: amplitude falls as frequency rises."""
    spectrum = np.fft.rfft2(random.normal(size=(height, width)))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    spectrum /= np.maximum(np.hypot(rows, columns), 1 / width) ** 1.5
    plane = np.fft.irfft2(spectrum, s=(height, width))
    scaled = 128 + 45 * (plane - plane.mean()) / plane.std()
    return scaled.clip(20, 230).astype(np.int16)


if __name__ == "__main__":
    main()
