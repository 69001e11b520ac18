"""Asks the real processor of a family without planning rules, on tensors that hold no pixels.

A card carries the asking (``ModelCard.measure``), because ``fit`` and the remedies make plans by
the dozen: whoever plans with such a card need not know. Loads no weights.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

from core.errors import CheckpointError, FramewiseError, SettingsError
from core.planning.card import ModelCard
from core.planning.measured import Measured, Sampled, told
from core.planning.prompt import Turn, Writer, writer_for
from core.planning.tokens import TextTokens, count_text

KEPT_MEASUREMENTS = 512
_TURNS = (Turn("user", "What happens?"),)  # any will do: what the text costs is taken off again


@lru_cache(maxsize=4)
def measurable(card: ModelCard) -> ModelCard:
    """The card with its ``measure`` in place, where plans for it need one; else as it is."""
    if card.routes[0].sizer != "measured":
        return card
    asked = _Asked(card)
    return replace(card, measure=lru_cache(maxsize=KEPT_MEASUREMENTS)(asked))


class _Asked:
    """One checkpoint's processor; asked by one thread at a time, loaded when first asked."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._writer: Writer = writer_for(card)
        self._text: TextTokens = count_text(card, _TURNS)
        self._lock = threading.Lock()
        self._processor: Any = None

    def __call__(self, frames: Sampled) -> Measured:
        """What the processor makes of the frames at the video's own size.

        Raises:
            CheckpointError: there is no such processor, or it counts by what the pixels show.
            SettingsError: it refuses such frames.
        """
        with self._lock:
            if self._processor is None:
                self._processor = _load(self._card)
            return self._measured(frames)

    def _measured(self, frames: Sampled) -> Measured:
        inputs = self._run(frames, do_resize=True)
        ids = inputs["input_ids"][0].tolist()
        size = self._resized(frames, inputs)
        return Measured(
            tokens=len(ids) - self._text.total,
            height=size[0] if size else frames.height,
            width=size[1] if size else frames.width,
            grid=_grid(inputs, frames=len(frames.times), patch_size=self._card.patches.patch_size),
            resizes=size is None,
            exact=self._bounded(ids),
        )

    def _resized(self, frames: Sampled, inputs: Any) -> tuple[int, int] | None:
        """The size that frames can be given at instead, so that nothing is left to resize.

        None where the processor tells no grid, or says something else of frames of that size.
        """
        if "video_grid_thw" not in inputs:
            return None
        patch = self._card.patches.patch_size
        _, rows, columns = inputs["video_grid_thw"][0].tolist()
        height, width = rows * patch, columns * patch
        try:
            again = self._run(replace(frames, height=height, width=width), do_resize=False)
        except FramewiseError:
            return None
        same = again["input_ids"].equal(inputs["input_ids"])
        same = same and again["video_grid_thw"].equal(inputs["video_grid_thw"])
        return (height, width) if same else None

    def _bounded(self, ids: list[int]) -> bool:
        """Whether a special token stands between the video and the question, so that none merge."""
        end = len(ids) - self._writer.count(self._text.after)
        special = self._processor.tokenizer.added_tokens_decoder
        return ids[end - 1] in special or ids[end] in special

    def _run(self, frames: Sampled, *, do_resize: bool) -> Any:
        """The model's inputs for these frames, told of as core/engine/local.py tells of them."""
        import torch

        shape = (len(frames.times), 3, frames.height, frames.width)
        try:
            return self._processor(
                text=[self._writer.render(_TURNS)],
                videos=[torch.empty(shape, dtype=torch.uint8, device="meta")],
                video_metadata=[told(frames)],
                do_sample_frames=False,
                do_resize=do_resize,
                return_metadata=True,  # some look for it themselves
                return_tensors="pt",
            )
        except Exception as error:  # each class has its own ways to refuse
            raise _refused(self._card, frames, error) from error


def _load(card: ModelCard) -> Any:
    """The checkpoint's processor, so changed that what it counts needs shapes alone.

    Raises:
        CheckpointError: there is none, or none for videos.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(card.folder, trust_remote_code=False)
    except Exception as error:  # each file format and class has its own ways to fail
        raise CheckpointError(
            f"The processor of {card.name} cannot be loaded: {type(error).__name__}: {error}",
            remedy="Check that the download is complete and the installed transformers knows it.",
        ) from error
    if getattr(processor, "video_processor", None) is None:
        raise CheckpointError(
            f"{card.name} ({type(processor).__name__}) takes no videos.",
            remedy="Choose a checkpoint of a video model.",
        )
    processor.tokenizer.model_max_length = 10**9  # it would warn of every longer prompt
    processor.video_processor.preprocess = _with_zeros(processor.video_processor.preprocess)
    return processor


def _with_zeros(preprocess: Callable[..., Any]) -> Callable[..., Any]:
    """``preprocess`` with zeros for the pixels, which take no memory: one, in every place.

    Some processors turn the resized frames into numpy arrays to see their shape, which tensors
    without storage refuse.
    """

    def shaped(value: Any) -> Any:
        import torch

        if isinstance(value, list | tuple):
            return type(value)(map(shaped, value))
        if isinstance(value, torch.Tensor) and value.is_meta:
            return torch.zeros((), dtype=value.dtype).expand(value.shape)
        return value

    def run(*videos: Any, **words: Any) -> Any:
        found = preprocess(*videos, **words)
        for name in list(found):
            found[name] = shaped(found[name])
        return found

    return run


def _grid(inputs: Any, *, frames: int, patch_size: int) -> tuple[int, int, int]:
    """Patches in time, height and width, as the processor tells them or its pixels are many."""
    if "video_grid_thw" in inputs:
        steps, rows, columns = inputs["video_grid_thw"].T.tolist()  # one row a video or a chunk
        return sum(steps), rows[0], columns[0]
    pixels = next(value for name, value in inputs.items() if name.startswith("pixel_values"))
    return frames, 1, max(1, prod(pixels.shape) // (frames * 3 * patch_size**2))


def _refused(card: ModelCard, frames: Sampled, error: Exception) -> FramewiseError:
    why = " ".join(str(error).split())[:200]
    if isinstance(error, NotImplementedError):  # what reading from a meta tensor raises
        return CheckpointError(
            f"What a video costs {card.family.name} depends on its pixels ({why}).",
            remedy="Choose a checkpoint of a family with planning rules.",
        )
    return SettingsError(
        f"The processor of {card.name} refuses {len(frames.times)} frame(s) of "
        f"{frames.width}x{frames.height}: {why}",
        remedy="Choose another number of frames, or a video of a more usual shape.",
    )
