"""Many requests: each gets its answer, whatever becomes of the others, and none is done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clips import CLIPS, numbers_of
from command_line import ROOT, Command
from core.batch import answer_all, keep_frames
from core.batch_files import Asked, Refused, open_answers, read_requests
from core.engine import Finished
from core.errors import FramewiseError, SettingsError
from core.planning import ModelCard, Settings, load_card, parse_devices
from core.planning.memory import AS_STORED, Execution
from core.pooling import awaited, unordered
from core.video import iter_frames
from core.video.store import FrameStore
from fake_engine import FakeEngine, wait_until

SETTINGS = Settings(max_frame_tokens=16, max_frames=4)


@pytest.fixture
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "frames")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A file of requests: objects, or lines as they are."""

    def file(*lines: Any) -> Path:
        path = tmp_path / "requests.jsonl"
        coded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        path.write_bytes(b"\n".join(coded) + b"\n")
        return path

    return file


def requests(file: Path, *, question_needed: bool = True) -> list[Asked | Refused]:
    return read_requests(file, SETTINGS, question_needed=question_needed)


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


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


def test_frames_are_kept_and_bad_videos_told(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard,
    store: FrameStore, tmp_path: Path,
) -> None:  # fmt: skip
    names = ["h264.mp4", "vp9.webm", "uneven.mp4"]
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    bad = [str(tmp_path / name) for name in ("text.mp4", "empty.mp4", "missing.mp4")]
    lines = [{"id": path, "video": path} for path in [*bad, *(str(clip_file(n)) for n in names)]]
    asked = requests(write(*lines), question_needed=False)
    found = {each["id"]: each for each in keep_frames(asked, card, store, workers=2)}
    assert len(found) == len(lines)
    for path in bad:
        assert set(found[path]["error"]) == {"message", "remedy"}
        assert Path(path).name in found[path]["error"]["message"]
    for name in names:
        record = found[str(clip_file(name))]
        shown = [CLIPS[name].shown_times[index] for index in record["frames"]["indices"]]
        assert record["actual"]["frame_times"] == pytest.approx(shown, abs=0.002)
        assert record["frames"]["count"] == len(shown)
        pictures = [Path(record["folder"]) / each for each in record["files"]]
        assert numbers_of([_pixels(each) for each in pictures]) == record["frames"]["indices"]


def test_frames_as_they_finish(write: Callable[..., Path]) -> None:
    """The first one waits until the last one has begun."""
    others = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert others.wait(30)
        elif number == 5:
            others.set()
        return number

    found = list(unordered(work, range(6), workers=2, stop=threading.Event()))
    assert found[:4] == [1, 2, 3, 4]
    assert set(found[4:]) == {0, 5}


def test_no_more_at_once_than_workers() -> None:
    """What waits to be taken counts too: frames take memory."""
    begun: list[int] = []
    results = unordered(
        lambda number: begun.append(number), range(100), workers=3, stop=threading.Event()
    )
    next(results)
    time.sleep(0.2)
    assert len(begun) <= 4


def test_its_end_stops_nothing() -> None:
    """Whoever is at work with what came last goes on."""
    stop = threading.Event()
    assert sorted(unordered(abs, [1, -2, 3], workers=2, stop=stop)) == [1, 2, 3]
    assert not stop.is_set()


def test_closing_ends_what_is_under_way() -> None:
    stop, ended, begun = threading.Event(), [], threading.Barrier(3, timeout=30)

    def work(number: int) -> int:
        begun.wait()
        if number:
            ended.append(stop.wait(30))
        return number

    results = unordered(work, range(4), workers=3, stop=stop)
    assert next(results) == 0
    results.close()
    assert ended == [True, True]


def test_it_tells_that_there_is_nothing_yet() -> None:
    """So that whoever waits can look at something else meanwhile."""
    let = threading.Event()
    results = awaited(
        lambda _: let.wait(30), [0], workers=1, stop=threading.Event(), patience_seconds=0.01
    )
    assert [next(results), next(results)] == [None, None]
    let.set()
    assert [each for each in results if each] == [(True,)]


def test_what_cannot_be_asked_does_not_wait_for_what_is_read(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard
) -> None:
    """Its record comes while the other's frames are still being read, and is told before it."""
    let, video = threading.Event(), str(clip_file("h264.mp4"))

    def slowly(*args: Any, **named: Any) -> Any:
        assert let.wait(30)
        yield from iter_frames(*args, **named)

    lines = [{"id": 1, "video": video, "question": "?"}, {"id": 2, "video": "-", "question": "?"}]
    found = answer_all(
        requests(write(*lines)),
        card,
        lambda: FakeEngine(card),
        devices=FakeEngine(card).devices(),
        frames_from=slowly,
        workers=2,
    )
    assert next(found)["id"] == 2
    let.set()
    assert [each["id"] for each in found] == [1]


