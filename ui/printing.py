"""What the command line writes while it works: words as they come, records as they are ready."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing

import typer

from core.asking import Foreseen
from core.batch_files import Answers, Record
from core.engine.base import Event, Finished, Text
from core.records import answered_record
from ui.given import errors
from ui.render import actual_text


def print_answer(answering: Iterator[Event], foreseen: Foreseen, *, as_json: bool) -> None:
    """The words as they come, or one object at the end."""
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


def write_answers(answers: Answers, records: Generator[Record], *, total: int, left: int) -> int:
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
