"""Frames as values: one with its time, and those of a plan in one block of memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded picture.

    Attributes:
        index: which frame was asked for, counted as shown.
        seconds: when the picture is shown, as the decoder says, from the first shown frame. At a
            damaged place this is the picture before, as a player shows it, and its earlier time.
        pixels: uint8, height x width x 3, RGB.
    """

    index: int
    seconds: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The frames of a plan.

    Attributes:
        pixels: uint8, frames x height x width x 3, RGB.
        seconds: the true time of each frame.
        indices: which frame of the video each one is.
    """

    pixels: NDArray[np.uint8]
    seconds: tuple[float, ...]
    indices: tuple[int, ...]


def collect(frames: Iterable[Frame]) -> Frames:
    """Put single frames of one size together: no copy where they lie together as it is."""
    found = list(frames)
    return Frames(
        pixels=_together([frame.pixels for frame in found]),
        seconds=tuple(frame.seconds for frame in found),
        indices=tuple(frame.index for frame in found),
    )


def no_frames(*, height: int, width: int) -> Frames:
    """Those of an empty plan."""
    import numpy as np

    return Frames(pixels=np.empty((0, height, width, 3), np.uint8), seconds=(), indices=())


def _together(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Frames x height x width x 3."""
    import numpy as np

    first, block = pictures[0], pictures[0].base
    begin, step = first.ctypes.data, first.nbytes
    side_by_side = isinstance(block, np.ndarray) and all(
        (picture.base is block, picture.ctypes.data, picture.shape, picture.flags.c_contiguous)
        == (True, begin + place * step, first.shape, True)
        for place, picture in enumerate(pictures)
    )
    if not side_by_side or not isinstance(block, np.ndarray):
        return np.stack(pictures)
    begin -= block.ctypes.data
    found: NDArray[np.uint8] = block.reshape(-1)[begin : begin + step * len(pictures)]
    return found.reshape(len(pictures), *first.shape)
