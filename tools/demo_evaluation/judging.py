"""The judge: is an answer right? Strict on facts, lenient on phrasing; never sees the video.

Every kind of expectation is a small value that can compare itself with the facts read from an
answer. What a question did not ask for may be said only if it is true, and is mostly not looked at.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from tools.demo_evaluation.reading import Facts, Mention, Told, describe_sentences, read

REFUSAL = "I cannot tell"
Name = tuple[str | None, str | None]


class Expectation(Protocol):
    """What a right answer has to say."""

    def is_met(self, answer: str) -> bool:
        """Whether `answer` says it, and nothing against it."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model says that it cannot tell."""

    def is_met(self, answer: str) -> bool:
        return answer.startswith(REFUSAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """Exactly these colours, of nothing but `shape` (None: of no shape at all)."""

    colours: frozenset[str]
    shape: str | None = None

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        return (
            _affirms(facts)
            and set(facts.colours) == self.colours
            and set(facts.shapes) <= {self.shape}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Exactly these shapes, in no colour but `colour`."""

    shapes: frozenset[str]
    colour: str

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        return (
            _affirms(facts)
            and set(facts.shapes) == self.shapes
            and set(facts.colours) <= {self.colour}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class YesNo:
    """Yes or no, naming nothing but what fits one of `there`, and no other `times`.

    For a yes `there` is what can be seen, for a no what was asked for, with None for any.
    """

    yes: bool
    there: frozenset[Name] = frozenset()
    times: frozenset[str] = frozenset()

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        return (
            facts.yes is self.yes
            and not (self.yes and facts.denies)
            and _names_only(facts, self.there)
            and set(facts.times) <= self.times
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """The directions `body` moves in; none for one that rests."""

    ways: frozenset[str]
    body: Name

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        if facts.refuses or not all(m.fits(*self.body) for m in facts.mentions):
            return False
        if not self.ways:
            return facts.rests and not facts.ways
        return facts.ways == self.ways and not facts.denies and not facts.rests


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """`body` is the one that comes first (or last), and no other one is named."""

    body: Name
    place: str = "first"

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        opposite = "last" if self.place == "first" else "first"
        return (
            _affirms(facts)
            and bool(facts.mentions)
            and all(m.fits(*self.body) for m in facts.mentions)
            and opposite not in facts.words
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """These bodies in this order, each once."""

    bodies: tuple[Name, ...]

    def is_met(self, answer: str) -> bool:
        mentions = read(answer).mentions
        if not _affirms(read(answer)) or len(mentions) != len(self.bodies):
            return False
        return all(m.fits(*body) for m, body in zip(mentions, self.bodies, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """Yes or no to "does the first of `pair` come before the second?"."""

    yes: bool
    pair: tuple[Name, Name]

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        if facts.refuses or facts.yes is not self.yes:
            return False
        claim = _claimed_order(facts)
        if claim is None:
            return not facts.mentions
        early, late = self.pair if self.yes else self.pair[::-1]
        return claim[0].fits(*early) and claim[1].fits(*late)


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """The printed time at which `body` appears or disappears; "start" and "end" are times too."""

    time: str
    body: Name
    verb: str

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        if facts.refuses or not all(m.fits(*self.body) for m in facts.mentions):
            return False
        if self.time in ("start", "end"):
            return not facts.times and facts.bound == self.time
        swapped = facts.appears if self.verb == "disappears" else facts.disappears
        return facts.times == (self.time,) and not swapped and not facts.denies


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Exactly these printed times, in order; `there` is what may be named."""

    times: tuple[str, ...]
    there: frozenset[Name] = frozenset()

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        return _affirms(facts) and _names_only(facts, self.there) and facts.times == self.times


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of things; only `shape`, `colour` and `times` may be named with it."""

    number: int
    shape: str | None = None
    colour: str | None = None
    times: frozenset[str] = frozenset()

    def is_met(self, answer: str) -> bool:
        facts = read(answer)
        return (
            not facts.refuses
            and facts.numbers == {self.number}
            and set(facts.shapes) <= {self.shape}
            and set(facts.colours) <= {self.colour}
            and set(facts.times) <= self.times
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Every body with its motion and its times, and every flash; nothing else."""

    bodies: tuple[Told, ...]
    flashes: tuple[str, ...] = ()

    def is_met(self, answer: str) -> bool:
        tale = None if answer.startswith(REFUSAL) else describe_sentences(answer)
        return (
            tale is not None
            and Counter(tale.bodies) == Counter(self.bodies)
            and Counter(tale.flashes) == Counter(self.flashes)
        )


def _names_only(facts: Facts, there: frozenset[Name]) -> bool:
    return all(any(mention.fits(*name) for name in there) for mention in facts.mentions)


def _affirms(facts: Facts) -> bool:
    return not facts.refuses and not facts.denies and facts.yes is not False


def _claimed_order(facts: Facts) -> tuple[Mention, Mention] | None:
    """The (early, late) mentions of "A comes before B" or "A comes after B", perhaps denied."""
    match = re.search(r"\b(before|after)\b", facts.text)
    if match is None or len(facts.mentions) != 2:
        return None
    first, second = facts.mentions
    swapped = (match[1] == "after") is not bool(re.search(r"\bnot\b|n't\b", facts.text))
    return (second, first) if swapped else (first, second)
