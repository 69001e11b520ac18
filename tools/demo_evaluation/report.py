"""The figures: how many answers are right, and whether that is enough; asks and draws nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

BARS = {
    "colour": 0.97,
    "shape": 0.97,
    "presence": 0.97,
    "direction": 0.97,
    "order": 0.97,
    "time": 0.97,
    "flash": 0.97,
    "count": 0.95,
    "describe": 0.95,
    "cannot-tell": 0.95,
    "other-colour": 0.90,
    "other-shape": 0.90,
    "too-many": 0.90,
    "real-footage": 0.90,
    "off-topic": 0.90,
}
COLUMNS = ("kind", "clips", "right", "share", "bar", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question with its answer; `truth` is what a right answer would have had to say."""

    kind: str
    number: int
    question: str
    answer: str
    truth: str
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """All answers of one kind."""

    kind: str
    clips: int
    right: int

    @property
    def share(self) -> float:
        """Right answers of all."""
        return self.right / self.clips

    @property
    def passed(self) -> bool:
        """Whether the bar is reached."""
        return self.share >= BARS[self.kind]


def scores(answers: Iterable[Answered]) -> list[Score]:
    """One score a kind, in the order of the bars."""
    by_kind: dict[str, list[bool]] = {}
    for answer in answers:
        by_kind.setdefault(answer.kind, []).append(answer.right)
    return [
        Score(kind=kind, clips=len(by_kind[kind]), right=sum(by_kind[kind]))
        for kind in BARS
        if kind in by_kind
    ]


def table(found: list[Score], *, markdown: bool) -> str:
    """The scores as aligned text, or as a Markdown table."""
    rows = [COLUMNS] + [
        (s.kind, str(s.clips), str(s.right), f"{s.share:.1%}", f"{BARS[s.kind]:.0%}", _word(s))
        for s in found
    ]
    if markdown:
        rows.insert(1, ("---", "---:", "---:", "---:", "---:", "---"))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i in (0, 5) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def mistakes(answers: Iterable[Answered], *, most: int) -> str:
    """Up to `most` wrong answers of each kind, with what was asked and what is true."""
    lines: list[str] = []
    often: dict[str, int] = {}
    for a in answers:
        often[a.kind] = often.get(a.kind, 0) + (not a.right)
        if not a.right and often[a.kind] <= most:
            lines += [
                f"{a.kind}-{a.number:04d}  {a.question}",
                f"    said  {a.answer}",
                f"    truth {a.truth}",
            ]
    return "\n".join(lines)


def _word(score: Score) -> str:
    return "passed" if score.passed else "missed"
