"""Puts a table that a benchmark measured into BENCHMARKS.md, in the place of its last one."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

REPORT = Path(__file__).resolve().parents[1] / "BENCHMARKS.md"
HEAD = "# Benchmarks\n\nEach table stands as the command below it printed it.\n"


def machine(*packages: str) -> str:
    """One line: processor, cores, Python and the versions of ``packages``."""
    model = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", cpu.read_text()) if cpu.exists() else None
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    where = f"{named[1] if named else model}, {len(os.sched_getaffinity(0))} cores"
    return f"{where}, Python {platform.python_version()}, {versions}"


def write_section(name: str, text: str) -> None:
    """Replace the section called ``name``, or add it at the end; ``text`` is Markdown.

    Below it the command that is running, so that anybody can do it again.
    """
    command = shlex.join(["python", f"tools/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    begin, end = f"<!-- {name}: begins -->", f"<!-- {name}: ends -->"
    section = f"{begin}\n{text.strip()}\n\n    {command}\n{end}\n"
    report = REPORT.read_text(encoding="utf-8") if REPORT.exists() else HEAD
    before, found, rest = report.partition(begin)
    if found:
        report = before + section + rest.partition(end)[2].lstrip("\n")
        if not report.endswith("\n"):
            report += "\n"
    else:
        report = f"{report.rstrip()}\n\n{section}"
    REPORT.write_text(re.sub(r"-->\n(?=<!--)", "-->\n\n", report), encoding="utf-8")
