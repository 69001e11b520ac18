"""The command line, and the only place where engine, planning and page are put together."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import FramewiseError
from core.planning import ModelCard, Settings, Turn, load_card
from core.planning.execution import Execution
from core.planning.placement import settled
from core.video.info import VideoInfo
from core.video.reading import DEFAULT_READER, check_reader
from ui import given
from ui.given import errors
from ui.options import (
    AsJson,
    Batching,
    Described,
    Imagined,
    Keeping,
    Loading,
    Preset,
    Reader,
    Serving,
    with_options,
)

if TYPE_CHECKING:
    from core.asking import Foreseen
    from core.batch_files import Record
    from core.engine.base import Engine
    from core.video.store import FrameStore

cli = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
)


@cli.command()
@with_options
def serve(
    *, loading: Loading, serving: Serving, reader: Reader = DEFAULT_READER, keeping: Keeping
) -> None:
    """Start the page (the default)."""
    check_reader(reader)
    card, execution = load_card(loading.model), given.execution_of(loading)
    frames_from = given.frames_of(given.store_of(keeping))
    errors.print(f"Loading {card.name} …")
    from core.video.sandbox import warm
    from ui.page import launch

    warm(reader)
    engine = _loaded(card, loading, execution)
    launch(engine, host=serving.host, port=serving.port, reader=reader, frames_from=frames_from)


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
    from core.asking import foresee
    from core.engine.quantizing import check_packable
    from core.records import catalog_records, foreseen_record
    from ui.terminal import catalog_text, estimate_text

    if loading.model == "list":
        known = catalog_records()
        print(json.dumps(known) if as_json else catalog_text(known))
        return
    info, card = given.video_of(described, settings), load_card(loading.model)
    if loading.quantize is not None:  # a precision may be that of another program
        check_packable(card, loading.quantize)
    settings, turns = given.completed(settings, preset, card), [Turn("user", question)]
    there, execution = given.imagined_devices(loading), given.execution_of(loading)
    foreseen = foresee(info, settings, card, turns, devices=there, execution=execution)
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
    from core.asking import answer
    from ui.printing import print_answer

    check_reader(reader)
    card, info = load_card(loading.model), given.probed(video, settings)
    settings = given.completed(settings, preset, card)
    foreseen, load = _one_question(question, info, settings, card, loading)
    frames_from = given.frames_of(given.store_of(keeping))
    _quiet_libraries()
    engine, stop = load(), threading.Event()
    answering = answer(engine, foreseen, stop=stop, reader=reader, frames_from=frames_from)
    print_answer(answering, foreseen, as_json=as_json)


def _one_question(
    question: str, info: VideoInfo, settings: Settings, card: ModelCard, loading: Loading
) -> tuple[Foreseen, Callable[[], Engine]]:
    """What a question costs that is asked alone, if it fits, and what loads the model for it."""
    from core.asking import foresee_alone, require
    from core.engine.loading import load_held
    from core.engine.quantizing import check_precision
    from ui.meter import placed

    execution = given.execution_of(loading)
    check_precision(execution, card)
    there = given.devices_of(loading)
    turns = [Turn("user", question)]
    foreseen = foresee_alone(info, settings, card, turns, devices=there, execution=execution)
    require(foreseen)
    placement = foreseen.estimate.placement
    if placement.mode == "offload":
        errors.print(placed(foreseen.estimate))
    return foreseen, partial(load_held, card, *settled(placement, there, execution))


@cli.command()
@with_options
def batch(
    *,
    batching: Batching,
    loading: Loading,
    reader: Reader = DEFAULT_READER,
    preset: Preset = None,
    keeping: Keeping,
    settings: Settings,
) -> None:
    """Answer many requests, or only keep their frames, as they finish; goes on where it ended."""
    from core.batch_files import open_answers, read_requests
    from ui.printing import write_answers

    check_reader(reader)
    card, frames_only = load_card(loading.model), batching.frames_only
    store = given.store_of(keeping, frames_only=frames_only)
    asked = read_requests(
        batching.requests,
        settings,
        question_needed=not frames_only,
        complete=lambda own: given.completed(own, preset, card),
    )
    answers = open_answers(
        batching.out, asked, frames_only=frames_only, requests_file=batching.requests
    )
    left = [each for each in asked if not answers.has(each)]
    work = _work(card, loading, store, frames_only=frames_only)
    records = work(left, workers=batching.workers, reader=reader)
    if write_answers(answers, records, total=len(asked), left=len(left)):
        raise typer.Exit(2)


def _work(
    card: ModelCard, loading: Loading, store: FrameStore | None, *, frames_only: bool
) -> Callable[..., Generator[Record]]:
    """What is done with the requests of a batch: their frames are kept, or they are answered."""
    from core.batch import answer_all, keep_frames

    if frames_only and store is not None:
        return partial(keep_frames, card=card, store=store)
    execution, devices = given.execution_of(loading), given.devices_of(loading)
    _quiet_libraries()
    return partial(
        answer_all,
        card=card,
        load=lambda: _loaded(card, loading, execution),
        devices=devices,
        execution=execution,
        frames_from=given.frames_of(store),
    )


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
