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
sys.path.insert(0, str(ROOT))

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # as the engine's

import numpy as np  # noqa: E402
import torch  # noqa: E402

from core.engine import Request  # noqa: E402
from core.engine.loading import enter_on  # noqa: E402
from core.engine.local import LocalEngine  # noqa: E402
from core.engine.mapping import device_map  # noqa: E402
from core.planning import Device, ModelCard, Plan, Settings, make_plan  # noqa: E402
from core.planning.catalog import published  # noqa: E402
from core.planning.holding import hold  # noqa: E402
from core.planning.memory import AS_STORED, Execution  # noqa: E402
from core.video import Frames, VideoInfo, describe_video  # noqa: E402

WIDTH, HEIGHT, PATCH_TOKENS = 448, 252, 144  # 72 tokens a frame, as two share theirs
SPECIAL = {
    "image_token_id": (151655, "<|image_pad|>"),
    "video_token_id": (151656, "<|video_pad|>"),
    "vision_start_token_id": (151652, "<|vision_start|>"),
    "vision_end_token_id": (151653, "<|vision_end|>"),
}
ROTATION = {
    "rope_type": "default",
    "type": "default",
    "rope_theta": 1e6,
    "mrope_section": [16, 24, 24],
}


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
    """A model of Qwen2.5-VL's class with the published shapes, every weight where it belongs."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    known = published(card.name)
    assert known is not None
    config = {key: value for key, value in known.config.items() if key != "model_type"}
    tokens = {name: number for name, (number, _) in SPECIAL.items()}
    text = {**config.pop("text_config"), "rope_parameters": ROTATION, "rope_scaling": ROTATION}
    vision = {"tokens_per_second": 2, **config.pop("vision_config")}
    made = AutoConfig.for_model(
        known.config["model_type"], text_config=text, vision_config=vision, **tokens, **config
    )
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
                # a rotary embedding, of text by its configuration, of the tower by half a head
                given = (module.config,) if hasattr(module, "config") else (40,)
                again = type(module)(*given).to(_placed(name, places))
                module._buffers[key] = again._buffers[key]
    model.tie_weights()


def _placed(name: str, places: dict[str, str]) -> str:
    return next(
        place for start, place in places.items() if not start or f"{name}.".startswith(f"{start}.")
    )


def word_processor(card: ModelCard) -> Any:
    """The real one, with a tokenizer that knows numbers for words: w7 is token 7."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    known = published(card.name)
    assert known is not None
    special = dict(SPECIAL.values())
    words = {special.get(n, f"w{n}"): n for n in range(card.text.vocab)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.add_special_tokens({"additional_special_tokens": list(special.values())})
    return Qwen2_5_VLProcessor(Qwen2VLImageProcessor(), fast, Qwen2VLVideoProcessor(**known.video))


def planned(
    card: ModelCard, frames: int, *, reply_tokens: int = 64
) -> tuple[VideoInfo, Settings, Plan]:
    """A plan of so many frames of 252x448."""
    info = describe_video(width=WIDTH, height=HEIGHT, duration_seconds=frames, frame_rate=30)
    settings = Settings(
        strategy="uniform",
        max_frames=frames,
        max_frame_tokens=PATCH_TOKENS,
        reply_tokens=reply_tokens,
    )
    return info, settings, make_plan(info, settings, card)


@lru_cache(maxsize=4)
def _noise(frames: int, height: int, width: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def asked(
    plan: Plan, *, words: str = "", reply_tokens: int = 64, video: Hashable | None = None
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
        prompt=f"{begin} <|vision_start|><|video_pad|><|vision_end|> {end} {words}",
        reply_tokens=reply_tokens,
        video=video,
    )
