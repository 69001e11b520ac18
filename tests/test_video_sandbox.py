"""Decoding processes: whatever one does, its request ends with frames or a clear error."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core.errors import Cancelled, CheckpointError, VideoError
from core.video.buffer import Buffer
from core.video.request import Task
from core.video.sandbox import Sandbox
from holding import assert_back_to, gone, holdings

MIB = 2**20


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One of its own, with jobs that misbehave; afterwards nothing of it is left."""
    before = set(psutil.Process().children())
    sandbox = Sandbox(entry="misbehaving", workers=3)
    yield sandbox
    sandbox.close()
    assert set(psutil.Process().children()) <= before


def _task(job: str, *, deadline_seconds: float = 30.0, **more: Any) -> Task:
    limits = {key: more.pop(key) for key in ("more_bytes", "threads", "reader") if key in more}
    return Task(
        job=job, arguments=more, deadline_seconds=deadline_seconds, what="clip.mp4", **limits
    )


def _ask(sandbox: Sandbox, job: str, **more: Any) -> list[dict[str, Any]]:
    return list(sandbox.run(_task(job, **more)))


# what a job does, and its arguments -> words of the error
DEATHS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a bad address": ("segfault", {}, r"crashed \(SIGSEGV\)"),
    "an abort": ("signal", {"name": "SIGABRT"}, r"crashed \(SIGABRT\)"),
    "an illegal instruction": ("signal", {"name": "SIGILL"}, r"crashed \(SIGILL\)"),
    "a division by zero": ("signal", {"name": "SIGFPE"}, r"crashed \(SIGFPE\)"),
    "the system, out of memory": ("signal", {"name": "SIGKILL"}, r"memory ran out \(SIGKILL\)"),
    "no page left": ("signal", {"name": "SIGBUS"}, r"memory ran out \(SIGBUS\)"),
    "being told to": ("signal", {"name": "SIGTERM"}, r"crashed \(SIGTERM\)"),
    "leaving": ("exit", {"code": 3}, "exit code 3"),
    "leaving content": ("exit", {"code": 0}, "exit code 0"),
    "its address space": ("eat", {"most_mib": 10_000, "more_bytes": 300 * MIB}, "over 0.3 GB"),
    "its processor time": ("little_processor_time", {}, "processor time"),
    "hanging": ("sleep", {"deadline_seconds": 0.5}, "longer than 0.5 s"),
    "hanging, stopped": ("signal", {"name": "SIGSTOP", "deadline_seconds": 0.5}, "longer than"),
    "hanging, busy": ("spin", {"deadline_seconds": 0.5}, "longer than"),
    "hanging with the interpreter": ("hold", {"deadline_seconds": 0.5}, "longer than"),
    "a defect": ("raise", {"name": "KeyError"}, "failed with KeyError"),
    "a defect that leaves": ("raise", {"name": "SystemExit"}, "failed with SystemExit"),
    "too long a message": ("nonsense", {"bytes": "ffffffff"}, "a message of 4,294,967,295 bytes"),
    "no JSON": ("nonsense", {"bytes": "00000002" + "7b7b"}, "answered with"),
    "no object": ("nonsense", {"bytes": "00000002" + "5b5d"}, "a list instead of a message"),
    "nesting": ("nonsense", {"bytes": "00010000" + "5b" * 65536}, "a message without end"),
}


@pytest.mark.parametrize(("job", "more", "words"), DEATHS.values(), ids=DEATHS.keys())
def test_a_death_costs_its_own_request_a_clear_error(
    job: str, more: dict[str, Any], words: str, sandbox: Sandbox
) -> None:
    bystander = sandbox.run(_task("count", most=3))
    next(bystander)
    began = time.monotonic()
    with pytest.raises(VideoError, match=words) as caught:
        _ask(sandbox, job, **more)
    assert time.monotonic() - began < 20
    assert caught.value.message.startswith("clip.mp4: decoding ")
    assert caught.value.remedy
    assert [message["number"] for message in bystander] == [1, 2]
    assert _ask(sandbox, "echo", word="healed")[0]["word"] == "healed"


