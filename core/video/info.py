"""What a video is: size, time, rate; knows nothing of decoders, models or pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import VideoError

if TYPE_CHECKING:
    from core.video.profile import Profile

MAX_PIXELS = 8192 * 8192  # 67 megapixels: twice the area of 8K
MAX_SECONDS = 100 * 3600.0
MAX_RATE = 1000
MAX_FRAMES = 10_000_000  # 92 hours at 30 frames a second
MAX_STREAMS = 64

CountSource = Literal["counted", "computed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """A video as its viewer sees it.

    Attributes:
        path: the file, or None for a video that is only described.
        width, height: pixels as shown, after rotation and pixel aspect.
        duration_seconds: from the start of the first shown frame to the end of the last.
        frame_rate: frames a second, the average where the rate varies.
        frame_count: frames a viewer is shown (discarded ones are not counted).
        frame_count_source: "counted" in the file, or "computed" from duration and rate.
        codec, container: FFmpeg's short names; empty for a video that is only described.
        rotation: clockwise degrees a player turns the coded picture by: 0, 90, 180 or 270.
        variable_rate: True where index / frame_rate misses a frame's time by over half a frame.
        frame_times: seconds at which each frame is shown, the first at 0; None when the video is
            only described, and then a frame's time is index / frame_rate.
        start_seconds: the container's own time of the first shown frame.
        keyframes: indices of the frames that can be decoded without any other, ascending.
        profile: how much happens when; None where nobody has looked.
    """

    path: Path | None = None
    width: int
    height: int
    duration_seconds: float
    frame_rate: Fraction
    frame_count: int
    frame_count_source: CountSource = "computed"
    codec: str = ""
    container: str = ""
    rotation: int = 0
    variable_rate: bool = False
    frame_times: Sequence[float] | None = field(default=None, repr=False, compare=False)
    start_seconds: float = 0.0
    keyframes: Sequence[int] = field(default=(), repr=False, compare=False)
    profile: Profile | None = field(default=None, repr=False, compare=False)

    def time_of(self, index: int) -> float:
        """Seconds from the first shown frame at which frame ``index`` is shown."""
        if self.frame_times is not None:
            return float(self.frame_times[index])
        return index * self.frame_rate.denominator / self.frame_rate.numerator


def describe_video(
    *, width: int, height: int, duration_seconds: float, frame_rate: float | Fraction
) -> VideoInfo:
    """A video of which only the numbers are known, for an estimate without a file.

    Raises:
        VideoError: a number that no video has.
    """
    rate = Fraction(frame_rate).limit_denominator(1001) if 0 < frame_rate <= MAX_RATE else None
    if rate is None or rate <= 0:
        raise VideoError(
            f"A frame rate of {float(frame_rate):g} is not possible.",
            remedy=f"Give frames a second above 0 and up to {MAX_RATE}.",
        )
    check_size(width, height)
    check_duration(duration_seconds)
    return VideoInfo(
        width=width,
        height=height,
        duration_seconds=duration_seconds,
        frame_rate=rate,
        frame_count=max(1, round(duration_seconds * rate)),
    )


def check_size(width: int, height: int) -> None:
    """Raise VideoError unless the picture has an area, and one that can be decoded."""
    if width < 1 or height < 1:
        raise VideoError(
            f"The picture is {width}x{height} pixels: there is nothing to see.",
            remedy="Export the video again from the program it comes from.",
        )
    if width * height > MAX_PIXELS:
        raise VideoError(
            f"The picture is {width}x{height} pixels, {width * height / 1e6:,.0f} megapixels; "
            f"the limit is {MAX_PIXELS / 1e6:.0f}.",
            remedy="Scale the video down first, for example to 1920x1080.",
        )


def check_duration(seconds: float) -> None:
    """Raise VideoError unless ``seconds`` is a length that a video can have."""
    if not 0 < seconds <= MAX_SECONDS:
        raise VideoError(
            f"A duration of {seconds:g} seconds is not possible.",
            remedy=f"Give a video longer than 0 s and up to {MAX_SECONDS / 3600:.0f} hours.",
        )


def check_count(frames: int) -> None:
    """Raise VideoError unless a video can have so many frames."""
    if not 1 <= frames <= MAX_FRAMES:
        raise VideoError(
            f"The video has {frames:,} frames or more; 1 to {MAX_FRAMES:,} can be read.",
            remedy="Cut the part out that matters, or lower its frame rate, and try again.",
        )
