"""Proves that training sees what the released model will see: tokens, patches, logits."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer

from . import outlines
from .drawing import to_patches
from .inventing import SceneMaker
from .language import Turn
from .network import BLOCK, Packed, Trainee
from .packing import Draft, Row
from .scenes import stock_of
from .truths import stamps_of, truth_of
from .vocabulary import Tokens


class _WithMarkers(Random):
    """Always lays the outer vision markers round the clip, as current transformers does."""

    def random(self) -> float:
        return 0.5 * super().random()


def check(folder: Path) -> None:
    """Raises AssertionError where training and transformers' own code differ."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = Tokens(Tokenizer.from_file(str(folder / "tokenizer.json")))
    for seed, (rows, columns, frames) in enumerate(((3, 5, 4), (6, 9, 8), (4, 2, 12))):
        video, times = _clip(rows, columns, frames, seed)
        turns = [
            Turn("colour", "What colour is the square?", "The square is red."),
            Turn("time", "When does it appear?", "The square appears at 12.3 seconds."),
        ]
        inputs = _processed(processor, video, times, turns)
        _check_tokens(tokens, inputs, times, rows * columns, turns)
        patches = to_patches(torch.from_numpy(video).float() / 127.5 - 1)
        gap = (patches - inputs["pixel_values_videos"]).abs().max()
        assert gap < 1e-5, f"patches differ by {gap}"
        _check_logits(model, inputs, _row(video, times, turns, tokens), patches)
    print("tokens, patches and logits agree")


def _clip(rows: int, columns: int, frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    video = rng.integers(0, 256, (frames, 3, 32 * rows, 32 * columns), dtype=np.uint8)
    return video, np.sort(rng.uniform(0, 190, frames).round(2))


def _processed(processor, video: np.ndarray, times: np.ndarray, turns: list[Turn]) -> dict:
    messages = []
    for number, turn in enumerate(turns):
        content = [{"type": "video"}] if number == 0 else []
        messages += [
            {"role": "user", "content": [*content, {"type": "text", "text": turn.question}]},
            {"role": "assistant", "content": [{"type": "text", "text": turn.answer}]},
        ]
    text = processor.apply_chat_template(messages, tokenize=False)
    fps = 100.0
    metadata = {
        "fps": fps,
        "frames_indices": [round(t * fps) for t in times],
        "total_num_frames": 20000,
        "duration": 200.0,
        "height": video.shape[2],
        "width": video.shape[3],
    }
    return processor(
        text=[text],
        videos=[torch.from_numpy(video)],
        video_metadata=[metadata],
        do_sample_frames=False,
        do_resize=False,
        return_tensors="pt",
    )


def _check_tokens(
    tokens: Tokens, inputs: dict, times: np.ndarray, pads: int, turns: list[Turn]
) -> None:
    prompt, _ = tokens.clip(stamps_of(times), pads, _WithMarkers(0))
    spoken, _ = tokens.conversation(turns)
    mine = np.concatenate([prompt, spoken])
    theirs = inputs["input_ids"][0].numpy()
    assert (theirs[: len(mine)] == mine).all(), "prompt tokens differ"
    assert len(theirs) - len(mine) == 1, "only the last line break may be missing"


def _check_logits(model, inputs: dict, row: Row, patches: torch.Tensor) -> None:
    batch = Packed(**{f.name: torch.from_numpy(getattr(row, f.name)) for f in fields(Packed)})
    trainee = Trainee(model, len(row.input_ids), torch.device("cpu"), fused=False)
    with torch.no_grad():
        mine = trainee(batch, patches, row.rows, row.columns)["logits"]
        theirs = model(**inputs).logits[0, row.targets[:, 0]]
    gap = (mine - theirs).abs().max()
    assert gap < 1e-3, f"logits differ by {gap}"


def _row(video: np.ndarray, times: np.ndarray, turns: list[Turn], tokens: Tokens) -> Row:
    """A row with this one clip; what its scene shows does not matter, only its times do."""
    frames, _, height, width = video.shape
    maker = SceneMaker(stock_of(outlines.variants(1, 1), 1, 2))
    scene = maker.draw(frames=frames, height=height, width=width, rng=Random(4))
    scene = replace(scene, times=times)
    draft = Draft(height // 32, width // 32, 16 * BLOCK)
    assert draft.add(scene, truth_of(scene), [turns], tokens, _WithMarkers(0))
    return draft.finish()
