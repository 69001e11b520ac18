"""What planning needs to know of a checkpoint, read from its JSON files; loads no weights."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.planning.families import Family, Limits, PatchGrid, family_of

DEMO_MODEL = Path(__file__).resolve().parents[2] / "assets" / "demo_model"
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8_e4m3fn": 1, "int8": 1}
_PATCH_KEYS = ("patch_size", "merge_size", "temporal_patch_size")
_HUB_FILES = ["*.json", "*.jinja"]
MAX_HUB_NAME = 200  # the hub's own limit is 96 for each half


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """The language model: layers and widths, in elements.

    Attributes:
        mlp: width that a token passes through; of a mixture, that of its chosen experts together.
        kv_layers: layers that keep keys and values of the whole prompt; fewer in hybrids.
        tied: whether the head is the token embeddings over again.
        experts_per_token: experts that a token passes through; 1 where there is no mixture.
    """

    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    kv_layers: int
    tied: bool = False
    experts_per_token: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionShape:
    """The vision tower: layers and widths, in elements.

    Attributes:
        deepstack: further outputs of its size that the language model takes in (Qwen3-VL: 3).
    """

    layers: int
    hidden: int
    mlp: int
    deepstack: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A checkpoint, as far as planning goes.

    Attributes:
        name: what to call it: its name on the hub, or the folder's.
        source: what from_pretrained() takes: that name, or the folder's path.
        folder: where its JSON files (and, once downloaded, its weights) are.
        family: its family's rules.
        patches, limits: the family's, with what the checkpoint's own files say put over them.
        context_tokens: the most tokens of prompt and reply together.
        parameters: number of weights.
        active_parameters: of them, those that one token passes through; all but in a mixture.
        dtype: what the weights are stored in.
        text, vision: shapes that memory and time are computed from.
    """

    name: str
    source: str
    folder: Path
    family: Family
    patches: PatchGrid
    limits: Limits
    context_tokens: int
    parameters: int
    active_parameters: int
    dtype: str
    text: TextShape
    vision: VisionShape


@lru_cache(maxsize=16)
def load_card(model: str | Path = DEMO_MODEL) -> ModelCard:
    """The card of a checkpoint folder, or of a name on the Hugging Face hub.

    Raises:
        CheckpointError: not a checkpoint, not reachable, or of a family without rules.
    """
    local = _is_folder(model)
    folder = Path(model) if local else _hub_folder(str(model))
    config = read_json(folder / "config.json", needed=True)
    family = family_of(str(config.get("model_type")))
    video = read_json(folder / "video_preprocessor_config.json")
    video = video or read_json(folder / "processor_config.json").get("video_processor", {})
    video = video or read_json(folder / "preprocessor_config.json")
    patches = replace(
        family.patches,
        **{key: video[key] for key in _PATCH_KEYS if key in video},
    )
    try:
        parameters = _parameters(folder, str(model))
        return ModelCard(
            name=folder.resolve().name if local else str(model),
            source=str(model),
            folder=folder,
            family=family,
            patches=patches,
            limits=_limits(family.limits, video, patches),
            context_tokens=int(config["text_config"]["max_position_embeddings"]),
            parameters=parameters,
            active_parameters=parameters - _idle_parameters(config["text_config"]),
            dtype=str(config.get("dtype") or config["text_config"].get("dtype") or "bfloat16"),
            text=_text_shape(config["text_config"], tied=bool(config.get("tie_word_embeddings"))),
            vision=_vision_shape(config["vision_config"]),
        )
    except KeyError as error:
        raise CheckpointError(
            f"config.json of {folder.name} lacks {error}.",
            remedy="Download the checkpoint again, or choose another one.",
        ) from error
    except (TypeError, ValueError, AttributeError) as error:  # words where numbers should be
        raise CheckpointError(
            f"config.json of {folder.name} cannot be understood: {error}.",
            remedy="Download the checkpoint again, or choose another one.",
        ) from error


