"""The command line, and the only place where engine, planning and page are put together."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import re
import sys
import threading
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from core.errors import FramewiseError, SettingsError
from core.planning.card import DEMO_MODEL, load_card
from core.planning.devices import Device, limited
from core.planning.machine import devices_named
from core.planning.memory import MODES, PRECISIONS, QUANTISED, Execution
from core.planning.presets import PRESETS
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.video.info import VideoInfo, describe_video
from core.video.reading import DEFAULT_READER, READERS, check_reader

cli = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

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


@cli.command()
def serve(
    model: Model = DEMO,
    devices: Devices = "auto",
    placement: Placing = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = None,
    quantize: Quantize = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="GRADIO_SERVER_NAME")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on.", envvar="GRADIO_SERVER_PORT")
    ] = 7860,
    reader: Reader = DEFAULT_READER,
) -> None:
    """Start the page (the default)."""
    check_reader(reader)
    card, execution = load_card(model), _execution(precision, quantize, placement)
    errors.print(f"Loading {card.name} …")
    from core.engine.loading import load_engine
    from ui.page import launch

    engine = load_engine(card, device=devices, max_memory=max_memory, execution=execution)
    launch(engine, host=host, port=port, reader=reader)


@cli.command()
@with_settings
def estimate(
    *,
    video: Annotated[Path | None, typer.Argument(help="A video file.")] = None,
    size: Annotated[str | None, typer.Option(help="Instead of a file: 1280x720.")] = None,
    duration: Annotated[float | None, typer.Option(help="Its length in seconds.")] = None,
    frame_rate: Annotated[float, typer.Option(help="Its frames a second.")] = 30.0,
    question: Annotated[str, typer.Option(help="Count this question too.")] = "",
    model: Annotated[
        str, typer.Option(help="A checkpoint folder or hub name; list shows those known offline.")
    ] = DEMO,
    devices: Annotated[
        str,
        typer.Option(
            help="Plan for these: 2x24GiB, 80GB, L4, 4xL4, 2xH200, or L4,T4; or for this "
            "machine's: auto, cpu, cuda:0,cuda:2."
        ),
    ] = "auto",
    placement: Placing = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = None,
    quantize: Quantize = None,
    preset: Preset = None,
    as_json: AsJson = False,
    settings: Settings,
) -> None:
    """Foretell frames, tokens, memory and seconds, without loading a model."""
    from core.asking import foresee, with_preset
    from core.records import catalog_records, foreseen_record
    from ui.terminal import catalog_text, estimate_text

    if model == "list":
        known = catalog_records()
        print(json.dumps(known) if as_json else catalog_text(known))
        return
    info = _video(video, size=size, duration=duration, frame_rate=frame_rate)
    card = load_card(model)
    foreseen = foresee(
        info,
        settings if preset is None else with_preset(preset, settings, card),
        card,
        [Turn("user", question)],
        devices=_planned(devices, max_memory),
        execution=_execution(precision, quantize, placement),
    )
    print(json.dumps(foreseen_record(foreseen)) if as_json else estimate_text(foreseen))


@cli.command()
@with_settings
def ask(
    *,
    video: Annotated[Path, typer.Argument(help="A video file.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    model: Model = DEMO,
    devices: Devices = "auto",
    placement: Placing = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = None,
    quantize: Quantize = None,
    reader: Reader = DEFAULT_READER,
    preset: Preset = None,
    as_json: AsJson = False,
    settings: Settings,
) -> None:
    """Ask one question about a video and print the answer."""
    from core.asking import answer, foresee_alone, require, with_preset
    from core.engine.base import Finished, Text
    from core.engine.loading import choose_devices, load_held, with_host
    from core.engine.quantizing import check_precision
    from core.planning.placement import settled
    from core.records import answered_record
    from core.video import probe
    from ui.meter import placed
    from ui.render import actual_text

    check_reader(reader)
    card, info = load_card(model), probe(video)
    if preset is not None:
        settings = with_preset(preset, settings, card)
    execution = _execution(precision, quantize, placement)
    check_precision(execution)
    there = with_host(choose_devices(devices, max_memory))
    turns = [Turn("user", question)]
    foreseen = foresee_alone(info, settings, card, turns, devices=there, execution=execution)
    require(foreseen)  # before the weights are loaded
    if foreseen.estimate.placement.mode == "offload":
        errors.print(placed(foreseen.estimate))
    _quiet_libraries()
    engine = load_held(card, *settled(foreseen.estimate.placement, there, execution))
    pieces: list[str] = []
    for event in answer(engine, foreseen, stop=threading.Event(), reader=reader):
        if isinstance(event, Text):
            pieces.append(event.text)
            if not as_json:
                print(event.text, end="", flush=True)
        elif isinstance(event, Finished) and as_json:
            print(json.dumps(answered_record(foreseen, "".join(pieces), event)))
        elif isinstance(event, Finished):
            print()
            errors.print(actual_text(foreseen, event), style="dim")


@cli.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine can run, and what is missing."""
    from core.doctor import examine, report

    found = examine()
    print(json.dumps(found) if as_json else report(found))
    if found["problems"]:
        raise typer.Exit(2)


def _video(
    path: Path | None, *, size: str | None, duration: float | None, frame_rate: float
) -> VideoInfo:
    if path is not None and size is None and duration is None:
        from core.video import probe

        return probe(path)
    if path is not None or size is None or duration is None:
        raise SettingsError(
            "Give either a video file, or --size and --duration.",
            remedy="For example: estimate clip.mp4, or estimate --size 1280x720 --duration 60.",
        )
    numbers = re.fullmatch(r"(-?\d{1,9})x(-?\d{1,9})", size.lower())
    if numbers is None:
        raise SettingsError(
            f"{size!r} is not a size.", remedy="Write width x height, for example 1280x720."
        )
    return describe_video(
        width=int(numbers[1]),
        height=int(numbers[2]),
        duration_seconds=duration,
        frame_rate=frame_rate,
    )


def _execution(precision: str | None, quantize: str | None, placement: str) -> Execution:
    if quantize is not None and (precision is not None or quantize not in QUANTISED):
        raise SettingsError(
            f"--quantize {quantize} does not go with --precision {precision}."
            if precision is not None
            else f"There is no quantisation {quantize!r}.",
            remedy=f"Give one of them: --quantize {' or '.join(QUANTISED)}, or --precision.",
        )
    return Execution(precision=quantize or precision, placement=placement)


def _planned(text: str, max_memory: str | None) -> tuple[Device, ...]:
    """Devices to plan for: this machine's by their names, or any by name or size."""
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?(,cuda(:\d+)?)*", text):
        from core.engine.loading import choose_devices, with_host

        return with_host(choose_devices(text, max_memory))
    found = devices_named(text)
    return found if max_memory is None else limited(found, max_memory)


def _quiet_libraries() -> None:
    """One answer wants no progress bars and no advice about other uses of the libraries."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def main() -> None:
    """Run the command line; 0 for success, 2 for what the user can mend, 1 for a defect."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    try:
        cli(arguments)
    except FramewiseError as error:
        errors.print(error.message, style="bold")
        if error.remedy:
            errors.print(error.remedy)
        sys.exit(2)


if __name__ == "__main__":
    main()
