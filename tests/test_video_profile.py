"""Profiles: what is none is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from core.errors import VideoError
from core.video.profile import Profile


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"activity": [1.0]}, "2 slices and 1 values"),
        ({"seconds": [], "activity": []}, "0 slices and 0 values"),
        ({"seconds": [1.0, 5.0]}, "do not ascend from 0 to 10 s"),
        ({"seconds": [0.0, 0.0]}, "do not ascend from 0 to 10 s"),
        ({"seconds": [0.0, math.nan]}, "do not ascend from 0 to 10 s"),
        ({"seconds": [0.0, 10.0]}, "do not ascend from 0 to 10 s"),
        ({"activity": [1.0, -1.0]}, "activity from -1 to 1"),
        ({"activity": [1.0, math.inf]}, "activity from 1 to inf"),
        ({"activity": [1.0, math.nan]}, "activity from nan"),
        ({"cuts": [0.0]}, "cuts that do not ascend between 0 and 10 s"),
        ({"cuts": [3.0, 2.0]}, "cuts that do not ascend"),
        ({"cuts": [10.0]}, "cuts that do not ascend"),
        ({"duration_seconds": math.inf}, "duration of inf"),
    ],
    ids=str,
)
def test_profiles_of_no_video_are_refused(changed: dict[str, Any], words: str) -> None:
    usual = {"seconds": [0.0, 5.0], "activity": [1.0, 2.0], "duration_seconds": 10.0}
    with pytest.raises(VideoError, match=words) as caught:
        Profile(**{**usual, **changed})
    assert caught.value.remedy
