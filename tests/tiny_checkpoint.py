"""A small random checkpoint of the real Qwen3-VL classes, written to a folder like any other."""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

# As Qwen3-VL's: turns between <|im_start|> and <|im_end|>, a video between vision markers.
TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'video' %}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' }}
            {%- else %}
                {{- part.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# What the published Qwen3-VL checkpoints have in video_preprocessor_config.json.
PUBLISHED_VIDEO = {
    "size": {"longest_edge": 25165824, "shortest_edge": 4096},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "video_processor_type": "Qwen3VLVideoProcessor",
}


def write_tiny_checkpoint(
    folder: Path, *, context_tokens: int = 32768, video: dict[str, object] | None = None
) -> Path:
    """Save model, tokenizer, processor files and chat template; about 1 MB, random weights."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    ids = _write_tokenizer(folder)
    torch.manual_seed(0)
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(ids) + 300,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": context_tokens,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [4, 2, 2],
                "rope_theta": 10000.0,
            },
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    model.save_pretrained(folder)
    image = {**PUBLISHED_VIDEO, "image_processor_type": "Qwen2VLImageProcessorFast"}
    del image["video_processor_type"]
    _write_json(folder / "preprocessor_config.json", image)
    _write_json(folder / "video_preprocessor_config.json", {**PUBLISHED_VIDEO, **(video or {})})
    return folder


# Large enough that weights of the layers are most of it: kind -> (text config, vision config).
SMALL_TEXT = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "rope_parameters": {
        "rope_type": "default",
        "mrope_section": [16, 24, 24],
        "rope_theta": 1e6,
    },
}
SMALL_VISION = {"depth": 4, "num_heads": 4, "patch_size": 16, "out_hidden_size": 1024}
SMALL: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "qwen2_5_vl": (
        SMALL_TEXT,
        {
            **SMALL_VISION,
            "hidden_size": 320,
            "intermediate_size": 856,
            "fullatt_block_indexes": [1],
        },
    ),
    "qwen3_vl": (
        {**SMALL_TEXT, "head_dim": 128},
        {
            **SMALL_VISION,
            "hidden_size": 288,
            "intermediate_size": 1076,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [0, 1],
        },
    ),
}


def write_small_checkpoint(folder: Path, kind: str) -> Path:
    """Random weights in bfloat16, one of SMALL; all else is the tiny one's."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    write_tiny_checkpoint(folder)
    tiny = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text, vision = SMALL[kind]
    ends = {key: tiny["text_config"][key] for key in ("eos_token_id", "pad_token_id", "vocab_size")}
    ids = {name: tiny[name] for name in ("image_token_id", "video_token_id")}
    ids |= {name: tiny[name] for name in ("vision_start_token_id", "vision_end_token_id")}
    config = AutoConfig.for_model(
        kind,
        text_config={**text, **ends, "bos_token_id": None},
        vision_config=vision,
        tie_word_embeddings=False,
        **ids,
    )
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = ends["pad_token_id"]
    model.save_pretrained(folder)
    return folder


def _write_tokenizer(folder: Path) -> dict[str, int]:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["when does the red circle appear in 12.5 seconds"] * 4, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2TokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": 262144,
        },
    )
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return {token: int(tokenizer.token_to_id(token)) for token in SPECIAL}


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2), encoding="utf-8")
