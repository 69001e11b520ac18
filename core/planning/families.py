"""The rules of each model family, as data: how frames are sized and what they cost in tokens.

A family is one entry of ``FAMILIES``. Its numbers are what the family's own library publishes; a
checkpoint's JSON files override them (see card.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.errors import CheckpointError, VideoError

MAX_ASPECT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on sampling, in the family's own units.

    Attributes:
        fps: sampled frames a second where the user sets none.
        min_frames, max_frames: bounds on sampled frames.
        min_frame_tokens, max_frame_tokens: bounds on the tokens of one patch grid.
        video_tokens: bound on all patch grids together.
    """

    fps: float
    min_frames: int
    max_frames: int
    min_frame_tokens: int
    max_frame_tokens: int
    video_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGrid:
    """Frames cut into square patches, merged in space and in time.

    One token covers ``merge_size`` x ``merge_size`` patches of ``temporal_patch_size`` frames.
    """

    patch_size: int
    merge_size: int
    temporal_patch_size: int

    @property
    def factor(self) -> int:
        """Height and width are multiples of this many pixels."""
        return self.patch_size * self.merge_size

    def grid(self, *, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Patches in time, height and width (the processor's ``video_grid_thw``)."""
        steps = math.ceil(frames / self.temporal_patch_size)
        return steps, height // self.patch_size, width // self.patch_size

    def tokens_per_step(self, *, height: int, width: int) -> int:
        """Visual tokens of one step in time."""
        return (height // self.factor) * (width // self.factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One model family.

    Attributes:
        name: what people call it.
        model_types: ``model_type`` in the config.json of its checkpoints.
        route: whose rules choose and size the frames.
        patches: the shape of its patch grid; a checkpoint may have other sizes.
        limits: the route's published defaults.
        time_label: the text before each step, formatted with its time in seconds.
        video_marker: the token that stands for the video in a rendered prompt.
        step_wrapper_tokens: special tokens round the patches of each step.
    """

    name: str
    model_types: tuple[str, ...]
    route: str
    patches: PatchGrid
    limits: Limits
    time_label: str
    video_marker: str
    step_wrapper_tokens: int


FAMILIES: dict[str, Family] = {
    # https://github.com/QwenLM/Qwen3-VL/blob/main/qwen-vl-utils/src/qwen_vl_utils/vision_process.py
    # FPS, FPS_MIN_FRAMES, FPS_MAX_FRAMES, VIDEO_MIN_TOKEN_NUM, VIDEO_MAX_TOKEN_NUM and
    # 0.9 * MODEL_SEQ_LEN; labels and wrappers as transformers' Qwen3VLProcessor writes them.
    "qwen3_vl": Family(
        name="Qwen3-VL",
        model_types=("qwen3_vl", "qwen3_vl_moe"),
        route="qwen-vl-utils",
        patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
        limits=Limits(
            fps=2.0,
            min_frames=4,
            max_frames=768,
            min_frame_tokens=128,
            max_frame_tokens=768,
            video_tokens=115_200,
        ),
        time_label="<{:.1f} seconds>",
        video_marker="<|video_pad|>",
        step_wrapper_tokens=2,
    ),
}


def family_of(model_type: str) -> Family:
    """The family whose checkpoints carry ``model_type``.

    Raises:
        CheckpointError: no rules for it.
    """
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family
    known = sorted(kind for family in FAMILIES.values() for kind in family.model_types)
    raise CheckpointError(
        f"There are no planning rules for models of type {model_type!r}.",
        remedy=f"Choose a checkpoint of type {', '.join(known)}.",
    )


def fit_to_pixels(
    height: int, width: int, *, factor: int, min_pixels: float, max_pixels: float
) -> tuple[int, int]:
    """The height and width nearest to the video's shape within an area, in multiples of factor.

    ``smart_resize`` of qwen-vl-utils (the link is at FAMILIES), except that a side never becomes
    0: there a very long picture under a small limit loses a side, and the model fails.

    Raises:
        VideoError: one side is over 200 times the other.
    """
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise VideoError(
            f"The picture is {width}x{height}: one side is over {MAX_ASPECT} times the other.",
            remedy="Crop or pad the video to a more usual shape.",
        )
    fitted_height = max(factor, round(height / factor) * factor)
    fitted_width = max(factor, round(width / factor) * factor)
    if fitted_height * fitted_width > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        fitted_height = max(factor, math.floor(height / shrink / factor) * factor)
        fitted_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif fitted_height * fitted_width < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        fitted_height = math.ceil(height * grow / factor) * factor
        fitted_width = math.ceil(width * grow / factor) * factor
    return fitted_height, fitted_width
