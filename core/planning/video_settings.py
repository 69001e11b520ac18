"""What a checkpoint's own video settings put over the numbers of its family."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.planning.family import Family, Limits, PatchGrid, Route

_PATCH_KEYS = ("patch_size", "merge_size", "temporal_patch_size")


def own_patches(family: Family, video: dict[str, Any]) -> PatchGrid:
    """The patch grid, with the checkpoint's own sizes."""
    if family.frame_tokens is not None or family.routes[0].sizer == "measured":
        # one cost for every frame, or none that is known here: the grid is not the processor's
        return family.patches
    own = {key: int(video[key]) for key in _PATCH_KEYS if video.get(key)}
    if video.get("pooling_kernel_size"):
        own["merge_size"] = int(video["pooling_kernel_size"])
    return replace(family.patches, **own)


def own_frame_tokens(family: Family, video: dict[str, Any]) -> int | None:
    """Tokens of a frame of fixed cost; None where frames have no such."""
    own = video.get("image_seq_length") or video.get("image_seq_len")
    return family.frame_tokens and int(own or family.frame_tokens)


def own_frame_side(family: Family, video: dict[str, Any]) -> int | None:
    """Pixels of a square frame's side: what the last resizing of the processor makes of it."""
    size = video.get("max_image_size") or video.get("size") or {}
    own = size.get("longest_edge") or size.get("height")
    return family.frame_side and int(own or family.frame_side)


def own_limits(family: Family, route: Route, video: dict[str, Any], patches: PatchGrid) -> Limits:
    """The route's limits with the checkpoint's own put over them.

    Frame counts and rate hold wherever the checkpoint states them. Its pixel limits are those of
    transformers' own resizing: qwen-vl-utils knows none of them, and only where the checkpoint
    asks for the cap per frame (``cap_pixels_per_frame``) do they mean what that means by them.
    """
    sampling = video.get("video_sampling") or {}  # SmolVLM's
    own = {key: video[key] for key in ("fps", "min_frames", "max_frames") if video.get(key)}
    own |= {key: sampling[key] for key in ("fps", "max_frames") if sampling.get(key)}
    if route.sampler == "glm46v":  # it has rates of its own, whatever the file says
        own.pop("fps", None)
    elif video.get("num_frames") and not own.get("fps") and route.name == "processor":
        own |= {"max_frames": int(video["num_frames"]), "fps": None}
    if route.name == "processor" and not route.own_limits:
        own |= _pixel_limits(route, video, patches)
    elif route.name == "qwen-vl-utils" and video.get("cap_pixels_per_frame"):
        of_video = any(each.sizer == "per_frame" for each in family.routes)
        own |= _capped(video, patches, of_video=of_video)
    return replace(route.limits, **own)


def _edges(video: dict[str, Any]) -> tuple[int | None, int | None]:
    """The least and most pixels, which older files call by other names."""
    size = video.get("size") or {}
    return (
        size.get("shortest_edge") or video.get("min_pixels"),
        size.get("longest_edge") or video.get("max_pixels"),
    )


def _capped(video: dict[str, Any], patches: PatchGrid, *, of_video: bool) -> dict[str, float]:
    """Limits of a checkpoint that asks transformers for qwen-vl-utils' way with them.

    Qwen2-VL's processor means tokens of a video by ``max_video_tokens`` (``of_video``), Qwen3-VL's
    those of a frame.
    """
    shortest, longest = _edges(video)
    own: dict[str, float] = {}
    if shortest:
        own["min_frame_tokens"] = max(1, int(shortest) // patches.area)
    if of_video:
        own["video_tokens"] = int(0.9 * int(video.get("max_video_tokens", 128_000)))
        if longest:
            own["max_frame_tokens"] = int(longest) // patches.area
    else:
        own["max_frame_tokens"] = int(video.get("max_video_tokens", 768))
        if longest:
            own["video_tokens"] = int(longest) // patches.temporal_patch_size // patches.area
    return own


def _pixel_limits(route: Route, video: dict[str, Any], patches: PatchGrid) -> dict[str, float]:
    """``shortest_edge`` and ``longest_edge`` as tokens, for rules that look at an area."""
    shortest, longest = _edges(video)
    capped = bool(video.get("cap_pixels_per_frame"))
    own: dict[str, float] = {}
    if route.sizer == "soft" and video.get("max_soft_tokens"):
        own["max_frame_tokens"] = int(video["max_soft_tokens"])
    if route.sizer in ("per_frame", "share"):
        if shortest:
            own["min_frame_tokens"] = int(shortest) / patches.area
        if longest:
            bound = "max_frame_tokens" if route.sizer == "per_frame" else "video_tokens"
            own[bound] = int(longest) / patches.area
        if capped:
            own["video_tokens"] = 0.9 * int(video.get("max_video_tokens", 128_000))
    if route.sizer == "per_video":
        per_token = patches.area * patches.temporal_patch_size
        if shortest:
            own["min_video_tokens"] = int(shortest) / per_token
        if longest:
            own["video_tokens"] = int(longest) / per_token
            own["max_frame_tokens"] = own["video_tokens"]
        if capped:
            own["max_frame_tokens"] = int(video.get("max_video_tokens", 768))
            own["capped"] = True
    return own
