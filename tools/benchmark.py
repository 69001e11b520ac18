"""What things cost on this machine, printed as tables: planning, reading, the demo model.

    make bench                       everything, a few minutes
    python tools/benchmark.py --seconds 60 --only planning,reading

The video is made here: moving noise and shapes at 1280x720, H.264, a keyframe every 250 frames.
Peers are measured in the same run, on the same file, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

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

READERS = {
    "framewise": """
from core.video import probe, read_frames
info = probe(path)
frames = read_frames(info, indices, height=height, width=width)
count = len(frames.pixels)
""",
    "qwen-vl-utils (decord)": """
import os
os.environ["FORCE_QWENVL_VIDEO_READER"] = "decord"
from qwen_vl_utils.vision_process import fetch_video
video = {"video": path, "nframes": len(indices), "resized_height": height, "resized_width": width}
count = len(fetch_video(video, image_patch_size=16))
""",
    "decord": """
import decord
reader = decord.VideoReader(path, width=width, height=height)
count = len(reader.get_batch(list(indices)).asnumpy())
""",
}


def main() -> None:
    """Run the chosen parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="planning,reading,answering", help="parts, by commas")
    parser.add_argument("--seconds", type=int, default=300, help="length of the clip to read")
    parser.add_argument("--frames", default="16,64", help="how many frames to read, by commas")
    options = parser.parse_args()
    packages = ("torch", "transformers", "av", "decord", "qwen-vl-utils")
    print(f"{platform.processor() or platform.machine()}, {this_machine()[0].model}, ", end="")
    print(f"Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    parts: dict[str, Callable[[], None]] = {
        "planning": planning,
        "reading": lambda: reading(options.seconds, [int(n) for n in options.frames.split(",")]),
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


def reading(seconds: int, counts: list[int]) -> None:
    """Exact frames spread evenly over a long clip, scaled to 448 x 252."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, seconds=seconds)
        info = probe(clip)
        print(f"{seconds} s, {info.frame_count:,} frames, {clip.stat().st_size / 1e6:.0f} MB\n")
        print("| reader | frames | seconds | peak memory |\n|---|---|---|---|")
        for count in counts:
            indices = np.linspace(0, info.frame_count - 1, count).round().astype(int).tolist()
            for name, program in READERS.items():
                taken, peak = _in_process(program, clip, indices)
                print(f"| {name} | {count} | {taken:.2f} | {peak / 1e6:.0f} MB |", flush=True)


def _in_process(program: str, clip: Path, indices: list[int]) -> tuple[float, int]:
    """Seconds of the program's work (imports aside) and its peak resident bytes."""
    code = f"""
import json, resource, sys, time
sys.path.insert(0, {str(ROOT)!r})
path, indices, height, width = {str(clip)!r}, {indices!r}, 252 // 28 * 28, 448
modules = [line for line in {program!r}.splitlines() if line.startswith(("import ", "from "))]
exec("\\n".join(modules))
begun = time.perf_counter()
exec({program!r})
taken = time.perf_counter() - begun
assert count == len(indices), count
print(json.dumps([taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    taken, peak = json.loads(done.stdout.splitlines()[-1])
    return float(taken), int(peak)


def make_clip(path: Path, *, seconds: int) -> None:
    """Noise that drifts, and a square that moves: hard enough to decode like a camera's."""
    import av

    rate, height, width = 30, 720, 1280
    noise = np.random.default_rng(0).integers(60, 200, (height, width * 2, 1), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "30", "g": "250", "keyint_min": "250"}
        for number in range(seconds * rate):
            offset = number * 2 % width
            picture = np.repeat(noise[:, offset : offset + width], 3, axis=2)
            left = number * 7 % (width - 160)
            picture[280:440, left : left + 160] = (220, 40, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


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
