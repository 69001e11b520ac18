"""What a person may choose, and whether it makes sense; knows no family and no video."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from core.errors import SettingsError

Strategy = Literal["fps", "uniform", "keyframes", "scenes"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
ROUTES = ("qwen-vl-utils", "processor", "tiles")

# What any model could use at all; families have narrower limits of their own.
MAX_FPS = 240.0
MAX_FRAMES = 100_000
MAX_TOKENS = 10_000_000


def _choice(meaning: str, default: Any = None) -> Any:
    """A field with its meaning in words, which the command line shows as help."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Choices for sampling and for the reply; None leaves a choice to the checkpoint.

    A visual token is a square of 32 x 32 pixels of two frames for Qwen3-VL, so that the tokens of
    "a frame" below are those of a frame pair; the page calls them patches per frame.
    """

    strategy: Strategy = _choice(
        "fps: as the model's family does it; uniform: max_frames frames, evenly; keyframes: the "
        "file's own, nearly free to read; scenes: more frames where more happens.",
        "fps",
    )
    route: str | None = _choice(
        "Whose rules size the frames: qwen-vl-utils, processor (transformers' own) or tiles."
    )
    fps: float | None = _choice("Sampled frames a second.")
    min_frames: int | None = _choice("The fewest sampled frames.")
    max_frames: int | None = _choice("The most sampled frames.")
    start: float | None = _choice("Look at the video from this second on.")
    end: float | None = _choice("Look at the video up to this second.")
    min_frame_tokens: int | None = _choice("The fewest visual tokens of a frame.")
    max_frame_tokens: int | None = _choice("The most visual tokens of a frame.")
    max_tiles: int | None = _choice("The most tiles of a frame, for families that cut frames.")
    video_token_budget: int | None = _choice("The most visual tokens of the whole video.")
    reply_tokens: int = _choice("The longest reply, in tokens.", 512)

    def __post_init__(self) -> None:
        """Refuse what can be right for no model and no video.

        Raises:
            SettingsError: naming the setting, its value and the nearest valid one.
        """
        if self.strategy not in STRATEGIES:
            raise SettingsError(
                f"There is no sampling strategy {self.strategy!r}.",
                remedy=f"Choose one of: {', '.join(STRATEGIES)}.",
            )
        if self.route is not None and self.route not in ROUTES:
            raise SettingsError(
                f"There is no route {self.route!r}.", remedy=f"Choose one of: {', '.join(ROUTES)}."
            )
        _above_zero("fps", self.fps, most=MAX_FPS)
        _whole("min_frames", self.min_frames, most=MAX_FRAMES)
        _whole("max_frames", self.max_frames, most=MAX_FRAMES)
        _whole("min_frame_tokens", self.min_frame_tokens, most=MAX_TOKENS)
        _whole("max_frame_tokens", self.max_frame_tokens, most=MAX_TOKENS)
        _whole("max_tiles", self.max_tiles, most=1000)
        _whole("video_token_budget", self.video_token_budget, most=MAX_TOKENS)
        _whole("reply_tokens", self.reply_tokens or 0, most=MAX_TOKENS)
        _ordered("min_frames", self.min_frames, "max_frames", self.max_frames)
        _ordered(
            "min_frame_tokens", self.min_frame_tokens, "max_frame_tokens", self.max_frame_tokens
        )
        self._check_range()

    def _check_range(self) -> None:
        for name, seconds in (("start", self.start), ("end", self.end)):
            if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
                raise SettingsError(
                    f"{name} is {seconds:g} s.", remedy=f"Set {name} to 0 s or later."
                )
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise SettingsError(
                f"start ({self.start:g} s) is not before end ({self.end:g} s).",
                remedy="Set start to an earlier time than end.",
            )

    def changed(self) -> dict[str, Any]:
        """The settings that differ from the defaults, for messages and records."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }

    def as_dict(self) -> dict[str, Any]:
        """Every setting under its own name."""
        return asdict(self)


def _above_zero(name: str, value: float | None, *, most: float) -> None:
    if value is None:
        return
    if not (math.isfinite(value) and value > 0):
        raise SettingsError(f"{name} is {value:g}.", remedy=f"Set {name} above 0, for example 1.")
    if value > most:
        raise SettingsError(
            f"{name} is {value:g}; the most is {most:g}.", remedy=f"Set {name} to {most:g} or less."
        )


def _whole(name: str, value: int | None, *, most: int) -> None:
    if value is None:
        return
    if not float(value).is_integer():  # NaN and infinity too
        raise SettingsError(f"{name} is {value}.", remedy=f"Set {name} to a whole number.")
    if not 1 <= value <= most:
        nearest = 1 if value < 1 else most
        raise SettingsError(f"{name} is {value:,}.", remedy=f"Set {name} to {nearest:,}.")


def _ordered(low_name: str, low: int | None, high_name: str, high: int | None) -> None:
    if low is not None and high is not None and low > high:
        raise SettingsError(
            f"{low_name} ({low:,}) is above {high_name} ({high:,}).",
            remedy=f"Set {low_name} to {high:,} or less.",
        )
