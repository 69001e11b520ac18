"""Where this machine keeps frames: the folder for caches, or the one that was named."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from core.video.store import MAX_AGE_SECONDS, MAX_BYTES, FrameStore

log = logging.getLogger(__name__)
VARIABLE = "FRAMEWISE_CACHE"


def default_folder(
    environment: Mapping[str, str] = os.environ, *, platform: str = sys.platform
) -> Path:
    """FRAMEWISE_CACHE where it is set, else what the system has for caches; then frames/ in it."""
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE]).expanduser() / "frames"
    return _caches(environment, platform) / "framewise" / "frames"


def _caches(environment: Mapping[str, str], platform: str) -> Path:
    home = Path("~").expanduser()
    if platform == "darwin":
        return home / "Library" / "Caches"
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    named = environment.get("XDG_CACHE_HOME", "")  # a relative one is to be ignored
    return Path(named) if Path(named).is_absolute() else home / ".cache"


def open_store(
    folder: Path | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    max_age_seconds: float = MAX_AGE_SECONDS,
    image_format: str = "jpeg",
) -> FrameStore | None:
    """The store in ``folder`` (the default one for None), None where it cannot be written.

    Raises:
        SettingsError: no such ``image_format``; see core.video.kept.SAVING.
    """
    place = default_folder() if folder is None else folder.expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)  # frames can be private
        trial = place / f"new.{os.getpid()}"
        trial.touch()
        trial.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ without a home
        log.warning("No frames are kept: %s cannot be written (%s).", place, error)
        return None
    return FrameStore(
        place,
        max_bytes=max_bytes,
        max_age_seconds=max_age_seconds,
        image_format=image_format,
    )
