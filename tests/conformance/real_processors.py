"""The real processor of each family, with a small tokenizer, and its files in a folder.

The classes, their sizes and their texts are transformers' own; only the vocabulary is small, so
that nothing needs to be downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from core.planning import DEMO_MODEL, ModelCard, load_card
from core.planning.catalog import published

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}"
    "{{ 'MARKER' if part.type == 'video' else part.text }}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How to build a family's processor.

    ``marker`` is what the template writes; ``tokens`` are attributes of its tokenizer; ``video``
    are settings laid over those that the catalog has for ``checkpoint``.
    """

    checkpoint: str
    build: Callable[[Any, dict[str, Any]], Any]
    marker: str
    tokens: dict[str, str] = field(default_factory=dict)
    video: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)


def _qwen(video_class: str, processor_class: str) -> Callable[[Any, dict[str, Any]], Any]:
    def build(tokenizer: Any, video: dict[str, Any]) -> Any:
        import transformers

        images = transformers.Qwen2VLImageProcessor()
        videos = getattr(transformers, video_class)(**video)
        return getattr(transformers, processor_class)(images, tokenizer, videos)

    return build


def _omni(processor_class: str) -> Callable[[Any, dict[str, Any]], Any]:
    def build(tokenizer: Any, video: dict[str, Any]) -> Any:
        import transformers

        return getattr(transformers, processor_class)(
            transformers.Qwen2VLImageProcessor(),
            transformers.Qwen2VLVideoProcessor(**video),
            transformers.WhisperFeatureExtractor(),
            tokenizer,
        )

    return build


def _internvl(tokenizer: Any, video: dict[str, Any]) -> Any:
    import transformers

    return transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessor(),
        tokenizer,
        transformers.InternVLVideoProcessor(**video),
        image_seq_length=256,
    )


def _llava_onevision(tokenizer: Any, video: dict[str, Any]) -> Any:
    import transformers

    return transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(),
        tokenizer,
        transformers.LlavaOnevisionVideoProcessor(**video),
        num_image_tokens=729,
        vision_feature_select_strategy="full",
    )


def _smolvlm(tokenizer: Any, video: dict[str, Any]) -> Any:
    import transformers

    own = {key: value for key, value in video.items() if key != "image_seq_len"}
    return transformers.SmolVLMProcessor(
        transformers.SmolVLMImageProcessor(),
        tokenizer,
        transformers.SmolVLMVideoProcessor(**own),
        image_seq_len=video["image_seq_len"],
    )


def _gemma4(tokenizer: Any, video: dict[str, Any]) -> Any:
    import transformers

    return transformers.Gemma4Processor(
        transformers.Gemma4AudioFeatureExtractor(),
        transformers.Gemma4ImageProcessor(),
        tokenizer,
        transformers.Gemma4VideoProcessor(**video),
    )


def _molmo2(tokenizer: Any, video: dict[str, Any]) -> Any:
    import transformers

    return transformers.Molmo2Processor(
        transformers.Molmo2ImageProcessor(), transformers.Molmo2VideoProcessor(**video), tokenizer
    )


_QWEN_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
_OMNI_TOKENS = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
_GLM_TOKENS = {
    "image_token": "<|image|>",
    "video_token": "<|video|>",
    "start": "<|begin_of_video|>",
    "end": "<|end_of_video|>",
    "image_start": "<|begin_of_image|>",
    "image_end": "<|end_of_image|>",
}
_GLM_MARKER = "<|begin_of_video|><|video|><|end_of_video|>"
_QWEN_MARKER = "<|vision_start|><|video_pad|><|vision_end|>"

