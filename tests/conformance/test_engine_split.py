"""Real classes laid out over devices: nothing left out or torn, and the same words as undivided.

Without GPUs "cpu" and "disk" are the two devices: accelerate's hooks fetch what lies on disk, so
that a part that runs where its weights are not would fail.
"""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from real_processors import KINDS, real_processor
from small_models import MODELS, small_model
from transformers import AutoConfig, AutoModelForImageTextToText

from asking_by_hand import NEVER, noise, said
from core.engine.base import Request
from core.engine.loading import enter_on
from core.engine.local import LocalEngine
from core.engine.mapping import device_map
from core.errors import CheckpointError
from core.planning import Settings, Turn, make_plan
from core.planning.machine import processor as this_processor
from core.planning.prompt import writer_for
from core.video import describe_video

# As published, on the meta device: of each the text layers are known by number only.
CLASSES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "internvl", "llava_onevision",
           "llava_next_video", "video_llava", "smolvlm", "gemma3", "glm4v", "ovis2")  # fmt: skip


def _drawn(kind: str) -> Any:
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.for_model(kind))


def _spans(count: int, parts: int) -> list[range]:
    edges = [count * part // parts for part in range(parts + 1)]
    return [range(*edge) for edge in itertools.pairwise(edges)]


def _place(name: str, places: dict[str, str]) -> list[str]:
    return [at for key, at in places.items() if name == key or name.startswith(f"{key}.")]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_weight_has_one_place(kind: str) -> None:
    model = _drawn(kind)
    count = model.config.get_text_config().num_hidden_layers
    places = device_map(model, _spans(count, 3), ["a", "b", "c"])
    names = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    assert {name: len(_place(name, places)) for name in names} == dict.fromkeys(names, 1)
    layers = [at for key, at in places.items() if key.rpartition(".")[2].isdigit()][-count:]
    assert layers == ["a"] * (count // 3) + sorted(layers[count // 3 :])
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    names_of = {id(module): name for name, module in model.named_modules()}
    assert _place(names_of[id(embeddings)], places) == ["a"]
    tied = head.weight is embeddings.weight
    assert _place(names_of[id(head)], places) == ["a" if tied else "c"]
    towers = [name for name in names if "vis" in name or "tower" in name]
    assert towers
    assert {at for name in towers for at in _place(name, places)} == {"a"}


def test_layers_that_were_not_foreseen_are_refused() -> None:
    with pytest.raises(CheckpointError, match="has 36 layers where 28 were foreseen"):
        device_map(_drawn("molmo2"), _spans(28, 2), ["a", "b"])


@pytest.mark.parametrize("kind", MODELS)
def test_a_divided_model_says_what_the_whole_one_says(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    processor, card = real_processor(KINDS[kind], tmp_path / kind)
    whole = small_model(kind, processor.tokenizer)
    whole.generation_config.do_sample = False
    divided = copy.deepcopy(whole)
    names = device_map(divided, [range(1), range(1, 2)], ["first", "last"])
    at = {"first": "cpu", "last": "disk"}
    dispatch_model(
        divided,
        {name: at[place] for name, place in names.items()},
        main_device="cpu",
        offload_dir=str(tmp_path / "disk"),
    )
    enter_on(divided, "cpu")
    assert any(each.is_meta for each in divided.parameters())
    info = describe_video(width=320, height=180, duration_seconds=6, frame_rate=25)
    plan = make_plan(info, Settings(max_frames=4), card)
    prompt = writer_for(card, plan.route).render([Turn("user", "What happens?")])
    request = Request(frames=noise(plan), plan=plan, prompt=prompt, reply_tokens=8)
    one, two = (
        said(
            list(
                LocalEngine(card, model, processor, (this_processor(),)).stream(request, stop=NEVER)
            )
        )
        for model in (whole, divided)
    )
    assert one == two != ""
