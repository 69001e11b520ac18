"""Molmo2: squares of one cost, two a second."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

MOLMO2 = Family(
    name="Molmo2",
    model_types=("molmo2",),
    patches=PatchGrid(patch_size=14, merge_size=3),
    routes=(
        Route(
            name="processor",
            sampler="molmo2",
            sizer="square",
            limits=Limits(fps=None, max_frames=64, min_frame_tokens=81, max_frame_tokens=81),
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
)
