"""A batch on the command line goes on where it ended, and says what it cannot do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_by_hand import records
from command_line import ROOT, Command, in_a_process


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


def test_a_request_is_held_against_the_placement_that_all_have(
    write: Callable[..., Path], clip_file: Callable[[str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Two GPUs that hold a replica each: what only a split would have room for is refused."""
    driver = tmp_path / "nvidia-smi"
    both = "Some, 20480\n" * 2
    driver.write_text(f"#!/bin/sh\ncase $1 in *name*) echo '{both}';; *) echo '0\n0'; esac")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    video, out = clip_file("h264.mp4"), tmp_path / "answers.jsonl"
    file = write({"video": str(video), "question": "What happens?", "reply_tokens": 60_000})
    model = "Qwen/Qwen2.5-VL-7B-Instruct"
    assert in_a_process("batch", file, "--out", out, "--model", model).code == 2
    message = records(out)[0]["error"]["message"]
    assert "cuda:0 would need" in message
    assert "and has 20.0" in message
