"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen3.5: by qwen-vl-utils, or by the class in transformers."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

QWEN2_TEXT = VideoText(marker="<|video_pad|>")
QWEN3_TEXT = VideoText(
    marker="<|video_pad|>", label="<{seconds:.1f} seconds>", step_wrapper_tokens=2
)

# FPS, FPS_MIN_FRAMES, FPS_MAX_FRAMES, VIDEO_MIN_TOKEN_NUM, VIDEO_MAX_TOKEN_NUM and
# 0.9 * MODEL_SEQ_LEN of
# https://github.com/QwenLM/Qwen3-VL/blob/main/qwen-vl-utils/src/qwen_vl_utils/vision_process.py
QWEN_VL_UTILS = Limits(
    fps=2.0,
    min_frames=4,
    max_frames=768,
    min_frame_tokens=128,
    max_frame_tokens=768,
    video_tokens=115_200,
)

# Qwen2VLVideoProcessor. It takes every frame unless told otherwise; 2 fps is what qwen-vl-utils
# tells it.
QWEN2_PROCESSOR = Limits(
    fps=2.0, min_frames=4, max_frames=768, min_frame_tokens=4, max_frame_tokens=16_384
)

# Qwen3VLVideoProcessor with the limits of the published checkpoints, in pixels of all frames:
# 4,096 to 25,165,824.
QWEN3_PROCESSOR = Limits(
    fps=2.0,
    min_frames=4,
    max_frames=768,
    min_frame_tokens=64,  # no bound of its own: below, little can be made out
    max_frame_tokens=12_288,
    video_tokens=12_288,
    min_video_tokens=2,
)

QWEN2_ROUTES = (
    Route(
        name="qwen-vl-utils",
        sampler="smart_nframes",
        sizer="qwen_vl_utils",
        limits=QWEN_VL_UTILS,
        text=QWEN2_TEXT,
    ),
    Route(
        name="processor",
        sampler="qwen2_vl",
        sizer="per_frame",
        limits=QWEN2_PROCESSOR,
        text=QWEN2_TEXT,
    ),
)
QWEN3_ROUTES = (
    Route(
        name="qwen-vl-utils",
        sampler="smart_nframes",
        sizer="qwen_vl_utils",
        limits=QWEN_VL_UTILS,
        text=QWEN3_TEXT,
    ),
    Route(
        name="processor",
        sampler="qwen3_vl",
        sizer="per_video",
        limits=QWEN3_PROCESSOR,
        text=QWEN3_TEXT,
    ),
)

QWEN2_VL = Family(
    name="Qwen2-VL",
    model_types=("qwen2_vl",),
    patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
    routes=QWEN2_ROUTES,
    chat_format="qwen2_vl",
    in_chunks=True,
)
QWEN2_5_VL = Family(
    name="Qwen2.5-VL",
    model_types=("qwen2_5_vl",),
    patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
    routes=QWEN2_ROUTES,
    chat_format="qwen2_vl",
    in_chunks=True,
)
QWEN3_VL = Family(
    name="Qwen3-VL",
    model_types=("qwen3_vl", "qwen3_vl_moe"),
    patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
    routes=QWEN3_ROUTES,
    chat_format="qwen3_vl",
    in_chunks=True,
)
QWEN3_5 = Family(
    name="Qwen3.5",
    model_types=("qwen3_5", "qwen3_5_moe"),
    patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
    routes=QWEN3_ROUTES,
    chat_format="qwen3_5",
)
