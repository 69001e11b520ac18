"""Pixels that were prepared piece by piece are those of the whole video, and copies stay small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from lively import asked
from real_processors import KINDS, real_processor
from torch.utils._python_dispatch import TorchDispatchMode

from core.engine import pieces
from core.engine.base import Request
from core.engine.pieces import in_pieces
from core.engine.preparing import Preparer
from core.planning import ModelCard, Turn
from core.planning.measured import Sampled, told

IN_CHUNKS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision")
FRAMES = (2, 5, 12)


@pytest.fixture(scope="module", params=IN_CHUNKS)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ModelCard]:
    kind = next(each for each in KINDS if each.startswith(request.param))
    return real_processor(KINDS[kind], tmp_path_factory.mktemp("pieces") / "model")


def _asked(card: ModelCard, frames: int) -> Request:
    return asked(card, (Turn("user", "What happens?"),), frames=frames)


def _whole(processor: Any, request: Request) -> dict[str, Any]:
    """What the processor makes of all frames at once."""
    assert request.frames is not None
    plan = request.plan
    metadata = told(
        Sampled(
            times=plan.times,
            height=plan.height,
            width=plan.width,
            duration_seconds=plan.duration_seconds,
        )
    )
    found: dict[str, Any] = processor(
        text=[request.prompt],
        videos=[[torch.from_numpy(request.frames.pixels).permute(0, 3, 1, 2)]],
        video_metadata=[metadata],
        do_sample_frames=False,
        do_resize=False,
        return_tensors="pt",
    )
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("frames", FRAMES)
def test_every_value(
    frames: int, dtype: torch.dtype, made: tuple[Any, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor, card = made
    request = _asked(card, frames)
    expected = _whole(processor, request)
    for values in (1, 3 * request.frames.pixels[0].size, 2**24):
        monkeypatch.setattr(pieces, "PIECE_VALUES", values)
        found = Preparer(card, processor, "cpu", dtype).inputs(request)
        assert found.keys() == {name for name in expected if name != "video_metadata"}
        for name, value in found.items():
            cast = value.dtype if name.startswith("pixel_values") else expected[name].dtype
            assert torch.equal(value, expected[name].to(cast)), (name, values)
            assert not name.startswith("pixel_values") or value.dtype == dtype


class _Largest(TorchDispatchMode):
    """The most values in float32 that any operation made at once."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.dtype == torch.float32 and not found.is_meta:
            self.values = max(self.values, found.numel())
        return found


def test_copies_stay_small(made: tuple[Any, ModelCard], monkeypatch: pytest.MonkeyPatch) -> None:
    processor, card = made
    request = _asked(card, 12)
    assert request.frames is not None
    pair = 2 * request.frames.pixels[0].size
    monkeypatch.setattr(pieces, "PIECE_VALUES", pair)
    with _Largest() as largest:
        Preparer(card, processor, "cpu", torch.bfloat16).inputs(request)
    assert 0 < largest.values <= pair


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_tokens_are_counted_without_pixels(known: bool, made: tuple[Any, ModelCard]) -> None:
    processor, card = made
    request = _asked(card, 12)
    inputs = Preparer(card, processor, "cpu", torch.bfloat16).inputs(request)
    preparer = Preparer(card, processor, "cpu", torch.bfloat16)
    if known:
        preparer.inputs(request)
        request = replace(request, frames=None)
    with _Largest() as largest:
        assert preparer.tokens(request) == inputs["input_ids"].shape[1]
    assert largest.values <= 12  # some classes say seconds


@pytest.mark.parametrize("rows", [3, 5])
def test_another_number_of_rows_is_refused(rows: int) -> None:
    def processor(videos: Any, **_: Any) -> dict[str, Any]:
        return {"pixel_values_videos": videos[0][0].flatten(1).float()}

    frames = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
    in_pieces(processor, frames, torch.empty(4, 12), together=1)
    with pytest.raises(ValueError, match="pieces"):
        in_pieces(processor, frames, torch.empty(rows, 12), together=1)
