"""Real processors of families without planning rules, written to checkpoint folders.

The classes and their sizes are transformers' own; the vocabulary is small and the model's config is
the class's default, so that nothing needs to be downloaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from real_processors import TEMPLATE
from safetensors.numpy import save_file

from core.planning import DEMO_MODEL, ModelCard, load_card


@dataclass(frozen=True, kw_only=True)
class Unlisted:
    """How to build a processor: its name in transformers, and how its parts are put together.

    ``tokens`` are attributes of its tokenizer, ``others`` further special tokens, ``own`` its
    own settings, ``video`` those of its video processor; ``marker`` is what the template writes.
    """

    config: str
    processor: str
    images: str
    videos: str
    tokens: dict[str, str]
    marker: str
    others: tuple[str, ...] = ()
    own: dict[str, Any] = field(default_factory=dict)
    video: dict[str, Any] = field(default_factory=dict)


_LLAVA = {"image_token": "<image>", "video_token": "<video>"}
_PADS = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}

UNLISTED: dict[str, Unlisted] = {
    "llava_next_video": Unlisted(
        config="LlavaNextVideoConfig",
        processor="LlavaNextVideoProcessor",
        images="LlavaNextImageProcessor",
        videos="LlavaNextVideoVideoProcessor",
        tokens=_LLAVA,
        marker="<video>\n",
        own={"patch_size": 14, "vision_feature_select_strategy": "default"},
        video={"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}},
    ),
    "video_llava": Unlisted(
        config="VideoLlavaConfig",
        processor="VideoLlavaProcessor",
        images="VideoLlavaImageProcessor",
        videos="VideoLlavaVideoProcessor",
        tokens=_LLAVA,
        marker="<video>\n",
        own={"patch_size": 14},
    ),
    "kimi_k25": Unlisted(
        config="Kimi_K25Config",
        processor="Kimi_K25Processor",
        images="Kimi_K25ImageProcessor",
        videos="Kimi_K25VideoProcessor",
        tokens={"image_token": "<|media_pad|>", "video_token": "<|kimi_k25_video_placeholder|>"},
        others=("<|media_begin|>", "<|media_content|>", "<|media_end|>"),
        marker="<|kimi_k25_video_placeholder|>",
    ),
    "minicpmv4_6": Unlisted(
        config="MiniCPMV4_6Config",
        processor="MiniCPMV4_6Processor",
        images="MiniCPMV4_6ImageProcessor",
        videos="MiniCPMV4_6VideoProcessor",
        tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "image_start_token": "<image>",
            "image_end_token": "</image>",
            "slice_start_token": "<slice>",
            "slice_end_token": "</slice>",
            "image_id_start_token": "<image_id>",
            "image_id_end_token": "</image_id>",
        },
        marker="<|video_pad|>\n",
    ),
    "exaone4_5": Unlisted(
        config="Exaone4_5_Config",
        processor="Exaone4_5_Processor",
        images="Qwen2VLImageProcessor",
        videos="Qwen2VLVideoProcessor",
        tokens=_PADS,
        marker="<|vision_start|><|video_pad|><|vision_end|>",
        video={"size": {"shortest_edge": 3136, "longest_edge": 200_704}},
    ),
    "lfm3_vl": Unlisted(
        config="Lfm3VlConfig",
        processor="Lfm3VlProcessor",
        images="Qwen2VLImageProcessor",
        videos="Qwen3VLVideoProcessor",
        tokens=_PADS,
        marker="<|vision_start|><|video_pad|><|vision_end|>",
    ),
    "cosmos3_edge": Unlisted(
        config="Cosmos3EdgeConfig",
        processor="Cosmos3EdgeProcessor",
        images="Cosmos3EdgeImageProcessor",
        videos="Cosmos3EdgeVideoProcessor",
        tokens=_PADS,
        marker="<|vision_start|><|video_pad|><|vision_end|>",
    ),
    "minimax_m3_vl": Unlisted(
        config="MiniMaxM3VLConfig",
        processor="MiniMaxM3VLProcessor",
        images="MiniMaxM3VLImageProcessor",
        videos="MiniMaxM3VLVideoProcessor",
        tokens={},
        others=("]<]image[>[", "]<]video[>[", "]<]start of image[>[", "]<]end of image[>["),
        marker="]<]video[>[",
    ),
}  # fmt: skip


def unlisted_processor(kind: Unlisted, folder: Path) -> tuple[Any, ModelCard]:
    """The real processor, untouched, and the card of a checkpoint folder that holds its files."""
    import transformers
    from transformers import AutoProcessor

    parts = {
        "image_processor": getattr(transformers, kind.images)(),
        "video_processor": getattr(transformers, kind.videos)(**kind.video),
        "tokenizer": _tokenizer(kind),
    }
    built = getattr(transformers, kind.processor)(**parts, **kind.own)
    built.chat_template = TEMPLATE.replace("MARKER", kind.marker)
    built.save_pretrained(folder)
    _name_tokens(folder / "tokenizer_config.json", kind.tokens)
    getattr(transformers, kind.config)().save_pretrained(folder)
    save_file({"weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
    return AutoProcessor.from_pretrained(folder), load_card(str(folder))


def _tokenizer(kind: Unlisted) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(DEMO_MODEL)
    fresh = [*kind.tokens.values(), *kind.others]
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [*tokenizer.extra_special_tokens, *fresh]}
    )
    for name, token in kind.tokens.items():
        setattr(tokenizer, name, token)
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    return tokenizer


def _name_tokens(file: Path, tokens: dict[str, str]) -> None:
    """What the tokenizer calls its special tokens, as published files say it."""
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(config | {"model_specific_special_tokens": tokens}), "utf-8")
