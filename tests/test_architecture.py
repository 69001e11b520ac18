"""Who may import whom, read from the syntax trees: the one-way flow of app -> ui -> core."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "torchvision", "transformers", "av", "gradio", "decord", "qwen_vl_utils",
         "accelerate", "torchcodec", "cv2"}  # fmt: skip

# room -> what nothing in it may import, neither at the top nor inside a function
FORBIDDEN: dict[str, set[str]] = {
    "core": {"gradio", "ui", "app", "typer"},
    "core/planning": HEAVY | {"core.engine", "core.asking", "core.records", "core.doctor", "ui"},
    "core/video": HEAVY - {"av", "decord", "torchcodec"}
    | {"core.planning", "core.engine", "core.asking", "ui"},
    "core/engine": {"gradio", "ui", "core.asking", "av", "decord"},
    "core/errors.py": {"core"},
    "ui": HEAVY - {"gradio"} | {"app"},
    "tests/clips.py": {"core", "ui", "app"},
    "tests/bad_files.py": {"core", "ui", "app"},
    "tests/damaging.py": {"core", "ui", "app"},
}

# room -> what it may import only inside a function, so that importing it costs little
LATE: dict[str, set[str]] = {
    "app.py": HEAVY | {"ui.page", "ui.printing", "ui.render", "ui.terminal", "core.engine"},
    "core": HEAVY | {"tokenizers", "jinja2", "huggingface_hub"},
    "ui": HEAVY - {"gradio"},
}
READS_VIDEO = {
    f"core/video/{name}.py"
    for name in (
        "opening",
        "probing",
        "tables",
        "indexed",
        "pyav",
        "running",
        "walking",
        "skimming",
        "borrowed",
    )
}
RUNS_MODELS = {"core/engine/cache.py"}  # a subclass; imported late itself


def _files(room: str) -> list[Path]:
    place = ROOT / room
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def _imports(file: Path, *, top_only: bool) -> Iterator[str]:
    """Names of imported modules; those under ``if TYPE_CHECKING`` are not imported at all."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)
        else:
            waiting += ast.iter_child_nodes(node)


def _among(module: str, forbidden: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in forbidden)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_must_not_know(room: str) -> None:
    files = _files(room)
    assert files
    found = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in _imports(file, top_only=False)
        if _among(module, FORBIDDEN[room])
    }
    assert found == set()


@pytest.mark.parametrize("room", LATE)
def test_heavy_libraries_are_imported_where_they_are_used(room: str) -> None:
    found = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in _files(room)
        if str(file.relative_to(ROOT)) not in READS_VIDEO | RUNS_MODELS
        for module in _imports(file, top_only=True)
        if _among(module, LATE[room])
    }
    assert found == set()


def test_planning_sees_only_the_values_of_video() -> None:
    found = {
        module
        for file in _files("core/planning")
        for module in _imports(file, top_only=False)
        if module.startswith("core.video")
    }
    assert found <= {
        "core.video.info",
        "core.video.info.VideoInfo",
        "core.video.profile",
        "core.video.profile.Profile",
    }


def test_only_one_place_opens_files_with_ffmpeg() -> None:
    opening = [
        str(file.relative_to(ROOT))
        for room in ("core", "ui", "app.py")
        for file in _files(room)
        if "av.open(" in file.read_text(encoding="utf-8")
    ]
    assert opening == ["core/video/opening.py"]


@pytest.mark.parametrize("room", ["core", "ui", "app.py"])
def test_a_file_says_its_promise_first(room: str) -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in _files(room)
        if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_values_of_core_are_frozen_and_slotted() -> None:
    loose = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for file in _files("core")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and not ("frozen=True" in decorator and "slots" in decorator)
    ]
    assert loose == []


@pytest.mark.parametrize(
    "module", ["core.planning", "core.asking", "core.records", "core.engine", "core.engine.local",
               "core.video", "core.doctor", "app"]
)  # fmt: skip
def test_importing_is_light(module: str) -> None:
    """In a process of its own: what an import of the module really brings along."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    brought = {name.split(".")[0] for name in done.stdout.split()}
    assert brought & (HEAVY | {"tokenizers", "jinja2", "huggingface_hub"}) == set()
