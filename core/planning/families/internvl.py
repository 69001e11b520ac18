"""InternVL 2.5, 3 and 3.5: one tile a frame in transformers, more by the model cards' own code."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

PROCESSOR = Route(
    name="processor",
    sampler="middles",
    sizer="square",
    limits=Limits(fps=None, max_frames=32, min_frame_tokens=256, max_frame_tokens=256),
    text=VideoText(marker="<video>", label="Frame{number}: ", between="\n", step_wrapper_tokens=2),
)

# load_video and chat of the model cards: https://huggingface.co/OpenGVLab/InternVL3-8B
TILES = Route(
    name="tiles",
    sampler="segments",
    sizer="tiles",
    limits=Limits(fps=None, max_frames=32, min_frame_tokens=256, max_frame_tokens=13 * 256),
    text=VideoText(
        marker="<video>", label="Frame{number}: ", between="\n", tail="\n", step_wrapper_tokens=2
    ),
)

INTERNVL = Family(
    name="InternVL",
    model_types=("internvl", "internvl_chat"),
    patches=PatchGrid(patch_size=14, merge_size=2),
    routes=(PROCESSOR, TILES),
    chat_format="internvl",
    frame_tokens=256,
    frame_side=448,
    in_chunks=True,
)
