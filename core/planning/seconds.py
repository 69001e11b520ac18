"""How long a request takes, from operations, bytes and the rates of a machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from core.planning.card import ModelCard
from core.planning.execution import WEIGHT_BYTES, value_bytes
from core.planning.machine import Rates
from core.planning.plan import Plan
from core.video.info import VideoInfo

TYPICAL_GOP = 250  # frames between keyframes where the file is not at hand: x264's default
BUS_BYTES = 1e10  # a second, from memory that is not pinned over PCIe 4.0 x16
Reading = Literal["video", "store", "none"]
KEPT_PIXELS = 2.2e8  # a second, from a frame store: BENCHMARKS.md, 256 pictures in 0.13 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """What of a request need not be done, since it was done for an earlier one.

    Attributes:
        tokens: of the prompt, from its beginning, those that the model has read.
        seen: True where the tower need not look.
        reading: where frames come from: the "video" itself, a "store" of kept pictures, or "none"
            where the model knows the video without them.
    """

    tokens: int = 0
    seen: bool = False
    reading: Reading = "video"


NOTHING = Reused()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """How long each part takes; ``rough`` until the machine's own rates are known."""

    read: float
    vision: float
    prefill: float
    per_token: float
    rough: bool

    @property
    def first_token(self) -> float:
        """From the question to the first word."""
        return self.read + self.vision + self.prefill + self.per_token


def seconds_of(
    plan: Plan, info: VideoInfo, card: ModelCard, *, prompt_tokens: int, dtype: str, rates: Rates
) -> Seconds:
    """What reading, the tower, prefill and each token of the reply take.

    Two operations a weight and token, and four a query channel and earlier token for attention; a
    token of the reply reads all the weights it passes through and the cache. Of a mixture a token
    passes through its chosen experts only.
    """
    text, vision = card.text, card.vision
    in_step = plan.grid[1] * plan.grid[2]
    patches = plan.grid[0] * in_step
    tower = _tower_parameters(card)
    tower_attention = 4 * vision.layers * vision.hidden * in_step
    embeddings = text.vocab * text.hidden
    layers = _layer_parameters(card)
    size = value_bytes(dtype)
    cache = 2 * text.kv_layers * text.kv_heads * text.head_dim * prompt_tokens
    read = layers * WEIGHT_BYTES.get(dtype, 2.0) + (embeddings + cache) * size
    return Seconds(
        read=_decoded_frames(plan, info) * info.width * info.height / rates.decoded_pixels,
        vision=patches * (2 * tower + tower_attention) / rates.vision_flops,
        prefill=_reading_flops(card, prompt_tokens) / rates.prefill_flops,
        per_token=read / rates.weight_bytes + text.layers * rates.layer_seconds,
        rough=not rates.measured,
    )


def with_reuse(
    seconds: Seconds,
    reused: Reused,
    *,
    plan: Plan,
    card: ModelCard,
    prompt_tokens: int,
    streamed_bytes: int = 0,
) -> Seconds:
    """What it takes where part of it was done before; ``seconds`` are of all of it.

    A new token attends to all before it, kept ones too; streamed weights come as before.
    """
    pixels = len(plan.indices) * plan.height * plan.width
    read = {"video": seconds.read, "store": pixels / KEPT_PIXELS, "none": 0.0}[reused.reading]
    whole = _reading_flops(card, prompt_tokens)
    new = max(0.0, whole - _reading_flops(card, reused.tokens)) / whole if whole else 0.0
    streaming = streamed_bytes / BUS_BYTES
    return replace(
        seconds,
        read=read,
        vision=0.0 if reused.seen else seconds.vision,
        prefill=streaming + (seconds.prefill - streaming) * new,
    )


def with_streaming(seconds: Seconds, streamed_bytes: int) -> Seconds:
    """What it takes when so many bytes of weights come over the bus for every pass."""
    streaming = streamed_bytes / BUS_BYTES
    return replace(
        seconds,
        prefill=seconds.prefill + streaming,
        per_token=seconds.per_token + streaming,
    )


def _tower_parameters(card: ModelCard) -> int:
    vision = card.vision
    return vision.layers * (4 * vision.hidden**2 + 2 * vision.hidden * vision.mlp)


def _layer_parameters(card: ModelCard) -> int:
    """Those of the text layers that a token passes through."""
    text = card.text
    embeddings = text.vocab * text.hidden * (1 if text.tied else 2)
    return max(0, card.active_parameters - _tower_parameters(card) - embeddings)


def _reading_flops(card: ModelCard, tokens: int) -> int:
    """Of a prompt's first tokens, each attending to those before it."""
    text = card.text
    attention = 2 * text.kv_layers * text.heads * text.head_dim * tokens
    return tokens * (2 * _layer_parameters(card) + attention)


def _decoded_frames(plan: Plan, info: VideoInfo) -> int:
    """How many frames must be decoded to see those of the plan, jumping to keyframes."""
    keyframes = iter(info.keyframes or range(0, info.frame_count, TYPICAL_GOP))
    decoded, position, nearest, following = 0, -1, 0, next(keyframes, None)
    for index in plan.indices:
        while following is not None and following <= index:
            nearest, following = following, next(keyframes, None)
        start = max(position + 1, nearest)
        decoded += max(0, index - start + 1)
        position = index
    return decoded
