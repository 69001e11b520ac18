"""The engine in this process, on a tiny checkpoint: events, replies, lengths, times, loading."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from asking_by_hand import NEVER, ask, ending, noise, request, said
from core.engine import Finished, Progress, Started, Text
from core.engine.loading import choose_devices, load_engine
from core.engine.local import LocalEngine
from core.errors import CheckpointError, ContextOverflow, SettingsError
from core.planning import Settings, Turn, load_card, make_plan
from core.planning.forecast import count_tokens
from core.video import VideoInfo


def test_it_says_what_it_is(engine: LocalEngine, tiny_model: Path) -> None:
    assert engine.card == load_card(tiny_model)
    assert engine.capacity == 1
    assert [device.name for device in engine.devices()] == ["cpu"]


def test_events_come_in_order(engine: LocalEngine) -> None:
    events = [event for event in ask(engine) if not isinstance(event, Progress)]
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert {type(event) for event in events[1:-1]} <= {Text}


def test_reply_is_what_generate_gives(engine: LocalEngine, network: Any, processor: Any) -> None:
    """The same pixels, times and prompt through transformers' own front door."""
    asked = request(engine.card, reply_tokens=12)
    inputs = processor(
        text=[asked.prompt],
        videos=[torch.from_numpy(asked.frames.pixels).permute(0, 3, 1, 2)],
        video_metadata=[
            {
                "total_num_frames": 50,
                "fps": 25.0,
                "frames_indices": list(asked.plan.indices),
                "duration": 2.0,
            }
        ],
        do_sample_frames=False,
        do_resize=False,
        return_tensors="pt",
    )
    with torch.inference_mode():
        ids = network.generate(**inputs, max_new_tokens=12, do_sample=False)
    reply = ids[0, inputs["input_ids"].shape[1] :]
    events = list(engine.stream(asked, stop=NEVER))
    assert said(events) == processor.tokenizer.decode(reply, skip_special_tokens=True)
    assert ending(events).reply_tokens == len(reply)
    assert ending(events).prompt_tokens == inputs["input_ids"].shape[1]


def test_started_and_finished_give_the_true_prompt_length(engine: LocalEngine) -> None:
    events = ask(engine)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.prompt_tokens == ending(events).prompt_tokens > 0


@pytest.mark.parametrize("length", [1, 2, 9])
def test_reply_is_no_longer_than_asked(length: int, engine: LocalEngine) -> None:
    finished = ending(ask(engine, reply_tokens=length))
    assert (finished.reply_tokens, finished.reason) == (length, "length")
    assert (finished.tokens_per_second > 0) == (length > 1)
    assert finished.seconds_to_first_token > 0
    assert len(finished.peak_bytes) == 1
    assert finished.peak_bytes[0] > 50e6  # of the whole process, in bytes


def test_the_same_question_gets_the_same_reply(engine: LocalEngine) -> None:
    assert said(ask(engine)) == said(ask(engine))


def test_a_prompt_over_the_context_is_refused(
    engine: LocalEngine, network: torch.nn.Module, processor: Any
) -> None:
    short = replace(engine.card, context_tokens=40)
    small = LocalEngine(short, network, processor, engine.devices())
    with pytest.raises(ContextOverflow, match=r"tokens exceed the 40 of tiny") as caught:
        ask(small)
    assert caught.value.remedy


def test_times_of_an_uneven_video_reach_the_prompt(
    engine: LocalEngine, network: Any, processor: Any
) -> None:
    """Frames at 0, 0.1, 30 and 35.5 s: the labels are their means, whatever the average rate."""
    info = VideoInfo(
        width=320,
        height=180,
        duration_seconds=40.0,
        frame_rate=Fraction(1, 10),
        frame_count=4,
        variable_rate=True,
        frame_times=[0.0, 0.1, 30.0, 35.5],
    )
    plan = make_plan(info, Settings(max_frame_tokens=16), engine.card)
    asked = replace(request(engine.card), plan=plan, frames=noise(plan))
    prompts: list[str] = []

    def look(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        prompts.append(processor.tokenizer.decode(given["input_ids"][0]))

    handle = network.model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        finished = ending(list(engine.stream(asked, stop=NEVER)))
    finally:
        handle.remove()
    assert plan.labels == ("<0.1 seconds>", "<32.8 seconds>")
    assert re.findall(r"<[\d.]+ seconds>", prompts[0]) == list(plan.labels)
    tokens = count_tokens(plan, engine.card, [Turn("user", "What happens?")], reply_tokens=8)
    assert finished.prompt_tokens == tokens.prompt


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "", "cuda:x"])
def test_no_such_device(device: str) -> None:
    with pytest.raises(SettingsError, match="There is no device") as caught:
        choose_devices(device)
    assert "cpu" in caught.value.remedy


def test_a_checkpoint_with_broken_weights(tiny_model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
    card = load_card(copy)
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match="copy cannot be loaded") as caught:
        load_engine(card, device="cpu")
    assert caught.value.remedy


def test_a_loaded_engine_answers_until_it_is_closed(tiny_model: Path) -> None:
    engine = load_engine(load_card(tiny_model), device="cpu")
    assert ending(ask(engine)).reply_tokens == 8
    engine.close()
