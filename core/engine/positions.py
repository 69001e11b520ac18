"""Where a token is, and by how much that turns it: a model's rotary embedding, its own rules."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def position_axes(text: Any) -> int:
    """How many axes a position has: 3 where time, height and width turn apart, else 1."""
    import torch

    weight = text.embed_tokens.weight
    try:
        text.rotary_emb(weight[None, :1], torch.zeros(1, 1, dtype=torch.long, device=weight.device))
    except Exception:  # IndexError, RuntimeError: it looks for an axis that is not there
        return 3
    return 1


def turns(
    rotation: Any, x: torch.Tensor, positions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, (tokens, 1, head size), by the model's own rules.

    Before transformers 5.20 the three axes came apart, and attention took its part of each.
    """
    import torch

    cos, sin = rotation(x[None], positions)
    if cos.dim() == 4:
        parts = _sections(rotation.config) * 2
        cos, sin = (
            torch.cat([m[n % 3] for n, m in enumerate(each.split(parts, dim=-1))], dim=-1)
            for each in (cos, sin)
        )
    return cos[0, :, None].to(x.dtype), sin[0, :, None].to(x.dtype)


def _sections(config: Any) -> list[int]:
    rules = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    return list(rules.get("mrope_section", (16, 24, 24)))


def _copied(module: Any, device: torch.device) -> Any:
    """A small module on another device, without what would move its inputs back."""
    from accelerate.hooks import remove_hook_from_module

    return remove_hook_from_module(copy.deepcopy(module), recurse=True).to(device)


def settled(rotation: Any, device: torch.device) -> Any:
    """A copy that does not look at positions, for which a graph being captured cannot wait.

    "dynamic" frequencies change only beyond the tokens that a model takes (InternVL3 has them).
    """
    copied = _copied(rotation, device)
    if "dynamic" in str(getattr(copied, "rope_type", "")):
        copied.rope_type = "default"
    return copied
