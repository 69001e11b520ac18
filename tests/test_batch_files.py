"""Lines that ask and lines that answer: a bad one is refused alone, and none is done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_by_hand import records, requests
from core.batch_files import Asked, Refused, open_answers
from core.errors import SettingsError
from core.planning import Settings

BAD_LINES = {
    "not JSON": (b"what?", "not JSON"),
    "cut off": (b'{"video": "a.mp4", "quest', "not JSON"),
    "not UTF-8": (b'{"video": "\xff.mp4"}', "not JSON"),
    "very deep": (b"[" * 100_000, "not JSON"),
    "no object": (b'["a.mp4", "What?"]', "no JSON object"),
    "no video": ({"question": "What?"}, "names no video"),
    "a number for a video": ({"video": 3, "question": "What?"}, "names no video"),
    "no question": ({"video": "a.mp4"}, "asks no question"),
    "an empty question": ({"video": "a.mp4", "question": " "}, "asks no question"),
    "an unknown setting": ({"video": "a.mp4", "question": "?", "fsp": 2}, "'fsp'"),
    "a word for a number": ({"video": "a.mp4", "question": "?", "fps": "2"}, "fps is '2'"),
    "a truth for a number": ({"video": "a.mp4", "question": "?", "fps": True}, "fps is 'True'"),
    "a number for a word": ({"video": "a.mp4", "question": "?", "strategy": 1}, "strategy is '1'"),
    "out of range": ({"video": "a.mp4", "question": "?", "fps": -1}, "fps is -1"),
    "an id that is none": ({"id": [1], "video": "a.mp4", "question": "?"}, "The id"),
    "an id used before": ({"id": "good", "video": "a.mp4", "question": "?"}, "the same id"),
}


@pytest.mark.parametrize(("line", "what"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_refused_alone(write: Callable[..., Path], line: Any, what: str) -> None:
    good = {"id": "good", "video": "b.mp4", "question": "Why?"}
    found = requests(write(good, line, {**good, "id": "other"}))
    assert [isinstance(each, Asked) for each in found] == [True, False, True]
    assert isinstance(found[1], Refused)
    assert what in found[1].error.message
    assert found[1].error.remedy
    assert found[1].head["line"] == 2


def test_settings_of_a_line_win(write: Callable[..., Path]) -> None:
    line = {"video": "a.mp4", "question": "?", "fps": 3, "max_frames": None, "strategy": "uniform"}
    (found,) = requests(write(b"", line, b"  "))
    assert isinstance(found, Asked)
    assert found.id == 2
    assert found.settings == Settings(fps=3, max_frame_tokens=16, strategy="uniform")


@pytest.mark.parametrize("text", [None, b"", b"\n \n"], ids=["missing", "empty", "blank"])
def test_no_requests(tmp_path: Path, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / "requests.jsonl").write_bytes(text)
    with pytest.raises(SettingsError):
        requests(tmp_path / "requests.jsonl")


DONE = {"id": 1, "path": "a.mp4", "question": "?", "frames": {}, "answer": "Yes."}
FAILED = {"id": 2, "path": "b.mp4", "question": "?", "error": {}}
FOREIGN = {"id": 9, "path": "z.mp4", "question": "?", "error": {}}


def _lines(*found: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, []),
        (b"", []),
        (_lines(DONE), [DONE]),
        (_lines(DONE)[:-1], [DONE]),
        (_lines(DONE) + _lines(FAILED)[:-9], [DONE]),
        (_lines(FAILED)[:-9], []),
        (_lines(FAILED, DONE), [DONE]),
        (_lines(FOREIGN, DONE), [FOREIGN, DONE]),
        (_lines({"id": None, "line": 3, "error": {}}, DONE), [DONE]),
    ],
    ids=["none", "empty", "done", "no line end", "torn", "only torn", "failed", "others'", "no id"],
)
def test_answers_are_gone_on_with(
    write: Callable[..., Path], tmp_path: Path, before: bytes | None, after: list[dict[str, Any]]
) -> None:
    out = tmp_path / "answers.jsonl"
    if before is not None:
        out.write_bytes(before)
    asked = requests(
        write(
            *(
                {"id": i, "video": f"{name}.mp4", "question": "?"}
                for i, name in [(1, "a"), (2, "b")]
            )
        )
    )
    answers = open_answers(out, asked, frames_only=False)
    assert [answers.has(each) for each in asked] == [DONE in after, False]
    answers.write(FAILED)
    answers.close()
    assert records(out) == [*after, FAILED]
    assert list(tmp_path.glob("*.new")) == []


def test_the_same_id_for_another_question_is_asked(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    out.write_bytes(_lines(DONE))
    asked = requests(write({"id": 1, "video": "a.mp4", "question": "Why?"}))
    answers = open_answers(out, asked, frames_only=False)
    assert not answers.has(asked[0])
    answers.close()
    assert records(out) == [DONE]


@pytest.mark.parametrize(
    "content", [b"notes of mine\nmore\n", b'{"video": "a.mp4"}\n', b"[1]\n{}\n", b"\xff\n\n"]
)
def test_a_file_of_something_else_is_left_alone(
    write: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    out = tmp_path / "notes.txt"
    out.write_bytes(content)
    asked = requests(write({"video": "a.mp4", "question": "?"}))
    with pytest.raises(SettingsError, match="no answer of a batch"):
        open_answers(out, asked, frames_only=False)
    assert out.read_bytes() == content


def test_the_file_of_the_requests_is_left_alone(write: Callable[..., Path]) -> None:
    file = write({"video": "a.mp4", "question": "?"})
    with pytest.raises(SettingsError, match="holds the requests"):
        open_answers(file, requests(file), frames_only=False, requests_file=file)


def test_answers_that_cannot_be_written(write: Callable[..., Path], tmp_path: Path) -> None:
    asked = requests(write({"video": "a.mp4", "question": "?"}))
    with pytest.raises(SettingsError, match="cannot be written"):
        open_answers(tmp_path / "no folder" / "answers.jsonl", asked, frames_only=False)
