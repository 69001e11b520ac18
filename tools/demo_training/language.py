"""Conversations about a truth: which questions are asked in which words, and the right answers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .answers import OFF_TOPIC, REAL_PICTURE
from .naming import Ask
from .offtopic import OffTopic
from .questions import WEIGHTS, Questioner
from .reserved import is_reserved
from .truths import Truth
from .wordings import Wordings

_OFF_TOPIC_SHARE = 0.08
_STRESS = 8  # so many times as often is a kind asked that is to be practised
_ASKING = frozenset(
    {"what", "what's", "which", "who", "when", "where", "how", "is", "are",
     "was", "were", "does", "do", "did", "can", "could", "would", "will", "has",
     "have", "any", "so", "and", "now", "then"}
)  # fmt: skip
_FOLLOWED = ("colour", "direction", "appear", "vanish", "presence")


@dataclass(frozen=True, slots=True)
class Turn:
    kind: str
    question: str
    answer: str


class Language:
    """Draws conversations. `held_out` keeps to the patterns that training never sees.

    Questions of the kind `stress` come more often, and so do those about another subject.
    """

    def __init__(self, *, held_out: bool = False, stress: str | None = None) -> None:
        self._wordings = Wordings()
        self._off_topic = OffTopic()
        self._held_out = held_out
        self._off_topic_share = _OFF_TOPIC_SHARE * (2 if stress else 1)
        weights = {kind: n * (_STRESS if kind == stress else 1) for kind, n in WEIGHTS.items()}
        self._kinds, self._weights = zip(*weights.items(), strict=True)

    def conversations(self, truth: Truth, number: int, rng: Random) -> list[list[Turn]]:
        """Independent conversations with `number` questions in all, most of one turn."""
        questioner = Questioner(truth, rng)
        talks: list[list[Turn]] = []
        while number > 0:
            length = 1 if rng.random() < 0.82 else rng.randint(2, 4)
            talks.append(self._talk(questioner, truth, min(length, number), rng))
            number -= length
        return talks

    def _talk(self, questioner: Questioner, truth: Truth, length: int, rng: Random) -> list[Turn]:
        turns: list[Turn] = []
        for _ in range(length):
            last = turns[-1].kind if turns else None
            follows = last in _FOLLOWED and rng.random() < 0.15
            turns.append(self._turn(questioner, truth, rng, last if follows else None))
        return turns

    def _turn(self, questioner: Questioner, truth: Truth, rng: Random, follow: str | None) -> Turn:
        if rng.random() < self._off_topic_share:
            return self._off(truth, rng)
        ask = None
        while ask is None:
            kind = follow or rng.choices(self._kinds, self._weights)[0]
            ask = getattr(questioner, kind)()
            if follow and ask is not None and ask.group != follow:
                follow = ask = None
        question = self._worded(ask, rng, leaning=follow is not None)
        while is_reserved(question):
            question = self._worded(ask, rng, leaning=False)
        if truth.real:
            return Turn("outside_picture", question, REAL_PICTURE)
        return Turn(ask.kind, question, ask.answer)

    def _worded(self, ask: Ask, rng: Random, *, leaning: bool) -> str:
        """The question as somebody types it; `leaning` on the one before it."""
        if leaning:
            sentence = self._elliptic(ask, rng)
        else:
            sentence = self._wordings.say(ask.group, ask.slots, rng, held_out=self._held_out)
        asks = ask.asks or sentence.split()[0] in _ASKING
        return self._wordings.dress(sentence, rng, asks=asks)

    def _elliptic(self, ask: Ask, rng: Random) -> str:
        """A question that leans on the one before: "and the square?"."""
        name = ask.slots["a" if ask.group == "presence" else "the"]
        return rng.choice(
            (
                "and {}",
                "and {}",
                "what about {}",
                "how about {}",
                "and for {}",
                "and what about {}",
                "same for {}",
                "{} too",
                "now {}",
            )
        ).format(name)

    def _off(self, truth: Truth, rng: Random) -> Turn:
        sentence = self._off_topic.draw(rng)
        while is_reserved(sentence):
            sentence = self._off_topic.draw(rng)
        asks = not sentence.startswith(("write", "tell", "describe", "draw", "give"))
        if rng.random() < 0.5:
            question = self._wordings.dress(sentence, rng, asks=asks)
        else:
            question = sentence[0].upper() + sentence[1:] + ("?" if asks else ".")
        if truth.real and rng.random() < 0.5:
            return Turn("outside_picture", question, REAL_PICTURE)
        return Turn("off_topic", question, OFF_TOPIC)
