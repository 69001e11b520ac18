"""How long a prompt is, piece by piece, by the checkpoint's own tokenizer and chat template.

Special tokens bound every piece (each visual token is one), so that the pieces can be counted
apart: text before the video, what stands between its steps, text after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.errors import CheckpointError
from core.planning.card import ModelCard
from core.planning.family import VideoText
from core.planning.plan import Plan
from core.planning.prompt import Turn, writer_for


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTokens:
    """What a conversation costs without its video, the same for every plan.

    ``before`` and ``after`` are the rendered text on both sides of the video.
    """

    before: str
    after: str
    question: int
    history: int
    template: int

    @property
    def total(self) -> int:
        """All text round the video."""
        return self.question + self.history + self.template


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the context is spent on.

    Attributes:
        video: visual tokens; with labels and wrappers where they were measured.
        labels: time labels and the wrappers round each step; 0 where they were measured.
        question: the last turn's text.
        history: the text of the turns before it.
        template: what the chat template adds.
        prompt: all of these: the length of the model's ``input_ids``.
        reply: the longest reply.
        exact: False where no tokenizer is at hand and text was counted by a rule, or where the
            model drops visual tokens by what it sees.
    """

    video: int
    labels: int
    question: int
    history: int
    template: int
    prompt: int
    reply: int
    exact: bool = True

    @property
    def total(self) -> int:
        """Prompt and reply: what the context must hold."""
        return self.prompt + self.reply


def count_tokens(
    plan: Plan,
    card: ModelCard,
    turns: Sequence[Turn],
    *,
    reply_tokens: int,
    text: TextTokens | None = None,
) -> Tokens:
    """Count the prompt of ``turns`` about ``plan``.

    ``text`` is count_text() of the turns, where it is at hand from a count before.

    Raises:
        CheckpointError: the template has no place for a video, or does not work at all.
    """
    text = text or count_text(card, turns, route=plan.route)
    writer, form = writer_for(card, plan.route), card.route(plan.route).text
    first, *middle, last = _pieces(plan, form)
    labels = writer.count(text.before + first) - writer.count(text.before)
    labels += sum(map(writer.count, middle))
    labels += writer.count(last + text.after) - writer.count(text.after)
    labels += form.step_wrapper_tokens * plan.grid[0] + form.extra_tokens
    return Tokens(
        video=plan.video_tokens,
        labels=labels,
        question=text.question,
        history=text.history,
        template=text.template,
        prompt=plan.video_tokens + labels + text.total,
        reply=reply_tokens,
        exact=writer.exact and card.family.exact and (not plan.measured or plan.measured.exact),
    )


def count_text(card: ModelCard, turns: Sequence[Turn], *, route: str | None = None) -> TextTokens:
    """The part of count_tokens() that does not depend on the plan.

    Raises:
        CheckpointError: the template has no place for a video, or does not work at all.
    """
    writer, form = writer_for(card, route), card.route(route).text
    before, marker, after = writer.render(turns).partition(form.marker)
    if not marker:
        raise CheckpointError(
            f"The chat template of {card.name} has no place for a video.",
            remedy=f"Choose a checkpoint whose template writes {form.marker}.",
        )
    question = writer.count(writer.plain(turns[-1].text))
    history = sum(writer.count(writer.plain(turn.text)) for turn in turns[:-1])
    plain = writer.count(before) + writer.count(after)
    return TextTokens(
        before=before,
        after=after,
        question=question,
        history=history,
        template=plain - question - history,
    )


def _pieces(plan: Plan, text: VideoText) -> list[str]:
    """What is written before the first step, between each two, and after the last."""
    head = text.head and text.head.format(
        count=_in_words(len(plan.indices)), duration=timedelta(seconds=int(plan.duration_seconds))
    )
    labels = plan.labels or ("",) * plan.grid[0]
    if text.label_after:
        return [head, *(label + text.between for label in labels[:-1]), labels[-1] + text.tail]
    return [head + labels[0], *(text.between + label for label in labels[1:]), text.tail]


def _in_words(number: int) -> str:
    from num2words import num2words

    return str(num2words(number))
