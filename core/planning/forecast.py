"""What a plan costs: tokens, memory on each device, seconds, and whether it all fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from core.errors import ContextOverflow, MemoryOverflow
from core.planning.card import ModelCard
from core.planning.execution import AS_STORED, Execution, goes_in_chunks, run_dtype
from core.planning.keeping import kept_beside
from core.planning.machine import GIB, Device, Rates, rough_rates
from core.planning.memory import DeviceMemory, Load, load_of
from core.planning.placement import Placement, memory_on, place, speed
from core.planning.plan import Plan
from core.planning.prompt import Turn
from core.planning.seconds import (
    NOTHING,
    Reused,
    Seconds,
    seconds_of,
    with_reuse,
    with_streaming,
)
from core.planning.settings import Settings
from core.planning.tokens import TextTokens, Tokens, count_text, count_tokens
from core.planning.weights import has_experts, weight_bytes
from core.video.info import VideoInfo

__all__ = [
    "AS_STORED",
    "DeviceMemory",
    "Estimate",
    "Execution",
    "Placement",
    "Seconds",
    "TextTokens",
    "Tokens",
    "check",
    "count_text",
    "count_tokens",
    "estimate",
    "run_dtype",
    "weight_bytes",
]

HALVES = ("bfloat16", "float16")  # what the kernels of decoding by CUDA graphs take
Verdict = Literal["fits", "over_context", "over_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Everything that is foretold of a request.

    Attributes:
        memory: one entry for each device, in order.
        placement: which layers each device holds, and how many replicas would fit.
        kept: for each entry the most that earlier questions leave there beside it; it is given up
            where a request needs it.
        reused: what ``seconds`` leave out, since it was done before.
    """

    plan: Plan
    tokens: Tokens
    context_tokens: int
    memory: tuple[DeviceMemory, ...]
    placement: Placement
    seconds: Seconds
    kept: tuple[int, ...]
    reused: Reused = NOTHING
    verdict: Verdict = field(init=False)

    def __post_init__(self) -> None:
        """Draw the conclusion from the numbers."""
        verdict: Verdict = "fits"
        if self.missing_tokens:
            verdict = "over_context"
        elif self.over:
            verdict = "over_memory"
        object.__setattr__(self, "verdict", verdict)

    @property
    def context_share(self) -> float:
        """Share of the context that prompt and reply take; above 1 is too much."""
        return self.tokens.total / self.context_tokens

    @property
    def missing_tokens(self) -> int:
        """Tokens beyond the context; 0 where they fit."""
        return max(0, self.tokens.total - self.context_tokens)

    @property
    def over(self) -> tuple[DeviceMemory, ...]:
        """The devices that need more than they have; DeviceMemory.missing says how much."""
        return tuple(each for each in self.memory if each.missing)


def estimate(
    plan: Plan,
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    *,
    devices: tuple[Device, ...],
    rates: Rates | None = None,
    execution: Execution = AS_STORED,
    text: TextTokens | None = None,
) -> Estimate:
    """What answering the last of ``turns`` about ``plan`` costs on ``devices``.

    ``text`` is count_text() of the turns, where it is at hand from an estimate before.
    """
    tokens = count_tokens(plan, card, turns, reply_tokens=settings.reply_tokens, text=text)
    dtype = run_dtype(card, devices[0], execution)
    load, placement, execution = _placed(plan, card, tokens, devices, execution)
    memory, chunks = memory_on(load, placement, devices), goes_in_chunks(card, execution)
    seconds = seconds_of(
        plan,
        info,
        card,
        prompt_tokens=tokens.prompt,
        dtype=dtype,
        rates=rates or usual_rates(card, _running(placement, devices), execution),
    )
    return Estimate(
        plan=plan,
        tokens=tokens,
        context_tokens=card.context_tokens,
        memory=memory,
        placement=placement,
        seconds=with_streaming(seconds, _streamed(placement, memory)),
        kept=kept_beside(memory, placement) if chunks else (0,) * len(memory),
    )


def reusing(found: Estimate, card: ModelCard, reused: Reused) -> Estimate:
    """The same request where part of it was done before; ``found`` is of all of it."""
    seconds = with_reuse(
        found.seconds,
        reused,
        plan=found.plan,
        card=card,
        prompt_tokens=found.tokens.prompt,
        streamed_bytes=_streamed(found.placement, found.memory),
    )
    return replace(found, seconds=seconds, reused=reused)


def usual_rates(
    card: ModelCard, devices: tuple[Device, ...], execution: Execution = AS_STORED
) -> Rates:
    """What devices that run this model usually reach, before anything was measured."""
    plain = not goes_in_chunks(card, execution) or has_experts(card)
    half = run_dtype(card, devices[0], execution) in HALVES
    return rough_rates(devices, graphs=half and not plain)


def _placed(
    plan: Plan,
    card: ModelCard,
    tokens: Tokens,
    devices: tuple[Device, ...],
    execution: Execution,
) -> tuple[Load, Placement, Execution]:
    """What must be held, where and how: with layers in the machine's memory the plain way."""

    def load(execution: Execution) -> Load:
        return load_of(
            card,
            dtype=run_dtype(card, devices[0], execution),
            prompt=tokens.prompt,
            total=tokens.total,
            patches=plan.grid[0] * plan.grid[1] * plan.grid[2],
            execution=execution,
        )

    found = load(execution)
    placement = place(found, devices, execution)
    if placement.mode == "offload" and execution.in_chunks is None:
        execution = replace(execution, in_chunks=False)
        found = load(execution)
        placement = place(found, devices, execution)
    return found, placement, execution


def _running(placement: Placement, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The devices that a request passes through; of replicas, the fastest stands for all."""
    used = tuple(devices[number] for number in placement.used)
    return (max(used, key=speed),) if placement.mode == "replicas" else used


def _streamed(placement: Placement, memory: tuple[DeviceMemory, ...]) -> int:
    """Bytes of weights that come from the machine's memory for every token."""
    return memory[-1].weights if placement.mode == "offload" else 0


def check(found: Estimate, card: ModelCard, *, remedy: str) -> None:
    """Raise ContextOverflow or MemoryOverflow, with both numbers, unless the estimate fits."""
    if found.verdict == "over_context":
        tokens = found.tokens
        raise ContextOverflow(
            f"{tokens.total:,} tokens ({tokens.prompt:,} of prompt, {tokens.reply:,} kept for the "
            f"reply) exceed the {found.context_tokens:,} that {card.name} can hold.",
            remedy=remedy,
        )
    if found.over:
        needs = ", ".join(
            f"{each.device.name} would need {each.peak / GIB:.1f} GiB and has "
            f"{each.device.capacity_bytes / GIB:.1f}"
            for each in found.over
        )
        raise MemoryOverflow(f"{needs}.", remedy=remedy)
