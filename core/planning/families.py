"""The rules of each model family, as data: how frames are chosen and sized, what they cost.

A family is one entry of ``FAMILIES``; README.md beside this file shows how to add one. Its numbers
are what the family's own library publishes; a checkpoint's JSON files override them (card.py).
Knows no arithmetic: the rules an entry names are in sampling.py, sizing.py and tokens.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import CheckpointError

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
        sampler, sizer: the rules, by their names in sampling.py and sizing.py; the sizer "measured"
            asks the real processor (measured.py).
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


_QWEN2_TEXT = VideoText(marker="<|video_pad|>")
_QWEN3_TEXT = VideoText(
    marker="<|video_pad|>", label="<{seconds:.1f} seconds>", step_wrapper_tokens=2
)


def _qwen_vl_utils(text: VideoText) -> Route:
    """FPS, FPS_MIN_FRAMES, FPS_MAX_FRAMES, VIDEO_MIN_TOKEN_NUM, VIDEO_MAX_TOKEN_NUM and
    0.9 * MODEL_SEQ_LEN of
    https://github.com/QwenLM/Qwen3-VL/blob/main/qwen-vl-utils/src/qwen_vl_utils/vision_process.py
    """
    return Route(
        name="qwen-vl-utils",
        sampler="smart_nframes",
        sizer="qwen_vl_utils",
        limits=Limits(
            fps=2.0,
            min_frames=4,
            max_frames=768,
            min_frame_tokens=128,
            max_frame_tokens=768,
            video_tokens=115_200,
        ),
        text=text,
    )


def _qwen2_processor(*, least: float, most: float, own_limits: bool = False) -> Route:
    """Qwen2VLVideoProcessor. It takes every frame unless told otherwise; 2 fps is what
    qwen-vl-utils tells it.
    """
    return Route(
        name="processor",
        sampler="qwen2_vl",
        sizer="per_frame",
        limits=Limits(
            fps=2.0, min_frames=4, max_frames=768, min_frame_tokens=least, max_frame_tokens=most
        ),
        text=_QWEN2_TEXT,
        own_limits=own_limits,
    )


# Qwen3VLVideoProcessor with the limits of the published checkpoints, in pixels of all frames:
# 4,096 to 25,165,824.
_QWEN3_PROCESSOR = Route(
    name="processor",
    sampler="qwen3_vl",
    sizer="per_video",
    limits=Limits(
        fps=2.0,
        min_frames=4,
        max_frames=768,
        min_frame_tokens=64,  # no bound of its own: below, little can be made out
        max_frame_tokens=12_288,
        video_tokens=12_288,
        min_video_tokens=2,
    ),
    text=_QWEN3_TEXT,
)


def _glm(sampler: Sampler, *, label: str, fps: float | None, most: int) -> Route:
    """Glm4vVideoProcessor and Glm46VVideoProcessor, with their class defaults."""
    return Route(
        name="processor",
        sampler=sampler,
        sizer="per_video",
        limits=Limits(
            fps=fps,
            max_frames=most,
            min_frame_tokens=64,  # no bound of its own: below, little can be made out
            max_frame_tokens=30_000,
            video_tokens=30_000,
            min_video_tokens=8,
        ),
        text=VideoText(marker="<|video|>", label=label, label_after=True, step_wrapper_tokens=2),
    )


def _counted(
    *, sampler: Sampler, sizer: Sizer, frames: int, tokens: float, text: VideoText,
    name: RouteName = "processor", fps: float | None = None, most_tokens: float | None = None,
) -> Route:  # fmt: skip
    """A route whose frames have one cost and whose number is bounded."""
    return Route(
        name=name,
        sampler=sampler,
        sizer=sizer,
        limits=Limits(
            fps=fps,
            max_frames=frames,
            min_frame_tokens=tokens,
            max_frame_tokens=most_tokens or tokens,
        ),
        text=text,
    )


FAMILIES: dict[str, Family] = {
    "qwen2_vl": Family(
        name="Qwen2-VL",
        model_types=("qwen2_vl",),
        patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
        routes=(_qwen_vl_utils(_QWEN2_TEXT), _qwen2_processor(least=4, most=16_384)),
        chat_format="qwen2_vl",
        in_chunks=True,
    ),
    "qwen2_5_vl": Family(
        name="Qwen2.5-VL",
        model_types=("qwen2_5_vl",),
        patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
        routes=(_qwen_vl_utils(_QWEN2_TEXT), _qwen2_processor(least=4, most=16_384)),
        chat_format="qwen2_vl",
        in_chunks=True,
    ),
    "qwen3_vl": Family(
        name="Qwen3-VL",
        model_types=("qwen3_vl", "qwen3_vl_moe"),
        patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
        routes=(_qwen_vl_utils(_QWEN3_TEXT), _QWEN3_PROCESSOR),
        chat_format="qwen3_vl",
        in_chunks=True,
    ),
    "qwen3_5": Family(
        name="Qwen3.5",
        model_types=("qwen3_5", "qwen3_5_moe"),
        patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
        routes=(_qwen_vl_utils(_QWEN3_TEXT), _QWEN3_PROCESSOR),
        chat_format="qwen3_5",
    ),
    "qwen2_5_omni": Family(
        name="Qwen2.5-Omni",
        model_types=("qwen2_5_omni", "qwen2_5_omni_thinker"),
        patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
        routes=(_qwen2_processor(least=128, most=768, own_limits=True),),
        chat_format="qwen2_5_omni",
    ),
    "qwen3_omni": Family(
        name="Qwen3-Omni",
        model_types=("qwen3_omni_moe", "qwen3_omni_moe_thinker"),
        patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
        routes=(_qwen2_processor(least=128, most=768, own_limits=True),),
        chat_format="qwen3_vl",
    ),
    "internvl": Family(
        name="InternVL",
        model_types=("internvl", "internvl_chat"),
        patches=PatchGrid(patch_size=14, merge_size=2),
        routes=(
            _counted(
                sampler="middles",
                sizer="square",
                frames=32,
                tokens=256,
                text=VideoText(
                    marker="<video>", label="Frame{number}: ", between="\n", step_wrapper_tokens=2
                ),
            ),
            # load_video and chat of the model cards: https://huggingface.co/OpenGVLab/InternVL3-8B
            _counted(
                name="tiles",
                sampler="segments",
                sizer="tiles",
                frames=32,
                tokens=256,
                most_tokens=13 * 256,
                text=VideoText(
                    marker="<video>",
                    label="Frame{number}: ",
                    between="\n",
                    tail="\n",
                    step_wrapper_tokens=2,
                ),
            ),
        ),
        chat_format="internvl",
        frame_tokens=256,
        frame_side=448,
        in_chunks=True,
    ),
    "llava_onevision": Family(
        name="LLaVA-OneVision",
        model_types=("llava_onevision",),
        patches=PatchGrid(patch_size=14, merge_size=1),
        routes=(
            _counted(
                sampler="floors",
                sizer="square",
                frames=32,
                tokens=196,
                text=VideoText(marker="<video>", extra_tokens=1),
            ),
        ),
        chat_format="llava_onevision",
        frame_tokens=196,
        frame_side=384,
        in_chunks=True,
    ),
    "smolvlm": Family(
        name="SmolVLM2",
        model_types=("smolvlm",),
        patches=PatchGrid(patch_size=16, merge_size=4),
        routes=(
            _counted(
                sampler="smolvlm",
                sizer="square",
                frames=64,
                tokens=64,
                fps=1.0,
                text=VideoText(
                    marker="<video>",
                    head="You are provided the following series of {count} frames from a "
                    "{duration} [H:MM:SS] video.\n",
                    label="\nFrame from {minutes:02d}:{rest:02d}:",
                    tail="\n\n",
                    step_wrapper_tokens=3,
                    template=(
                        "<|im_start|>{% for message in messages %}"
                        "{{ message.role | capitalize }}"
                        "{{ ':' if message.content[0].type == 'image' else ': ' }}"
                        "{% for part in message.content %}"
                        "{{ '<video>' if part.type == 'video' else part.text }}"
                        "{% endfor %}<end_of_utterance>\n{% endfor %}"
                        "{% if add_generation_prompt %}Assistant:{% endif %}"
                    ),
                ),
            ),
        ),
        chat_format="smolvlm",
        frame_tokens=64,
        frame_side=512,
    ),
    "glm4v": Family(
        name="GLM-4.1V",
        model_types=("glm4v", "glm4v_moe"),
        patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
        routes=(_glm("glm4v", label="{whole}", fps=2.0, most=2_400),),
        chat_format="glm4v",
    ),
    "glm46v": Family(
        name="GLM-4.6V",
        model_types=("glm46v",),
        video_processors=("Glm46VVideoProcessor",),  # its models are those of GLM-4.5V
        patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
        routes=(_glm("glm46v", label="{seconds:.1f} seconds", fps=None, most=640),),
        chat_format="glm4v",
    ),
    "gemma4": Family(
        name="Gemma 4",
        model_types=("gemma4",),
        patches=PatchGrid(patch_size=16, merge_size=3),
        routes=(
            _counted(
                sampler="floors",
                sizer="soft",
                frames=32,
                tokens=70,
                most_tokens=1120,
                text=VideoText(
                    marker="<|video|>",
                    label="{minutes:02d}:{rest:02d} ",
                    between=" ",
                    step_wrapper_tokens=2,
                ),
            ),
        ),
        chat_format="gemma4",
    ),
    "molmo2": Family(
        name="Molmo2",
        model_types=("molmo2",),
        patches=PatchGrid(patch_size=14, merge_size=3),
        routes=(
            _counted(
                sampler="molmo2",
                sizer="square",
                frames=64,
                tokens=81,
                text=VideoText(
                    marker="<|video|>",
                    label="{seconds:.1f} ",
                    between=" ",
                    step_wrapper_tokens=2,
                    extra_tokens=1,  # its processor begins every prompt with a bos token
                ),
            ),
        ),
        chat_format="molmo2",
        frame_tokens=81,
        frame_side=378,
    ),
    "video_llama_3": Family(
        name="VideoLLaMA3",
        model_types=("video_llama_3",),
        patches=PatchGrid(patch_size=14, merge_size=2),
        routes=(
            Route(
                name="processor",
                sampler="qwen2_vl",
                sizer="share",
                limits=Limits(
                    fps=1.0,
                    min_frames=4,
                    max_frames=180,
                    min_frame_tokens=128,
                    max_frame_tokens=768,
                    video_tokens=768,
                ),
                text=VideoText(marker="<|video_pad|>", label="Time {seconds:.1f}s:", between=","),
            ),
        ),
        chat_format="video_llama_3",
        exact=False,
    ),
}


def family_of(model_type: str, video_processor: str | None = None) -> Family:
    """The family of checkpoints of ``model_type``, or of those with a certain video processor.

    Raises:
        CheckpointError: no rules for it.
    """
    for family in FAMILIES.values():
        if video_processor in family.video_processors:
            return family
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family
    known = sorted(kind for family in FAMILIES.values() for kind in family.model_types)
    raise CheckpointError(
        f"There are no planning rules for models of type {model_type!r}.",
        remedy=f"Choose a checkpoint of type {', '.join(known)}.",
    )
