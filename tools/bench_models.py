"""Engines and requests for benchmarks on GPUs: the real classes in published sizes, random weights.

Speed and memory do not depend on the values of weights, so that nothing needs to be downloaded.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "conformance")]

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # as the engine's

import numpy as np  # noqa: E402
import torch  # noqa: E402
from real_processors import KINDS, Kind  # noqa: E402

from core.engine import Request  # noqa: E402
from core.engine.loading import enter_on  # noqa: E402
from core.engine.local import LocalEngine  # noqa: E402
from core.engine.mapping import device_map  # noqa: E402
from core.planning import Device, ModelCard, Plan, Settings, load_card, make_plan  # noqa: E402
from core.planning.catalog import Published, published  # noqa: E402
from core.planning.execution import AS_STORED, Execution  # noqa: E402
from core.planning.holding import hold  # noqa: E402
from core.video import Frames, VideoInfo, describe_video  # noqa: E402

WIDTH, HEIGHT, PATCH_TOKENS = 448, 252, 144  # 72 tokens a frame, as two share theirs
ROTATION = {
    "rope_type": "default",
    "type": "default",
    "rope_theta": 1e6,
    "mrope_section": [16, 24, 24],
}


def card_of(name: str) -> ModelCard:
    """The card of a published checkpoint, by its name or as a size of Qwen2.5-VL: 7B."""
    return load_card(name if "/" in name else f"Qwen/Qwen2.5-VL-{name}-Instruct")


def random_engine(
    card: ModelCard, devices: tuple[Device, ...], execution: Execution = AS_STORED
) -> LocalEngine:
    """One engine over these devices, placed as a checkpoint of its size would be."""
    where, how = hold(card, devices, execution)
    model = random_model(card, [each.name for each in where], how.layers or ())
    engine = LocalEngine(card, model, word_processor(card), where, how)
    engine.set_up()
    return engine


def wait_until_set_up() -> None:
    """Until nothing is compiled any more in the background."""
    for each in threading.enumerate():
        if each.name == "set-up":
            each.join()
    settle()


def settle() -> None:
    """Let go of what nobody holds, and wait for the devices."""
    gc.collect()
    for device in range(torch.cuda.device_count()):
        torch.cuda.synchronize(device)


def random_model(card: ModelCard, names: Sequence[str], layers: Sequence[range]) -> Any:
    """A model of the card's class with the published shapes, every weight where it belongs."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = {**_published(card).config, **_token_ids(card)}
    kind, text = config.pop("model_type"), config.pop("text_config")
    if "model_type" not in text:  # a Qwen-VL's own, which turns by time, height and width
        text = {**text, "rope_parameters": ROTATION, "rope_scaling": ROTATION}
    made = AutoConfig.for_model(kind, text_config=text, **config)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(made, dtype=torch.bfloat16)
    places = {"": names[0]} if len(names) == 1 else device_map(model, layers, names)
    _fill(model, places)
    if len(names) > 1:
        from accelerate import dispatch_model

        dispatch_model(model, places)
        enter_on(model, names[0])
    model.generation_config.eos_token_id = [-1]
    model.generation_config.pad_token_id = 0
    return model.eval()


def _published(card: ModelCard) -> Published:
    known = published(card.name)
    assert known is not None
    return known


def _kind(card: ModelCard) -> Kind:
    """How its family's processor is made."""
    return KINDS[_published(card).config["model_type"].removesuffix("_moe")]


def _special(card: ModelCard) -> dict[str, int]:
    """Tokens that stand for something else than words: the last of the vocabulary."""
    tokens = sorted(set(_kind(card).tokens.values()))
    return {token: card.text.vocab - 1 - n for n, token in enumerate(tokens)}


def _token_ids(card: ModelCard) -> dict[str, int]:
    """Entries of config.json that are ids of such tokens."""
    special, tokens = _special(card), _kind(card).tokens
    ids = {f"{name}_id": special[token] for name, token in tokens.items()}
    if "context_image_token" in tokens:  # InternVL's name for it
        ids["image_token_id"] = ids["context_image_token_id"]
    return ids


def _fill(model: Any, places: dict[str, str]) -> None:
    """Random weights; buffers as their modules make them."""
    for name, module in model.named_modules():
        for key, parameter in list(module._parameters.items()):
            if parameter is not None:
                full = f"{name}.{key}"
                made = torch.empty_like(parameter, device=_placed(full, places))
                flat = "norm" in full or "ln_q" in full
                made.fill_(1) if flat else made.zero_() if key == "bias" else made.normal_(0, 0.02)
                module._parameters[key] = torch.nn.Parameter(made, requires_grad=False)
        for key, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.is_meta:
                again = _counted(module, buffer)
                module._buffers[key] = again.to(_placed(name, places))
    model.tie_weights()


def _counted(module: Any, buffer: torch.Tensor) -> torch.Tensor:
    """What a module makes of its configuration: places, or the turns of a rotary embedding."""
    if not buffer.is_floating_point():
        return torch.arange(buffer.numel()).view(buffer.shape)
    given = module.config if hasattr(module, "config") else 2 * len(buffer)
    made: torch.Tensor = type(module)(given).inv_freq
    return made


def _placed(name: str, places: dict[str, str]) -> str:
    return next(
        place for start, place in places.items() if not start or f"{name}.".startswith(f"{start}.")
    )


def word_processor(card: ModelCard) -> Any:
    """The real one, with a tokenizer that knows numbers for words: w7 is token 7."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    special = _special(card)
    names = {number: token for token, number in special.items()}
    words = {names.get(n, f"w{n}"): n for n in range(card.text.vocab)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.add_special_tokens({"additional_special_tokens": list(special)})
    for name, token in _kind(card).tokens.items():
        setattr(fast, name, token)
        setattr(fast, f"{name}_id", special[token])
    return _kind(card).build(fast, _published(card).video)


def planned(
    card: ModelCard, frames: int, *, reply_tokens: int = 64
) -> tuple[VideoInfo, Settings, Plan]:
    """A plan of so many frames: of 252x448, or of the one size that the family has."""
    info = describe_video(width=WIDTH, height=HEIGHT, duration_seconds=frames, frame_rate=30)
    settings = Settings(
        strategy="uniform",
        max_frames=frames,
        max_frame_tokens=PATCH_TOKENS if card.frame_tokens is None else None,
        reply_tokens=reply_tokens,
    )
    return info, settings, make_plan(info, settings, card)


def within(card: ModelCard, frames: int) -> bool:
    """Whether so many frames leave room for words in the context."""
    return planned(card, frames)[2].video_tokens + 1024 < card.context_tokens


@lru_cache(maxsize=4)
def _noise(frames: int, height: int, width: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def asked(
    card: ModelCard,
    plan: Plan,
    *,
    words: str = "",
    reply_tokens: int = 64,
    video: Hashable | None = None,
) -> Request:
    """A question of some words about a video of noise; it comes with its frames."""
    begin = " ".join(f"w{n}" for n in range(100, 115))
    end = " ".join(f"w{n}" for n in range(200, 220))
    return Request(
        frames=Frames(
            pixels=_noise(len(plan.indices), plan.height, plan.width),
            seconds=plan.times,
            indices=plan.indices,
        ),
        plan=plan,
        prompt=f"{begin} {_kind(card).marker} {end} {words}",
        reply_tokens=reply_tokens,
        video=video,
    )
