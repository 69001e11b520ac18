"""Plans: size, grid, tokens, labels and limits, for videos that are only described."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CheckpointError, SettingsError, VideoError
from core.planning import ModelCard, Settings, load_card, make_plan
from core.planning.families import FAMILIES, family_of
from core.planning.rounding import round_to_factor
from core.video import VideoInfo, describe_video


@pytest.fixture(scope="module")
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


def _video(
    width: int = 1280, height: int = 720, seconds: float = 60, rate: float = 30
) -> VideoInfo:
    return describe_video(width=width, height=height, duration_seconds=seconds, frame_rate=rate)


@pytest.mark.parametrize(
    ("size", "limits", "fitted"),
    [
        ((720, 1280), (131_072, 786_432), (640, 1152)),
        ((720, 1280), (4096, 10**9), (704, 1280)),  # 22.5 rounds to the even 22
        ((360, 640), (131_072, 786_432), (352, 640)),
        ((64, 96), (131_072, 786_432), (320, 448)),
        ((1, 1), (1, 10**9), (32, 32)),
        ((20, 4000), (1024, 10_240), (32, 1408)),  # qwen-vl-utils would give a height of 0
    ],
    ids=str,
)
def test_round_to_factor(
    size: tuple[int, int], limits: tuple[int, int], fitted: tuple[int, int]
) -> None:
    least, most = limits
    assert round_to_factor(*size, factor=32, least=least, most=most) == fitted


def test_a_ribbon_is_refused() -> None:
    with pytest.raises(VideoError, match="4020x20: one side is over 200 times") as caught:
        round_to_factor(20, 4020, factor=32, least=1, most=10**9)
    assert caught.value.remedy


@pytest.mark.parametrize("model_type", ["qwen3_vl", "qwen3_vl_moe"])
def test_family_by_model_type(model_type: str) -> None:
    assert family_of(model_type) is FAMILIES["qwen3_vl"]


def test_unknown_family_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="'llama'") as caught:
        family_of("llama")
    assert all(kind in caught.value.remedy for kind in FAMILIES["qwen3_vl"].model_types)


@pytest.mark.parametrize(
    ("chosen", "frames", "size", "per_step"),
    [
        ({}, 120, (640, 1152), 720),
        ({"fps": 1}, 60, (640, 1152), 720),
        ({"max_frame_tokens": 160}, 120, (288, 512), 144),
        ({"max_frame_tokens": 40}, 120, (128, 256), 32),
        ({"min_frame_tokens": 700, "fps": 0.5}, 30, (640, 1152), 720),
        ({"video_token_budget": 6000}, 120, (224, 416), 91),
        ({"video_token_budget": 600}, 120, (64, 128), 8),
        ({"max_frames": 16, "video_token_budget": 100_000}, 16, (640, 1152), 720),
    ],
    ids=str,
)
def test_size_follows_the_limits(
    chosen: dict[str, Any], frames: int, size: tuple[int, int], per_step: int, card: ModelCard
) -> None:
    plan = make_plan(_video(), Settings(**chosen), card)
    assert len(plan.indices) == frames
    assert (plan.height, plan.width) == size
    assert plan.tokens_per_step == per_step
    assert plan.grid == (frames // 2, size[0] // 16, size[1] // 16)
    assert plan.video_tokens == frames // 2 * per_step


def test_times_and_labels_are_those_of_the_frames(card: ModelCard) -> None:
    plan = make_plan(_video(seconds=10, rate=25), Settings(fps=0.4), card)
    assert plan.indices == (0, 83, 166, 249)
    assert plan.times == (0.0, 3.32, 6.64, 9.96)
    assert plan.step_times == pytest.approx((1.66, 8.3))
    assert plan.labels == ("<1.7 seconds>", "<8.3 seconds>")


def test_times_of_an_uneven_video_are_its_own(card: ModelCard) -> None:
    info = VideoInfo(
        width=640,
        height=360,
        duration_seconds=40.0,
        frame_rate=Fraction(1, 10),
        frame_count=4,
        variable_rate=True,
        frame_times=[0.0, 0.1, 30.0, 35.5],
    )
    plan = make_plan(info, Settings(), card)
    assert plan.times == (0.0, 0.1, 30.0, 35.5)
    assert plan.labels == ("<0.1 seconds>", "<32.8 seconds>")


def test_a_single_frame_is_its_own_pair(card: ModelCard) -> None:
    plan = make_plan(_video(seconds=0.03), Settings(), card)
    assert (plan.indices, plan.grid[0], plan.labels) == ((0,), 1, ("<0.0 seconds>",))


@pytest.mark.parametrize(
    ("chosen", "named", "remedy"),
    [
        ({"max_tiles": 4}, "max_tiles has no meaning for Qwen3-VL", "max_frame_tokens"),
        ({"video_token_budget": 59}, "budget of 59 tokens .* each of 60", "to 60, or take 118"),
        ({"max_frames": 1}, "max_frames is 1", "2 or more"),
        ({"start": 61.0}, "no frame between 61 s and 60 s", "between 0 and 60"),
    ],
    ids=str,
)
def test_refused(chosen: dict[str, Any], named: str, remedy: str, card: ModelCard) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        make_plan(_video(), Settings(**chosen), card)
    assert remedy in caught.value.remedy


@given(
    width=st.integers(16, 4000),
    height=st.integers(16, 4000),
    seconds=st.floats(0.05, 4000),
    fps=st.floats(0.01, 60),
    max_frames=st.none() | st.integers(2, 3000),
    max_frame_tokens=st.none() | st.integers(1, 2000),
    budget=st.none() | st.integers(400, 200_000),
)
@settings(max_examples=300)
def test_a_plan_keeps_what_it_says(
    card: ModelCard,
    width: int,
    height: int,
    seconds: float,
    fps: float,
    max_frames: int | None,
    max_frame_tokens: int | None,
    budget: int | None,
) -> None:
    info = _video(width=width, height=height, seconds=seconds)
    chosen = Settings(
        fps=fps,
        max_frames=max_frames,
        max_frame_tokens=max_frame_tokens,
        video_token_budget=budget,
    )
    try:
        plan = make_plan(info, chosen, card)
    except VideoError:
        assert max(width, height) > 200 * min(width, height)
        return
    except SettingsError:
        assert budget is not None
        return
    assert len(plan.indices) == len(plan.times)
    assert len(plan.indices) <= (max_frames or 768)
    assert 0 <= plan.indices[0] <= plan.indices[-1] < info.frame_count
    assert plan.height % 32 == plan.width % 32 == 0
    thin = 32 in (plan.height, plan.width)  # and cannot get any thinner
    enlarged = round(height / 32) * round(width / 32) * 1024 < plan.min_pixels  # rounds up
    if max_frame_tokens is not None:
        assert plan.tokens_per_step <= max_frame_tokens or thin or enlarged
    if budget is not None:
        assert plan.video_tokens <= budget or thin or enlarged
    assert len(plan.labels) == plan.grid[0]
