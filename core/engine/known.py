"""Which of transformers' classes the fast way serves, and where their parts are."""

from __future__ import annotations

from typing import Any


def is_known(model: Any) -> bool:
    """Whether its text layers take embeddings and see all that was before.

    Not where weights wait in the machine's memory.
    """
    text = getattr(getattr(model, "model", None), "language_model", None)
    layers = getattr(text, "layers", ())
    attending = [getattr(layer, "self_attn", None) for layer in layers]
    kinds = set(getattr(getattr(text, "config", None), "layer_types", None) or ())
    return (
        bool(attending)
        and all(hasattr(each, "k_proj") for each in attending)
        and kinds <= {"full_attention"}
        and hasattr(model, "lm_head")
        and hasattr(text, "rotary_emb")
        and bool(getattr(text, "_supports_attention_backend", False))
        and not any(each.is_meta for each in model.parameters())
    )


def tower_of(wrapper: Any) -> Any:
    """The vision tower; None where there is none that is known."""
    return getattr(wrapper, "visual", None) or getattr(wrapper, "vision_tower", None)
