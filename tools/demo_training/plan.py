"""What a training run is to do, and how its clips grow harder."""

from __future__ import annotations

from dataclasses import dataclass

from . import outlines


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do. Times in seconds of wall clock."""

    seconds: float
    tokens: int = 98_304  # of a row
    workers: int = 10
    peak_rate: float = 1.6e-3
    weight_decay: float = 0.03
    warm_up_steps: int = 150
    look_seconds: float = 110.0  # the tower alone, at first
    words_only: bool = False  # the tower stays as it is, and a clip gets many questions
    stress: str | None = None  # a kind of question to practise
    grow_share: float = 0.55  # of `seconds`, until clips have their full length and size
    known_variants: int = 420
    unknown_variants: int = 90
    plain_pictures: int = 160
    pictures: int = 900
    seed: int = 1

    @property
    def questions(self) -> int:
        """Questions of a short clip."""
        return 40 if self.words_only else 6

    def variants(self) -> list[str]:
        return outlines.variants(self.known_variants, self.unknown_variants)


def difficulty(share: float) -> tuple[int, int]:
    """Most frame pairs and most tokens a pair, for a share 0..1 of the growing time."""
    if share < 0.3:
        return 5, 40
    if share < 0.6:
        return 8, 48
    return (16, 64) if share < 1.0 else (128, 100)
