"""A checkpoint of a family without planning rules: its card, its plans, what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.asking import foresee
from core.errors import CheckpointError, SettingsError
from core.measuring import measurable
from core.planning import DEMO_MODEL, Settings, Turn, load_card, make_plan, parse_devices
from core.planning.prompt import writer_for
from core.video import describe_video

VIDEO = describe_video(width=640, height=360, duration_seconds=20, frame_rate=30)
TURNS = (Turn("user", "What happens?"),)
SMALL = parse_devices("1x24GiB")


@pytest.fixture(scope="session")
def unlisted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of LLaVA-NeXT-Video's real classes, with next to no weights."""
    import transformers

    folder = tmp_path_factory.mktemp("models") / "unlisted"
    tokenizer = transformers.AutoTokenizer.from_pretrained(DEMO_MODEL)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>", "<video>"]})
    template = (
        "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
        "{{ '<video>\n' if part.type == 'video' else part.text }}{% endfor %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    transformers.LlavaNextVideoProcessor(
        transformers.LlavaNextVideoVideoProcessor(),
        transformers.LlavaNextImageProcessor(),
        tokenizer,
        chat_template=template,
        patch_size=14,
        vision_feature_select_strategy="default",
    ).save_pretrained(folder)
    transformers.LlavaNextVideoConfig().save_pretrained(folder)
    save_file({"weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def copy(unlisted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unlisted, tmp_path / "copy"))


def test_card(unlisted: Path) -> None:
    card = load_card(unlisted)
    assert card.family.name == "llava_next_video"
    assert [route.name for route in card.routes] == ["processor"]
    assert card.routes[0].text.marker == "<video>"
    assert (card.limits.fps, card.limits.max_frames) == (None, 32)
    assert (card.text.layers, card.vision.layers) == (32, 24)


def test_frames_of_a_plan(unlisted: Path) -> None:
    """224 pixels are 16 patches a side, of which four make a token; 7 frames from 600, evenly."""
    plan = make_plan(VIDEO, Settings(max_frames=7), measurable(load_card(unlisted)))
    assert plan.indices == (0, 85, 171, 257, 342, 428, 514)
    assert plan.video_tokens == 7 * 64
    assert plan.tokens_per_step == 64
    assert plan.grid == (7, 1, 256)
    assert plan.measured is not None
    assert plan.measured.resizes  # it crops, so that it must be given the whole picture
    assert (plan.height, plan.width) == (VIDEO.height, VIDEO.width)


def test_a_listed_family_stays_as_it_is() -> None:
    card = load_card("Qwen/Qwen3-VL-8B-Instruct")
    assert measurable(card) is card


def test_a_plan_asks_for_the_processor(unlisted: Path) -> None:
    with pytest.raises(CheckpointError, match="llava_next_video") as caught:
        make_plan(VIDEO, Settings(), load_card(unlisted))
    assert "measurable" in caught.value.remedy


def test_foreseen_with_a_remedy_that_fits(unlisted: Path) -> None:
    """32 frames of 64 tokens are over the 2,048 of this context; fewer frames are the way out."""
    card = load_card(unlisted)
    found = foresee(VIDEO, Settings(reply_tokens=300), card, TURNS, devices=SMALL)
    assert found.estimate.verdict == "over_context"
    assert found.estimate.tokens.exact
    assert found.remedy is not None
    assert found.remedy.settings is not None
    frames = found.remedy.settings.max_frames
    assert frames is not None
    again = foresee(VIDEO, found.remedy.settings, card, TURNS, devices=SMALL)
    assert again.estimate.verdict == "fits"
    more = Settings(reply_tokens=300, max_frames=frames + 1)
    assert foresee(VIDEO, more, card, TURNS, devices=SMALL).estimate.verdict == "over_context"


def test_the_prompt_is_the_video_and_the_text(unlisted: Path) -> None:
    card = load_card(unlisted)
    found = foresee(VIDEO, Settings(max_frames=3), card, TURNS, devices=SMALL)
    text = writer_for(card).render(TURNS).split("<video>")
    assert found.estimate.tokens.prompt == 3 * 64 + sum(map(writer_for(card).count, text))


@pytest.mark.parametrize("name", ["min_frame_tokens", "max_frame_tokens", "video_token_budget"])
def test_what_would_be_ignored_is_refused(name: str, unlisted: Path) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        make_plan(VIDEO, Settings(**{name: 40}), measurable(load_card(unlisted)))
    assert "max_frames" in caught.value.remedy


def _change(file: Path, **values: Any) -> None:
    found = json.loads(file.read_text("utf-8")) | values
    file.write_text(json.dumps({k: v for k, v in found.items() if v is not None}), "utf-8")


def _no_words_of_videos(folder: Path) -> None:
    (folder / "processor_config.json").write_text("{}", "utf-8")


def _no_model_type(folder: Path) -> None:
    _change(folder / "config.json", model_type=None)


def _template_without_videos(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages[0].content[1].text }}", "utf-8")


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _sizes_left_to_the_class(folder: Path) -> None:
    _change(folder / "config.json", text_config={"model_type": "llama"})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_no_words_of_videos, "no planning rules for models of type 'llava_next_video'"),
        (_no_model_type, "no planning rules"),
        (_template_without_videos, "no place for a video"),
        (_no_tokenizer, r"tokenizer\.json"),
        (_sizes_left_to_the_class, r"config\.json of copy lacks"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_no_checkpoint_to_plan_for(damage: Callable[[Path], None], words: str, copy: Path) -> None:
    damage(copy)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_card(copy)
    assert caught.value.remedy


def test_a_processor_that_transformers_does_not_know(copy: Path) -> None:
    _change(copy / "config.json", model_type="model_of_tomorrow")
    _change(copy / "processor_config.json", processor_class="ProcessorOfTomorrow")
    with pytest.raises(CheckpointError, match=r"cannot be loaded|takes no videos") as caught:
        make_plan(VIDEO, Settings(), measurable(load_card(copy)))
    assert caught.value.remedy
