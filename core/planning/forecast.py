"""What a plan costs: tokens, memory on each device, seconds, and whether it all fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.errors import ContextOverflow, MemoryOverflow
from core.planning.card import DTYPE_BYTES, ModelCard
from core.planning.machine import GIB, Device, Rates, rough_rates
from core.planning.plan import Plan
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.planning.tokens import Tokens, count_tokens
from core.video.info import VideoInfo

Verdict = Literal["fits", "over_context", "over_memory"]
TYPICAL_GOP = 250  # frames between keyframes where the file is not at hand: x264's default
FRAMEWORK_BYTES = {"cpu": int(0.6 * GIB), "cuda": int(0.8 * GIB)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes on one device at the moment it is fullest."""

    device: Device
    weights: int
    kv_cache: int
    activations: int
    reserve: int

    @property
    def peak(self) -> int:
        """Everything together."""
        return self.weights + self.kv_cache + self.activations + self.reserve


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Everything that is foretold of a request."""

    plan: Plan
    tokens: Tokens
    context_tokens: int
    memory: tuple[DeviceMemory, ...]
    seconds: Seconds
    verdict: Verdict = field(init=False)

    def __post_init__(self) -> None:
        """Draw the conclusion from the numbers."""
        verdict: Verdict = "fits"
        if self.tokens.total > self.context_tokens:
            verdict = "over_context"
        elif any(each.peak > each.device.capacity_bytes for each in self.memory):
            verdict = "over_memory"
        object.__setattr__(self, "verdict", verdict)

    @property
    def context_share(self) -> float:
        """Share of the context that prompt and reply take; above 1 is too much."""
        return self.tokens.total / self.context_tokens


def estimate(
    plan: Plan,
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    *,
    devices: tuple[Device, ...],
    rates: Rates | None = None,
) -> Estimate:
    """What answering the last of ``turns`` about ``plan`` costs on ``devices``."""
    tokens = count_tokens(plan, card, turns, reply_tokens=settings.reply_tokens)
    return Estimate(
        plan=plan,
        tokens=tokens,
        context_tokens=card.context_tokens,
        memory=_memory(plan, card, tokens, devices),
        seconds=_seconds(plan, info, card, tokens, devices, rates or rough_rates(devices)),
    )


def check(found: Estimate, card: ModelCard, *, remedy: str) -> None:
    """Raise ContextOverflow or MemoryOverflow, with both numbers, unless the estimate fits."""
    if found.verdict == "over_context":
        tokens = found.tokens
        raise ContextOverflow(
            f"{tokens.total:,} tokens ({tokens.prompt:,} of prompt, {tokens.reply:,} kept for the "
            f"reply) exceed the {found.context_tokens:,} that {card.name} can hold.",
            remedy=remedy,
        )
    for each in found.memory:
        if each.peak > each.device.capacity_bytes:
            raise MemoryOverflow(
                f"{each.device.name} would need {each.peak / GIB:.1f} GiB and has "
                f"{each.device.capacity_bytes / GIB:.1f}.",
                remedy=remedy,
            )


def run_dtype(card: ModelCard, device: Device) -> str:
    """What the weights are held in: as stored on a GPU, float32 on a processor.

    bfloat16 is no faster on most processors, and some of its operations are missing there.
    """
    return "float32" if device.kind == "cpu" else card.dtype


def weight_bytes(card: ModelCard, device: Device) -> int:
    """What the weights take on ``device``, at the precision they are held in there."""
    return card.parameters * DTYPE_BYTES.get(run_dtype(card, device), 2)


def _memory(
    plan: Plan, card: ModelCard, tokens: Tokens, devices: tuple[Device, ...]
) -> tuple[DeviceMemory, ...]:
    """One device if everything fits on it, otherwise equal shares of the layers on each.

    Activations are those of the widest moment: gate, up and their product in the MLP with about
    five hidden states beside them, over the whole prompt (or over all patches, in the tower). They
    follow from the shapes; no measurement has been fitted yet.
    """
    size = DTYPE_BYTES.get(run_dtype(card, devices[0]), 2)
    weights = weight_bytes(card, devices[0])
    text, vision = card.text, card.vision
    kv_cache = 2 * text.layers * text.kv_heads * text.head_dim * tokens.total * size
    patches = plan.grid[0] * plan.grid[1] * plan.grid[2]
    activations = size * max(
        tokens.prompt * (3 * text.mlp + 5 * text.hidden),
        patches * (3 * vision.mlp + 5 * vision.hidden),
    )
    reserve = FRAMEWORK_BYTES[devices[0].kind]
    needed = weights + kv_cache + activations + reserve
    used = devices[:1] if needed <= devices[0].capacity_bytes else devices
    return tuple(
        DeviceMemory(
            device=device,
            weights=weights // len(used) if device in used else 0,
            kv_cache=kv_cache // len(used) if device in used else 0,
            activations=activations if device in used else 0,
            reserve=reserve if device in used else 0,
        )
        for device in devices
    )


def _seconds(
    plan: Plan,
    info: VideoInfo,
    card: ModelCard,
    tokens: Tokens,
    devices: tuple[Device, ...],
    rates: Rates,
) -> Seconds:
    """Two operations a weight and token, plus attention; a reply reads all weights each token."""
    text, vision = card.text, card.vision
    patches = plan.grid[0] * plan.grid[1] * plan.grid[2]
    in_frame = plan.grid[1] * plan.grid[2]
    tower = vision.layers * (4 * vision.hidden**2 + 2 * vision.hidden * vision.mlp)
    tower_attention = 4 * vision.layers * vision.hidden * in_frame
    layers = text.layers * (4 * text.hidden**2 + 3 * text.hidden * text.mlp)
    attention = 2 * text.layers * text.hidden * tokens.prompt
    size = DTYPE_BYTES.get(run_dtype(card, devices[0]), 2)
    cache = 2 * text.layers * text.kv_heads * text.head_dim * tokens.prompt
    return Seconds(
        read=_decoded_frames(plan, info) * info.width * info.height / rates.decoded_pixels,
        vision=patches * (2 * tower + tower_attention) / rates.vision_flops,
        prefill=tokens.prompt * (2 * layers + attention) / rates.prefill_flops,
        per_token=(layers + cache) * size / rates.weight_bytes,
        rough=not rates.measured,
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
