"""Wordings that belong to the evaluation: training must not use them.

Both sides were written apart, yet people ask "Is there a flash?" in the same few words, so that
half of the evaluation's ways of asking would come up in training by chance. Training reads the
evaluation's file for this one purpose, to leave out what stands in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).parent.parent / "demo_evaluation" / "wordings.toml"
_NAME = re.compile(
    r"\{\w+\}s?|\b(?:red|orange|yellow|green|blue|purple|violet|white|circles?|discs?|disks?"
    r"|squares?|boxe?s?|triangles?|stars?|cross(?:es)?|shapes?|objects?|things?|figures?|items?"
    r"|forms?|ones?|elements?|blobs?|symbols?|markers?|colou?red)\b"
)


def skeleton(sentence: str) -> str:
    """The sentence without names, their articles, a first "so" or "ok", capitals, marks.

    "What color is the {shape}?" and "what colour is a red circle" are both "what colour is _".
    """
    text = _NAME.sub("_", sentence.lower().replace("color", "colour"))
    text = re.sub(r"[^a-z_' ]", " ", text).strip()
    text = re.sub(r"^(?:(?:hey|hi|ok|okay|so|and|now|then|well|please)\s+)+", "", text)
    text = re.sub(r"\b(?:the|a|an|any|all|that|this)\s+(?=_)", "", text)
    return re.sub(r"_(?:\s+_)+", "_", re.sub(r"\s+", " ", text)).strip()


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    quoted = re.findall(r'^\s*"(.*)",?\s*$', _FILE.read_text(encoding="utf-8"), re.MULTILINE)
    if not quoted:
        raise ValueError(f"{_FILE} holds no wordings: has its format changed?")
    return frozenset(map(skeleton, quoted))


def is_reserved(sentence: str) -> bool:
    """Whether the evaluation asks in just these words, whatever the names in them."""
    return skeleton(sentence) in _reserved()
