"""Attention that reads keys and values where they lie; knows no model and no request.

Two functions are registered with transformers: ``CAUSAL`` for text layers, whose keys are all that
was read before and the newest chunk, and ``PACKED`` for vision towers, which hands all frames (or
windows) of a video to one call of variable lengths instead of one call for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.engine.kernels import has_fused, has_kernels

if TYPE_CHECKING:
    import torch

CAUSAL = "framewise"
PACKED = "framewise_flash"  # transformers passes lengths to whatever has "flash" in its name
SQUARE_TOKENS = 512  # fewer new tokens than this are not worth cuDNN's set-up of a shape
SHAPE_STEP = 1024


def register() -> None:
    """Make both known to transformers."""
    import torch
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(CAUSAL, causal)
    AttentionMaskInterface.register(CAUSAL, _no_mask)
    AttentionInterface.register(PACKED, torch.compiler.disable(packed))  # type: ignore[no-untyped-call]
    AttentionMaskInterface.register(PACKED, _no_mask)


def _no_mask(*_args: Any, **_options: Any) -> None:
    """What a token may see follows from its place: no mask is made."""


def causal(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_options: Any,
) -> tuple[torch.Tensor, None]:
    """The last tokens see all before them and, of themselves, those up to their own place.

    Args:
        module: unused; transformers passes the layer.
        query: (1, heads, new, head size).
        key, value: (1, key heads, past + new, head size).
        attention_mask: unused.
        scaling: of the products; 1 / sqrt(head size) where it is None.

    Returns:
        (1, new, heads, head size), and None for the weights.
    """
    past = key.shape[2] - query.shape[2]
    if not _kernels_serve(query):
        out = _on_any_device(query, key, value, past, scaling)
    elif query.shape[2] < SQUARE_TOKENS or past % SHAPE_STEP or not _has_fused(query):
        out = _flash(query, key, value, scaling)
    else:
        out = _in_two_parts(query, key, value, past, scaling)
    return out.transpose(1, 2), None


def _kernels_serve(query: torch.Tensor) -> bool:
    import torch

    return (
        query.dtype in (torch.float16, torch.bfloat16)
        and query.shape[-1] % 8 == 0
        and has_kernels(query.device)
    )


def _has_fused(query: torch.Tensor) -> bool:
    return has_fused(query.device, query.shape[-1])


def _on_any_device(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, past: int, scaling: float | None
) -> torch.Tensor:
    import torch

    new, mask = query.shape[2], None
    if query.is_cuda and new > 1 and query.shape[1] != key.shape[1]:
        # without FlashAttention what takes fewer key heads would write all scores out
        shared = query.shape[1] // key.shape[1]
        key, value = (each.repeat_interleave(shared, dim=1) for each in (key, value))
    if past and new > 1:
        mask = torch.ones(new, past + new, dtype=torch.bool, device=query.device).tril(past)
    out: torch.Tensor = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None and new > 1,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """FlashAttention 2, whose causal mask is aligned with the last key."""
    import torch

    new, total = query.shape[2], key.shape[2]
    ends = torch.tensor([[0, new], [0, total]], dtype=torch.int32, device=query.device)
    rows = [each[0].transpose(0, 1) for each in (query, key, value)]
    found = torch.ops.aten._flash_attention_forward(
        *rows, ends[0], ends[1], new, total, 0.0, True, False, scale=scaling
    )
    out: torch.Tensor = found[0].transpose(0, 1)[None]
    return out


def _in_two_parts(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, past: int, scaling: float | None
) -> torch.Tensor:
    """All of the past, then a square; joined by how much each part weighs.

    cuDNN sets itself up for each shape, which takes a tenth of a second: rows are added to the new
    tokens, so that shapes come again. Nothing sees the added keys, and nobody the added queries.
    """
    import torch

    new = query.shape[2]
    more = -new % SHAPE_STEP
    query, own_key, own_value = (
        torch.nn.functional.pad(each, (0, 0, 0, more)) if more else each
        for each in (query, key[:, :, past:], value[:, :, past:])
    )
    own, own_weight = _fused(query, own_key, own_value, True, scaling)
    if not past:
        return own[:, :, :new]
    before, its_weight = _fused(query, key[:, :, :past], value[:, :, :past], False, scaling)
    share = torch.sigmoid(own_weight - its_weight).to(query.dtype)
    return torch.lerp(before, own, share.expand_as(own))[:, :, :new]


def _fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    is_causal: bool,
    scaling: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The attention, and the logarithm of the sum of its weights: (1, heads, new, 1)."""
    import torch

    found = torch.ops.aten._scaled_dot_product_cudnn_attention(
        query, key, value, None, True, 0.0, is_causal, False, scale=scaling
    )
    return found[0], found[1].reshape(*query.shape[:3], 1)


def packed(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | torch.Tensor | None = None,
    **_options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each of many stretches of one row of patches, in one call.

    Args:
        module: unused; transformers passes the layer.
        query, key, value: (1, heads, patches, head size).
        attention_mask: unused.
        scaling: of the products.
        cu_seq_lens_q: where each stretch ends, from 0: (stretches + 1), int32.
        max_length_q: of the longest stretch.

    Returns:
        (1, patches, heads, head size), and None for the weights.
    """
    import torch

    assert cu_seq_lens_q is not None
    ends, longest = cu_seq_lens_q.to(torch.int32), int(max_length_q or 0)
    count = len(ends) - 1
    if query.shape[2] == longest * count and _has_fused(query):  # all of one length
        stacks = [_stacked(each, count) for each in (query, key, value)]
        out = _fused(stacks[0], stacks[1], stacks[2], is_causal=False, scaling=scaling)[0]
        return out.transpose(1, 2).reshape(1, query.shape[2], query.shape[1], -1), None
    rows = [each[0].transpose(0, 1) for each in (query, key, value)]
    found = torch.ops.aten._flash_attention_forward(
        *rows, ends, ends, longest, longest, 0.0, False, False, scale=scaling
    )
    return found[0][None], None


def _stacked(rows: torch.Tensor, count: int) -> torch.Tensor:
    """(1, heads, count x length, size) -> (count, heads, length, size), a view."""
    heads, _, size = rows.shape[1:]
    return rows[0].reshape(heads, count, -1, size).transpose(0, 1)
