"""The shapes of a model, read from its config: what memory and time are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """The language model: layers and widths, in elements.

    Attributes:
        layers, hidden: as usual.
        mlp: width of the MLPs a token passes through (of all its experts together).
        heads, kv_heads, head_dim: attention.
        kv_layers: layers that keep keys and values of the whole prompt; linear attention and
            sliding windows do not.
        vocab: entries of the embedding.
        tied: whether the head is the token embeddings over again.
        experts_per_token: experts that a token passes through; 1 where there is no mixture.
    """

    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    kv_layers: int
    vocab: int
    tied: bool = False
    experts_per_token: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionShape:
    """The vision tower: layers and widths, in elements.

    Attributes:
        deepstack: further outputs of its size that the language model takes in (Qwen3-VL: 3).
    """

    layers: int
    hidden: int
    mlp: int
    deepstack: int = 0


def text_shape(config: dict[str, Any], *, tied: bool) -> TextShape:
    """The language model that ``text_config`` describes.

    Raises:
        KeyError, TypeError, ValueError: it does not.
    """
    heads, layers = int(config["num_attention_heads"]), int(config["num_hidden_layers"])
    experts = int(config.get("num_experts_per_tok") or config.get("top_k_experts") or 1)
    mlp = int(config.get("moe_intermediate_size") or config["intermediate_size"]) * experts
    return TextShape(
        layers=layers,
        hidden=int(config["hidden_size"]),
        mlp=mlp,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
        kv_layers=_full_attention_layers(config, layers),
        vocab=int(config["vocab_size"]),
        tied=tied,
        experts_per_token=experts,
    )


def _full_attention_layers(config: dict[str, Any], layers: int) -> int:
    kinds = config.get("layer_types")
    if kinds:
        return sum(kind == "full_attention" for kind in kinds)
    return layers // int(config.get("full_attention_interval") or 1)


def vision_shape(config: dict[str, Any]) -> VisionShape:
    """The tower that ``vision_config`` describes; families name its depth in two ways.

    Raises:
        KeyError, TypeError, ValueError: it does not.
    """
    hidden = int(
        config.get("embed_dim") or config["hidden_size"]
    )  # Qwen2-VL's hidden is the text's
    mlp = config.get("intermediate_size") or hidden * config.get("mlp_ratio", 4)
    return VisionShape(
        layers=int(config["depth"] if "depth" in config else config["num_hidden_layers"]),
        hidden=hidden,
        mlp=int(mlp),
        deepstack=len(config.get("deepstack_visual_indexes") or ()),
    )


def idle_parameters(config: dict[str, Any]) -> int:
    """Weights of the experts that a token does not pass through."""
    experts = int(config.get("num_experts") or config.get("n_routed_experts") or 0)
    if not experts:
        return 0
    chosen = int(config.get("num_experts_per_tok") or config.get("top_k_experts") or experts)
    expert = 3 * int(config["hidden_size"]) * int(config["moe_intermediate_size"])
    dense = int(config.get("first_k_dense_replace") or 0)
    return (int(config["num_hidden_layers"]) - dense) * (experts - chosen) * expert
