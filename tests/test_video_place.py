"""Where frames are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.video.place import default_folder, open_store


def test_opening_where_nothing_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    assert open_store(tmp_path / "file" / "store") is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"FRAMEWISE_CACHE": "/data/kept"}, "linux", "/data/kept/frames"),
        ({"XDG_CACHE_HOME": "/data/xdg"}, "linux", "/data/xdg/framewise/frames"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "~/.cache/framewise/frames"),
        ({}, "linux", "~/.cache/framewise/frames"),
        ({}, "darwin", "~/Library/Caches/framewise/frames"),
        ({"LOCALAPPDATA": "/users/me"}, "win32", "/users/me/framewise/frames"),
    ],
)
def test_where_frames_are_kept(environment: dict[str, str], platform: str, expected: str) -> None:
    assert default_folder(environment, platform=platform) == Path(expected).expanduser()
