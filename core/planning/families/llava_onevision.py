"""LLaVA-OneVision: 32 squares of one cost."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

LLAVA_ONEVISION = Family(
    name="LLaVA-OneVision",
    model_types=("llava_onevision",),
    patches=PatchGrid(patch_size=14, merge_size=1),
    routes=(
        Route(
            name="processor",
            sampler="floors",
            sizer="square",
            limits=Limits(fps=None, max_frames=32, min_frame_tokens=196, max_frame_tokens=196),
            text=VideoText(marker="<video>", extra_tokens=1),
        ),
    ),
    chat_format="llava_onevision",
    frame_tokens=196,
    frame_side=384,
    in_chunks=True,
)
