"""Frames and sizes of a plan against qwen-vl-utils' own functions, for many random settings."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from qwen_vl_utils import vision_process

from clips import number_of
from core.errors import SettingsError
from core.planning import ModelCard, Plan, Settings, load_card, make_plan
from core.video import VideoInfo, describe_video, probe

PUBLISHED = ["Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3.5-9B"]
RATES = [10, 15, 24, Fraction(24000, 1001), 25, Fraction(30000, 1001), 30, 50, 60, 120]
SHAPES = [(1920, 1080), (1280, 720), (640, 360), (720, 1280), (1080, 1920), (320, 240), (96, 64)]


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """What qwen-vl-utils does, but for a side of 0."""

    indices: list[int]
    height: int
    width: int


@pytest.fixture(scope="module", params=["a checkpoint folder", *PUBLISHED])
def card(request: pytest.FixtureRequest, tiny_model: Path) -> ModelCard:
    return load_card(request.param if request.param in PUBLISHED else tiny_model)


def _element(settings: Settings, area: int) -> dict[str, Any]:
    """The settings in qwen-vl-utils' words; what is None is left to its defaults."""
    words = {
        "video_start": settings.start,
        "video_end": settings.end,
        "min_pixels": settings.min_frame_tokens and settings.min_frame_tokens * area,
        "max_pixels": settings.max_frame_tokens and settings.max_frame_tokens * area,
        "total_pixels": settings.video_token_budget and settings.video_token_budget * area,
    }
    if settings.strategy == "uniform":
        words["nframes"] = settings.max_frames
    else:
        words |= {
            "fps": settings.fps,
            "min_frames": settings.min_frames,
            "max_frames": settings.max_frames,
        }
    return {key: value for key, value in words.items() if value is not None}


def _theirs(info: VideoInfo, element: dict[str, Any], factor: int) -> Theirs:
    """As the reader functions and fetch_video of vision_process.py put the pieces together."""
    rate, area = float(info.frame_rate), factor**2
    first, last, available = vision_process.calculate_video_frame_range(
        element, info.frame_count, rate
    )
    frames = vision_process.smart_nframes(element, total_frames=available, video_fps=rate)
    indices = torch.linspace(first, last, frames).round().long().tolist()
    least = element.get("min_pixels", vision_process.VIDEO_MIN_TOKEN_NUM * area)
    total = element.get("total_pixels", vision_process.MODEL_SEQ_LEN * area * 0.9)
    most = max(
        min(
            vision_process.VIDEO_MAX_TOKEN_NUM * area,
            total / frames * vision_process.FRAME_FACTOR,
        ),
        int(least * 1.05),
    )
    most = min(element.get("max_pixels", most), most)
    height, width = vision_process.smart_resize(
        info.height, info.width, factor=factor, min_pixels=least, max_pixels=most
    )
    # under a small limit it gives a very long picture a side of 0, which no model can take
    return Theirs(indices=indices, height=max(factor, height), width=max(factor, width))


def _random_video(random_: random.Random) -> VideoInfo:
    shape = random_.choice([*SHAPES, (random_.randint(32, 4096), random_.randint(32, 4096))])
    return describe_video(
        width=shape[0],
        height=shape[1],
        duration_seconds=random_.choice([0.5, 2, 9.7, 30, 61.3, 600, 3600, 7200]),
        frame_rate=random_.choice(RATES),
    )


def _random_settings(random_: random.Random, info: VideoInfo) -> Settings:
    """Every kind of choice, each given or left out."""

    def maybe(*choices: Any) -> Any:
        return random_.choice([None, None, *choices])

    start = maybe(0.0, round(random_.uniform(0, info.duration_seconds), 2))
    end = maybe(round(random_.uniform(start or 0, info.duration_seconds) + 0.1, 2), 1e5)
    low = maybe(random_.randint(1, 200))
    high = maybe(*(random_.randint(200, 1200) for _ in range(3)))
    return Settings(
        strategy="fps",
        fps=maybe(0.1, 0.25, 0.5, 1, 1.7, 2, 3, 4, 10, 30),
        min_frames=maybe(1, 2, 4, 7, 16),
        max_frames=maybe(16, 17, 64, 100, 768, 2000),
        start=start,
        end=end,
        min_frame_tokens=low,
        max_frame_tokens=high,
        video_token_budget=maybe(2000, 12_288, 50_000, 115_200),
    )


def _same(plan: Plan, theirs: Theirs) -> bool:
    return (list(plan.indices), plan.height, plan.width) == (
        theirs.indices,
        theirs.height,
        theirs.width,
    )


