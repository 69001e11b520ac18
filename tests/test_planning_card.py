"""Checkpoints: what is read from their JSON files, and what is no checkpoint."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import CheckpointError
from core.planning import load_card
from core.planning.card import TextShape, VisionShape
from core.planning.families import FAMILIES
from tiny_checkpoint import PUBLISHED_VIDEO

ROUTE = FAMILIES["qwen3_vl"].routes[0].limits


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def _change(file: Path, **values: Any) -> None:
    """Put ``values`` over those of a JSON file; None takes a key away."""
    found = json.loads(file.read_text(encoding="utf-8")) | values
    kept = {key: value for key, value in found.items() if value is not None}
    file.write_text(json.dumps(kept), encoding="utf-8")


def test_card_of_a_folder(tiny_model: Path) -> None:
    card = load_card(tiny_model)
    assert (card.name, card.source, card.folder) == ("tiny", str(tiny_model), tiny_model)
    assert card.family is FAMILIES["qwen3_vl"]
    assert card.patches == card.family.patches
    assert card.context_tokens == 32_768
    assert card.dtype == "float32"
    assert card.text == TextShape(
        layers=2,
        hidden=64,
        mlp=128,
        heads=4,
        kv_heads=2,
        head_dim=16,
        kv_layers=2,
        vocab=card.text.vocab,
        tied=card.text.tied,
    )
    assert card.vision == VisionShape(layers=2, hidden=32, mlp=64, deepstack=1)
    assert card.active_parameters == card.parameters


def test_parameters_are_those_of_the_real_model(tiny_model: Path) -> None:
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    assert load_card(tiny_model).parameters == sum(p.numel() for p in model.parameters())


def test_config_of_an_older_file(tmp_path: Path) -> None:
    """Qwen2.5-VL is published with the language model's part at the top, and gaps in between."""
    folder = tmp_path / "Qwen2.5-VL-32B-Instruct"
    folder.mkdir()
    config = {
        "model_type": "qwen2_5_vl",
        "torch_dtype": "float16",
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 60,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
        "vision_config": {"hidden_size": 1280, "intermediate_size": 3456},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({"weight": np.zeros((3, 4), np.float32)}, folder / "model.safetensors")
    card = load_card(folder)
    assert (card.text.layers, card.text.head_dim, card.dtype) == (60, 128, "float16")
    assert card.vision.layers == 32  # not in the file: the catalog knows it
    assert card.context_tokens == 128_000
    assert card.parameters == card.active_parameters == 12


@pytest.mark.parametrize(
    ("video", "found"),
    [
        ({"num_frames": 16}, {"fps": None, "max_frames": 16}),
        ({"num_frames": 16, "fps": 1}, {"fps": 1, "max_frames": 768}),
        ({"size": {"shortest_edge": 4096, "longest_edge": 2_097_152}}, {"video_tokens": 1024}),
        ({"cap_pixels_per_frame": True, "max_video_tokens": 50}, {"capped": True}),
    ],
    ids=["a number of frames", "a rate before it", "pixels of all frames", "the cap"],
)
def test_settings_of_the_own_processor(
    video: dict[str, Any], found: dict[str, Any], copy: Path
) -> None:
    for name in ("video_preprocessor_config.json", "processor_config.json"):
        (copy / name).unlink(missing_ok=True)
    (copy / "video_preprocessor_config.json").write_text(json.dumps(video), encoding="utf-8")
    limits = load_card(copy).route("processor").limits
    assert {name: getattr(limits, name) for name in found} == found


def test_name_and_path_may_be_given(tiny_model: Path) -> None:
    assert load_card(str(tiny_model)) == load_card(tiny_model)


def test_published_pixel_limits_are_not_the_routes(tiny_model: Path) -> None:
    """They bound a whole video, in transformers' own resizing, which this route does not use."""
    assert "cap_pixels_per_frame" not in PUBLISHED_VIDEO
    assert load_card(tiny_model).limits == ROUTE


@pytest.mark.parametrize(
    ("stated", "changed"),
    [
        ({"fps": 4, "min_frames": 2, "max_frames": 64}, {"fps": 4, "min_frames": 2,
                                                        "max_frames": 64}),
        ({"fps": None}, {}),
        (
            {"cap_pixels_per_frame": True, "max_video_tokens": 36,
             "size": {"shortest_edge": 16 * 1024, "longest_edge": 8192 * 1024}},
            {"min_frame_tokens": 16, "max_frame_tokens": 36, "video_tokens": 4096},
        ),
        (
            {"cap_pixels_per_frame": False, "max_video_tokens": 36,
             "size": {"shortest_edge": 16 * 1024, "longest_edge": 8192 * 1024}},
            {},
        ),
        (
            {"cap_pixels_per_frame": True},
            {"min_frame_tokens": 4, "max_frame_tokens": 768, "video_tokens": 12_288},
        ),
    ],
    ids=["sampling", "no sampling", "capped per frame", "not capped", "capped, published"],
)  # fmt: skip
def test_limits_of_the_checkpoint(
    stated: dict[str, Any], changed: dict[str, Any], copy: Path
) -> None:
    _change(copy / "video_preprocessor_config.json", **stated)
    limits = load_card(copy).limits
    names = ("fps", "min_frames", "max_frames", "min_frame_tokens", "max_frame_tokens",
             "video_tokens")  # fmt: skip
    expected = {name: getattr(ROUTE, name) for name in names} | changed
    assert {name: getattr(limits, name) for name in names} == expected


@pytest.mark.parametrize("place", ["processor_config.json", "preprocessor_config.json"])
def test_video_limits_in_other_files(place: str, copy: Path) -> None:
    (copy / "video_preprocessor_config.json").unlink()
    stated: dict[str, Any] = {"max_frames": 64, "patch_size": 14}
    if place == "processor_config.json":
        stated = {"video_processor": stated}
    (copy / place).write_text(json.dumps(stated), encoding="utf-8")
    card = load_card(copy)
    assert (card.limits.max_frames, card.patches.patch_size) == (64, 14)


def test_experts_that_are_used_count(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"] | {"moe_intermediate_size": 48, "num_experts_per_tok": 8}
    _change(copy / "config.json", model_type="qwen3_vl_moe", text_config=text)
    assert load_card(copy).text.mlp == 8 * 48


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": ', encoding="utf-8")


def _binary_config(folder: Path) -> None:
    (folder / "config.json").write_bytes(bytes(range(256)))


def _list_for_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]", encoding="utf-8")


def _other_model(folder: Path) -> None:
    _change(folder / "config.json", model_type="bert")
    (folder / "video_preprocessor_config.json").unlink()


def _no_text_config(folder: Path) -> None:
    _change(folder / "config.json", text_config=None)


def _text_config_of_text(folder: Path) -> None:
    _change(folder / "config.json", text_config="small")


def _words_for_numbers(folder: Path) -> None:
    _change(folder / "config.json", vision_config={"depth": "deep", "hidden_size": 1})


def _broken_video_config(folder: Path) -> None:
    (folder / "video_preprocessor_config.json").write_text("{{", encoding="utf-8")


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _pointer_for_weights(folder: Path) -> None:
    """What a clone without Git LFS holds."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17534247\n"
    (folder / "model.safetensors").write_text(pointer, encoding="ascii")


def _cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:100])


def _header_of_nonsense(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 4) + b"{no}")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_no_config, "is not a checkpoint: there is no config.json"),
        (_broken_config, r"config\.json is not valid JSON"),
        (_binary_config, r"config\.json is not valid JSON"),
        (_list_for_config, "no planning rules"),
        (_other_model, "no planning rules for models of type 'bert'"),
        (_no_text_config, "lacks 'text_config'"),
        (_text_config_of_text, r"config\.json of copy"),
        (_words_for_numbers, r"config\.json of copy"),
        (_broken_video_config, r"video_preprocessor_config\.json is not valid JSON"),
        (_no_weights, r"config\.json but no \.safetensors weights"),
        (_empty_weights, r"model\.safetensors"),
        (_pointer_for_weights, r"model\.safetensors"),
        (_cut_weights, r"model\.safetensors"),
        (_header_of_nonsense, r"model\.safetensors"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_no_checkpoint(damage: Callable[[Path], None], words: str, copy: Path) -> None:
    damage(copy)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_card(copy)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nowhere", "is not a checkpoint folder, nor a name"),
        ("./nowhere/at/all", "is not a checkpoint folder, nor a name"),
        ("/nowhere/model", "is not a checkpoint folder, nor a name"),
        ("", "no config.json|is not a checkpoint folder"),
        ("a/b/c", "is not a checkpoint folder, nor a name"),
        ("https://huggingface.co/Qwen/Qwen3-VL-8B-Instruct", "is not a checkpoint folder"),
        ("m" * 5000, "is not a checkpoint folder"),
        ("Qwen/Qwen3-VL-9B-Instruct", "hub did not give it"),
        ("no such/name at all!", "hub did not give it"),
    ],
    ids=["word", "relative", "absolute", "nothing", "deep", "address", "too long", "hub name",
         "odd hub name"],
)  # fmt: skip
def test_name_of_nothing_without_a_network(model: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_card(model)
    assert caught.value.remedy


def test_a_file_is_no_checkpoint(tiny_model: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint folder"):
        load_card(tiny_model / "config.json")
