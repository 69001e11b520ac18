"""The command line, and the only place where engine, planning and page are put together."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from core.errors import FramewiseError, SettingsError
from core.planning.card import load_card
from core.planning.devices import Device, limited
from core.planning.machine import devices_named
from core.planning.memory import QUANTISED, Execution
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.video.info import VideoInfo, describe_video
from core.video.reading import DEFAULT_READER, check_reader
from ui.options import (
    DEMO,
    AsJson,
    Devices,
    FrameFormat,
    MaxMemory,
    Model,
    NoStore,
    Placing,
    Precision,
    Preset,
    Quantize,
    Reader,
    StoreFolder,
    with_settings,
)

if TYPE_CHECKING:
    from core.batch_files import Answers
    from core.video.store import FrameStore
    from core.video.wanted import FrameSource

cli = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


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
    frame_store: StoreFolder = None,
    no_frame_store: NoStore = False,
    frame_format: FrameFormat = "jpeg",
) -> None:
    """Start the page (the default)."""
    check_reader(reader)
    card, execution = load_card(model), _execution(precision, quantize, placement)
    frames_from = _frames_from(frame_store, off=no_frame_store, image_format=frame_format)
    errors.print(f"Loading {card.name} …")
    from core.engine.loading import load_engine
    from core.video.sandbox import warm
    from ui.page import launch

    warm(reader)
    engine = load_engine(card, device=devices, max_memory=max_memory, execution=execution)
    launch(engine, host=host, port=port, reader=reader, frames_from=frames_from)


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
    info = _video(video, settings, size=size, duration=duration, frame_rate=frame_rate)
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
    frame_store: StoreFolder = None,
    no_frame_store: NoStore = False,
    frame_format: FrameFormat = "jpeg",
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
    from ui.meter import placed
    from ui.render import actual_text

    check_reader(reader)
    card, info = load_card(model), _probed(video, settings)
    if preset is not None:
        settings = with_preset(preset, settings, card)
    execution = _execution(precision, quantize, placement)
    check_precision(execution, card)
    there = with_host(choose_devices(devices, max_memory))
    turns = [Turn("user", question)]
    foreseen = foresee_alone(info, settings, card, turns, devices=there, execution=execution)
    require(foreseen)  # before the weights are loaded
    if foreseen.estimate.placement.mode == "offload":
        errors.print(placed(foreseen.estimate))
    frames_from = _frames_from(frame_store, off=no_frame_store, image_format=frame_format)
    _quiet_libraries()
    engine = load_held(card, *settled(foreseen.estimate.placement, there, execution))
    pieces: list[str] = []
    answering = answer(
        engine, foreseen, stop=threading.Event(), reader=reader, frames_from=frames_from
    )
    for event in answering:
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
@with_settings
def batch(
    *,
    requests: Annotated[
        Path, typer.Argument(help="JSON lines with video, question, id and settings.")
    ],
    out: Annotated[Path, typer.Option(help="Answers as JSON lines; what is there is not redone.")],
    frames_only: Annotated[
        bool, typer.Option("--frames-only", help="Read and keep the frames; ask no model.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Videos that are read at the same time.")
    ] = 2,
    model: Model = DEMO,
    devices: Devices = "auto",
    placement: Placing = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = None,
    quantize: Quantize = None,
    reader: Reader = DEFAULT_READER,
    preset: Preset = None,
    frame_store: StoreFolder = None,
    no_frame_store: NoStore = False,
    frame_format: FrameFormat = "jpeg",
    settings: Settings,
) -> None:
    """Answer many requests, or only keep their frames, as they finish; goes on where it ended."""
    from core import batch as work
    from core.asking import with_preset
    from core.batch_files import open_answers, read_requests
    from core.video import iter_frames

    check_reader(reader)
    card = load_card(model)
    store = _store(frame_store, off=no_frame_store, image_format=frame_format)
    if frames_only and store is None:
        raise SettingsError(
            "--frames-only keeps frames, and there is no folder to keep them in.",
            remedy="Leave --no-frame-store out, and give a folder that may be written.",
        )
    asked = read_requests(
        requests,
        settings,
        question_needed=not frames_only,
        complete=lambda own: own if preset is None else with_preset(preset, own, card),
    )
    answers = open_answers(out, asked, frames_only=frames_only, requests_file=requests)
    open_ones = [each for each in asked if not answers.has(each)]
    if frames_only and store is not None:
        records = work.keep_frames(open_ones, card, store, workers=workers, reader=reader)
    else:
        from core.engine.loading import choose_devices, load_engine, with_host

        execution = _execution(precision, quantize, placement)
        records = work.answer_all(
            open_ones,
            card,
            lambda: load_engine(card, device=devices, max_memory=max_memory, execution=execution),
            devices=with_host(choose_devices(devices, max_memory)),
            frames_from=iter_frames if store is None else store.frames,
            workers=workers,
            reader=reader,
        )
        _quiet_libraries()
    failed = _written(answers, records, total=len(asked), left=len(open_ones))
    if failed:
        raise typer.Exit(2)


def _written(answers: Answers, records: Generator[dict[str, Any]], *, total: int, left: int) -> int:
    """Write what comes until all is done or Ctrl-C; how many requests failed."""
    done, failed = 0, 0
    try:
        with closing(answers), closing(records):
            for record in records:
                answers.write(record)
                done, failed = done + 1, failed + ("error" in record)
    except KeyboardInterrupt:
        errors.print(f"Stopped: {total - left + done} of {total} are done, {failed} failed.")
        errors.print("The same command goes on from here.")
        raise typer.Exit(130) from None
    errors.print(f"{total} requests: {done - failed} done, {failed} failed, {total - left} before.")
    return failed


@cli.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine can run, and what is missing."""
    from core.doctor import examine, report

    found = examine()
    print(json.dumps(found) if as_json else report(found))
    if found["problems"]:
        raise typer.Exit(2)


def _video(
    path: Path | None,
    settings: Settings,
    *,
    size: str | None,
    duration: float | None,
    frame_rate: float,
) -> VideoInfo:
    if path is not None and size is None and duration is None:
        return _probed(path, settings)
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


def _store(folder: Path | None, *, off: bool, image_format: str) -> FrameStore | None:
    from core.video.place import open_store

    if off and folder is not None:
        raise SettingsError(
            "Both --frame-store and --no-frame-store are given.", remedy="Leave one of them out."
        )
    return None if off else open_store(folder, image_format=image_format)


def _probed(path: Path, settings: Settings) -> VideoInfo:
    """What the file is, and where the strategy draws on it, what happens when."""
    from core.video import probe, profiled

    info = probe(path)
    if settings.strategy != "scenes":
        return info
    errors.print(f"Looking for scenes in {path.name} …", style="dim")
    return profiled(info)


def _frames_from(folder: Path | None, *, off: bool, image_format: str) -> FrameSource:
    from core.video import iter_frames

    store = _store(folder, off=off, image_format=image_format)
    return iter_frames if store is None else store.frames


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
