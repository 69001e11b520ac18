"""What planning needs to know of a checkpoint, read from its JSON files; loads no weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import CheckpointError, SettingsError
from core.planning.catalog import Published, laid_over, named_like, published
from core.planning.checkpoint_files import (
    cached,
    count_parameters,
    download,
    hub_name,
    is_folder,
    read_json,
)
from core.planning.families import family_of
from core.planning.family import Family, Limits, PatchGrid, Route
from core.planning.measured import Measure, takes_videos, unlisted_family
from core.planning.shapes import (
    TextShape,
    VisionShape,
    idle_parameters,
    text_shape,
    vision_shape,
)
from core.planning.video_settings import (
    own_frame_side,
    own_frame_tokens,
    own_limits,
    own_patches,
)

DEMO_MODEL = Path(__file__).resolve().parents[2] / "assets" / "demo_model"


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
    if is_folder(model):
        return _card_of_folder(Path(model), name=Path(model).resolve().name, source=str(model))
    name = hub_name(str(model))
    folder = cached(name)
    if folder is not None:
        return _card_of_folder(folder, name=name, source=name)
    known = published(name)
    if known is not None:
        kind, processor = known.config["model_type"], known.video.get("video_processor_type")
        family = family_of(kind, processor)
        return _card(known, family, name=known.name, source=known.name, folder=None)
    return _card_of_folder(download(name), name=name, source=name)


def _card_of_folder(folder: Path, *, name: str, source: str) -> ModelCard:
    config = _completed(read_json(folder / "config.json", needed=True), name, folder.name)
    video = _video_settings(folder)
    family = _family(config, video, folder)
    parameters = count_parameters(folder, source)
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
    video = processor.get("video_processor") or {}  # where it is, transformers reads no other
    video = video or read_json(folder / "video_preprocessor_config.json")
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
        patches = own_patches(family, known.video)
        text, vision = _text(thinker), _vision(thinker)
        return ModelCard(
            name=name,
            source=source,
            folder=folder,
            family=family,
            patches=patches,
            routes=tuple(
                replace(route, limits=own_limits(family, route, known.video, patches))
                for route in family.routes
            ),
            frame_tokens=own_frame_tokens(family, known.video),
            frame_side=own_frame_side(family, known.video),
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
