"""GLM-4.1V, 4.5V and 4.6V: Glm4vVideoProcessor and Glm46VVideoProcessor with their defaults."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, Sampler, VideoText


def _route(sampler: Sampler, *, label: str, fps: float | None, most: int) -> Route:
    """The two classes differ in these only."""
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


GLM4V = Family(
    name="GLM-4.1V",
    model_types=("glm4v", "glm4v_moe"),
    patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
    routes=(_route("glm4v", label="{whole}", fps=2.0, most=2_400),),
    chat_format="glm4v",
)
GLM46V = Family(
    name="GLM-4.6V",
    model_types=("glm46v",),
    video_processors=("Glm46VVideoProcessor",),  # its models are those of GLM-4.5V
    patches=PatchGrid(patch_size=14, merge_size=2, temporal_patch_size=2),
    routes=(_route("glm46v", label="{seconds:.1f} seconds", fps=None, most=640),),
    chat_format="glm4v",
)
