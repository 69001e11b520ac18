"""Families without planning rules: what is foretold against their real processors, with pixels."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from unlisted_processors import UNLISTED, unlisted_processor

from core.errors import SettingsError
from core.measuring import measurable
from core.planning import ModelCard, Plan, Settings, Turn, make_plan
from core.planning.prompt import writer_for
from core.planning.tokens import count_tokens
from core.video import VideoInfo, describe_video

CASES = 20
QUESTIONS = ["What happens?", "", "?", "12.5 s\n漢字 🎬", "<video> is not a marker", " s and such"]
Built = tuple[Any, ModelCard]


@pytest.fixture(scope="module", params=list(UNLISTED))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    import transformers

    if not hasattr(transformers, UNLISTED[request.param].processor):
        pytest.skip(f"transformers {transformers.__version__} does not know {request.param} yet")
    folder = tmp_path_factory.mktemp("unlisted") / request.param
    processor, card = unlisted_processor(UNLISTED[request.param], folder)
    return processor, measurable(card)


def _video(dice: random.Random) -> VideoInfo:
    return describe_video(
        width=dice.randint(60, 900),
        height=dice.randint(60, 600),
        duration_seconds=dice.choice([0.7, 2.2, 31, 95.7, 3700]),
        frame_rate=dice.choice([3, 10, 24, 25, 29.97, 60]),
    )


def _real(
    processor: Any, plan: Plan, prompt: str, *, size: tuple[int, int], do_resize: bool = True
) -> Any:
    """What the processor makes of black frames of ``size`` (height, width), as the engine asks."""
    metadata = {
        "total_num_frames": len(plan.times),
        "fps": 1.0,
        "frames_indices": list(plan.times),
        "height": size[0],
        "width": size[1],
        "duration": plan.duration_seconds,
    }
    return processor(
        text=[prompt],
        videos=[torch.zeros((len(plan.times), 3, *size), dtype=torch.uint8)],
        video_metadata=[metadata],
        do_sample_frames=False,
        do_resize=do_resize,
        return_metadata=True,
        return_tensors="pt",
    )


@pytest.mark.parametrize("seed", range(CASES))
def test_foretold_is_what_the_processor_counts(seed: int, built: Built) -> None:
    processor, card = built
    dice = random.Random(seed)
    info, settings = _video(dice), Settings(max_frames=dice.randint(2, 12))
    turns = [Turn("user", dice.choice(QUESTIONS))]
    if dice.random() < 0.3:
        turns += [Turn("assistant", "A circle."), Turn("user", "Where?")]
    plan = make_plan(info, settings, card)
    foretold = count_tokens(plan, card, turns, reply_tokens=1)
    prompt = writer_for(card).render(turns)
    own = _real(processor, plan, prompt, size=(info.height, info.width))
    assert foretold.exact
    assert foretold.prompt == own["input_ids"].shape[1]
    if plan.measured and not plan.measured.resizes:
        given = _real(processor, plan, prompt, size=(plan.height, plan.width), do_resize=False)
        assert given["input_ids"].equal(own["input_ids"])


def test_a_single_frame_is_planned_or_refused_by_name(built: Built) -> None:
    processor, card = built
    info = describe_video(width=300, height=200, duration_seconds=1, frame_rate=1)
    try:
        plan = make_plan(info, Settings(), card)
    except SettingsError as error:
        refused = error.message
        assert "refuses 1 frame(s) of 300x200: t:1 must be larger" in refused
        return
    foretold = count_tokens(plan, card, [Turn("user", "?")], reply_tokens=1)
    prompt = writer_for(card).render([Turn("user", "?")])
    assert foretold.prompt == _real(processor, plan, prompt, size=(200, 300))["input_ids"].shape[1]


def test_patches_are_those_of_the_pixels(built: Built) -> None:
    processor, card = built
    info = describe_video(width=300, height=200, duration_seconds=4, frame_rate=10)
    plan = make_plan(info, Settings(max_frames=4), card)
    prompt = writer_for(card).render([Turn("user", "?")])
    inputs = _real(processor, plan, prompt, size=(200, 300))
    patches = plan.grid[0] * plan.grid[1] * plan.grid[2]
    if "video_grid_thw" in inputs:
        assert patches == inputs["video_grid_thw"].prod(-1).sum()
    else:
        pixels = inputs["pixel_values_videos"].numel()
        assert patches * 3 * card.patches.patch_size**2 == pixels
