"""Small random models of other families' real classes in our engine: as long as was foretold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_processors import KINDS, real_processor

from asking_by_hand import NEVER, ending
from core.engine.base import Request
from core.engine.local import LocalEngine
from core.planning import Settings, Turn, make_plan
from core.planning.machine import processor as this_processor
from core.planning.prompt import writer_for
from core.planning.tokens import count_tokens
from core.video import Frames, describe_video

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip
QWEN_TEXT = {**TEXT, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
QWEN_IDS = {
    "video_token_id": "video_token",
    "image_token_id": "image_token",
    "vision_start_token_id": "vision_start_token",
    "vision_end_token_id": "vision_end_token",
}
# model type -> (text config, vision config, config entries that are ids of these tokens)
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "qwen2_vl": (
        QWEN_TEXT,
        {"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2},
        QWEN_IDS,
    ),
    "qwen2_5_vl": (
        QWEN_TEXT,
        {
            "depth": 2,
            "hidden_size": 64,
            "out_hidden_size": 64,
            "num_heads": 4,
            "intermediate_size": 96,
            "fullatt_block_indexes": [1],
        },
        QWEN_IDS,
    ),
    "internvl": (
        {**TEXT, "model_type": "qwen2"},
        {**TOWER, "image_size": [448, 448], "patch_size": [14, 14]},
        {"image_token_id": "context_image_token"},
    ),
    "llava_onevision": (
        {**TEXT, "model_type": "qwen2"},
        {
            **TOWER,
            "model_type": "siglip_vision_model",
            "image_size": 384,
            "patch_size": 14,
            "vision_use_head": False,
        },
        {"image_token_id": "image_token", "video_token_id": "video_token"},
    ),
}


def _model(kind: str, tokenizer: Any) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    text, vision, ids = MODELS[kind]
    named = {
        key: tokenizer.convert_tokens_to_ids(KINDS[kind].tokens[name]) for key, name in ids.items()
    }
    config = AutoConfig.for_model(
        kind,
        text_config={**text, "vocab_size": len(tokenizer) + 8},
        vision_config=vision,
        **named,
    )
    return AutoModelForImageTextToText.from_config(config).eval()


@pytest.mark.parametrize("kind", MODELS)
def test_prompt_is_as_long_as_foretold(kind: str, tmp_path: Path) -> None:
    processor, card = real_processor(KINDS[kind], tmp_path / kind)
    engine = LocalEngine(card, _model(kind, processor.tokenizer), processor, (this_processor(),))
    info = describe_video(width=320, height=180, duration_seconds=6, frame_rate=25)
    turns = [Turn("user", "What happens?")]
    for route in card.routes:
        if route.name == "tiles":  # a way of other servers, not of transformers
            continue
        size = {} if card.frame_tokens else {"max_frame_tokens": 60}
        plan = make_plan(info, Settings(route=route.name, max_frames=8, **size), card)
        shape = (len(plan.indices), plan.height, plan.width, 3)
        frames = Frames(pixels=np.zeros(shape, np.uint8), seconds=plan.times, indices=plan.indices)
        prompt = writer_for(card, route.name).render(turns)
        request = Request(frames=frames, plan=plan, prompt=prompt, reply_tokens=4)
        finished = ending(list(engine.stream(request, stop=NEVER)))
        foretold = count_tokens(plan, card, turns, reply_tokens=4)
        assert finished.prompt_tokens == foretold.prompt
        assert finished.reply_tokens >= 1
    engine.close()
