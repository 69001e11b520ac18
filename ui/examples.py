"""The example clips that the page offers, as assets/examples/examples.toml lists them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ASSETS = Path(__file__).resolve().parents[1] / "assets"
EXAMPLES = ASSETS / "examples"


def examples() -> list[dict[str, Any]]:
    """The example clips, in the order of examples.toml."""
    with (EXAMPLES / "examples.toml").open("rb") as file:
        found: list[dict[str, Any]] = tomllib.load(file)["example"]
    return found
