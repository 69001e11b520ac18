"""Plans of every family against its real processor: frames, sizes, grids, prompt tokens.

The processor runs on meta tensors, which have shapes and no pixels, and samples by itself.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
import torch
from real_processors import KINDS, real_processor

from core.errors import FramewiseError
from core.planning import ModelCard, Settings, Turn, make_plan
from core.planning.families import FAMILIES
from core.planning.prompt import writer_for
from core.planning.tokens import count_tokens
from core.video import VideoInfo, describe_video

ROUNDS = 20
CASES_A_ROUND = 26
MOST_TOKENS = 12_000  # of a prompt that is written out; beyond, only sizes are compared
RATES = [1, 10, 15, 24, Fraction(24000, 1001), 25, Fraction(30000, 1001), 30, 50, 60, 120, 240]
SHAPES = [(1920, 1080), (1280, 720), (640, 360), (720, 1280), (320, 240), (96, 64), (16, 16),
          (8000, 200), (3840, 2160)]  # fmt: skip
LIMITED = ("per_frame", "per_video", "share")
Built = tuple[Any, ModelCard]


@pytest.fixture(scope="module", params=list(KINDS), ids=lambda name: name.replace(" ", "-"))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("kind") / request.param.replace(" ", "-")
    return real_processor(KINDS[request.param], folder)


def _video(dice: random.Random, *, small: bool = False) -> VideoInfo:
    """A video of any kind; a ``small`` one can be given real pixels."""
    if small:
        return describe_video(
            width=dice.randint(30, 300),
            height=dice.randint(30, 300),
            duration_seconds=dice.choice([0.3, 1, 2.2, 4]),
            frame_rate=dice.choice([3, 5, Fraction(30000, 4004)]),
        )
    width, height = dice.choice(SHAPES)
    if dice.random() < 0.4:
        width, height = dice.randint(20, 2000), dice.randint(20, 2000)
    seconds = dice.choice([0.04, 0.5, 1, 3.7, 8.3, 29, 31, 60, 95.7, 299, 301, 900, 2500])
    return describe_video(
        width=width,
        height=height,
        duration_seconds=seconds * dice.choice([1, 1, 1.013]),
        frame_rate=dice.choice(RATES),
    )


def _settings(dice: random.Random, card: ModelCard) -> Settings:
    """Settings that this processor has words for."""
    route = card.route("processor")
    own: dict[str, Any] = {"route": "processor"}
    if route.limits.fps is not None:
        own["fps"] = dice.choice([None, None, 0.1, 0.5, 1, 2, 2.3, 8])
    if route.sampler not in ("glm4v", "glm46v"):
        own["max_frames"] = dice.choice([None, None, 2, 8, 9, 50])
    if route.sizer in LIMITED:
        own["max_frame_tokens"] = dice.choice([None, None, 1, 30, 400, 900])
        own["min_frame_tokens"] = dice.choice([None, None, None, 1, 20])
        own["video_token_budget"] = dice.choice([None, None, None, 5_000, 50_000])
    if route.sizer == "soft":
        own["max_frame_tokens"] = dice.choice([None, None, 70, 100, 300, 1200])
    low, high = own.get("min_frame_tokens"), own.get("max_frame_tokens")
    if low and high and low > high:
        own["min_frame_tokens"] = high
    return Settings(**own)


def _asked(processor: Any, info: VideoInfo, settings: Settings, card: ModelCard) -> dict[str, Any]:
    """How these settings are said to this processor, for a video it samples by itself."""
    route = card.route("processor")
    most = settings.max_frames or route.limits.max_frames
    fps = settings.fps or route.limits.fps
    words: dict[str, Any] = {"do_sample_frames": True}
    videos = processor.video_processor
    if route.sampler == "qwen2_vl":
        words |= {"fps": fps, "max_frames": most, "min_frames": route.limits.min_frames}
    elif route.sampler == "qwen3_vl":
        words["fps"] = fps
        videos.max_frames = most
    elif route.sampler in ("middles", "floors", "molmo2"):
        words["num_frames"] = min(most, info.frame_count)
    elif route.sampler == "smolvlm":
        words |= {"fps": fps, "num_frames": most}
    elif route.sampler == "glm4v":
        words["fps"] = fps
    return words


def _theirs(
    processor: Any, info: VideoInfo, prompt: str | None, *, device: str, **words: Any
) -> Any:
    """What the processor makes of the video; without a prompt, its video half alone."""
    metadata = {
        "total_num_frames": info.frame_count,
        "fps": float(info.frame_rate),
        "duration": info.duration_seconds,
        "width": info.width,
        "height": info.height,
    }
    shape = (info.frame_count, 3, info.height, info.width)
    words |= {
        "videos": [[torch.zeros(shape, dtype=torch.uint8, device=device)]],  # as the engine asks
        "video_metadata": [metadata],
        "return_metadata": True,
        "return_tensors": "pt",
    }
    if prompt is None:
        return processor.video_processor(**words)
    return processor(text=[prompt], **words)


def _grid(found: Any, plan: Any, card: ModelCard) -> tuple[int, ...]:
    """(steps, rows, columns) of patches, from whatever this processor tells."""
    if "video_grid_thw" in found:
        return tuple(found["video_grid_thw"][0].tolist())
    for name in ("pixel_values_videos", "pixel_values"):
        if name in found and found[name].ndim > 3:
            frames, _, height, width = found[name].shape[-4:]
            return frames, height // card.patches.patch_size, width // card.patches.patch_size
        if name in found:  # padded to the most patches there can be
            return (len(found[name]), *plan.grid[1:])
    raise AssertionError(list(found))


def _compare(built: Built, dice: random.Random, *, device: str = "meta") -> str:
    """One random video and settings: "equal", or why there was nothing to compare."""
    processor, card = built
    info, settings = _video(dice, small=device != "meta"), _settings(dice, card)
    turns = [Turn("user", "What happens at 12.5 s? 漢字 🎬")]
    try:
        plan = make_plan(info, settings, card)
    except FramewiseError:
        return "refused"
    prompt = writer_for(card, "processor").render(turns)
    written = plan.video_tokens <= MOST_TOKENS
    words = _asked(processor, info, settings, card)
    route = card.route("processor")
    if plan.max_pixels and route.sizer in LIMITED:
        words["size"] = {
            "shortest_edge": int(plan.min_pixels),
            "longest_edge": int(plan.max_pixels),
        }
    if route.sizer == "soft":
        words["max_soft_tokens"] = int(plan.max_pixels) // card.patches.area
    try:
        sampled = processor.video_processor.sample_frames(
            metadata=_metadata(info), **{k: v for k, v in words.items() if k != "do_sample_frames"}
        )
        found = _theirs(processor, info, prompt if written else None, device=device, **words)
    except (ValueError, IndexError, ZeroDivisionError, RuntimeError):
        return "raised"
    indices = [int(index) for index in sampled]
    if indices[-1] >= info.frame_count:
        assert route.sampler in ("qwen2_vl", "molmo2")
        assert tuple(indices[:-1]) == plan.indices
        return "one too many"
    assert tuple(indices) == plan.indices
    grid = _grid(found, plan, card)
    assert grid == plan.grid
    if not written:
        return "equal"
    tokens, ids = count_tokens(plan, card, turns, reply_tokens=1), found["input_ids"][0].tolist()
    assert tokens.prompt == len(ids)
    extra = 0 if card.family.name == "Molmo2" else route.text.extra_tokens  # its is no visual one
    assert tokens.video + extra == ids.count(_visual_token(processor))
    return "equal"


def _visual_token(processor: Any) -> int:
    """The token that stands for a patch: some families use that of pictures."""
    name = type(processor).__name__
    if name.startswith("Molmo2"):
        return int(processor.tokenizer.convert_tokens_to_ids("<im_patch>"))
    pictures = name.startswith(("InternVL", "Glm4", "SmolVLM"))
    token = processor.image_token if pictures else processor.video_token
    return int(processor.tokenizer.convert_tokens_to_ids(token))


def _metadata(info: VideoInfo) -> Any:
    from transformers.video_utils import VideoMetadata

    return VideoMetadata(
        total_num_frames=info.frame_count,
        fps=float(info.frame_rate),
        duration=info.duration_seconds,
        width=info.width,
        height=info.height,
    )


def test_every_family_is_here() -> None:
    assert {name.split()[0] for name in KINDS} == set(FAMILIES)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_plans_are_the_processors_own(seed: int, built: Built) -> None:
    dice = random.Random(seed)
    # where the count depends on the pixels, they have to be there
    device = "meta" if built[1].family.exact else "cpu"
    outcomes = [_compare(built, dice, device=device) for _ in range(CASES_A_ROUND)]
    assert outcomes.count("equal") >= CASES_A_ROUND // 2, outcomes


def test_meta_tensors_tell_what_real_ones_do(built: Built) -> None:
    outcomes = [_compare(built, random.Random(seed), device="cpu") for seed in range(4)]
    assert "equal" in outcomes
