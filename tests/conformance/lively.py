"""Small random models of the real classes whose replies vary, and inputs for them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from real_processors import KINDS, real_processor
from small_models import MODELS, QWEN_IDS, TEXT, small_model

from core.engine.base import Request
from core.engine.fast import Fast
from core.engine.preparing import Preparer
from core.planning import ModelCard, Settings, Turn, make_plan
from core.planning.prompt import writer_for
from core.video import Frames, describe_video

PLENTY = 10**9
WIDER = 2.0  # random weights as they come say the same token for ever
QWEN3_TEXT = {
    **TEXT,
    "head_dim": 16,
    "rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 1e4},
}
QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 64,
    "num_position_embeddings": 256,
    "deepstack_visual_indexes": [0],
}
CLASSES = [*MODELS, "qwen3_vl"]
ASKED = (Turn("user", "What happens?"),)
ASKED_ON = (*ASKED, Turn("assistant", "It moves."), Turn("user", "And then what?"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model that nothing has touched, and what belongs to it."""

    kind: str
    model: Any
    processor: Any
    card: ModelCard

    def fast(self, kept_bytes: int = PLENTY, away_bytes: int = PLENTY) -> Fast:
        """The fast way, of a copy."""
        return fast_of(self.copy(), kept_bytes, away_bytes)

    def copy(self) -> Any:
        """The same model once more."""
        return copy.deepcopy(self.model)

    def preparer(self) -> Preparer:
        """Makes inputs for the model."""
        return Preparer(self.card, self.processor, "cpu", torch.float32)

    def request(self, turns: Sequence[Turn], *, seed: int = 0, frames: int = 4) -> Request:
        """A question about a few frames of noise."""
        return asked(self.card, turns, seed=seed, frames=frames)

    def inputs(self, turns: Sequence[Turn] = ASKED, *, seed: int = 0) -> dict[str, Any]:
        """What the processor makes of it."""
        return self.preparer().inputs(self.request(turns, seed=seed))


def fast_of(model: Any, kept_bytes: int = PLENTY, away_bytes: int = PLENTY) -> Fast:
    """The fast way of this model, which it changes."""
    found = Fast.of(model, kept_bytes=kept_bytes, away_bytes=away_bytes)
    assert found is not None
    return found


def asked(card: ModelCard, turns: Sequence[Turn], *, seed: int = 0, frames: int = 4) -> Request:
    """A question about a few frames of noise, which may be of the video ``seed``."""
    info = describe_video(width=320, height=180, duration_seconds=6, frame_rate=25)
    route = next(route for route in card.routes if route.name != "tiles")
    few = 70 if route.sizer == "soft" else 30  # the fewest of a few that Gemma 4 takes
    size = {} if card.frame_tokens else {"max_frame_tokens": few}
    plan = make_plan(info, Settings(route=route.name, max_frames=frames, **size), card)
    shape = (len(plan.indices), plan.height, plan.width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Request(
        frames=Frames(pixels=pixels, seconds=plan.times, indices=plan.indices),
        plan=plan,
        prompt=writer_for(card, route.name).render(list(turns)),
        reply_tokens=16,
        video=seed,
    )


def subject(kind: str, folder: Path) -> Subject:
    """A model of this class whose replies vary, always the same one."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    processor, card = real_processor(KINDS[kind], folder / kind)
    model = (
        _qwen3(processor.tokenizer)
        if kind == "qwen3_vl"
        else small_model(kind, processor.tokenizer)
    )
    liven(model)
    return Subject(kind=kind, model=model, processor=processor, card=card)


def liven(model: Any) -> None:
    """Weights so wide that words and pictures matter; no reply ends by itself."""
    for name, each in model.named_parameters():
        drawn = torch.randn_like(each)
        if each.dim() > 1:
            wide = 1.0 if "embed_tokens" in name else WIDER / each[0].numel() ** 0.5
            each.data.copy_(drawn * wide)
        elif name.endswith("norm.weight") or ("norm" in name and name.endswith("weight")):
            each.data.copy_(1 + 0.3 * drawn)
        else:
            each.data.copy_(0.3 * drawn)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0


def _qwen3(tokenizer: Any) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    named = {
        key: tokenizer.convert_tokens_to_ids(KINDS["qwen3_vl"].tokens[name])
        for key, name in QWEN_IDS.items()
    }
    config = AutoConfig.for_model(
        "qwen3_vl",
        text_config={**QWEN3_TEXT, "vocab_size": len(tokenizer) + 8},
        vision_config=QWEN3_VISION,
        **named,
    )
    return AutoModelForImageTextToText.from_config(config).eval()


class Written:
    """A streamer that keeps what is written."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def put(self, ids: torch.Tensor) -> None:
        """The prompt, which ``generate`` gives first, is not of the reply."""
        if ids.dim() == 1:
            self.ids += ids.tolist()

    def end(self) -> None:
        """Nothing more to do."""


def by_generate(model: Any, inputs: dict[str, Any], tokens: int = 16, **options: Any) -> list[int]:
    """What transformers' own way replies."""
    written = Written()
    with torch.inference_mode():
        model.generate(**inputs, max_new_tokens=tokens, streamer=written, **options)
    return written.ids


def by_fast(
    fast: Fast, inputs: dict[str, Any], video: Any = "video", tokens: int = 16
) -> tuple[list[int], int]:
    """What the fast way replies, and how many tokens it had read before."""
    written = Written()
    with torch.inference_mode():
        read = fast.generate(dict(inputs), video=video, max_new_tokens=tokens, streamer=written)
    return written.ids, read