def test_answers_of_an_engine(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard, tmp_path: Path
) -> None:
    video = str(clip_file("h264.mp4"))
    long = {"id": "long", "video": video, "question": "word " * 10_000}
    lines = [
        {"id": 1, "video": video, "question": "What?"},
        {"id": 2, "video": str(tmp_path / "missing.mp4"), "question": "What?"},
        {"id": 3, "video": video, "question": "Why?", "max_frames": 6},
        {"id": 4, "video": video, "question": "Why?", "end": -1},
        long,
    ]
    engine = FakeEngine(card, words=["Yes, ", "it is."])
    found = _answered(requests(write(*lines)), engine)
    assert {key for key, each in found.items() if "error" in each} == {2, 4, "long"}
    assert found[1]["answer"] == found[3]["answer"] == "Yes, it is."
    assert (found[1]["path"], found[1]["question"]) == (video, "What?")
    assert (found[1]["frames"]["count"], found[3]["frames"]["count"]) == (4, 6)
    for each in (found[1], found[3]):
        assert each["actual"]["frame_times"] == pytest.approx(each["frames"]["times"], abs=0.002)
        assert each["actual"]["seconds_to_first_token"] >= each["actual"]["seconds_to_read"] > 0
    counts = sorted(len(each.frames.indices) for each in engine.requests)
    assert counts == [4, 6]


def test_frames_are_held_by_the_engine_alone(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard
) -> None:
    """The first ones until the next are taken, others not even so long."""
    frames: list[Any] = []

    class Drops(FakeEngine):
        def stream_many(self, asked: Iterator[Any], *, stop: threading.Event) -> Any:
            while (request := next(asked, stop)) is not stop:
                if request is None:
                    continue
                frames.append(weakref.ref(request.frames.pixels))
                del request
                assert wait_until(lambda: all(each() is None for each in frames[1:]))
                assert len(frames) == 1 or frames[0]() is None
                yield len(frames) - 1, next(e for e in self._speak(stop) if isinstance(e, Finished))

    video = str(clip_file("h264.mp4"))
    asked = requests(write(*({"id": n, "video": video, "question": "?"} for n in range(3))))
    assert len(_answered(asked, Drops(card))) == len(frames) == 3


@pytest.mark.parametrize("error", [FramewiseError("Full.", remedy="Wait."), RuntimeError("oops")])
def test_an_engine_that_fails_at_one(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard, error: Exception
) -> None:
    class Fails(FakeEngine):
        def stream(self, request: Any, *, stop: threading.Event) -> Any:
            self.fail_with = error if not self.requests else None
            return super().stream(request, stop=stop)

    video = str(clip_file("h264.mp4"))
    lines = [{"id": number, "video": video, "question": "?"} for number in range(3)]
    found = _answered(requests(write(*lines)), Fails(card))
    failed = [each for each in found.values() if "error" in each]
    assert len(found) == 3
    assert len(failed) == 1
    assert str(error) in failed[0]["error"]["message"]


def test_ctrl_c_in_the_engine_ends_the_reading(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard
) -> None:
    video, ended = str(clip_file("h264.mp4")), []
    reading = threading.Barrier(2, timeout=30)

    class Interrupted(FakeEngine):
        def stream(self, request: Any, *, stop: threading.Event) -> Any:
            reading.wait()
            raise KeyboardInterrupt

    def slowly(info: Any, indices: Any, *, stop: threading.Event, **size: Any) -> Any:
        if len(indices) == 6:
            reading.wait()
            ended.append(stop.wait(30))
        yield from iter_frames(info, indices, stop=stop, **size)

    lines = [{"video": video, "question": "?", "max_frames": most} for most in (4, 6)]
    records = answer_all(
        requests(write(*lines)),
        card,
        lambda: Interrupted(card),
        devices=FakeEngine(card).devices(),
        frames_from=slowly,
        workers=2,
    )
    with pytest.raises(KeyboardInterrupt) as interrupted:
        next(records)
    assert ended == [True]
    del interrupted


