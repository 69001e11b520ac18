"""Gemma 4: frames in their own shape, by one of five numbers of soft tokens."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

GEMMA4 = Family(
    name="Gemma 4",
    model_types=("gemma4",),
    patches=PatchGrid(patch_size=16, merge_size=3),
    routes=(
        Route(
            name="processor",
            sampler="floors",
            sizer="soft",
            limits=Limits(fps=None, max_frames=32, min_frame_tokens=70, max_frame_tokens=1120),
            text=VideoText(
                marker="<|video|>",
                label="{minutes:02d}:{rest:02d} ",
                between=" ",
                step_wrapper_tokens=2,
            ),
        ),
    ),
    chat_format="gemma4",
)
