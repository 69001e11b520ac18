"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from command_line import Command, in_a_process, python
from core.engine.quantizing import LIBRARIES, Library
from core.planning import Settings, load_card
from core.planning.catalog import catalog

MINUTE = ("estimate", "--size", "1280x720", "--duration", "60")
DESCRIBED = (*MINUTE, "--fps", "0.5", "--max-frame-tokens", "200")  # fits any model

# the object that estimate prints, as other programs rely on it: kinds of values by name
ESTIMATE: dict[str, Any] = {
    "model": str,
    "family": str,
    "route": str,
    "settings": dict,
    "video": {
        "width": int,
        "height": int,
        "duration": float,
        "frame_rate": float,
        "frame_count": int,
        "codec": str,
        "container": str,
        "rotation": int,
        "variable_rate": bool,
    },
    "frames": {
        "count": int,
        "times": list,
        "indices": list,
        "height": int,
        "width": int,
        "grid": list,
    },
    "tokens": {"video": int, "prompt": int, "reply": int, "total": int, "exact": bool},
    "context": {"limit": int, "used": float},
    "memory": list,
    "placement": {"mode": str, "replicas": int},
    "seconds": {"read": float, "vision": float, "prefill": float, "per_token": float},
    "verdict": str,
}
MEMORY = {
    "device",
    "capacity",
    "weights",
    "kv_cache",
    "activations",
    "peak",
    "missing",
    "layers",
    "kept",
}
ACTUAL = {
    "prompt_tokens": int,
    "reply_tokens": int,
    "seconds_to_first_token": float,
    "tokens_per_second": float,
    "peak_bytes": list,
}


def _has_shape(record: dict[str, Any], shape: dict[str, Any]) -> bool:
    for key, kind in shape.items():
        value = record[key]
        if isinstance(kind, dict):
            assert _has_shape(value, kind), key
        else:
            assert type(value) is kind, (key, value)
    return True


def test_estimate_of_numbers(framewise: Command, model: Path) -> None:
    done = framewise(*DESCRIBED, "--frame-rate", "30", "--model", model, "--json")
    assert (done.code, done.err) == (0, "")
    record = done.record
    assert _has_shape(record, ESTIMATE)
    assert record["remedy"] is None
    assert record["verdict"] == "fits"
    assert set(record["settings"]) == set(Settings().as_dict())
    assert all(set(entry) >= MEMORY for entry in record["memory"])
    assert (record["video"]["frame_count"], record["video"]["duration"]) == (1800, 60.0)
    frames = record["frames"]
    assert frames["count"] == len(frames["times"]) == len(frames["indices"])
    assert record["tokens"]["total"] == record["tokens"]["prompt"] + record["tokens"]["reply"]


def test_estimate_of_a_file(
    framewise: Command, model: Path, clip_file: Callable[[str], Path]
) -> None:
    record = framewise("estimate", clip_file("turned_90.mp4"), "--model", model, "--json").record
    assert _has_shape(record, ESTIMATE)
    video = record["video"]
    assert (video["width"], video["height"], video["rotation"]) == (64, 96, 90)
    assert (video["codec"], video["container"]) == ("h264", "mov")


def test_estimate_in_words(framewise: Command, model: Path) -> None:
    done = framewise(*DESCRIBED, "--model", model)
    record = framewise(*DESCRIBED, "--model", model, "--json").record
    assert (done.code, done.err) == (0, "")
    assert f"{record['frames']['count']:,} frames" in done.out
    assert f"{record['tokens']['prompt']:,} tokens" in done.out
    assert "fits" in done.out


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--fps", "0.5", "fps"),
        ("--min-frames", "200", "min_frames"),
        ("--max-frames", "12", "max_frames"),
        ("--strategy", "uniform", "strategy"),
        ("--start", "2.5", "start"),
        ("--end", "9.0", "end"),
        ("--min-frame-tokens", "2000", "min_frame_tokens"),
        ("--max-frame-tokens", "20", "max_frame_tokens"),
        ("--video-token-budget", "1000", "video_token_budget"),
        ("--reply-tokens", "7", "reply_tokens"),
    ],
)
def test_every_option_reaches_the_settings(
    option: str, value: str, name: str, framewise: Command, model: Path
) -> None:
    plain = framewise(*MINUTE, "--model", model, "--json").record
    record = framewise(*MINUTE, option, value, "--model", model, "--json").record
    assert str(record["settings"][name]) == value
    changed = {"frames", "tokens"} & {key for key in record if record[key] != plain[key]}
    assert changed or name == "strategy"


