"""The options that several commands have in common; knows nothing of what the commands do."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from core.planning.card import DEMO_MODEL
from core.planning.memory import MODES, PRECISIONS, QUANTISED
from core.planning.presets import PRESETS
from core.planning.settings import Settings
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


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field of Settings, and hand it the Settings."""
    hints = typing.get_type_hints(Settings)
    options = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=Annotated[
                str if each.name == "strategy" else hints[each.name],  # noqa: F821
                typer.Option(help=each.metadata["meaning"]),
            ],
        )
        for each in dataclasses.fields(Settings)
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "settings"
    ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        chosen = {each.name: values.pop(each.name) for each in options}
        command(settings=Settings(**chosen), **values)

    run.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in [*own, *options]}
    return run
