"""Sentence patterns: small text files in which (a|b) is a choice, [x] perhaps, %name a macro.

Reads the files under patterns/, draws sentences from them, and dresses a question as people type
it: openers, endings, lower case, missing marks, typos, filler words, telegram style. Every
sixteenth pattern of a file is held out, so that training can measure itself on unseen patterns.
What the evaluation asks is never said (`reserved.py`).
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from .reserved import is_reserved

FOLDER = Path(__file__).parent / "patterns"
HELD_OUT_EVERY = 16
_TOKEN = re.compile(r"[()\[\]|]|%[a-z]+|\{[a-z]+\}|[^()\[\]|%{}]+")

Node = tuple  # ("text", s) | ("slot", name) | ("macro", name) | ("choice", [...]) | ("all", [...])


def _parse(tokens: list[str]) -> Node:
    """A choice of sequences up to a closing bracket; eats the tokens it uses."""
    branches: list[list[Node]] = [[]]
    while tokens:
        token = tokens.pop(0)
        if token in ")]":
            break
        if token == "|":
            branches.append([])
        elif token == "(":
            branches[-1].append(_parse(tokens))
        elif token == "[":
            branches[-1].append(("choice", [_parse(tokens), ("text", "")]))
        elif token[0] == "%":
            branches[-1].append(("macro", token[1:]))
        elif token[0] == "{":
            branches[-1].append(("slot", token[1:-1]))
        else:
            branches[-1].append(("text", token))
    sequences = [("all", branch) for branch in branches]
    return sequences[0] if len(sequences) == 1 else ("choice", sequences)


def parse(pattern: str) -> Node:
    return _parse(_TOKEN.findall(pattern))


def lines_of(path: Path) -> list[str]:
    """The lines of a file of wordings without blank ones and comments."""
    lines = path.read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


class Wordings:
    """All patterns by file name, and how to speak them."""

    def __init__(self) -> None:
        self._macros: dict[str, Node] = {}
        for line in lines_of(FOLDER / "macros.txt"):
            name, _, body = line.partition(" = ")
            self._macros[name.strip()] = parse(body)
        self._patterns = {
            path.stem: [parse(line) for line in lines_of(path)]
            for path in sorted(FOLDER.glob("*.txt"))
            if path.stem != "macros"
        }

    def say(self, group: str, slots: dict[str, str], rng: Random, *, held_out: bool = False) -> str:
        """A bare sentence of the group: lower case, no mark at its end."""
        names = {name: f"{{{name}}}" for name in slots}
        for attempt in range(1000):
            pattern = self._draw(group, rng, held_out=held_out and attempt < 50)
            sentence = re.sub(r"\s+", " ", self._speak(pattern, names, rng)).strip()
            if not is_reserved(sentence):
                return sentence.format_map(slots)
        raise ValueError(f"every wording of {group!r} is the evaluation's")

    def _draw(self, group: str, rng: Random, *, held_out: bool) -> Node:
        patterns = self._patterns[group]
        number = rng.randrange(len(patterns))
        if (number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) != held_out:
            number = rng.randrange(len(patterns) // HELD_OUT_EVERY) * HELD_OUT_EVERY + (
                HELD_OUT_EVERY - 1 if held_out else rng.randrange(HELD_OUT_EVERY - 1)
            )
        return patterns[number]

    def expand(self, pattern: str, rng: Random) -> str:
        """A sentence of a pattern given in code."""
        return self._speak(parse(pattern), {}, rng)

    def _speak(self, node: Node, slots: dict[str, str], rng: Random) -> str:
        kind, value = node
        if kind == "text":
            return value
        if kind == "all":
            return "".join([self._speak(part, slots, rng) for part in value])
        if kind == "choice":
            return self._speak(rng.choice(value), slots, rng)
        if kind == "macro":
            return self._speak(self._macros[value], slots, rng)
        return slots[value]

    def dress(self, sentence: str, rng: Random, *, asks: bool = True) -> str:
        """The sentence as a person would type it."""
        if rng.random() < 0.07:
            sentence = self._filled(sentence, rng)
        if rng.random() < 0.04:
            sentence = _telegram(sentence, rng)
        if rng.random() < 0.22:
            sentence = f"{self._extra('openers', rng)} {sentence}"
        tail = self._extra("endings", rng) if rng.random() < 0.16 else ""
        if tail.startswith("?"):
            sentence, mark = sentence + ("" if asks else "."), tail if asks else tail[1:]
        else:
            sentence = f"{sentence} {tail}".strip()
            mark = rng.choices(
                ["?" if asks else ".", "", ".", " ?", "??", "!", "..."],
                weights=[70, 20, 4, 2, 1, 1, 1],
            )[0]
        sentence = _cased(sentence.rstrip("?. ") + mark, rng)
        return _misspelt(sentence, rng) if rng.random() < 0.05 else sentence

    def _extra(self, group: str, rng: Random) -> str:
        return re.sub(r"\s+", " ", self._speak(rng.choice(self._patterns[group]), {}, rng))

    def _filled(self, sentence: str, rng: Random) -> str:
        words = sentence.split()
        for _ in range(rng.randint(1, 2)):
            words.insert(rng.randrange(len(words) + 1), self._extra("fillers", rng))
        return " ".join(words)


_SMALL_WORDS = frozenset(
    re.split(
        " ",
        "the a an is are does do in of to there it that this please was at on you can what's be"
        " have has",
    )
)


def _telegram(sentence: str, rng: Random) -> str:
    """Drops some of the words that carry nothing."""
    words = [w for w in sentence.split() if w not in _SMALL_WORDS or rng.random() < 0.4]
    return " ".join(words) or sentence


def _cased(sentence: str, rng: Random) -> str:
    kind = rng.random()
    if kind < 0.26:
        return sentence
    if kind < 0.28:
        return sentence.upper()
    if kind < 0.29:
        return sentence.title()
    parts = re.split(r"([.?!] )", sentence)
    parts = [p[:1].upper() + p[1:] for p in parts]
    return re.sub(r"\bi\b(?=[ '])", "I", "".join(parts))


def _misspelt(sentence: str, rng: Random) -> str:
    """One slip of the finger in one longer word."""
    words = sentence.split(" ")
    long = [i for i, w in enumerate(words) if len(w) > 4 and not any(c.isdigit() for c in w)]
    if not long:
        return sentence
    place = rng.choice(long)
    word = words[place]
    at = rng.randrange(1, len(word) - 2)
    words[place] = rng.choice(
        [
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + rng.choice("aeiourstln") + word[at + 1 :],
        ]
    )
    return " ".join(words)
