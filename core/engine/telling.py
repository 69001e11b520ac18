"""What a model tells its text layers about a prompt: embeddings, positions, and where pictures go.

The model is asked itself, so that every class's rules are its own; words that follow what was read
need no asking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.engine.positions import position_axes
from core.engine.remembering import place_of

if TYPE_CHECKING:
    import torch

PICTURES = ("image_token_id", "video_token_id", "image_token_index", "video_token_index")


class _Heard(Exception):
    """What was asked for has been heard; the model need not go on."""


class Teller:
    """Asks one model."""

    def __init__(self, model: Any) -> None:
        self._wrapper, self._text = model.model, model.model.language_model
        found = (getattr(model.config, name, None) for name in PICTURES)
        self._pictures = {each for each in found if each is not None}
        self._axes = position_axes(self._text)

    def after_video(self, ids: list[int]) -> int:
        """The number of the first token after all that stand for pictures."""
        return next((n + 1 for n in range(len(ids) - 1, -1, -1) if ids[n] in self._pictures), 0)

    def whole(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Of a prompt from its beginning; the tower looks; pixels are taken out."""
        found: dict[str, Any] = {}

        def listen(_module: Any, _args: Any, told: dict[str, Any]) -> None:
            found.update(told)
            raise _Heard

        handle = self._text.register_forward_pre_hook(listen, with_kwargs=True)
        try:
            self._wrapper(**inputs, use_cache=False)
        except _Heard:
            pass
        finally:
            handle.remove()
        for name in ("input_ids", "attention_mask", "past_key_values", "use_cache"):
            found.pop(name, None)
        for name in [name for name in inputs if name.startswith("pixel_values")]:
            inputs.pop(name)  # a gigabyte that nothing needs any more
        if found.get("position_ids") is None:
            count = found["inputs_embeds"].shape[1]
            found["position_ids"] = self._positions(0, count)
        return found

    def words(self, ids: torch.Tensor, begin: int) -> dict[str, Any]:
        """Of words only, (1, tokens), the first of which is at position ``begin``."""
        return {
            "inputs_embeds": self._text.embed_tokens(ids),
            "position_ids": self._positions(begin, begin + ids.shape[1]),
        }

    def _positions(self, begin: int, end: int) -> torch.Tensor:
        import torch

        places = torch.arange(begin, end, device=place_of(self._text.embed_tokens))[None]
        return places if self._axes == 1 else places[None].expand(self._axes, 1, -1)


def cut(told: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """The tokens from start to end of what the text layers are told."""
    part = dict(told)
    part["inputs_embeds"] = told["inputs_embeds"][:, start:end]
    part["position_ids"] = told["position_ids"][..., start:end]
    marks = told.get("visual_pos_masks")
    if marks is not None:
        first, last = int(marks[:, :start].sum()), int(marks[:, :end].sum())
        part["visual_pos_masks"] = marks[:, start:end]
        added = told.get("deepstack_visual_embeds") or []
        part["deepstack_visual_embeds"] = [each[first:last] for each in added]
        if first == last:
            part["visual_pos_masks"] = part["deepstack_visual_embeds"] = None
    return part


def shift_of(told: dict[str, Any]) -> int:
    """How far the last token's rotary position is from its number."""
    positions = told["position_ids"]
    return int(positions[..., -1].max()) + 1 - int(positions.shape[-1])
