"""What planning needs to know of a checkpoint, read from its JSON files; loads no weights."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from core.errors import CheckpointError, SettingsError
from core.planning.catalog import Published, laid_over, named_like, nearest, published
from core.planning.families import Family, Limits, PatchGrid, Route, family_of
from core.planning.measured import Measure, takes_videos, unlisted_family
from core.planning.shapes import (
    TextShape,
    VisionShape,
    idle_parameters,
    text_shape,
    vision_shape,
)

DEMO_MODEL = Path(__file__).resolve().parents[2] / "assets" / "demo_model"
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8_e4m3fn": 1, "int8": 1}
_PATCH_KEYS = ("patch_size", "merge_size", "temporal_patch_size")
_HUB_FILES = ["*.json", "*.jinja"]
MAX_HUB_NAME = 200  # the hub's own limit is 96 for each half


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A checkpoint, as far as planning goes.

    Attributes:
        name: what to call it: its name on the hub, or the folder's.
        source: what from_pretrained() takes: that name, or the folder's path.
        folder: where its JSON files (and, once downloaded, its weights) are; None where only the
            catalog knows it.
        family: its family's rules.
        patches: the family's patch grid, with what the checkpoint's own files say put over it.
        routes: the family's routes, their limits likewise.
        frame_tokens, frame_side: likewise, for frames of fixed cost; else None.
        context_tokens: the most tokens of prompt and reply together.
        parameters: number of weights.
        active_parameters: how many of them a token passes through.
        dtype: what the weights are stored in.
        text, vision: shapes that memory and time are computed from.
        measure: asks the real processor, where the family has no rules of its own; None elsewhere,
            and until core.measuring.measurable() has put it there.
    """

    name: str
    source: str
    folder: Path | None
    family: Family
    patches: PatchGrid
    routes: tuple[Route, ...]
    frame_tokens: int | None
    frame_side: int | None
    context_tokens: int
    parameters: int
    active_parameters: int
    dtype: str
    text: TextShape
    vision: VisionShape
    measure: Measure | None = field(default=None, repr=False, compare=False)

    @property
    def limits(self) -> Limits:
        """Those of the usual route."""
        return self.routes[0].limits

    def route(self, name: str | None) -> Route:
        """The route of that name, or the usual one.

        Raises:
            SettingsError: the family has no such route.
        """
        for route in self.routes:
            if name in (None, route.name):
                return route
        raise SettingsError(
            f"{self.family.name} has no route {name!r}.",
            remedy=f"Choose one of: {', '.join(route.name for route in self.routes)}.",
        )

    def family_route(self, name: str) -> Route:
        """The route as published for the whole family."""
        return next(route for route in self.family.routes if route.name == name)


@lru_cache(maxsize=64)
def load_card(model: str | Path = DEMO_MODEL) -> ModelCard:
    """The card of a checkpoint folder, or of a name on the Hugging Face hub.

    A folder's own files win, then those in the hub's cache, then the catalog, then the hub.

    Raises:
        CheckpointError: not a checkpoint, not reachable, or of a family without rules.
    """
    if _is_folder(model):
        return _card_of_folder(Path(model), name=Path(model).resolve().name, source=str(model))
    name = _hub_name(str(model))
    folder = _cached(name)
    if folder is not None:
        return _card_of_folder(folder, name=name, source=name)
    known = published(name)
    if known is not None:
        kind, processor = known.config["model_type"], known.video.get("video_processor_type")
        family = family_of(kind, processor)
        return _card(known, family, name=known.name, source=known.name, folder=None)
    return _card_of_folder(_download(name), name=name, source=name)


def _card_of_folder(folder: Path, *, name: str, source: str) -> ModelCard:
    config = _completed(read_json(folder / "config.json", needed=True), name, folder.name)
    video = _video_settings(folder)
    family = _family(config, video, folder)
    parameters = _parameters(folder, source)
    return _card(
        Published(
            name=name,
            config=config,
            video=video,
            parameters=parameters,
            active_parameters=0,  # not known yet
            dtype="",
        ),
        family,
        name=name,
        source=source,
        folder=folder,
    )


def _family(config: dict[str, Any], video: dict[str, Any], folder: Path) -> Family:
    """The listed family, or else one whose real processor has to be asked."""
    kind = config.get("model_type")
    try:
        return family_of(str(kind), video.get("video_processor_type"))
    except CheckpointError:
        if kind is None or not takes_videos(folder):
            raise
    patch_size = video.get("patch_size") or _vision(config).get("patch_size") or 14
    return unlisted_family(str(kind), folder, patch_size=int(patch_size))


