"""The page and its decoding processes: none outlives it, and it decodes nothing itself."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from command_line import ROOT
from holding import gone


def _script(code: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


PAGE = """
    import sys, time
    from core.video.request import Task
    from core.video.sandbox import Sandbox
    sandbox = Sandbox(entry="misbehaving")
    messages = sandbox.run(Task(job={job!r}, arguments={{}}, deadline_seconds=300))
    print(next(messages)["pid"], flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("job", ["sleep", "spin", "hold"])
def test_a_killed_page_leaves_no_process(job: str) -> None:
    page = _script(PAGE.format(job=job))
    assert page.stdout
    with page:
        pid = int(page.stdout.readline())
        assert psutil.pid_exists(pid)
        page.kill()
    assert gone(pid)


def test_a_page_that_ends_leaves_no_process() -> None:
    page = _script(PAGE.format(job="spin").replace("time.sleep(300)", "sandbox.warm()"))
    said, complaints = page.communicate(timeout=60)
    assert page.returncode == 0
    assert complaints == ""
    assert gone(int(said))


def test_a_script_without_a_guard_around_its_main_part(
    clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom core.video import probe\nprint(probe(sys.argv[1]).frame_count)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(clip_file("h264.mp4"))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("120\n", "")


def test_nothing_is_decoded_in_the_page(clip_file: Callable[[str], Path]) -> None:
    page = _script(
        f"""
        import sys
        from core.video import probe, read_frames
        info = probe({str(clip_file("h264.mp4"))!r})
        print(len(read_frames(info, [0, 100], height=32, width=48).pixels))
        print("av" in sys.modules, "core.video.opening" in sys.modules)
        """
    )
    said, complaints = page.communicate(timeout=60)
    assert (said, complaints) == ("2\nFalse False\n", "")


def test_a_forked_child_has_a_pool_of_its_own_and_leaves_the_parents_alone() -> None:
    page = _script(
        """
        import os
        from core.video.request import Task
        from core.video.sandbox import Sandbox
        def ask(): return next(sandbox.run(Task(job="echo", arguments={}, deadline_seconds=30)))
        sandbox = Sandbox(entry="misbehaving")
        mine = list(sandbox.run(Task(job="echo", arguments={}, deadline_seconds=30)))[0]["pid"]
        child = os.fork()
        if child == 0:
            theirs = list(sandbox.run(Task(job="echo", arguments={}, deadline_seconds=30)))
            sandbox.close()
            os._exit(theirs[0]["pid"] == mine)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        again = list(sandbox.run(Task(job="echo", arguments={}, deadline_seconds=30)))[0]["pid"]
        print(again == mine)
        """
    )
    said, complaints = page.communicate(timeout=60)
    assert (said, complaints) == ("0\nTrue\n", "")
