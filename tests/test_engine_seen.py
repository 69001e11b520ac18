"""What the tower saw: least recently asked about goes away first, and comes back when asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core.engine.seen import Seen

CPU = torch.device("cpu")


def _picture(number: int) -> dict[str, Any]:
    """16 bytes and 8 more, as outputs have them: a tensor, and some for deeper layers."""
    return {"seen": torch.full((4,), float(number)), "deeper": [torch.full((2,), float(number))]}


def _kept(seen: Seen) -> tuple[list[Any], list[Any]]:
    return [video for video, _ in seen.here], [video for video, _ in seen.away]


@pytest.mark.parametrize(
    ("kept_bytes", "away_bytes", "here", "away"),
    [
        (100, 0, [0, 1, 2, 3], []),
        (50, 100, [2, 3], [0, 1]),
        (50, 24, [2, 3], [1]),
        (50, 0, [2, 3], []),
        (23, 50, [], [2, 3]),
        (23, 23, [], []),
    ],
)
def test_where_it_is_kept(
    kept_bytes: int, away_bytes: int, here: list[int], away: list[int]
) -> None:
    seen = Seen(kept_bytes=kept_bytes, away_bytes=away_bytes)
    for number in range(4):
        seen.put(number, _picture(number))
    assert _kept(seen) == (here, away)
    assert [number for number in range(4) if number in seen] == sorted(here + away)


def test_it_comes_back_in_the_place_of_another() -> None:
    seen = Seen(kept_bytes=50, away_bytes=50)
    for number in range(3):
        seen.put(number, _picture(number))
    found = seen.get(0, CPU)
    assert found is not None
    assert torch.equal(found["seen"], _picture(0)["seen"])
    assert torch.equal(found["deeper"][0], _picture(0)["deeper"][0])
    assert _kept(seen) == ([2, 0], [1])
    assert seen.get(9, CPU) is None


def test_what_is_too_large_for_the_device_stays_in_the_machine() -> None:
    seen = Seen(kept_bytes=10, away_bytes=50)
    for number in (0, 1):
        seen.put(number, _picture(number))
    for number in (0, 1, 0):
        assert seen.get(number, CPU) is not None
        assert _kept(seen) == ([], [1 - number, number])


def test_what_is_asked_about_goes_last() -> None:
    seen = Seen(kept_bytes=50, away_bytes=50)
    for number in range(4):
        seen.put(number, _picture(number))
    seen.asked_about(2)
    seen.asked_about(0)
    seen.put(4, _picture(4))
    assert _kept(seen) == ([2, 4], [0, 3])


def test_half_of_it_makes_room_and_the_own_stays() -> None:
    seen = Seen(kept_bytes=100, away_bytes=100)
    for number in range(3):
        seen.put(number, _picture(number))
    assert seen.spare(1, but=0)
    assert _kept(seen) == ([0], [1, 2])
    assert not seen.spare(1, but=0)


class Unmovable:
    """An output for which the machine has no memory."""

    def values(self) -> list[torch.Tensor]:
        """Its size is that of its fields."""
        return [torch.zeros(4)]

    def to(self, *_: Any, **__: Any) -> None:
        """Every way there is full."""
        raise MemoryError


def test_a_machine_without_memory_loses_it() -> None:
    seen = Seen(kept_bytes=30, away_bytes=30)
    seen.put("large", Unmovable())
    seen.put("next", _picture(0))
    assert _kept(seen) == (["next"], [])