@pytest.mark.parametrize("seed", range(700))
def test_random_settings(seed: int, card: ModelCard) -> None:
    """Equal wherever qwen-vl-utils plans; where it raises, a plan or a refusal by name.

    It is told the floor of the plan where the person chose none: a floor of its own that pushes a
    video over the budget that was asked for is what this application does not follow.
    """
    random_ = random.Random(seed)
    info = _random_video(random_)
    chosen = _random_settings(random_, info)
    try:
        plan = make_plan(info, chosen, card)
    except SettingsError:
        with pytest.raises((ValueError, AssertionError)):
            _theirs(info, _element(chosen, card.patches.area), card.patches.factor)
        return
    element = _element(chosen, card.patches.area)
    if chosen.video_token_budget:
        element["min_pixels"] = plan.min_pixels
    try:
        theirs = _theirs(info, element, card.patches.factor)
    except (ValueError, AssertionError):
        assert len(plan.indices) == 1  # a range with one frame, of which it takes none
        return
    assert _same(plan, theirs), (chosen, info, plan, theirs)


@pytest.mark.parametrize("seed", range(100))
def test_uniform_sampling(seed: int, card: ModelCard) -> None:
    random_ = random.Random(seed)
    info = _random_video(random_)
    chosen = Settings(strategy="uniform", max_frames=2 * random_.randint(1, 40))
    plan = make_plan(info, chosen, card)
    try:
        theirs = _theirs(info, _element(chosen, card.patches.area), card.patches.factor)
    except ValueError:  # it refuses more frames than there are; here all of them are taken
        assert info.frame_count < (chosen.max_frames or 0)
        return
    assert _same(plan, theirs)


@pytest.mark.parametrize("seed", range(300))
def test_size_within_the_plans_own_limits(seed: int, card: ModelCard) -> None:
    """smart_resize under the limits that the plan states, small ones and tight budgets included."""
    random_ = random.Random(seed)
    info = _random_video(random_)
    chosen = Settings(
        fps=random_.choice([0.2, 1, 4]),
        max_frame_tokens=random_.choice([None, random_.randint(1, 127), random_.randint(128, 900)]),
        video_token_budget=random_.choice([None, random_.randint(1, 3000)]),
    )
    try:
        plan = make_plan(info, chosen, card)
    except SettingsError:
        assert chosen.video_token_budget is not None
        return
    height, width = vision_process.smart_resize(
        info.height,
        info.width,
        factor=card.patches.factor,
        min_pixels=plan.min_pixels,
        max_pixels=plan.max_pixels,
    )
    assert (plan.height, plan.width) == tuple(
        max(card.patches.factor, side) for side in (height, width)
    )


FETCHED: dict[str, dict[str, Any]] = {
    "defaults": {},
    "many frames": {"fps": 10},
    "few frames": {"fps": 0.3},
    "an odd maximum": {"fps": 25, "max_frames": 7},
    "a range": {"start": 0.5, "end": 1.7},
    "smaller": {"max_frame_tokens": 130},
    "larger": {"min_frame_tokens": 300},
    "a budget": {"fps": 12, "video_token_budget": 2000, "min_frame_tokens": 40},
    "so many": {"strategy": "uniform", "max_frames": 10},
}


@pytest.mark.parametrize("chosen", FETCHED.values(), ids=FETCHED.keys())
@pytest.mark.parametrize("name", ["h264.mp4", "ntsc.mov", "vp9.webm", "one_keyframe.mp4"])
def test_fetch_video_itself(
    name: str,
    chosen: dict[str, Any],
    card: ModelCard,
    clip_file: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole of fetch_video, decord reading the file: frames, size and pictures."""
    pytest.importorskip("decord")
    monkeypatch.setattr(vision_process, "FORCE_QWENVL_VIDEO_READER", "decord")
    vision_process.get_video_reader_backend.cache_clear()
    settings = Settings(**chosen)
    path = clip_file(name)
    plan = make_plan(probe(path), settings, card)
    video, metadata = vision_process.fetch_video(
        {"video": str(path), **_element(settings, card.patches.area)},
        image_patch_size=card.patches.patch_size,
        return_video_metadata=True,
    )
    assert metadata["frames_indices"] == list(plan.indices)
    assert tuple(video.shape) == (len(plan.indices), 3, plan.height, plan.width)
    numbers = [number_of(frame.permute(1, 2, 0).numpy()) for frame in video]
    assert numbers == list(plan.indices)
