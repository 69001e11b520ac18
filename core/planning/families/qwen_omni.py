"""Qwen2.5-Omni and Qwen3-Omni, the video part: the class of Qwen2-VL with limits of their own."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

ROUTE = Route(
    name="processor",
    sampler="qwen2_vl",
    sizer="per_frame",
    limits=Limits(
        fps=2.0, min_frames=4, max_frames=768, min_frame_tokens=128, max_frame_tokens=768
    ),
    text=VideoText(marker="<|video_pad|>"),
    own_limits=True,
)

QWEN2_5_OMNI = Family(
    name="Qwen2.5-Omni",
    model_types=("qwen2_5_omni", "qwen2_5_omni_thinker"),
    patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
    routes=(ROUTE,),
    chat_format="qwen2_5_omni",
)
QWEN3_OMNI = Family(
    name="Qwen3-Omni",
    model_types=("qwen3_omni_moe", "qwen3_omni_moe_thinker"),
    patches=PatchGrid(patch_size=16, merge_size=2, temporal_patch_size=2),
    routes=(ROUTE,),
    chat_format="qwen3_vl",
)
