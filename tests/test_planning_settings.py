"""Settings that can be right for no model and no video are refused, by name and number."""

from __future__ import annotations

import math
from typing import Any

import pytest

from core.errors import SettingsError
from core.planning import Settings


@pytest.mark.parametrize(
    ("given", "named", "remedy"),
    [
        ({"fps": 0}, "fps is 0", "above 0"),
        ({"fps": -1}, "fps is -1", "above 0"),
        ({"fps": math.nan}, "fps is nan", "above 0"),
        ({"fps": math.inf}, "fps is inf", "above 0"),
        ({"fps": 241}, "fps is 241; the most is 240", "240 or less"),
        ({"min_frames": 0}, "min_frames is 0", "to 1"),
        ({"min_frames": -4}, "min_frames is -4", "to 1"),
        ({"max_frames": 0}, "max_frames is 0", "to 1"),
        ({"max_frames": 100_001}, "max_frames is 100,001", "to 100,000"),
        ({"max_frames": 2.5}, "max_frames is 2.5", "whole number"),
        ({"max_frames": math.nan}, "max_frames is nan", "whole number"),
        ({"max_frames": math.inf}, "max_frames is inf", "whole number"),
        ({"min_frames": 9, "max_frames": 8}, r"min_frames \(9\) is above max_frames \(8\)", "to 8"),
        ({"min_frame_tokens": 0}, "min_frame_tokens is 0", "to 1"),
        ({"max_frame_tokens": -1}, "max_frame_tokens is -1", "to 1"),
        (
            {"min_frame_tokens": 200, "max_frame_tokens": 100},
            r"min_frame_tokens \(200\) is above max_frame_tokens \(100\)",
            "to 100 or less",
        ),
        ({"max_tiles": 0}, "max_tiles is 0", "to 1"),
        ({"max_tiles": 1001}, "max_tiles is 1,001", "to 1,000"),
        ({"video_token_budget": 0}, "video_token_budget is 0", "to 1"),
        ({"video_token_budget": 10_000_001}, "is 10,000,001", "to 10,000,000"),
        ({"reply_tokens": 0}, "reply_tokens is 0", "to 1"),
        ({"reply_tokens": -512}, "reply_tokens is -512", "to 1"),
        ({"start": -0.1}, r"start is -0\.1 s", "0 s or later"),
        ({"start": math.nan}, "start is nan s", "0 s or later"),
        ({"end": math.inf}, "end is inf s", "0 s or later"),
        ({"start": 5, "end": 3}, r"start \(5 s\) is not before end \(3 s\)", "earlier"),
        ({"start": 5, "end": 5}, r"start \(5 s\) is not before end \(5 s\)", "earlier"),
        ({"end": 0, "start": 0}, r"start \(0 s\) is not before end \(0 s\)", "earlier"),
        ({"strategy": "dense"}, "no sampling strategy 'dense'", "fps, uniform"),
        ({"strategy": ""}, "no sampling strategy ''", "fps, uniform"),
    ],
    ids=str,
)
def test_refused(given: dict[str, Any], named: str, remedy: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        Settings(**given)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"fps": 0.001},
        {"fps": 240},
        {"min_frames": 4, "max_frames": 4},
        {"max_frames": 100_000},
        {"max_frames": 8.0},
        {"start": 0.0},
        {"start": 0.0, "end": 0.04},
        {"min_frame_tokens": 1, "max_frame_tokens": 1},
        {"strategy": "uniform", "max_frames": 2},
    ],
    ids=str,
)
def test_taken_as_given(given: dict[str, Any]) -> None:
    settings = Settings(**given)
    assert settings.changed() == given
    assert settings.as_dict() == Settings().as_dict() | given
