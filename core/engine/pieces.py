"""Frames to what a vision tower takes, piece by piece: the processor's copies stay small.

A processor makes float32 of its frames and copies them twice more: 13 bytes a value where the tower
takes 2. It never looks beyond the frames that share a patch, so that pieces give the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.planning.memory import PIECE_VALUES


def in_pieces(
    processor: Any,
    pixels: Any,
    made: Any,
    *,
    together: int,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Fill ``made`` with what the processor of videos makes of frames that have their size.

    Args:
        pixels: uint8 of (frames, 3, height, width), on any device.
        made: of the result's shape, type and device: rows of patches, or pictures, by time.
        together: frames that share a patch.
        look: called before every piece; may raise to end it.

    Raises:
        ValueError: the pieces are not the whole.
    """
    step = together * max(1, PIECE_VALUES // (together * pixels[0].numel()))
    rest = _rows(made)
    for piece in pixels.split(step):
        look()
        found = processor(
            videos=[[piece.to(made.device)]],
            do_sample_frames=False,
            do_resize=False,
            return_tensors="pt",
        )
        rows = _rows(next(value for name, value in found.items() if name.startswith("pixel")))
        if len(rows) > len(rest):
            break
        rest[: len(rows)] = rows
        rest = rest[len(rows) :]
    else:
        if not len(rest):
            return
    raise ValueError(f"{tuple(made.shape)} is not what pieces of {tuple(pixels.shape)} make")


def _rows(values: Any) -> Any:
    """(rows, values of a patch) as they are; pictures as (pictures, 3, height, width)."""
    return values if values.dim() == 2 else values.flatten(0, values.dim() - 4)
