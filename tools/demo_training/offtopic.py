"""Questions about anything but coloured shapes in a clip: the model must learn to decline them.

Templates over word lists, many on purpose close to the model's own questions ("What colour is the
Eiffel Tower?"), and running English from Python's own documentation.
"""

from __future__ import annotations

import re
from random import Random

from .wordings import FOLDER, lines_of

_SLOT = re.compile(r"<([a-z]+)>")
_OPENERS = (
    *("what is", "how does", "why does", "explain", "what does", "who is", "when does", "is"),
    *("can you", "tell me about", "where is", "does", "how many", "how do i", "which", "describe"),
    *("do you", ""),
)


def english() -> list[str]:
    """Running sentences from Python's own documentation, one piece each."""
    from pydoc_data import topics

    pieces: list[str] = []
    for text in topics.topics.values():
        for sentence in re.split(r"(?<=[.:?])\s+|\n\n", text):
            words = re.sub(r"[`*|_=>+-]{1,}", "", sentence).split()
            if 3 <= len(words) <= 24:
                pieces.append(" ".join(words))
    return sorted(set(pieces))


def own_words() -> set[str]:
    """The words of the model's own questions."""
    return {word for path in FOLDER.glob("*.txt") for word in _words(path.read_text().lower())}


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]{4,}", text)


class OffTopic:
    """Draws questions that have nothing to do with the model's world."""

    def __init__(self) -> None:
        folder = FOLDER / "off_topic"
        self._templates = lines_of(folder / "templates.txt")
        self._words = {
            name.strip(): words.split("|")
            for name, _, words in (line.partition(" = ") for line in lines_of(folder / "words.txt"))
        }
        self._english = english()
        words = {word for piece in self._english for word in _words(piece)}
        self._foreign = words - own_words()
        self._nouns = sorted(self._foreign)

    def _fill(self, match: re.Match, rng: Random) -> str:
        if match[1] == "n":
            return str(rng.choice([rng.randint(2, 12), rng.randint(2, 100), rng.randint(2, 2030)]))
        if match[1] in ("topic", "object", "verb", "adjective") and rng.random() < 0.15:
            return rng.choice(self._nouns)
        return rng.choice(self._words[match[1]])

    def draw(self, rng: Random) -> str:
        """A bare sentence, lower case at its start."""
        if rng.random() < 0.14:
            return self._fragment(rng)
        return _SLOT.sub(lambda m: self._fill(m, rng), rng.choice(self._templates))

    def _fragment(self, rng: Random) -> str:
        """A piece of plain English, never one that could be about the clip: "what is shown"."""
        while True:
            sentence = rng.choice(self._english)
            if rng.random() < 0.43:
                words = sentence.split()
                start = rng.randrange(len(words))
                opener = rng.choice(_OPENERS)
                sentence = f"{opener} {' '.join(words[start : start + rng.randint(1, 9)])}".strip()
            if self._foreign.intersection(_words(sentence)):
                return sentence