@pytest.mark.parametrize("kind", [VideoError, CheckpointError], ids=lambda kind: kind.__name__)
def test_an_error_of_the_job_arrives_as_it_was_and_the_process_lives_on(
    kind: type[VideoError], sandbox: Sandbox
) -> None:
    pid = _ask(sandbox, "echo")[0]["pid"]
    with pytest.raises(kind) as caught:
        _ask(sandbox, "raise", name=kind.__name__)
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.remedy) == ("It is 7 too large.", "Make it smaller.")
    assert _ask(sandbox, "echo")[0]["pid"] == pid


@pytest.mark.parametrize("job", ["sleep", "spin", "hold"])
def test_cancelling_kills_within_a_third_of_a_second(job: str, sandbox: Sandbox) -> None:
    stop = threading.Event()
    messages = sandbox.run(_task(job), stop=stop)
    pid = next(messages)["pid"]
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Cancelled):
        next(messages)
    assert stop.is_set()
    assert not psutil.pid_exists(pid)
    took = []
    for _ in range(5):
        stop = threading.Event()
        pid = next(sandbox.run(_task("sleep"), stop=stop), {})["pid"]
        began = time.monotonic()
        stop.set()
        assert gone(pid, within_seconds=3)
        took.append(time.monotonic() - began)
    assert min(took) < 0.3


def test_cancelling_reaches_a_job_whose_messages_nobody_takes(sandbox: Sandbox) -> None:
    stop = threading.Event()
    messages = sandbox.run(_task("spin"), stop=stop)
    pid = next(messages)["pid"]
    stop.set()
    assert gone(pid)
    with pytest.raises(Cancelled):
        next(messages)


def test_a_request_that_waits_for_its_turn_can_be_cancelled(sandbox: Sandbox) -> None:
    running = [sandbox.run(_task("sleep")) for _ in range(3)]
    for messages in running:
        next(messages)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Cancelled):
        list(sandbox.run(_task("echo"), stop=stop))
    for messages in running:
        messages.close()
    assert _ask(sandbox, "echo", word="free")[0]["word"] == "free"


def test_requests_beyond_the_pool_take_turns(sandbox: Sandbox) -> None:
    before = len(psutil.Process().children())
    seen = []

    def ask(number: int) -> int:
        found = _ask(sandbox, "sleep", seconds=0.05, number=number)
        seen.append(len(psutil.Process().children()) - before)
        return len(found)

    with ThreadPoolExecutor(64) as threads:
        assert list(threads.map(ask, range(64))) == [2] * 64
    assert max(seen) <= 3


def test_consumers_that_wait_for_each_other_do_not_lock_the_pool() -> None:
    """Each holds an unfinished request and asks for one more, on a pool of two."""
    sandbox = Sandbox(entry="misbehaving", workers=2)
    try:
        held = [sandbox.run(_task("count", most=5)) for _ in range(2)]
        assert [next(messages)["number"] for messages in held] == [0, 0]
        assert _ask(sandbox, "echo", word="at last")[0]["word"] == "at last"
        assert [len(list(messages)) for messages in held] == [4, 4]
    finally:
        sandbox.close()


def test_neighbours_of_a_crash_are_unharmed(sandbox: Sandbox) -> None:
    def ask(number: int) -> object:
        if number % 3:
            return [found["number"] for found in _ask(sandbox, "count", most=200)] == list(
                range(200)
            )
        with pytest.raises(VideoError):
            _ask(sandbox, "signal", name="SIGKILL")
        return True

    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(ask, range(36)))


