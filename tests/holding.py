"""What this process holds of the system, and who is gone from it; knows nothing of core."""

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


def gone(pid: int, *, within_seconds: float = 5.0) -> bool:
    """Whether a process ends within so long."""
    until = time.monotonic() + within_seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def _more(before: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in holdings().items() if count > before[name]}
