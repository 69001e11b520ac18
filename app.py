"""The command line, and the only place where engine, planning and page are put together."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import FramewiseError, SettingsError
from core.planning.card import load_card
from core.planning.prompt import Turn
from core.planning.settings import Settings
from core.video.reading import DEFAULT_READER, check_reader
from ui.given import (
    devices_of,
    errors,
    execution_of,
    frames_of,
    imagined_devices,
    probed,
    store_of,
    video_of,
)
from ui.options import (
    AsJson,
    Described,
    Imagined,
    Keeping,
    Loading,
    Preset,
    Reader,
    with_options,
)

if TYPE_CHECKING:
    from core.asking import Foreseen
    from core.batch_files import Answers
    from core.engine.base import Engine, Event
    from core.planning.card import ModelCard
    from core.planning.memory import Execution

cli = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
)


@cli.command()
@with_options
def serve(
    *,
    loading: Loading,
    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="GRADIO_SERVER_NAME")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on.", envvar="GRADIO_SERVER_PORT")
    ] = 7860,
    reader: Reader = DEFAULT_READER,
    keeping: Keeping,
) -> None:
    """Start the page (the default)."""
    check_reader(reader)
    card, execution = load_card(loading.model), execution_of(loading)
    frames_from = frames_of(store_of(keeping))
    errors.print(f"Loading {card.name} …")
    from core.video.sandbox import warm
    from ui.page import launch

    warm(reader)
    engine = _loaded(card, loading, execution)
    launch(engine, host=host, port=port, reader=reader, frames_from=frames_from)


@cli.command()
@with_options
def estimate(
    *,
    described: Described,
    question: Annotated[str, typer.Option(help="Count this question too.")] = "",
    loading: Imagined,
    preset: Preset = None,
    as_json: AsJson = False,
    settings: Settings,
) -> None:
    """Foretell frames, tokens, memory and seconds, without loading a model."""
    from core.asking import foresee, with_preset
    from core.engine.quantizing import check_packable
    from core.records import catalog_records, foreseen_record
    from ui.terminal import catalog_text, estimate_text

    if loading.model == "list":
        known = catalog_records()
        print(json.dumps(known) if as_json else catalog_text(known))
        return
    info = video_of(described, settings)
    card = load_card(loading.model)
    if loading.quantize is not None:  # a precision may be that of another program
        check_packable(card, loading.quantize)
    foreseen = foresee(
        info,
        settings if preset is None else with_preset(preset, settings, card),
        card,
        [Turn("user", question)],
        devices=imagined_devices(loading),
        execution=execution_of(loading),
    )
    print(json.dumps(foreseen_record(foreseen)) if as_json else estimate_text(foreseen))


@cli.command()
@with_options
def ask(
    *,
    video: Annotated[Path, typer.Argument(help="A video file.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    loading: Loading,
    reader: Reader = DEFAULT_READER,
    preset: Preset = None,
    keeping: Keeping,
    as_json: AsJson = False,
    settings: Settings,
) -> None:
    """Ask one question about a video and print the answer."""
    from core.asking import answer, foresee_alone, require, with_preset
    from core.engine.loading import load_held
    from core.engine.quantizing import check_precision
    from core.planning.placement import settled
    from ui.meter import placed

    check_reader(reader)
    card, info = load_card(loading.model), probed(video, settings)
    if preset is not None:
        settings = with_preset(preset, settings, card)
    execution = execution_of(loading)
    check_precision(execution, card)
    there = devices_of(loading)
    turns = [Turn("user", question)]
    foreseen = foresee_alone(info, settings, card, turns, devices=there, execution=execution)
    require(foreseen)  # before the weights are loaded
    if foreseen.estimate.placement.mode == "offload":
        errors.print(placed(foreseen.estimate))
    frames_from = frames_of(store_of(keeping))
    _quiet_libraries()
    engine = load_held(card, *settled(foreseen.estimate.placement, there, execution))
    stop = threading.Event()
    answering = answer(engine, foreseen, stop=stop, reader=reader, frames_from=frames_from)
    _print_answer(answering, foreseen, as_json=as_json)


def _print_answer(answering: Iterator[Event], foreseen: Foreseen, *, as_json: bool) -> None:
    """The words as they come, or one object at the end."""
    from core.engine.base import Finished, Text
    from core.records import answered_record
    from ui.render import actual_text

    pieces: list[str] = []
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
@with_options
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
    loading: Loading,
    reader: Reader = DEFAULT_READER,
    preset: Preset = None,
    keeping: Keeping,
    settings: Settings,
) -> None:
    """Answer many requests, or only keep their frames, as they finish; goes on where it ended."""
    from core import batch as work
    from core.asking import with_preset
    from core.batch_files import open_answers, read_requests

    check_reader(reader)
    card = load_card(loading.model)
    store = store_of(keeping)
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
        execution, held = execution_of(loading), devices_of(loading)
        records = work.answer_all(
            open_ones,
            card,
            lambda: _loaded(card, loading, execution),
            devices=held,
            execution=execution,
            frames_from=frames_of(store),
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


def _loaded(card: ModelCard, loading: Loading, execution: Execution) -> Engine:
    from core.engine.loading import load_engine

    return load_engine(
        card, device=loading.devices, max_memory=loading.max_memory, execution=execution
    )


def _quiet_libraries() -> None:
    """One answer wants no progress bars and no advice about other uses of the libraries."""
    from transformers.utils import logging

    from core.engine.quantizing import quiet

    quiet()
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