def test_a_process_killed_while_it_waits_is_replaced(sandbox: Sandbox) -> None:
    pid = _ask(sandbox, "echo")[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert _ask(sandbox, "echo")[0]["pid"] != pid


def test_a_process_of_each_reader_is_kept(sandbox: Sandbox) -> None:
    """One with torch in it takes seconds to start."""
    readers = ["pyav", "torchcodec", "decord", "another", "one more"]
    first, second = (
        [_ask(sandbox, "echo", reader=reader)[0]["pid"] for reader in readers] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == len(readers)


def test_closing_early_kills_at_once(sandbox: Sandbox) -> None:
    messages = sandbox.run(_task("spin"))
    pid = next(messages)["pid"]
    messages.close()
    assert not psutil.pid_exists(pid)


def test_what_the_process_started_dies_with_it(sandbox: Sandbox) -> None:
    messages = sandbox.run(_task("child"))
    pid = next(messages)["pid"]
    messages.close()
    assert gone(pid)


def test_time_the_consumer_takes_is_not_the_jobs(sandbox: Sandbox) -> None:
    messages = sandbox.run(_task("count", most=3, deadline_seconds=1.0))
    assert next(messages) == {"number": 0}
    time.sleep(1.5)
    assert list(messages) == [{"number": 1}, {"number": 2}]


def test_the_process_may_not_do_what_decoding_does_not_need(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hf_123")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    (around,) = _ask(sandbox, "surroundings")
    assert not {"SECRET_TOKEN", "HTTPS_PROXY"} & set(around["environment"])
    assert around["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert not {"torch", "gradio", "transformers", "multiprocessing"} & set(around["modules"])
    assert around["core"] == [0, 0]
    with pytest.raises(VideoError, match="File too large"):
        _ask(sandbox, "write_a_file", path=str(tmp_path / "left.txt"))
    (files,) = _ask(sandbox, "open_files")
    assert files["opened"] < 200
    (memory,) = _ask(sandbox, "eat_in_c", bytes=600 * MIB, more_bytes=500 * MIB)
    assert memory == {"given": False}
    (memory,) = _ask(sandbox, "eat_in_c", bytes=600 * MIB, more_bytes=700 * MIB)
    assert memory == {"given": True}


def test_a_talkative_library_holds_nothing_up(sandbox: Sandbox) -> None:
    assert _ask(sandbox, "talk") == [{"full": True}]


def test_a_library_that_is_missing_is_told_by_the_job_not_by_the_start(sandbox: Sandbox) -> None:
    assert _ask(sandbox, "echo", reader="missing", word="here")[0]["word"] == "here"


def test_a_process_that_cannot_start_says_why() -> None:
    sandbox = Sandbox(entry="no_such_entry")
    try:
        with pytest.raises(VideoError, match=r"did not start.*no_such_entry") as caught:
            _ask(sandbox, "echo")
        assert caught.value.remedy
    finally:
        sandbox.close()


@pytest.mark.parametrize("size", [1, 4097, 100 * MIB], ids=["byte", "page", "beyond /dev/shm"])
def test_a_buffer_is_filled_by_the_other_side(size: int, sandbox: Sandbox) -> None:
    with Buffer(size) as buffer:
        found = list(sandbox.run(_task("fill" if size < MIB else "echo"), buffer))
    assert found
    seen = np.frombuffer(buffer.mapping, dtype=np.uint8)
    assert len(seen) == size
    expected = np.arange(size) % 251 if size < MIB else np.zeros(1)
    assert (seen[: len(expected)] == expected).all()


def test_the_other_side_cannot_take_the_buffer_away(sandbox: Sandbox) -> None:
    with Buffer(1000) as buffer:
        assert list(sandbox.run(_task("shrink"), buffer)) == [{"refused": True}]
    assert bytes(buffer.mapping) == bytes(1000)


def test_nothing_piles_up(sandbox: Sandbox) -> None:
    """Descriptors, threads and processes after many requests, good and bad.

    The collector is off: what a failed request held must not wait for it, frames above all.
    """

    def round_() -> None:
        for _ in range(5):
            with Buffer(MIB) as buffer:
                list(sandbox.run(_task("echo"), buffer))
            with Buffer(MIB) as buffer, contextlib.suppress(VideoError):
                list(sandbox.run(_task("exit", code=1), buffer))
            stop = threading.Event()
            with Buffer(MIB) as buffer, contextlib.suppress(Cancelled):
                for _ in sandbox.run(_task("sleep"), buffer, stop=stop):
                    stop.set()
            messages = sandbox.run(_task("sleep"))
            next(messages)
            messages.close()

    round_()
    before = holdings()
    gc.disable()
    try:
        for _ in range(3):
            round_()
        assert_back_to(before)
    finally:
        gc.enable()
