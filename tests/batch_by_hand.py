"""Requests and records of a batch, as the files have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.batch_files import Asked, Refused, read_requests
from core.planning import Settings

SETTINGS = Settings(max_frame_tokens=16, max_frames=4)


def requests(file: Path, *, question_needed: bool = True) -> list[Asked | Refused]:
    return read_requests(file, SETTINGS, question_needed=question_needed)


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
