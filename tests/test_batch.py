"""Many requests: each gets its answer, whatever becomes of the others, and none is done twice."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_by_hand import requests
from clips import CLIPS, numbers_of
from core.batch import answer_all, keep_frames
from core.batch_files import Asked, Refused
from core.engine import Finished
from core.errors import FramewiseError, MemoryOverflow
from core.planning import ModelCard, load_card, parse_devices
from core.planning.execution import AS_STORED, Execution
from core.video import iter_frames
from core.video.store import FrameStore
from fake_engine import FakeEngine, wait_until


@pytest.fixture
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "frames")


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


def test_memory_that_runs_out_is_told_with_settings_that_fit(
    write: Callable[..., Path], clip_file: Callable[[str], Path], card: ModelCard
) -> None:
    engine, video = FakeEngine(card), str(clip_file("h264.mp4"))
    engine.fail_with = MemoryOverflow("Full.", free_bytes={"cpu": 2**40})
    found = _answered(
        requests(write({"id": 1, "video": video, "question": "What?", "max_frames": 6})), engine
    )
    assert found[1]["error"]["message"] == "Full."
    assert found[1]["error"]["remedy"].startswith("Set max_")


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