def test_the_question_is_counted(framewise: Command, model: Path) -> None:
    plain = framewise(*DESCRIBED, "--model", model, "--json").record["tokens"]
    asked = framewise(*DESCRIBED, "--model", model, "--question", "What happens?", "--json").record
    assert asked["tokens"]["prompt"] > plain["prompt"]


def test_devices_that_are_not_here(framewise: Command, model: Path) -> None:
    done = framewise(*DESCRIBED, "--devices", "2x24GiB,80GB", "--model", model, "--json")
    found = {entry["device"]: entry["capacity"] for entry in done.record["memory"]}
    assert found == {"cuda:0": 24 * 2**30, "cuda:1": 24 * 2**30, "cuda:2": 80 * 10**9}


@pytest.mark.parametrize(
    ("devices", "count", "mode", "replicas"),
    [("L4", 1, "single", 1), ("4xL4", 4, "replicas", 4), ("2x12GiB", 2, "split", 0)],
)
def test_devices_by_name_say_where_the_layers_are(
    devices: str, count: int, mode: str, replicas: int, framewise: Command
) -> None:
    model = "Qwen/Qwen2.5-VL-7B-Instruct"
    record = framewise(*DESCRIBED, "--devices", devices, "--model", model, "--json").record
    assert record["placement"] == {"mode": mode, "replicas": replicas}
    assert len(record["memory"]) == count
    held = [entry["layers"] for entry in record["memory"] if entry["layers"]]
    assert (held[0][0], held[-1][1]) == (0, 27)
    if mode == "replicas":
        assert held == [[0, 27]] * count
    else:
        assert all(first[1] + 1 == second[0] for first, second in pairwise(held))
    assert not any(entry["missing"] for entry in record["memory"])


