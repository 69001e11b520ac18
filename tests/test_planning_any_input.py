"""Whatever is asked of whatever video and family: a plan that holds, or one clear refusal."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FramewiseError
from core.planning import ModelCard, Settings, Turn, estimate, load_card, make_plan, parse_devices
from core.planning.catalog import catalog
from core.planning.families import FAMILIES, family_of
from core.planning.fit import remedy_for
from core.video import VideoInfo, describe_video

DEVICES = parse_devices("24GiB,48GiB")
TURNS = [Turn("user", "What happens?")]
NUMBERS = st.one_of(st.none(), st.sampled_from([-1, 0, 1, 2, 3, 7, 64, 768, 10**5, 10**9]))
SECONDS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))


def _one_of_each() -> list[str]:
    """A checkpoint of every family in the catalog."""
    found: dict[str, str] = {}
    for known in catalog():
        kind, processor = known.config["model_type"], known.video.get("video_processor_type")
        found.setdefault(family_of(kind, processor).name, known.name)
    return list(found.values())


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(["fps", "uniform", "keyframes", "scenes", "dense"]),
        "route": st.sampled_from([None, "qwen-vl-utils", "processor", "tiles", "other"]),
        "fps": st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
        "min_frames": NUMBERS,
        "max_frames": NUMBERS,
        "start": SECONDS,
        "end": SECONDS,
        "min_frame_tokens": NUMBERS,
        "max_frame_tokens": NUMBERS,
        "max_tiles": NUMBERS,
        "video_token_budget": NUMBERS,
        "reply_tokens": st.sampled_from([0, 1, 512, 10**7, 10**9]),
    },
)
VIDEOS = st.builds(
    describe_video,
    width=st.one_of(st.sampled_from([16, 1920, 8000]), st.integers(1, 8000)),
    height=st.one_of(st.sampled_from([16, 200, 1080]), st.integers(1, 8000)),
    duration_seconds=st.sampled_from([0.001, 0.04, 1.0, 60.0, 3600.0, 360_000.0]),
    frame_rate=st.sampled_from([1, 10, 29.97, 30, 240]),
)


def test_the_catalog_has_every_family() -> None:
    assert len(_one_of_each()) == len(FAMILIES)


@pytest.mark.parametrize("model", _one_of_each())
@settings(max_examples=150)
@given(video=VIDEOS, choices=CHOICES)
def test_a_plan_or_a_refusal(model: str, video: VideoInfo, choices: dict[str, Any]) -> None:
    card = load_card(model)
    try:
        chosen = Settings(**choices)
        plan = make_plan(video, chosen, card)
    except FramewiseError as refusal:
        _is_clear(refusal)
        return
    assert list(plan.indices) == sorted(plan.indices)
    assert 0 <= plan.indices[0] <= plan.indices[-1] < video.frame_count
    assert len(plan.indices) <= (chosen.max_frames or math.inf) or len(plan.indices) == 2
    assert plan.tokens_per_step >= 1
    assert min(plan.height, plan.width) >= min(card.patches.factor, card.frame_side or math.inf)
    found = estimate(plan, video, chosen, card, TURNS, devices=DEVICES)
    assert found.tokens.prompt > plan.video_tokens
    way_out = remedy_for(found, video, chosen, card, TURNS, DEVICES)
    if way_out is not None and way_out.settings is not None:
        better = make_plan(video, way_out.settings, card)
        again = estimate(better, video, way_out.settings, card, TURNS, devices=DEVICES)
        assert again.verdict == "fits"


def _is_clear(refusal: FramewiseError) -> None:
    assert refusal.message
    assert refusal.remedy
    assert "Traceback" not in refusal.message


@pytest.mark.parametrize("model", _one_of_each())
@pytest.mark.parametrize(
    ("width", "height", "seconds", "rate"),
    [(16, 16, 1, 1), (8000, 200, 60, 30), (1920, 1080, 360_000, 240), (640, 360, 0.01, 30)],
    ids=str,
)
def test_odd_videos_are_planned(
    model: str, width: int, height: int, seconds: float, rate: float
) -> None:
    card: ModelCard = load_card(model)
    video = describe_video(width=width, height=height, duration_seconds=seconds, frame_rate=rate)
    plan = make_plan(video, Settings(), card)
    assert plan.video_tokens >= 1