def _limits(limits: Limits, video: dict[str, Any], patches: PatchGrid) -> Limits:
    """The route's limits with the checkpoint's own put over them.

    Frame counts and rate hold wherever the checkpoint states them. Its pixel limits are those of
    transformers' own resizing, which counts the whole video at once; only where it asks for the
    cap per frame (``cap_pixels_per_frame``) do they mean what the route means by them.
    """
    own = {key: video[key] for key in ("fps", "min_frames", "max_frames") if video.get(key)}
    size = video.get("size") or {}
    if video.get("cap_pixels_per_frame"):
        area = patches.factor**2
        own["max_frame_tokens"] = int(video.get("max_video_tokens", limits.max_frame_tokens))
        own["min_frame_tokens"] = max(1, int(size.get("shortest_edge", area)) // area)
        own["video_tokens"] = int(size["longest_edge"]) // patches.temporal_patch_size // area
    return replace(limits, **own)


def _idle_parameters(config: dict[str, Any]) -> int:
    """Weights of the experts that a token does not pass through."""
    if "num_experts" not in config:
        return 0
    idle = int(config["num_experts"]) - int(config["num_experts_per_tok"])
    expert = 3 * int(config["hidden_size"]) * int(config["moe_intermediate_size"])
    return int(config["num_hidden_layers"]) * idle * expert


def _text_shape(config: dict[str, Any], *, tied: bool) -> TextShape:
    heads = int(config["num_attention_heads"])
    experts = int(config.get("num_experts_per_tok", 1))
    mlp = int(config.get("moe_intermediate_size") or config["intermediate_size"]) * experts
    return TextShape(
        layers=int(config["num_hidden_layers"]),
        hidden=int(config["hidden_size"]),
        mlp=mlp,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads", heads)),
        head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
        vocab=int(config["vocab_size"]),
        kv_layers=int(config["num_hidden_layers"]),
        tied=tied,
        experts_per_token=experts,
    )


def _vision_shape(config: dict[str, Any]) -> VisionShape:
    return VisionShape(
        layers=int(config["depth"]),
        hidden=int(config["hidden_size"]),
        mlp=int(config["intermediate_size"]),
        deepstack=len(config.get("deepstack_visual_indexes", ())),
    )


def _parameters(folder: Path, model: str) -> int:
    """Number of weights, from the headers of the weight files, here or on the hub."""
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return sum(_count_in_header(file) for file in files)
    index = read_json(folder / "model.safetensors.index.json").get("metadata", {})
    if "total_parameters" in index:
        return int(index["total_parameters"])
    if Path(model).is_dir():
        raise CheckpointError(
            f"{model} has a config.json but no .safetensors weights.",
            remedy="Finish the download, or save the model with save_pretrained().",
        )
    from huggingface_hub import get_safetensors_metadata

    try:
        return sum(get_safetensors_metadata(model).parameter_count.values())
    except Exception as error:  # anything the network or the hub's client can raise
        raise _unreachable(model) from error


def _count_in_header(file: Path) -> int:
    """https://huggingface.co/docs/safetensors: 8 bytes of length, then JSON with the shapes."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, file.stat().st_size)))
        return sum(prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{file.name} of {file.parent.name} ({file.stat().st_size:,} bytes) holds no weights "
            "that can be read.",
            remedy="Download it again; in a git clone, run 'git lfs pull'.",
        ) from error


def _is_folder(model: str | Path) -> bool:
    try:
        return Path(model).is_dir()
    except OSError:  # longer than a name may be
        return False


def _hub_folder(model: str) -> Path:
    """Where the hub's client keeps the JSON files of ``model``; fetched once when missing."""
    odd = model.count("/") != 1 or model.startswith((".", "/", "~"))
    if odd or len(model) > MAX_HUB_NAME or Path(model).exists():
        raise CheckpointError(
            f"{model[:MAX_HUB_NAME]!r} is not a checkpoint folder, nor a name on the Hugging Face "
            "hub.",
            remedy="Give a folder with config.json and .safetensors files, or a name such as "
            "Qwen/Qwen3-VL-8B-Instruct.",
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=_HUB_FILES, local_files_only=True))
    except Exception:  # not in the cache, or only in part
        pass
    try:
        return Path(snapshot_download(model, allow_patterns=_HUB_FILES))
    except Exception as error:  # anything the network or the hub's client can raise
        raise _unreachable(model) from error


def _unreachable(model: str) -> CheckpointError:
    return CheckpointError(
        f"{model} is not on this machine, and the Hugging Face hub did not give it.",
        remedy="Check the name and the network (HF_TOKEN for gated models), or give a folder that "
        "holds the checkpoint.",
    )


def read_json(file: Path, *, needed: bool = False) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint; empty where there is none.

    Raises:
        CheckpointError: it is not JSON, or it is ``needed`` and missing.
    """
    if not file.is_file():
        if needed:
            raise CheckpointError(
                f"{file.parent} is not a checkpoint: there is no {file.name} in it.",
                remedy="Give the folder that holds config.json and the .safetensors files.",
            )
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{file} is not valid JSON ({error}).", remedy="Download the checkpoint again."
        ) from error
    return value if isinstance(value, dict) else {}
