"""Bad input on the command line: one message, one remedy, exit code 2; a defect is 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bad_files import BAD_FILES, Maker
from command_line import Command, Done, in_a_process, python

MINUTE = ("estimate", "--size", "1280x720", "--duration", "60")


def _refused(done: Done, *words: str) -> None:
    """Exit code 2, nothing on stdout, one message and one remedy on stderr, no traceback."""
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 2, done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize("make", [make for make, _ in BAD_FILES.values()], ids=BAD_FILES.keys())
@pytest.mark.parametrize("command", ["estimate", "ask"])
def test_bad_file(
    command: str, make: Maker, framewise: Command, model: Path, tmp_path: Path
) -> None:
    question = ["What?"] if command == "ask" else []
    _refused(framewise(command, make(tmp_path), *question, "--model", model))


BAD_OPTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "fps 0": (["--fps", "0"], ("fps is 0", "above 0")),
    "fps below 0": (["--fps", "-2"], ("fps is -2",)),
    "fps not a number": (["--fps", "nan"], ("fps is nan",)),
    "start after end": (["--start", "5", "--end", "2"], ("start (5 s)", "end (2 s)")),
    "start after the video": (["--start", "99"], ("no frame between 99 s",)),
    "no such strategy": (["--strategy", "best"], ("'best'", "fps, uniform")),
    "tiles": (["--max-tiles", "4"], ("max_tiles has no meaning",)),
    "one frame": (["--max-frames", "1"], ("groups of 2",)),
    "no reply": (["--reply-tokens", "0"], ("reply_tokens is 0",)),
    "a budget of 1": (["--video-token-budget", "1"], ("budget of 1 tokens",)),
    "no checkpoint": (["--model", str(Path(__file__).parent)], ("is not a checkpoint",)),
    "no such folder": (["--model", "nowhere"], ("'nowhere' is not a checkpoint folder",)),
    "hub without a network": (["--model", "nobody/has-this-one"], ("did not give it",)),
    "no such preset": (["--preset", "slow"], ("'slow'", "fast, balanced, detailed")),
    "a split of one device": (
        ["--placement", "split", "--devices", "cpu"],
        ("'split' takes several devices; there is cpu", "auto or single"),
    ),
    "replicas on one": (["--placement", "replicas", "--devices", "cpu"], ("several devices",)),
    "markup in a name": (["--model", "[red]a:smile:b"], ("'[red]a:smile:b'",)),
}


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
@pytest.mark.parametrize("command", ["estimate", "ask"])
def test_bad_option(
    command: str,
    options: list[str],
    words: tuple[str, ...],
    framewise: Command,
    model: Path,
    clip_file: Callable[[str], Path],
) -> None:
    question = ["What?"] if command == "ask" else []
    chosen = options if "--model" in options else [*options, "--model", str(model)]
    _refused(framewise(command, clip_file("h264.mp4"), *question, *chosen), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["estimate"], "Give either a video file, or --size and --duration."),
        (["estimate", "--size", "1280x720"], "Give either"),
        (["estimate", "--duration", "60"], "Give either"),
        (["estimate", "x.mp4", "--size", "1x1", "--duration", "1"], "Give either"),
        (["estimate", "x.mp4"], "x.mp4 is not a file on this machine"),
        (["estimate", "."], ". is a folder"),
        (["estimate", "n" * 5000], "File name too long"),
        (["estimate", "--size", "big", "--duration", "60"], "'big' is not a size"),
        (["estimate", "--size", "1280", "--duration", "60"], "'1280' is not a size"),
        (["estimate", "--size", "5-x5", "--duration", "60"], "'5-x5' is not a size"),
        (["estimate", "--size", "²x5", "--duration", "60"], "'²x5' is not a size"),
        (["estimate", "--size", "0x0", "--duration", "60"], "0x0"),
        (["estimate", "--size=-4x9", "--duration", "60"], "-4x9"),
        (["estimate", "--size", "20000x20000", "--duration", "60"], "20000x20000"),
        (["estimate", "--size", "9000x10", "--duration", "60"], "over 200 times"),
        (["estimate", "--size", "640x360", "--duration", "0"], "duration of 0 seconds"),
        (["estimate", "--size", "640x360", "--duration", "-1"], "duration of -1 seconds"),
        (["estimate", "--size", "640x360", "--duration", "nan"], "duration of nan seconds"),
        ([*MINUTE, "--frame-rate", "0"], "frame rate of 0"),
        ([*MINUTE, "--frame-rate", "-1"], "frame rate of -1"),
        ([*MINUTE, "--frame-rate", "inf"], "frame rate of inf"),
        ([*MINUTE, "--devices", "many"], "'many' does not name devices"),
        ([*MINUTE, "--devices", ""], "'' does not name devices"),
        ([*MINUTE, "--devices", "0xL4"], "'0xL4' does not name devices"),
        ([*MINUTE, "--precision", "int3"], "There is no precision 'int3'"),
        ([*MINUTE, "--quantize", "int3"], "There is no quantisation 'int3'"),
        ([*MINUTE, "--quantize", "int8", "--precision", "bf16"], "does not go with"),
        ([*MINUTE, "--placement", "pipeline"], "There is no placement 'pipeline'"),
        ([*MINUTE, "--devices", "2xL4", "--max-memory", "8GiB,L4"], "not a memory size for each"),
        ([*MINUTE, "--devices", "cuda:7,cuda:8"], "There is no device 'cuda:7'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_estimate(
    arguments: list[str], words: str, framewise: Command, tiny_model: Path
) -> None:
    _refused(framewise(*arguments, "--model", tiny_model), words)


def test_experts_are_not_packed(framewise: Command) -> None:
    """A precision is another thing: what some other program would need."""
    experts = [*MINUTE, "--model", "Qwen/Qwen3-VL-30B-A3B-Instruct", "--devices", "H200"]
    _refused(framewise(*experts, "--quantize", "int4"), "is a mixture of experts")
    assert framewise(*experts, "--precision", "int4").code == 0


@pytest.mark.parametrize("question", ["", " ", "\n\t"], ids=repr)
def test_empty_question(
    question: str, framewise: Command, model: Path, clip_file: Callable[[str], Path]
) -> None:
    done = framewise("ask", clip_file("h264.mp4"), question, "--model", model)
    _refused(done, "The question is empty.", "Type a question")


def test_question_longer_than_the_context(
    framewise: Command, tiny_model: Path, clip_file: Callable[[str], Path]
) -> None:
    question = "Where is the circle? " * 20_000
    done = framewise("ask", clip_file("h264.mp4"), question, "--model", tiny_model)
    _refused(done, "exceed the 32,768", "Shorten the question")


def test_plan_over_the_context(
    framewise: Command, tiny_model: Path, clip_file: Callable[[str], Path]
) -> None:
    """Both numbers, and settings that fit, before a model is loaded."""
    options = ("--fps", "25", "--min-frame-tokens", "700", "--model", tiny_model)
    clip = clip_file("h264.mp4")
    found = framewise("estimate", clip, *options, "--question", "What?", "--json").record
    done = framewise("ask", clip, "What?", *options)
    _refused(
        done, f"{found['tokens']['total']:,} tokens", "exceed the 32,768", "Set min_frame_tokens to"
    )


@pytest.mark.parametrize("device", ["cuda:77", "tpu"])
def test_device_that_is_not_here(
    device: str, framewise: Command, model: Path, clip_file: Callable[[str], Path]
) -> None:
    done = framewise("ask", clip_file("h264.mp4"), "What?", "--device", device, "--model", model)
    _refused(done, f"There is no device '{device}'")


@pytest.mark.parametrize(
    "arguments",
    [["--fpss", "2"], ["estimate", "--fps", "fast"], ["ask"], ["frames"], ["ask", "x.mp4"]],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str], framewise: Command) -> None:
    done = framewise(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_asking_a_model_whose_weights_are_not_here(
    framewise: Command, clip_file: Callable[[str], Path]
) -> None:
    """The catalog is enough for an estimate, not for an answer."""
    name = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"
    done = framewise("ask", clip_file("h264.mp4"), "What?", "--model", name, "--device", "cpu")
    _refused(done, f"{name} cannot be loaded")


def test_serving_a_checkpoint_that_is_none(framewise: Command) -> None:
    _refused(framewise("--model", "nowhere"), "'nowhere' is not a checkpoint folder")


def test_a_defect_is_exit_code_1(tiny_model: Path) -> None:
    code = (
        "import sys, app, core.records\n"
        "core.records.foreseen_record = lambda _: 1 / 0\n"
        f"sys.argv = ['app.py', *{MINUTE!r}, '--json', '--model', {str(tiny_model)!r}]\n"
        "app.main()\n"
    )
    done = python(code)
    assert done.code == 1
    assert "ZeroDivisionError" in done.err


def test_refused_in_a_process_of_its_own(tmp_path: Path, tiny_model: Path) -> None:
    file = BAD_FILES["text named mp4"][0](tmp_path)
    _refused(in_a_process("ask", file, "What?", "--model", tiny_model), "notes.mp4")