def _completed(config: dict[str, Any], *names: str) -> dict[str, Any]:
    """The config in the catalog's form, laid over what the catalog has for one of ``names``.

    Old files hold the language model's part at the top level, and some leave to their class what
    it takes by default.
    """
    if "text_config" not in config and "hidden_size" in config:
        config = {**config, "text_config": config}
    for name in names:
        known = named_like(name)
        if known is not None and known.config.get("model_type") == config.get("model_type"):
            return laid_over(known.config, config)
    return config


def _video_settings(folder: Path) -> dict[str, Any]:
    """What the checkpoint's files say of videos, the processor's own numbers among it."""
    processor = read_json(folder / "processor_config.json")
    video = read_json(folder / "video_preprocessor_config.json")
    video = video or processor.get("video_processor") or {}
    video = video or read_json(folder / "preprocessor_config.json")
    own = {key: processor[key] for key in ("image_seq_length", "image_seq_len") if key in processor}
    return {**video, **own}


def _text(config: dict[str, Any]) -> dict[str, Any]:
    """The language model's part; older InternVL checkpoints call it otherwise."""
    text = config["llm_config"] if "llm_config" in config else config["text_config"]
    return dict(text)


def _dtype(*configs: dict[str, Any]) -> str:
    """What the weights are stored in, by its new or its old name in the first file that says it."""
    said = (config.get("dtype") or config.get("torch_dtype") for config in configs)
    return str(next(filter(None, said), "bfloat16"))


def _tied(config: dict[str, Any], text: dict[str, Any]) -> bool:
    return bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))


def _vision(config: dict[str, Any]) -> dict[str, Any]:
    """The vision tower's part; Molmo calls it otherwise."""
    elsewhere = "vision_config" not in config and "vit_config" in config
    return dict(config["vit_config" if elsewhere else "vision_config"])


def _card(
    known: Published, family: Family, *, name: str, source: str, folder: Path | None
) -> ModelCard:
    thinker = known.config.get("thinker_config") or known.config
    try:
        patches = _patches(family, known.video)
        text, vision = _text(thinker), _vision(thinker)
        return ModelCard(
            name=name,
            source=source,
            folder=folder,
            family=family,
            patches=patches,
            routes=tuple(
                replace(route, limits=_limits(route, known.video, patches))
                for route in family.routes
            ),
            frame_tokens=_frame_tokens(family, known.video),
            frame_side=_frame_side(family, known.video),
            context_tokens=int(text["max_position_embeddings"]),
            parameters=known.parameters,
            active_parameters=known.active_parameters or known.parameters - idle_parameters(text),
            dtype=known.dtype or _dtype(known.config, text),
            text=text_shape(text, tied=_tied(known.config, text)),
            vision=vision_shape(vision),
        )
    except KeyError as error:
        raise CheckpointError(
            f"config.json of {name} lacks {error}.",
            remedy="Download the checkpoint again, or choose another one; where it leaves out what "
            "its class takes by default, AutoConfig.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            " of transformers writes it out.",
        ) from error
    except (TypeError, ValueError, AttributeError) as error:  # words where numbers should be
        raise CheckpointError(
            f"config.json of {name} cannot be understood: {error}.",
            remedy="Download the checkpoint again, or choose another one.",
        ) from error


def _patches(family: Family, video: dict[str, Any]) -> PatchGrid:
    if family.frame_tokens is not None or family.routes[0].sizer == "measured":
        # one cost for every frame, or none that is known here: the grid is not the processor's
        return family.patches
    own = {key: int(video[key]) for key in _PATCH_KEYS if video.get(key)}
    if video.get("pooling_kernel_size"):
        own["merge_size"] = int(video["pooling_kernel_size"])
    return replace(family.patches, **own)


def _frame_tokens(family: Family, video: dict[str, Any]) -> int | None:
    own = video.get("image_seq_length") or video.get("image_seq_len")
    return family.frame_tokens and int(own or family.frame_tokens)


def _frame_side(family: Family, video: dict[str, Any]) -> int | None:
    """Pixels of a square frame's side: what the last resizing of the processor makes of it."""
    size = video.get("max_image_size") or video.get("size") or {}
    own = size.get("longest_edge") or size.get("height")
    return family.frame_side and int(own or family.frame_side)


