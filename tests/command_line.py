"""Runs the command line in this process, or in one of its own; knows no command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Command = Callable[..., Done]


def in_a_process(*arguments: object) -> Done:
    """``python app.py ARGUMENTS``, as a person runs it."""
    command = [sys.executable, str(ROOT / "app.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT.parent)
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def python(code: str, *arguments: object) -> Done:
    """Code in a process of its own, run from the root."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)
