"""How long a request takes, from operations, bytes and the rates of a machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.planning.card import ModelCard
from core.planning.machine import Rates
from core.planning.memory import WEIGHT_BYTES, value_bytes
from core.planning.plan import Plan
from core.video.info import VideoInfo

TYPICAL_GOP = 250  # frames between keyframes where the file is not at hand: x264's default
BUS_BYTES = 1e10  # a second, from memory that is not pinned over PCIe 4.0 x16


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
    tower = vision.layers * (4 * vision.hidden**2 + 2 * vision.hidden * vision.mlp)
    tower_attention = 4 * vision.layers * vision.hidden * in_step
    embeddings = text.vocab * text.hidden
    layers = max(0, card.active_parameters - tower - embeddings * (1 if text.tied else 2))
    attention = 2 * text.kv_layers * text.heads * text.head_dim * prompt_tokens
    size = value_bytes(dtype)
    cache = 2 * text.kv_layers * text.kv_heads * text.head_dim * prompt_tokens
    read = layers * WEIGHT_BYTES.get(dtype, 2.0) + (embeddings + cache) * size
    return Seconds(
        read=_decoded_frames(plan, info) * info.width * info.height / rates.decoded_pixels,
        vision=patches * (2 * tower + tower_attention) / rates.vision_flops,
        prefill=prompt_tokens * (2 * layers + attention) / rates.prefill_flops,
        per_token=read / rates.weight_bytes + text.layers * rates.layer_seconds,
        rough=not rates.measured,
    )


def with_streaming(seconds: Seconds, streamed_bytes: int) -> Seconds:
    """What it takes when so many bytes of weights come over the bus for every pass."""
    streaming = streamed_bytes / BUS_BYTES
    return replace(
        seconds,
        prefill=seconds.prefill + streaming,
        per_token=seconds.per_token + streaming,
    )


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
