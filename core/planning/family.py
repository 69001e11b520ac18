"""What there is to say of a model family: how its frames are chosen, sized, written and counted.

Values only; families/ fills them in. The rules that they name are in samplers.py, sizing.py and
tokens.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RouteName = Literal["qwen-vl-utils", "processor", "tiles"]
Sampler = Literal[
    "smart_nframes", "qwen2_vl", "qwen3_vl", "middles", "segments", "floors", "smolvlm", "glm4v",
    "glm46v", "molmo2",
]  # fmt: skip
Sizer = Literal[
    "qwen_vl_utils", "per_frame", "share", "per_video", "square", "soft", "tiles", "measured",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on sampling, in the family's own units.

    Attributes:
        fps: sampled frames a second where the user sets none; None takes ``max_frames`` frames.
        min_frames, max_frames: bounds on sampled frames.
        min_frame_tokens, max_frame_tokens: bounds on the tokens of one patch grid. They bound the
            area of a frame, and need not be whole numbers.
        video_tokens: bound on all patch grids together.
        min_video_tokens: the fewest of all of them together, where the rule looks at the video.
        capped: whether ``max_frame_tokens`` bounds a frame where the rule looks at the video.
    """

    fps: float | None
    min_frames: int = 1
    max_frames: int
    min_frame_tokens: float
    max_frame_tokens: float
    video_tokens: float = float("inf")
    min_video_tokens: float = 0
    capped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGrid:
    """Frames cut into square patches, merged in space and in time.

    One token covers ``merge_size`` x ``merge_size`` patches of ``temporal_patch_size`` frames.
    """

    patch_size: int
    merge_size: int
    temporal_patch_size: int = 1

    @property
    def factor(self) -> int:
        """Height and width are multiples of this many pixels."""
        return self.patch_size * self.merge_size

    @property
    def area(self) -> int:
        """Pixels of a frame that one token covers."""
        return self.factor**2

    def grid(self, *, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Patches in time, height and width (the processor's ``video_grid_thw``)."""
        steps = -(-frames // self.temporal_patch_size)
        return steps, height // self.patch_size, width // self.patch_size

    def tokens_per_step(self, *, height: int, width: int) -> int:
        """Visual tokens of one step in time."""
        return (height // self.factor) * (width // self.factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoText:
    """How a video is written into the prompt, round its visual tokens.

    Attributes:
        marker: the token that stands for the video in a rendered prompt.
        label: the text before each step, formatted with ``seconds``, ``whole`` (seconds),
            ``minutes``, ``rest`` (whole seconds of the minute) and ``number`` (from 1).
        label_after: True where that text follows its step.
        between: what separates a step and its label from the one before.
        head, tail: text before the first and after the last step; ``head`` is formatted with
            ``count`` (frames, in words) and ``duration`` (h:mm:ss).
        step_wrapper_tokens: special tokens round the patches of each step.
        extra_tokens: special tokens of the video as a whole, and those put before the prompt.
        template: the chat template to use for videos instead of the checkpoint's.
    """

    marker: str
    label: str = ""
    label_after: bool = False
    between: str = ""
    head: str = ""
    tail: str = ""
    step_wrapper_tokens: int = 0
    extra_tokens: int = 0
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to the model: whose rules choose and size the frames.

    Attributes:
        name: "processor" for the checkpoint's own class in transformers, else the library's.
        sampler, sizer: the rules, by their names in samplers.py and sizing.py; the sizer
            "measured" asks the real processor (measured.py).
        limits: the published defaults.
        text: how the video is written.
        own_limits: True where the class passes these pixel limits over the checkpoint's own.
    """

    name: RouteName
    sampler: Sampler
    sizer: Sizer
    limits: Limits
    text: VideoText
    own_limits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One model family.

    Attributes:
        name: what people call it.
        model_types: ``model_type`` in the config.json of its checkpoints.
        video_processors: classes named by the checkpoint's files that decide before that.
        patches: the shape of its patch grid; a checkpoint may have other sizes.
        routes: ways to the model; the first is the usual one.
        chat_format: its chat format, where no tokenizer is at hand (approximate.py).
        exact: False where the true count depends on the pixels, and ours is an upper bound.
        frame_tokens: tokens of a frame (or tile) where they do not depend on its size.
        frame_side: pixels of a square frame's (or tile's) side, likewise.
        in_chunks: whether core/engine goes through its prompts chunk by chunk.
    """

    name: str
    model_types: tuple[str, ...] = ()
    video_processors: tuple[str, ...] = ()
    patches: PatchGrid
    routes: tuple[Route, ...]
    chat_format: str
    exact: bool = True
    frame_tokens: int | None = None
    frame_side: int | None = None
    in_chunks: bool = False