KINDS: dict[str, Kind] = {
    "qwen2_vl": Kind(
        checkpoint="Qwen/Qwen2-VL-7B-Instruct",
        build=_qwen("Qwen2VLVideoProcessor", "Qwen2VLProcessor"),
        marker=_QWEN_MARKER,
        tokens=_QWEN_TOKENS,
    ),
    "qwen2_5_vl": Kind(
        checkpoint="Qwen/Qwen2.5-VL-7B-Instruct",
        build=_qwen("Qwen2VLVideoProcessor", "Qwen2_5_VLProcessor"),
        marker=_QWEN_MARKER,
        tokens=_QWEN_TOKENS,
    ),
    "qwen2_5_vl capped": Kind(
        checkpoint="Qwen/Qwen2.5-VL-7B-Instruct",
        build=_qwen("Qwen2VLVideoProcessor", "Qwen2_5_VLProcessor"),
        marker=_QWEN_MARKER,
        tokens=_QWEN_TOKENS,
        video={"cap_pixels_per_frame": True, "max_video_tokens": 20_000},
    ),
    "qwen3_vl": Kind(
        checkpoint="Qwen/Qwen3-VL-8B-Instruct",
        build=_qwen("Qwen3VLVideoProcessor", "Qwen3VLProcessor"),
        marker=_QWEN_MARKER,
        tokens=_QWEN_TOKENS,
    ),
    "qwen3_vl capped": Kind(
        checkpoint="Qwen/Qwen3-VL-8B-Instruct",
        build=_qwen("Qwen3VLVideoProcessor", "Qwen3VLProcessor"),
        marker=_QWEN_MARKER,
        tokens=_QWEN_TOKENS,
        video={"cap_pixels_per_frame": True, "max_video_tokens": 300},
    ),
    "qwen3_5": Kind(
        checkpoint="Qwen/Qwen3.5-9B",
        build=_qwen("Qwen3VLVideoProcessor", "Qwen3VLProcessor"),
        marker=_QWEN_MARKER,
        tokens=_QWEN_TOKENS,
    ),
    "qwen2_5_omni": Kind(
        checkpoint="Qwen/Qwen2.5-Omni-7B",
        build=_omni("Qwen2_5OmniProcessor"),
        marker="<|vision_bos|><|video_pad|><|vision_eos|>",
        tokens=_OMNI_TOKENS,
    ),
    "qwen3_omni": Kind(
        checkpoint="Qwen/Qwen3-Omni-30B-A3B-Instruct",
        build=_omni("Qwen3OmniMoeProcessor"),
        marker="<|vision_bos|><|video_pad|><|vision_eos|>",
        tokens=_OMNI_TOKENS,
    ),
    "internvl": Kind(
        checkpoint="OpenGVLab/InternVL3-8B-hf",
        build=_internvl,
        marker="<video>",
        tokens={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        processor={"image_seq_length": 256},
    ),
    "llava_onevision": Kind(
        checkpoint="llava-hf/llava-onevision-qwen2-7b-ov-hf",
        build=_llava_onevision,
        marker="<video>",
        tokens={"image_token": "<image>", "video_token": "<video>"},
    ),
    "smolvlm": Kind(
        checkpoint="HuggingFaceTB/SmolVLM2-2.2B-Instruct",
        build=_smolvlm,
        marker="<video>",
        tokens={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
            "video_token": "<video>",
        },
    ),
    "glm4v": Kind(
        checkpoint="zai-org/GLM-4.1V-9B-Thinking",
        build=_qwen("Glm4vVideoProcessor", "Glm4vProcessor"),
        marker=_GLM_MARKER,
        tokens=_GLM_TOKENS,
    ),
    "glm46v": Kind(
        checkpoint="zai-org/GLM-4.6V",
        build=_qwen("Glm46VVideoProcessor", "Glm46VProcessor"),
        marker=_GLM_MARKER,
        tokens=_GLM_TOKENS,
    ),
    "gemma4": Kind(
        checkpoint="google/gemma-4-E4B-it",
        build=_gemma4,
        marker="<|video|>",
        tokens={
            "boi_token": "<|image>",
            "eoi_token": "<image|>",
            "image_token": "<|image|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
            "audio_token": "<|audio|>",
        },
    ),
    "molmo2": Kind(
        checkpoint="allenai/Molmo2-4B",
        build=_molmo2,
        marker="<|video|>",
        tokens={
            "image_token": "<|image|>",
            "video_token": "<|video|>",
            "patch": "<im_patch>",
            "column": "<im_col>",
            "image_start": "<im_start>",
            "image_end": "<im_end>",
            "low_start": "<low_res_im_start>",
            "low": "<im_low>",
            "frame_start": "<frame_start>",
            "frame_end": "<frame_end>",
        },
    ),
    "video_llama_3": Kind(
        checkpoint="DAMO-NLP-SG/VideoLLaMA3-7B",
        build=_qwen("VideoLlama3VideoProcessor", "VideoLlama3Processor"),
        marker="<|video_pad|>",
        tokens={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
        video={"use_token_compression": False},
    ),
}


def real_processor(kind: Kind, folder: Path) -> tuple[Any, ModelCard]:
    """The family's processor, and the card of a checkpoint folder that holds its files."""
    known = published(kind.checkpoint)
    assert known is not None
    video = {**known.video, **kind.video}
    processor = kind.build(_tokenizer(kind), video)
    folder.mkdir(parents=True)
    processor.tokenizer.save_pretrained(folder)
    for name, content in (
        ("config.json", known.config),
        ("video_preprocessor_config.json", video),
        ("processor_config.json", kind.processor),
    ):
        (folder / name).write_text(json.dumps(content))
    template = TEMPLATE.replace("MARKER", kind.marker)
    (folder / "chat_template.jinja").write_text(template)
    save_file({"weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
    return processor, load_card(str(folder))


def _tokenizer(kind: Kind) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(DEMO_MODEL)
    fresh = sorted(set(kind.tokens.values()) - set(tokenizer.get_vocab()))
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [*tokenizer.extra_special_tokens, *fresh]}
    )
    for name, token in kind.tokens.items():
        setattr(tokenizer, name, token)
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    return tokenizer
