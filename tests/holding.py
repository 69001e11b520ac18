"""What this process holds of the system, and that it comes back to that; knows nothing of core."""

from __future__ import annotations

import time

import psutil

WAIT_SECONDS = 10.0


def holdings() -> dict[str, int]:
    """Open files, threads and child processes."""
    me = psutil.Process()
    return {
        "files": me.num_fds(),
        "threads": me.num_threads(),
        "children": len(me.children(recursive=True)),
    }


def assert_back_to(before: dict[str, int]) -> None:
    """No more of anything than before, within a moment: a joined thread still has to end."""
    until = time.monotonic() + WAIT_SECONDS
    while _more(before) and time.monotonic() < until:
        time.sleep(0.02)
    assert _more(before) == {}, f"{before} before"


def _more(before: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in holdings().items() if count > before[name]}
