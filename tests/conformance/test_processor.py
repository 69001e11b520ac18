"""Token counts and prompts of a plan against the real processor of a checkpoint.

The processor runs on meta tensors, which have shapes and no pixels, so that many plans cost little.
"""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from core.planning import ModelCard, Plan, Settings, Turn, load_card, make_plan
from core.planning.forecast import count_tokens
from core.planning.prompt import PromptWriter, prompt_writer
from core.video import VideoInfo, describe_video

WORDS = [
    "What",
    "colour",
    "is",
    "the",
    "circle",
    "at 12.5 seconds?",
    "Ünï",
    "漢字",
    "🎬",
    "\n",
    "  ",
]
SLY = ["<|video_pad|>", "<|im_end|>", "<|vision_start|>", "<2.0 seconds>", "{{ 7 * 7 }}"]


@pytest.fixture(scope="module")
def card(model: Path) -> ModelCard:
    return load_card(model)


@pytest.fixture(scope="module")
def writer(card: ModelCard) -> PromptWriter:
    return prompt_writer(card.folder)


@pytest.fixture(scope="module")
def processor(card: ModelCard) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(card.source)


def _random_plan(random_: random.Random, card: ModelCard) -> Plan:
    info = describe_video(
        width=random_.randint(32, 2000),
        height=random_.randint(32, 2000),
        duration_seconds=random_.choice([0.03, 0.1, 1, 8.3, 60, 95.7, 900, 9000]),
        frame_rate=random_.choice([8, 24, Fraction(30000, 1001), 30, 60]),
    )
    settings = Settings(
        fps=random_.choice([None, 0.1, 1, 2.3, 8]),
        max_frames=random_.choice([None, 2, 9, 50]),
        max_frame_tokens=random_.choice([None, 1, 30, 400]),
    )
    return make_plan(info, settings, card)


def _random_turns(random_: random.Random) -> list[Turn]:
    def text() -> str:
        return " ".join(random_.choices(WORDS + SLY, k=random_.randint(1, 12)))

    count = random_.choice([1, 3, 5])
    return [Turn(("user", "assistant")[number % 2], text()) for number in range(count)]


def _inputs(processor: Any, plan: Plan, prompt: str, *, device: str) -> Any:
    """The plan's frames through the processor, at 1 frame a second with times for indices."""
    shape = (len(plan.indices), 3, plan.height, plan.width)
    metadata = {
        "total_num_frames": len(plan.times),
        "fps": 1.0,
        "frames_indices": list(plan.times),
        "duration": plan.times[-1],
    }
    return processor(
        text=[prompt],
        videos=[torch.zeros(shape, dtype=torch.uint8, device=device)],
        video_metadata=[metadata],
        do_sample_frames=False,
        do_resize=False,
        return_metadata=True,
    )


@pytest.mark.parametrize("seed", range(330))
def test_prompt_tokens(seed: int, card: ModelCard, writer: PromptWriter, processor: Any) -> None:
    random_ = random.Random(seed)
    plan, turns = _random_plan(random_, card), _random_turns(random_)
    found = _inputs(processor, plan, writer.render(turns), device="meta")
    tokens = count_tokens(plan, card, turns, reply_tokens=1)
    ids = found["input_ids"][0]
    assert tokens.prompt == len(ids)
    assert tokens.video == sum(token == processor.video_token_id for token in ids)
    assert tuple(found["video_grid_thw"][0].tolist()) == plan.grid


@pytest.mark.parametrize("seed", range(6))
def test_prompt_tokens_with_real_pictures(
    seed: int, card: ModelCard, writer: PromptWriter, processor: Any
) -> None:
    info = describe_video(width=320, height=180, duration_seconds=3 + seed, frame_rate=30)
    plan = make_plan(info, Settings(max_frame_tokens=20, max_frames=9), card)
    turns = _random_turns(random.Random(seed))
    found = _inputs(processor, plan, writer.render(turns), device="cpu")
    patches = plan.grid[0] * plan.grid[1] * plan.grid[2]
    assert len(found["pixel_values_videos"]) == patches
    assert count_tokens(plan, card, turns, reply_tokens=1).prompt == len(found["input_ids"][0])


def test_time_labels(card: ModelCard, writer: PromptWriter, processor: Any) -> None:
    """With frame numbers and the file's rate, as others call the processor: the same labels."""
    info = describe_video(
        width=320, height=180, duration_seconds=20, frame_rate=Fraction(30000, 1001)
    )
    plan = make_plan(info, Settings(fps=1.3, max_frame_tokens=4), card)
    prompt = writer.render([Turn("user", "What?")])
    ours = _inputs(processor, plan, prompt, device="meta")["input_ids"][0]
    theirs = processor(
        text=[prompt],
        videos=[torch.empty((len(plan.indices), 3, plan.height, plan.width), device="meta")],
        video_metadata=[
            {
                "total_num_frames": info.frame_count,
                "fps": float(info.frame_rate),
                "frames_indices": list(plan.indices),
                "duration": info.duration_seconds,
            }
        ],
        do_sample_frames=False,
        do_resize=False,
    )["input_ids"][0]
    assert list(ours) == list(theirs)
    text = processor.tokenizer.decode(ours)
    assert [label in text for label in plan.labels] == [True] * plan.grid[0]


def test_times_that_lie_between_two_labels(card: ModelCard, processor: Any) -> None:
    """Halves are where rounding could differ: 0.05, 0.15, 0.25 ... through both."""
    times = [round(0.05 + 0.1 * number, 2) for number in range(400)]
    info = VideoInfo(
        width=320,
        height=180,
        duration_seconds=41.0,
        frame_rate=Fraction(10),
        frame_count=400,
        variable_rate=True,
        frame_times=times,
    )
    plan = make_plan(info, Settings(fps=10, max_frame_tokens=1), card)
    found = _inputs(processor, plan, "<|video_pad|>", device="meta")["input_ids"][0]
    text = processor.tokenizer.decode(found)
    assert text.count(" seconds>") == len(plan.labels)
    place = 0
    for label in plan.labels:
        place = text.index(label, place) + 1


@pytest.mark.parametrize("seed", range(40))
def test_prompt_is_the_processors_own(seed: int, writer: PromptWriter, processor: Any) -> None:
    """Rendered by jinja2 alone, as apply_chat_template renders it."""
    random_ = random.Random(seed)
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d")]
    turns = [
        Turn(turn.role, " ".join(random_.choices(WORDS, k=5)))
        for turn in [*turns, Turn("user", "e")][: random_.choice([1, 2, 3, 4, 5])]
    ]
    contents: list[list[dict[str, str]]] = [[{"type": "text", "text": t.text}] for t in turns]
    contents[0].insert(0, {"type": "video"})
    messages = [
        {"role": turn.role, "content": content}
        for turn, content in zip(turns, contents, strict=True)
    ]
    theirs = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert writer.render(turns) == theirs
