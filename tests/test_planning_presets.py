"""Presets: ordered, valid, and in proportion to the family."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.planning import Settings
from core.planning.families import FAMILIES
from core.planning.family import Limits
from core.planning.presets import PRESETS, preset
from core.planning.settings import MAX_FRAMES, MAX_TOKENS


def _limits(frames: tuple[int, int], tokens: tuple[int, int]) -> Limits:
    return Limits(
        fps=2.0,
        min_frames=frames[0],
        max_frames=frames[1],
        min_frame_tokens=tokens[0],
        max_frame_tokens=tokens[1],
        video_tokens=100_000,
    )


@pytest.mark.parametrize(
    ("name", "limits", "frames", "tokens"),
    [
        ("fast", _limits((1, 16), (16, 256)), 2, 32),
        ("balanced", _limits((1, 16), (16, 256)), 4, 64),
        ("detailed", _limits((1, 16), (16, 256)), 16, 256),
        ("fast", FAMILIES["qwen3_vl"].routes[0].limits, 15, 200),
        ("balanced", FAMILIES["qwen3_vl"].routes[0].limits, 55, 314),
        ("detailed", FAMILIES["qwen3_vl"].routes[0].limits, 768, 768),
        ("fast", _limits((1, 64), (256, 256)), 3, None),
        ("balanced", _limits((1, 64), (256, 256)), 8, None),
        ("detailed", _limits((1, 64), (256, 256)), 64, None),
        ("fast", _limits((8, 8), (16, 256)), 8, 32),
    ],
    ids=str,
)
def test_presets_by_hand(name: str, limits: Limits, frames: int, tokens: int | None) -> None:
    chosen = preset(name, limits)
    assert (chosen["max_frames"], chosen["max_frame_tokens"]) == (frames, tokens)


def test_a_preset_takes_the_place_of_earlier_choices() -> None:
    before = Settings(fps=9, min_frames=500, min_frame_tokens=700, video_token_budget=9, end=5)
    after = replace(before, **preset("fast", FAMILIES["qwen3_vl"].routes[0].limits))
    assert after == Settings(max_frames=15, max_frame_tokens=200, end=5)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingsError, match="no preset 'slow'") as caught:
        preset("slow", FAMILIES["qwen3_vl"].routes[0].limits)
    assert "fast, balanced, detailed" in caught.value.remedy


def _bounds(most: int) -> st.SearchStrategy[Any]:
    return st.tuples(st.integers(1, most), st.integers(1, most)).map(sorted)


@given(frames=_bounds(MAX_FRAMES), tokens=_bounds(MAX_TOKENS))
@settings(max_examples=300)
def test_presets_ascend_within_the_limits(frames: tuple[int, int], tokens: tuple[int, int]) -> None:
    limits = _limits(frames, tokens)
    chosen = [Settings(**preset(name, limits)) for name in PRESETS]
    counts = [each.max_frames or 0 for each in chosen]
    assert counts == sorted(counts)
    assert limits.min_frames <= counts[0]
    assert counts[-1] == limits.max_frames
    if limits.min_frame_tokens == limits.max_frame_tokens:
        assert all(each.max_frame_tokens is None for each in chosen)
        return
    patches = [each.max_frame_tokens or 0 for each in chosen]
    assert patches == sorted(patches)
    assert limits.min_frame_tokens <= patches[0]
    assert patches[-1] == limits.max_frame_tokens
