"""VideoLLaMA3: one budget shared out among the frames; it drops what does not change."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

VIDEO_LLAMA_3 = Family(
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
)
