"""The files of a batch: requests in, one a line, and answers out, one a line; both JSON lines.

A line that is no request becomes a refusal of its own. Answers are only ever added, so that a batch
that was ended at any moment goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

from core.errors import FramewiseError, SettingsError
from core.planning.settings import Settings

SETTINGS = tuple(each.name for each in fields(Settings))
EXAMPLE = '{"id": 1, "video": "clip.mp4", "question": "What happens?", "fps": 2}'
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        id: as the line says, a word or a number; the line's number where it says none.
        video: the path as the line says.
        question: empty where only frames are wanted.
        settings: the line's own, over those of the whole batch.
    """

    id: str | int
    video: str
    question: str
    settings: Settings

    @property
    def head(self) -> Record:
        """What the line of its answer begins with."""
        return {"id": self.id, "path": self.video, "question": self.question}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that is no request, and why."""

    head: Record
    error: FramewiseError


def read_requests(
    file: Path,
    settings: Settings,
    *,
    question_needed: bool,
    complete: Callable[[Settings], Settings] = lambda settings: settings,
) -> list[Asked | Refused]:
    """The requests in ``file``; ``settings`` hold where a line says nothing else.

    ``complete`` may fill in what a line and they leave open.

    Raises:
        SettingsError: the file cannot be read, or holds no line.
    """
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise SettingsError(
            f"The requests {file} cannot be read: {error.strerror}.",
            remedy=f"Give a file with one request a line, for example {EXAMPLE}",
        ) from error
    found: list[Asked | Refused] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        head: Record = {"id": None, "line": number}
        try:
            stated = _object(line)
            head |= {"id": _id(stated, number), "path": stated.get("video")}
            asked = _asked(stated, number, settings, question_needed=question_needed)
            first = seen.setdefault(json.dumps(asked.id), number)
            if first != number:
                raise SettingsError(
                    f"Lines {first:,} and {number:,} have the same id, {asked.id!r}.",
                    remedy="Give each request an id of its own, or none.",
                )
            found.append(replace(asked, settings=complete(asked.settings)))
        except FramewiseError as error:
            found.append(Refused(head=head, error=error))
    if not found:
        raise SettingsError(
            f"The requests {file} are empty.", remedy=f"Write one a line, for example {EXAMPLE}"
        )
    return found


def _object(line: bytes) -> Record:
    try:
        stated = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"The line is not JSON: {error}.", remedy=f"Write one object a line: {EXAMPLE}"
        ) from error
    if not isinstance(stated, dict):
        raise SettingsError("The line is no JSON object.", remedy=f"Write for example {EXAMPLE}")
    return stated


def _id(stated: Record, number: int) -> str | int:
    found = stated.get("id", number)
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise SettingsError(
            f"The id {str(found)[:80]!r} is no word and no whole number.",
            remedy="Give a word or a whole number, or no id.",
        )
    return found


def _asked(stated: Record, number: int, settings: Settings, *, question_needed: bool) -> Asked:
    unknown = sorted(set(stated) - {"id", "video", "question", *SETTINGS})
    if unknown:
        raise SettingsError(
            f"A request has no {', '.join(map(repr, unknown))}.",
            remedy=f"It has id, video, question, {', '.join(SETTINGS)}.",
        )
    video, question = stated.get("video"), stated.get("question", "")
    if not isinstance(video, str) or not video:
        raise SettingsError("The request names no video.", remedy=f"Write for example {EXAMPLE}")
    if not isinstance(question, str) or (question_needed and not question.strip()):
        raise SettingsError(
            "The request asks no question.",
            remedy=f"Write for example {EXAMPLE} Only --frames-only needs none.",
        )
    own = {name: stated[name] for name in SETTINGS if name in stated}
    for name, value in own.items():
        word = name in ("strategy", "route")
        good = str if word else (int, float)
        if value is not None and (isinstance(value, bool) or not isinstance(value, good)):
            raise SettingsError(
                f"{name} is {str(value)[:80]!r}.",
                remedy=f"Set {name} to a {'word' if word else 'number'}, without it to null.",
            )
    return Asked(
        id=_id(stated, number), video=video, question=question, settings=replace(settings, **own)
    )


class Answers:
    """The file of answers; ``write`` adds a line. Made by ``open_answers``."""

    def __init__(self, file: IO[bytes], done: frozenset[str], *, frames_only: bool) -> None:
        self._file, self._done, self._frames_only = file, done, frames_only

    def has(self, asked: Asked | Refused) -> bool:
        """Whether an earlier run answered it."""
        return isinstance(asked, Asked) and _key(asked.head, self._frames_only) in self._done

    def write(self, record: Record) -> None:
        """Add one line, at once."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing more is added."""
        self._file.close()


def open_answers(
    file: Path,
    requests: Iterable[Asked | Refused],
    *,
    frames_only: bool,
    requests_file: Path | None = None,
) -> Answers:
    """Go on with ``file``, or begin it.

    A last line that is torn is removed, and so are the errors of requests that are tried again.

    Raises:
        SettingsError: it cannot be written, holds something else than answers, or is the file of
            the requests.
    """
    place = file.resolve()
    if requests_file is not None and requests_file.resolve() == place:
        raise SettingsError(
            f"{file} holds the requests.", remedy="Choose another file for the answers."
        )
    again = {_key(each.head, frames_only) for each in requests}
    try:
        data = place.read_bytes() if place.is_file() else b""
        kept: list[bytes] = []
        done: set[str] = set()
        for line, record in _records(file, data):
            key = _key(record, frames_only)
            if "error" not in record:
                if _is_there(record, frames_only):
                    done.add(key)
            elif key in again or record["id"] is None:
                continue
            kept.append(line + b"\n")
        if b"".join(kept) != data:
            _replace(place, b"".join(kept))
        return Answers(place.open("ab"), frozenset(done), frames_only=frames_only)
    except OSError as error:
        raise SettingsError(
            f"The answers {file} cannot be written: {error.strerror}.",
            remedy="Choose a file in a folder that may be written.",
        ) from error


def _records(file: Path, data: bytes) -> Iterator[tuple[bytes, Record]]:
    """Each line and what it holds, without a torn last one."""
    *whole, last = data.split(b"\n")
    for number, line in enumerate([*whole, last], start=1):
        if not line.strip():
            continue
        try:
            record = _object(line)
        except SettingsError:
            if number > len(whole):
                return
            record = {}
        if "id" not in record or not ("error" in record or "frames" in record):
            raise SettingsError(
                f"{file}, line {number:,}, is no answer of a batch.",
                remedy="Choose another file for --out: this one holds something else.",
            )
        yield line, record


def _is_there(record: Record, frames_only: bool) -> bool:
    """Whether the record holds what is wanted; kept frames may have been evicted since."""
    if not frames_only:
        return "answer" in record
    return "folder" in record and Path(str(record["folder"])).is_dir()


def _key(record: Record, frames_only: bool) -> str:
    names = ("id", "path") if frames_only else ("id", "path", "question")
    return json.dumps([record.get(name) for name in names])


def _replace(place: Path, data: bytes) -> None:
    """In one step: whoever ends the program now leaves the old file or the new one."""
    new = place.with_name(f"{place.name}.{os.getpid()}.new")
    try:
        new.write_bytes(data)
        shutil.copymode(place, new)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
