"""Turns a way of asking into a typed question; the ways are in `wordings.toml`."""

import random
import re
import sys
from functools import lru_cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IRREGULAR = {"cross": "crosses"}


@lru_cache(maxsize=1)
def wordings() -> dict[str, dict[str, list[str]]]:
    """Every way of asking, by kind and by what it asks."""
    text = Path(__file__).with_name("wordings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def ask(rng: random.Random, kind: str, way: str, **names: str) -> str:
    """A question of a kind, with names filled in, typed as somebody might.

    `names` are `thing`, `shape`, `colour`, `a`, `b` and so on; `shapes` and `a_shape` follow from
    `shape`.
    """
    if "shape" in names:
        names |= {"shapes": plural(names["shape"]), "a_shape": f"a {names['shape']}"}
    text = rng.choice(wordings()[kind][way]).format(**names)
    return typed(rng, re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text))


def typed(rng: random.Random, text: str) -> str:
    """The same question from a hurried or from a polite hand."""
    chance = rng.random()
    if chance < 0.15:
        text = text.lower()
    elif chance < 0.2:
        text = rng.choice(("Hey, ", "ok, ", "Hi. ", "so, ")) + text
    elif chance < 0.24:
        text = f"{text.rstrip('.?')}??" if text.endswith("?") else text
    if rng.random() < 0.15:
        text = text.rstrip(".?")
    return text


def plural(shape: str) -> str:
    """`"cross"` -> `"crosses"`."""
    return IRREGULAR.get(shape, f"{shape}s")
