"""Run by test_fits_gpu.py, alone in its process: the most frames that are said to fit, asked twice.

Prints one line of JSON: frames, and tokens of both replies and of the second prompt's reused part.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests"), str(ROOT)]

import torch  # noqa: E402

from asking_by_hand import NEVER, ending, said  # noqa: E402
from bench_models import asked, planned, random_engine, wait_until_set_up  # noqa: E402
from core.engine.loading import choose_devices  # noqa: E402
from core.planning import Turn, estimate, load_card  # noqa: E402
from core.planning.devices import GIB  # noqa: E402

CONTEXT_BYTES = int(0.85 * GIB)  # of the driver and its libraries, which torch does not count
MOST_FRAMES = 768


def main() -> None:
    capacity = int(sys.argv[1]) * GIB
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((capacity - CONTEXT_BYTES) / whole, 0)
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
    asking = asked(card, planned(card, frames)[2], video="one")
    first = list(engine.stream(asking, stop=NEVER))
    again = replace(asking, prompt=f"{asking.prompt} {said(first)} w1 w2 w3", reply_tokens=8)
    second = ending(list(engine.stream(again, stop=NEVER)))
    found = {
        "frames": frames,
        "prompt": ending(first).prompt_tokens,
        "replies": [ending(first).reply_tokens, second.reply_tokens],
        "reused": second.reused_tokens,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
