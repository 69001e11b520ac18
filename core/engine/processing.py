"""What a model's processor makes of a request: pixels piece by piece where that is the same.

All else that it says of a video follows from shapes: it is shown the whole on meta for that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from core.engine.base import Request
from core.engine.pieces import in_pieces
from core.engine.runs import Runs
from core.planning.card import ModelCard
from core.planning.execution import goes_in_chunks
from core.planning.measured import Sampled, told

PIXELS = "pixel_values"  # how the names of what frames become begin


class Processing:
    """Asks one processor, which demands that threads take turns."""

    def __init__(self, card: ModelCard, processor: Any, dtype: Any) -> None:
        self._patches, self._processor, self._dtype = card.patches, processor, dtype
        self._pieces = goes_in_chunks(card)
        self._asked = _with_runs(processor) if self._pieces else processor

    def made(self, request: Request, device: str, look: Callable[[], None]) -> dict[str, Any]:
        """All of it, on a device.

        Only a class whose resizing nothing else can do (plan.measured says so) does its own.
        ``look`` is called before every piece, and may raise to end it.
        """
        import torch

        frames, made = _frames(request), {}
        for name, value in self._whole(request, self._shown(frames, device)).items():
            if not is_tensor(value):
                made[name] = value
            elif name.startswith(PIXELS) and value.is_meta:
                made[name] = torch.empty(value.shape, dtype=self._dtype, device=device)
                in_pieces(
                    self._processor.video_processor,
                    frames,
                    made[name],
                    together=self._patches.temporal_patch_size,
                    look=look,
                )
            elif name.startswith(PIXELS) and value.is_floating_point():
                made[name] = value.to(device, self._dtype)
            else:
                made[name] = value.to(device)
        return made

    def tokens(self, request: Request) -> int:
        """The prompt's length, for which no pixels are made where shapes say it."""
        found = self._whole(request, self._shown(_frames(request), "cpu"))
        return int(found["input_ids"].shape[1])

    def _shown(self, frames: Any, device: str) -> Any:
        """What the processor is shown at once: shapes alone where they say all but the pixels."""
        return frames.to("meta" if self._pieces else device)

    def _whole(self, request: Request, pixels: Any) -> dict[str, Any]:
        plan = request.plan
        frames = Sampled(
            times=plan.times,
            height=plan.height,
            width=plan.width,
            duration_seconds=plan.duration_seconds,
        )
        found: dict[str, Any] = self._asked(
            text=[request.prompt],
            videos=[[pixels]],  # of the first text: some classes count them a text
            video_metadata=[told(frames)],
            do_sample_frames=False,
            do_resize=plan.measured is not None and plan.measured.resizes,
            return_metadata=True,  # some classes write their labels by it
            return_tensors="pt",
        )
        found.pop("video_metadata", None)
        return found


def is_tensor(value: Any) -> bool:
    """Not so are lists of numbers or of texts, which some classes say too."""
    import torch

    return isinstance(value, torch.Tensor)


def _frames(request: Request) -> Any:
    """uint8 of (frames, 3, height, width) over the request's own memory."""
    import torch

    assert request.frames is not None
    return torch.from_numpy(request.frames.pixels).permute(0, 3, 1, 2)


def _with_runs(processor: Any) -> Any:
    """The same processor with another tokenizer in its place."""
    tokens = (getattr(processor, name, None) for name in ("video_token", "image_token"))
    placeholders = [each for each in tokens if isinstance(each, str)]
    if not placeholders:
        return processor
    found = copy.copy(processor)
    found.tokenizer = Runs(processor.tokenizer, placeholders)
    return found