def test_the_precision_that_will_be_loaded_is_counted(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard
) -> None:
    """A GPU that holds the packed weights, and has no room for them as they are stored."""
    card = replace(card, parameters=10**10, active_parameters=10**10)
    packed = Execution(precision="int4")
    (gpu,) = parse_devices("12GiB")
    asked = requests(write({"id": 1, "video": str(clip_file("h264.mp4")), "question": "?"}))
    failed = {
        execution: [
            "error" in each
            for each in answer_all(
                asked, card, lambda: FakeEngine(card), devices=(gpu,), execution=execution,
                frames_from=iter_frames, workers=1,
            )
        ]
        for execution in (AS_STORED, packed)
    }  # fmt: skip
    assert failed == {AS_STORED: [True], packed: [False]}


def test_a_batch_without_a_good_line_loads_no_model(
    write: Callable[..., Path], card: ModelCard
) -> None:
    def load() -> FakeEngine:
        raise AssertionError("loaded")

    asked = requests(write({"video": "missing.mp4", "question": "?"}, b"what?"))
    devices = FakeEngine(card).devices()
    found = list(answer_all(asked, card, load, devices=devices, frames_from=iter_frames, workers=1))
    assert len(found) == 2
    assert all("error" in each for each in found)


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


def test_on_the_command_line(
    framewise: Command, write: Callable[..., Path], clip_file: Callable[[str], Path],
    tiny_model: Path, tmp_path: Path,
) -> None:  # fmt: skip
    """Twice: the second time only what failed is tried again."""
    video = tmp_path / "video.mp4"
    good = {"id": "good", "video": str(clip_file("h264.mp4")), "question": "What happens?"}
    file, out = write(good, {"id": "late", "video": str(video)}), tmp_path / "answers.jsonl"
    command = ["batch", file, "--out", out, "--model", tiny_model, "--max-frames", "4",
               "--frame-store", tmp_path / "kept", "--frames-only"]  # fmt: skip
    done = framewise(*command)
    assert (done.code, done.out) == (2, "")
    assert "1 done, 1 failed, 0 before" in done.err
    assert [each["id"] for each in records(out) if "folder" in each] == ["good"]
    shutil.copy(clip_file("h264.mp4"), video)
    done = framewise(*command)
    assert done.code == 0
    assert "1 done, 0 failed, 1 before" in done.err
    assert [each["id"] for each in records(out)] == ["good", "late"]
    shutil.rmtree(records(out)[0]["folder"])  # evicted: the same content, so both are gone
    assert "2 done, 0 failed, 0 before" in framewise(*command).err


@pytest.mark.parametrize(
    "options",
    [("--frames-only", "--no-frame-store"), ("--frame-store", "x", "--no-frame-store"),
     ("--frame-format", "webp"), ("--workers", "0"),
     ("--frames-only", "--frame-store", "/dev/null")],
)  # fmt: skip
def test_options_that_contradict(
    framewise: Command, write: Callable[..., Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = write({"video": "a.mp4", "question": "?"})
    done = framewise("batch", file, "--out", tmp_path / "answers.jsonl", *options)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_ctrl_c_keeps_what_is_done(
    write: Callable[..., Path], clip_file: Callable[[str], Path], tiny_model: Path, tmp_path: Path
) -> None:
    video, out = str(clip_file("h264.mp4")), tmp_path / "answers.jsonl"
    lines = [{"id": n, "video": video, "max_frames": 2 + n % 40} for n in range(3000)]
    command = [sys.executable, str(ROOT / "app.py"), "batch", str(write(*lines)), "--out", str(out),
               "--model", str(tiny_model), "--frames-only",
               "--frame-store", str(tmp_path / "kept")]  # fmt: skip
    batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and not (out.exists() and out.stat().st_size):
            time.sleep(0.02)
        os.kill(batch.pid, signal.SIGINT)
        _, complaints = batch.communicate(timeout=60)
    finally:
        batch.kill()
    assert batch.returncode == 130, complaints
    assert "Traceback" not in complaints
    done = records(out)
    assert 0 < len(done) < len(lines)
    told = [f"{count} of {len(lines)} are done" for count in (len(done), len(done) - 1)]
    assert any(each in complaints for each in told), (
        complaints
    )  # it may come between line and count
    assert all("error" not in each for each in done)


def _answered(asked: list[Asked | Refused], engine: FakeEngine) -> dict[Any, dict[str, Any]]:
    found = answer_all(
        asked,
        engine.card,
        lambda: engine,
        devices=engine.devices(),
        frames_from=iter_frames,
        workers=2,
    )
    return {each["id"]: each for each in found}


def _pixels(file: Path) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(file) as image:
        return np.array(image)