@pytest.mark.parametrize(
    ("options", "mode", "replicas"),
    [
        (["--placement", "single"], "single", 2),
        (["--placement", "split"], "split", 2),
        (["--placement", "replicas"], "replicas", 2),
        (["--max-memory", "12GiB"], "split", 0),
        (["--max-memory", "24GiB,8GiB"], "single", 1),
        (["--max-memory", "12GiB", "--quantize", "int4"], "replicas", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_how_a_model_is_to_be_held(
    options: list[str], mode: str, replicas: int, framewise: Command
) -> None:
    model = ("--model", "Qwen/Qwen2.5-VL-7B-Instruct", "--devices", "2xL4")
    record = framewise(*DESCRIBED, *model, *options, "--json").record
    assert record["placement"] == {"mode": mode, "replicas": replicas}
    assert record["verdict"] == "fits"


def test_this_machines_devices_by_name(framewise: Command, model: Path) -> None:
    named = ("--model", model, "--devices", "cpu", "--max-memory", "1GiB", "--json")
    (memory,) = framewise(*DESCRIBED, *named).record["memory"]
    assert (memory["device"], memory["capacity"]) == ("cpu", 2**30)


def test_a_precision_changes_the_weights(framewise: Command) -> None:
    named = (*DESCRIBED, "--model", "Qwen/Qwen2.5-VL-7B-Instruct", "--devices", "L4", "--json")
    weights = [
        framewise(*named, "--precision", precision).record["memory"][0]["weights"]
        for precision in ("int4", "int8", "bf16", "fp32")
    ]
    assert weights == sorted(set(weights))


def test_the_catalog_is_listed(framewise: Command) -> None:
    done = framewise("estimate", "--model", "list", "--json")
    known = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert {"name", "family", "parameters", "context"} <= set(known[0])
    words = framewise("estimate", "--model", "list").out.splitlines()
    assert len(words) == len(known) + 1
    assert all(entry["name"] in line for entry, line in zip(known, words[1:], strict=True))


@pytest.mark.parametrize("family", sorted({load_card(each.name).family.name for each in catalog()}))
def test_every_family_is_known_offline(family: str, framewise: Command) -> None:
    names = [load_card(each.name) for each in catalog()]
    card = next(card for card in names if card.family.name == family)
    done = framewise(*MINUTE, "--model", card.name, "--devices", "H200", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.record["family"] == family
    assert done.record["tokens"]["exact"] is False  # its tokenizer is not here


def test_a_model_over_many_devices_gets_a_remedy_that_fits(framewise: Command) -> None:
    model = ("--model", "Qwen/Qwen2.5-VL-72B-Instruct", "--devices", "8x24GiB")
    video = ("--size", "1920x1080", "--duration", "1800", "--frame-rate", "30")
    asked = ("estimate", *model, *video, "--json")
    record = framewise(*asked).record
    assert record["verdict"] == "over_memory"
    settings = record["remedy"]["settings"]
    changed = {name: value for name, value in settings.items() if value is not None}
    options = [
        part
        for name, value in changed.items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    assert framewise(*asked, *options).record["verdict"] == "fits"


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ([], "max_frames", 15),
        (["--max-frames", "40"], "max_frames", 40),
        (["--min-frames", "200"], "max_frames", 200),
        (["--fps", "0.5"], "fps", 0.5),
    ],
    ids=["preset", "given", "given-floor", "given-rate"],
)
def test_a_preset_leaves_given_options_alone(
    options: list[str], name: str, value: float, framewise: Command, tiny_model: Path
) -> None:
    done = framewise(*MINUTE, "--preset", "fast", *options, "--model", tiny_model, "--json")
    assert done.record["settings"][name] == value


def test_a_preset_of_a_tiled_family_counts_tiles(framewise: Command) -> None:
    named = (*MINUTE, "--model", "OpenGVLab/InternVL3-8B", "--devices", "H200", "--json")
    tiles = [
        framewise(*named, "--route", "tiles", "--preset", name).record["settings"]["max_tiles"]
        for name in ("fast", "balanced", "detailed")
    ]
    assert tiles == [1, 2, 12]
    assert framewise(*named, "--preset", "fast").record["settings"]["max_tiles"] is None


def test_too_much_is_an_estimate_with_a_remedy(framewise: Command, tiny_model: Path) -> None:
    long = ("estimate", "--size", "1280x720", "--duration", "3600", "--model", tiny_model)
    record = framewise(*long, "--json").record
    assert record["verdict"] == "over_context"
    assert record["context"]["used"] > 1
    changed = {
        f"--{name.replace('_', '-')}": value
        for name, value in record["remedy"]["settings"].items()
        if value != record["settings"][name]
    }
    assert changed
    options = [str(part) for option in changed.items() for part in option]
    assert framewise(*long, *options, "--json").record["verdict"] == "fits"
    assert record["remedy"]["message"] in framewise(*long).out


def test_too_little_memory_is_an_estimate_with_a_remedy(
    framewise: Command, tiny_model: Path
) -> None:
    done = framewise(*DESCRIBED, "--model", tiny_model, "--devices", "0.7GiB", "--json")
    assert (done.code, done.record["verdict"]) == (0, "over_memory")
    assert done.record["remedy"]["message"]


def test_question_that_is_not_unicode(
    framewise: Command, model: Path, clip_file: Callable[[str], Path]
) -> None:
    done = framewise("estimate", clip_file("h264.mp4"), "--question", "\udcff?", "--model", model)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("command", [[], ["serve"], ["estimate"], ["ask"], ["doctor"]], ids=str)
def test_help(command: list[str], framewise: Command) -> None:
    done = framewise(*command, "--help")
    assert done.code == 0
    assert "Usage" in done.out


def test_answer_in_words(framewise: Command, model: Path, clip_file: Callable[[str], Path]) -> None:
    """The answer alone on stdout; what it cost on stderr."""
    done = framewise("ask", clip_file("h264.mp4"), "What?", "--model", model, "--reply-tokens", "4")
    assert done.code == 0
    assert "as foretold" in done.err
    assert "foretold" not in done.out


def test_doctor(framewise: Command) -> None:
    done = framewise("doctor", "--json")
    record = done.record
    assert done.code == (2 if record["problems"] else 0)
    assert record["packages"]["torch"]
    assert record["devices"][0]["memory"] > 0
    words = framewise("doctor")
    assert f"torch {record['packages']['torch']}" in words.out
    assert ("All is well." in words.out) == (not record["problems"])


def test_doctor_says_what_is_fast_here(framewise: Command) -> None:
    """What is on has no reason to be off, and the words say the same."""
    fast = framewise("doctor", "--json").record["fast"]
    assert len(fast) > 6
    assert all(each["on"] == (each["reason"] is None) for each in fast)
    words = framewise("doctor").out
    for each in fast:
        assert f"{each['name']}: " + ("on" if each["on"] else f"off ({each['reason']})") in words


def test_doctor_tells_of_a_torchao_that_does_not_load(
    framewise: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers imports it wherever it is installed."""
    monkeypatch.setitem(LIBRARIES, "int8", Library(name="pytest-timeout", least=(0,)))
    done = framewise("doctor", "--json")
    assert done.code == 2
    (problem,) = (each for each in done.record["problems"] if "transformers" in each)
    assert "does not load" in problem


def test_an_estimate_of_numbers_is_arithmetic_alone(tiny_model: Path) -> None:
    """It imports neither torch nor a decoder nor the page's library, and takes milliseconds."""
    code = (
        "import json, sys, time, app\n"
        f"sys.argv = ['app.py', *{DESCRIBED!r}, '--json', '--model', {str(tiny_model)!r}]\n"
        "def run():\n"
        "    try:\n"
        "        app.main()\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code\n"
        "run()\n"
        "from core.asking import foresee\n"
        "from core.planning import Settings, Turn, load_card, this_machine\n"
        "from core.video import describe_video\n"
        "info = describe_video(width=1280, height=720, duration_seconds=60, frame_rate=30)\n"
        f"card, devices = load_card({str(tiny_model)!r}), this_machine()\n"
        "times = []\n"
        "for fps in (1, 2, 3, 4, 5, 6, 7, 8, 9):\n"
        "    begun = time.perf_counter()\n"
        "    foresee(info, Settings(fps=fps), card, [Turn('user', 'x')], devices=devices)\n"
        "    times.append(time.perf_counter() - begun)\n"
        "print(json.dumps([sorted(sys.modules), min(times)]), file=sys.stderr)\n"
    )
    done = python(code)
    assert done.code == 0, done.err
    modules, fastest = json.loads(done.err)
    heavy = {"torch", "av", "gradio", "transformers", "decord", "torchvision"}
    assert heavy & set(modules) == set()
    assert "tokenizers" in modules
    assert fastest < 0.05  # a tenth of it on an idle machine


def test_runs_from_any_folder(tmp_path: Path, model: Path) -> None:
    """The demo model is found beside app.py, relative paths from where the person is."""
    shutil.copytree(model, tmp_path / "here", ignore=shutil.ignore_patterns("*.md"))
    done = in_a_process(*DESCRIBED, "--model", tmp_path / "here", "--json")
    assert done.code == 0
    assert done.record["model"] == "here"


@pytest.mark.parametrize("command", ["estimate", "ask"])
def test_scenes_are_looked_for_where_they_are_asked_for(
    command: str,
    framewise: Command,
    tiny_model: Path,
    clip_file: Callable[[str], Path],
) -> None:
    asked = ["What?", "--reply-tokens", 2] if command == "ask" else []
    options = ["--strategy", "scenes", "--max-frames", 8, "--model", tiny_model, "--json"]
    done = framewise(command, clip_file("h264.mp4"), *asked, *options)
    assert done.code == 0, done.err
    assert "Looking for scenes in" in done.err
    assert done.record["frames"]["count"] == 8
