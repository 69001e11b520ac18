"""Families without an entry: what is asked of their real processor, and what it says.

Values only. Who asks it is core/measuring.py, which a card knows as ``ModelCard.measure``: planning
knows no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

_PROCESSOR_FILES = (
    "video_preprocessor_config.json", "processor_config.json", "preprocessor_config.json",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Sampled frames, as far as a processor's count depends on them.

    Attributes:
        times: seconds at which they are shown.
        height, width: pixels of the video.
        duration_seconds: how long the whole video is.
    """

    times: tuple[float, ...]
    height: int
    width: int
    duration_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the processor made of sampled frames.

    Attributes:
        tokens: how many ``input_ids`` the video takes, its labels and wrappers among them.
        height, width: pixels of the frames it should be given.
        grid: patches in time, height and width; (frames, 1, patches of a frame) where it tells no
            grid.
        resizes: True where it must resize these frames itself (it crops, pads or cuts them too);
            False where they have the size that it resizes to.
        exact: False where a question's first token could merge with the video's last one.
    """

    tokens: int
    height: int
    width: int
    grid: tuple[int, int, int]
    resizes: bool
    exact: bool


Measure = Callable[[Sampled], Measured]


def told(frames: Sampled) -> dict[str, Any]:
    """The ``video_metadata`` that goes to a processor with sampled frames.

    The times go in as frame indices at 1 frame a second, so that the labels are the frames' own
    times even where the rate varies (index / rate is all that a processor knows).
    """
    return {
        "total_num_frames": len(frames.times),
        "fps": 1.0,
        "frames_indices": list(frames.times),
        "height": frames.height,
        "width": frames.width,
        "duration": frames.duration_seconds,
    }


def takes_videos(folder: Path) -> bool:
    """Whether the processor's files in a checkpoint folder speak of videos at all."""
    files = (folder / name for name in _PROCESSOR_FILES)
    return any("video" in file.read_text("utf-8").lower() for file in files if file.is_file())


def unlisted_family(model_type: str, folder: Path, *, patch_size: int) -> Family:
    """A family for a checkpoint whose processor has to be asked: evenly spread frames, any size.

    Raises:
        CheckpointError: it has no tokenizer.json, or its chat template no place for a video.
    """
    route = Route(
        name="processor",
        sampler="floors",
        sizer="measured",
        limits=Limits(  # some classes refuse a single frame
            fps=None, min_frames=2, max_frames=32, min_frame_tokens=1, max_frame_tokens=1
        ),
        text=VideoText(marker=_marker(folder)),
    )
    return Family(
        name=model_type,
        model_types=(model_type,),
        patches=PatchGrid(patch_size=patch_size, merge_size=1),
        routes=(route,),
        chat_format="qwen3_vl",
    )


def _marker(folder: Path) -> str:
    """The first special token that the chat template writes for a video.

    Any will do: what stands after it is counted as text, what stands before it too, and the rest
    is the video's.
    """
    from core.planning.checkpoint_files import read_json
    from core.planning.prompt import Turn, prompt_writer

    written = prompt_writer(folder).render([Turn("user", "?")])
    added = read_json(folder / "tokenizer.json")["added_tokens"]
    tokens = [str(each["content"]) for each in added]
    found = [token for token in tokens if "video" in token.lower() and token in written]
    if not found:
        raise CheckpointError(
            f"The chat template of {folder.name} has no place for a video.",
            remedy="Choose a checkpoint whose chat template writes a special token for videos.",
        )
    return min(found, key=written.index)