def _limits(route: Route, video: dict[str, Any], patches: PatchGrid) -> Limits:
    """The route's limits with the checkpoint's own put over them.

    Frame counts and rate hold wherever the checkpoint states them. Its pixel limits are those of
    transformers' own resizing: qwen-vl-utils knows none of them, and only where the checkpoint
    asks for the cap per frame (``cap_pixels_per_frame``) do they mean what that means by them.
    """
    sampling = video.get("video_sampling") or {}  # SmolVLM's
    own = {key: video[key] for key in ("fps", "min_frames", "max_frames") if video.get(key)}
    own |= {key: sampling[key] for key in ("fps", "max_frames") if sampling.get(key)}
    if video.get("num_frames") and not own.get("fps") and route.limits.fps is None:
        own["max_frames"] = int(video["num_frames"])
    if route.name == "processor" and not route.own_limits:
        own |= _pixel_limits(route, video, patches)
    elif route.name == "qwen-vl-utils" and video.get("cap_pixels_per_frame"):
        own |= _capped(video, patches)
    return replace(route.limits, **own)


def _edges(video: dict[str, Any]) -> tuple[int | None, int | None]:
    """The least and most pixels, which older files call by other names."""
    size = video.get("size") or {}
    return (
        size.get("shortest_edge") or video.get("min_pixels"),
        size.get("longest_edge") or video.get("max_pixels"),
    )


def _capped(video: dict[str, Any], patches: PatchGrid) -> dict[str, float]:
    """Limits of a checkpoint that asks transformers for qwen-vl-utils' way with them.

    Qwen3-VL's processor means tokens of a frame by ``max_video_tokens``, Qwen2-VL's of a video.
    """
    shortest, longest = _edges(video)
    own: dict[str, float] = {}
    if shortest:
        own["min_frame_tokens"] = max(1, int(shortest) // patches.area)
    if patches.patch_size == 14:
        own["video_tokens"] = int(0.9 * int(video.get("max_video_tokens", 128_000)))
        if longest:
            own["max_frame_tokens"] = int(longest) // patches.area
    else:
        own["max_frame_tokens"] = int(video.get("max_video_tokens", 768))
        if longest:
            own["video_tokens"] = int(longest) // patches.temporal_patch_size // patches.area
    return own


def _pixel_limits(route: Route, video: dict[str, Any], patches: PatchGrid) -> dict[str, float]:
    """``shortest_edge`` and ``longest_edge`` as tokens, for rules that look at an area."""
    shortest, longest = _edges(video)
    capped = bool(video.get("cap_pixels_per_frame"))
    own: dict[str, float] = {}
    if route.sizer == "soft" and video.get("max_soft_tokens"):
        own["max_frame_tokens"] = int(video["max_soft_tokens"])
    if route.sizer in ("per_frame", "share"):
        if shortest:
            own["min_frame_tokens"] = int(shortest) / patches.area
        if longest:
            own["max_frame_tokens"] = int(longest) / patches.area
        if capped:
            own["video_tokens"] = 0.9 * int(video.get("max_video_tokens", 128_000))
    if route.sizer == "per_video":
        per_token = patches.area * patches.temporal_patch_size
        if shortest:
            own["min_video_tokens"] = int(shortest) / per_token
        if longest:
            own["video_tokens"] = int(longest) / per_token
            own["max_frame_tokens"] = own["video_tokens"]
        if capped:
            own["max_frame_tokens"] = int(video.get("max_video_tokens", 768))
    return own


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


def _hub_name(model: str) -> str:
    """``model`` if it can be a name on the hub.

    Raises:
        CheckpointError: it cannot.
    """
    odd = model.count("/") != 1 or model.startswith((".", "/", "~"))
    if odd or len(model) > MAX_HUB_NAME or Path(model).exists():
        alike = nearest(model[:MAX_HUB_NAME])
        raise CheckpointError(
            f"{model[:MAX_HUB_NAME]!r} is not a checkpoint folder, nor a name on the Hugging Face "
            "hub.",
            remedy="Give a folder with config.json and .safetensors files, or a name such as "
            f"{' or '.join(alike) or 'Qwen/Qwen3-VL-8B-Instruct'}.",
        )
    return model


def _cached(name: str) -> Path | None:
    """Where the hub's client keeps the JSON files of ``name``, if it has them."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=True))
    except Exception:  # not in the cache, or only in part
        return None
    return folder if (folder / "config.json").is_file() else None


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except Exception as error:  # anything the network or the hub's client can raise
        raise _unreachable(name) from error


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
