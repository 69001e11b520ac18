"""The tokenizer and the processor: Qwen's files with a small vocabulary.

Knows how Qwen3-VL lays out a prompt, so that training sees the tokens the processor will make.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE

SIZE = 1536
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# Source: transformers `models/qwen2/tokenization_qwen2.py`.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Qwen3-VL's conversation format without tools.
CHAT_TEMPLATE = """\
{%- set image_count = namespace(value=0) %}
{%- set video_count = namespace(value=0) %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for content in message.content %}
            {%- if content.type == 'image' or 'image' in content or 'image_url' in content %}
                {%- set image_count.value = image_count.value + 1 %}
                {%- if add_vision_id %}
                    {{- 'Picture ' ~ image_count.value ~ ': ' }}
                {%- endif %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif content.type == 'video' or 'video' in content %}
                {%- set video_count.value = video_count.value + 1 %}
                {%- if add_vision_id %}
                    {{- 'Video ' ~ video_count.value ~ ': ' }}
                {%- endif %}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' }}
            {%- elif 'text' in content %}
                {{- content.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE in Qwen's way (single digits, Qwen's split); any text can be encoded."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - len(SPECIAL),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    return tokenizer


def save_processor(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes tokenizer, chat template and the image and video processors with their limits."""
    from transformers import (
        Qwen2TokenizerFast,
        Qwen2VLImageProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    model = json.loads(tokenizer.to_str())["model"]
    fast = Qwen2TokenizerFast(
        vocab=model["vocab"],
        merges=[tuple(m) for m in model["merges"]],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL),
        model_max_length=8192,
    )
    mean = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    patch = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    images = Qwen2VLImageProcessor(
        size={"shortest_edge": 16 * 1024, "longest_edge": 64 * 1024}, **mean, **patch
    )
    videos = Qwen3VLVideoProcessor(
        size={"shortest_edge": 16 * 1024, "longest_edge": 52 * 1024 * 256},
        cap_pixels_per_frame=True,
        max_video_tokens=64,
        fps=2,
        min_frames=4,
        max_frames=256,
        **mean,
        **patch,
    )
    processor = Qwen3VLProcessor(images, fast, videos, chat_template=CHAT_TEMPLATE)
    processor.save_pretrained(folder)
    joint = folder / "processor_config.json"  # split in two, as Qwen publishes it
    parts = json.loads(joint.read_text())
    for part, name in (
        ("image_processor", "preprocessor_config.json"),
        ("video_processor", "video_preprocessor_config.json"),
    ):
        settings = {**parts[part], "processor_class": parts["processor_class"]}
        (folder / name).write_text(json.dumps(settings, indent=2) + "\n")
    joint.unlink()


class Tokens:
    """Token sequences of clips and conversations, as numpy arrays."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._special = {name: tokenizer.token_to_id(name) for name in SPECIAL}
        self._stamps: dict[str, np.ndarray] = {}
        self._user = self._ids("<|im_start|>user\n")
        self._turn_end = self._ids("<|im_end|>\n<|im_start|>assistant\n")
        self._next_turn = self._ids("\n<|im_start|>user\n")

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _stamp(self, stamp: str) -> np.ndarray:
        if stamp not in self._stamps:
            self._stamps[stamp] = np.array(self._ids(f"<{stamp} seconds>"))
        return self._stamps[stamp]

    def clip(self, stamps: tuple[str, ...], pads: int, rng: Random) -> tuple:
        """Ids of a prompt up to the question, and which of them are visual tokens.

        Newer transformers leave a pair of vision markers round the video, older ones do not.
        """
        start, end = self._special["<|vision_start|>"], self._special["<|vision_end|>"]
        video = np.full(pads + 2, self._special["<|video_pad|>"])
        video[0], video[-1] = start, end
        outer = rng.random() < 0.95
        parts = [np.array([*self._user, start] if outer else self._user)]
        for stamp in stamps:
            parts += [self._stamp(stamp), video]
        parts.append(np.array([end] if outer else [], dtype=np.int64))
        ids = np.concatenate(parts)
        return ids, ids == self._special["<|video_pad|>"]

    def conversation(self, turns: list) -> tuple[np.ndarray, np.ndarray]:
        """Ids of questions and answers, and for each id the turn whose answer it is part of."""
        ids: list[int] = []
        marks: list[int] = []
        for number, turn in enumerate(turns):
            question = (self._next_turn if number else []) + self._ids(turn.question)
            answer = [*self._ids(turn.answer), self._special["<|im_end|>"]]
            ids += question + self._turn_end + answer
            marks += [-1] * (len(question) + len(self._turn_end)) + [number] * len(answer)
        return np.array(ids), np.array(marks)
