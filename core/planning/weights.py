"""Bytes of a model's weights, by where they lie: before the layers, in them and after them."""

from __future__ import annotations

from core.planning.card import ModelCard
from core.planning.devices import Device
from core.planning.execution import AS_STORED, WEIGHT_BYTES, Execution, run_dtype, value_bytes


def weight_bytes(card: ModelCard, device: Device, execution: Execution = AS_STORED) -> int:
    """What the weights take on ``device``, at the precision they are held in there."""
    return sum(parts_of(card, run_dtype(card, device, execution)))


def parts_of(card: ModelCard, dtype: str) -> tuple[int, int, int]:
    """Bytes of what comes before the layers, of all layers, and of what comes after them."""
    text, size = card.text, value_bytes(dtype)
    embeddings = text.vocab * text.hidden
    head = 0 if text.tied else embeddings
    layers = min(_layer_parameters(card), max(0, card.parameters - embeddings - head))
    before = max(0, card.parameters - layers - head)
    return before * size, int(layers * WEIGHT_BYTES.get(dtype, 2.0)), head * size


def _layer_parameters(card: ModelCard) -> int:
    """Of all layers: counted where they are alike, else what the rest of the model leaves.

    Counted they are within 0.1% of the published checkpoints' classes; towers have too many ways of
    their own for what they leave to be as good. Where much more is left than counted,
    the layers are of another kind: experts, a second MLP, embeddings of their own.
    """
    text, vision = card.text, card.vision
    heads = 2 * (text.heads + text.kv_heads) * text.head_dim
    counted = text.layers * text.hidden * (heads + 3 * text.mlp)
    merged = vision.hidden * card.patches.merge_size**2
    projector = merged * (merged + text.hidden) * (1 + vision.deepstack)
    tower = vision.layers * (4 * vision.hidden**2 + 2 * vision.hidden * vision.mlp) + projector
    left = card.parameters - tower - text.vocab * text.hidden * (1 if text.tied else 2)
    alike = text.kv_layers == text.layers and counted > left / 2
    return max(0, counted if alike else left)


def has_experts(card: ModelCard) -> bool:
    """Whether a token passes through a part of the weights only."""
    return card.active_parameters < card.parameters or card.text.experts_per_token > 1
