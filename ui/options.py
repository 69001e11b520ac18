"""The options of the commands, in values; knows nothing of what the commands do."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from core.planning.card import DEMO_MODEL
from core.planning.execution import MODES, PRECISIONS, QUANTISED
from core.planning.presets import PRESETS
from core.video.reading import READERS

Model = Annotated[str, typer.Option(help="A checkpoint folder, or a name on the Hugging Face hub.")]
Devices = Annotated[
    str,
    typer.Option("--devices", "--device", help="auto, cpu, cuda, cuda:N or cuda:0,cuda:2."),
]
Placing = Annotated[str, typer.Option("--placement", help=f"{', '.join(MODES)}.")]
MaxMemory = Annotated[
    str | None,
    typer.Option(help="Use at most so much of each device: 20GiB, or 20GiB,40GiB."),
]
Precision = Annotated[str | None, typer.Option(help=f"Weights held as: {', '.join(PRECISIONS)}.")]
Quantize = Annotated[
    str | None,
    typer.Option(help=f"Pack the weights: {', '.join(QUANTISED)}; the same as --precision."),
]
Preset = Annotated[
    str | None, typer.Option(help=f"{', '.join(PRESETS)}; options given beside it win.")
]
Reader = Annotated[str, typer.Option(help=f"What decodes the video: {', '.join(READERS)}.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--frame-store", help="Keep frames that were read here, not in the cache folder."),
]
NoStore = Annotated[bool, typer.Option("--no-frame-store", help="Keep no frames.")]
FrameFormat = Annotated[str, typer.Option(help="Keep frames as jpeg, or as png: exact, larger.")]
DEMO = str(DEMO_MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Which model, and how its weights are held."""

    model: Model = DEMO
    devices: Devices = "auto"
    placement: Placing = "auto"
    max_memory: MaxMemory = None
    precision: Precision = None
    quantize: Quantize = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined(Loading):
    """The same for what need not be here."""

    model: Annotated[
        str, typer.Option(help="A checkpoint folder or hub name; list shows those known offline.")
    ] = DEMO
    devices: Annotated[
        str,
        typer.Option(
            help="Plan for these: 2x24GiB, 80GB, L4, 4xL4, 2xH200, or L4,T4; or for this "
            "machine's: auto, cpu, cuda:0,cuda:2."
        ),
    ] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where frames that were read are kept."""

    frame_store: StoreFolder = None
    no_frame_store: NoStore = False
    frame_format: FrameFormat = "jpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A video: a file, or numbers in its place."""

    video: Annotated[Path | None, typer.Argument(help="A video file.")] = None
    size: Annotated[str | None, typer.Option(help="Instead of a file: 1280x720.")] = None
    duration: Annotated[float | None, typer.Option(help="Its length in seconds.")] = None
    frame_rate: Annotated[float, typer.Option(help="Its frames a second.")] = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where the page is to be found."""

    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="GRADIO_SERVER_NAME")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="Port to listen on.", envvar="GRADIO_SERVER_PORT")] = (
        7860
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """Many requests, and what becomes of them."""

    requests: Annotated[
        Path, typer.Argument(help="JSON lines with video, question, id and settings.")
    ]
    out: Annotated[Path, typer.Option(help="Answers as JSON lines; what is there is not redone.")]
    frames_only: Annotated[
        bool, typer.Option("--frames-only", help="Read and keep the frames; ask no model.")
    ] = False
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Videos that are read at the same time.")
    ] = 2


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field of the values that it takes, and hand it those.

    A parameter whose type is a dataclass stands for such a value; its options take its place.
    """
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    values: dict[str, Any] = {
        each.name: each.annotation for each in parameters if is_dataclass(each.annotation)
    }
    options = [
        option.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in parameters
        for option in (_options(values[each.name]) if each.name in values else [each])
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, kind in values.items():
            given[name] = kind(**{each.name: given.pop(each.name) for each in _options(kind)})
        command(**given)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in options}
    return run


def _options(kind: Any) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=_annotation(each, hints[each.name]),
        )
        for each in fields(kind)
    ]


def _annotation(field: Field[Any], hint: Any) -> Any:
    """What typer reads: fields of Settings have their meaning beside them."""
    if "meaning" not in field.metadata:
        return hint
    taken = str if field.name == "strategy" else hint
    return Annotated[taken, typer.Option(help=field.metadata["meaning"])]
