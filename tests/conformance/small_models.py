"""Small random models of other families' real classes."""

from __future__ import annotations

from typing import Any

from real_processors import KINDS

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip
QWEN_TEXT = {**TEXT, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
QWEN_IDS = {
    "video_token_id": "video_token",
    "image_token_id": "image_token",
    "vision_start_token_id": "vision_start_token",
    "vision_end_token_id": "vision_end_token",
}
GLM_IDS = {
    "video_token_id": "video_token",
    "image_token_id": "image_token",
    "video_start_token_id": "start",
    "video_end_token_id": "end",
    "image_start_token_id": "image_start",
    "image_end_token_id": "image_end",
}
# model type -> (text config, vision config, config entries that are ids of these tokens)
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "qwen2_vl": (
        QWEN_TEXT,
        {"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2},
        QWEN_IDS,
    ),
    "qwen2_5_vl": (
        QWEN_TEXT,
        {
            "depth": 2,
            "hidden_size": 64,
            "out_hidden_size": 64,
            "num_heads": 4,
            "intermediate_size": 96,
            "fullatt_block_indexes": [1],
        },
        QWEN_IDS,
    ),
    "internvl": (
        {**TEXT, "model_type": "qwen2"},
        {**TOWER, "image_size": [448, 448], "patch_size": [14, 14]},
        {"image_token_id": "context_image_token"},
    ),
    "llava_onevision": (
        {**TEXT, "model_type": "qwen2"},
        {
            **TOWER,
            "model_type": "siglip_vision_model",
            "image_size": 384,
            "patch_size": 14,
            "vision_use_head": False,
        },
        {"image_token_id": "image_token", "video_token_id": "video_token"},
    ),
}
# Classes whose tower and prompts go in chunks, and whose text layers are transformers' own.
IN_PART: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "glm4v": (
        {
            **TEXT,
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [2, 3, 3],
                "partial_rotary_factor": 1.0,
            },
        },
        {
            "depth": 2,
            "hidden_size": 64,
            "num_heads": 4,
            "intermediate_size": 96,
            "out_hidden_size": 64,
            "patch_size": 14,
            "image_size": 336,
        },
        GLM_IDS,
    ),
}


def small_model(kind: str, tokenizer: Any) -> Any:
    """A model of this type that knows the tokenizer's tokens."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    text, vision, ids = {**MODELS, **IN_PART}[kind]
    named = {
        key: tokenizer.convert_tokens_to_ids(KINDS[kind].tokens[name]) for key, name in ids.items()
    }
    config = AutoConfig.for_model(
        kind,
        text_config={**text, "vocab_size": len(tokenizer) + 8},
        vision_config=vision,
        **named,
    )
    return AutoModelForImageTextToText.from_config(config).eval()
