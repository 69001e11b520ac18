"""The text of a prompt: the checkpoint's own chat template, counted by its own tokenizer.

Only ``tokenizers`` and ``jinja2`` are used, so that a prompt is counted without loading torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from core.errors import CheckpointError
from core.planning.card import ModelCard
from core.planning.checkpoint_files import read_json

if TYPE_CHECKING:
    from jinja2 import Template
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; the video belongs to the first one of the user."""

    role: Literal["user", "assistant"]
    text: str


class Writer(Protocol):
    """What renders conversations and counts tokens."""

    @property
    def exact(self) -> bool:
        """Whether counts are those of the checkpoint's own tokenizer."""

    def render(self, turns: Sequence[Turn]) -> str:
        """The prompt as text, the video's place marked by the family's marker token."""

    def plain(self, text: str) -> str:
        """Text in which nothing is a special token any more."""

    def count(self, text: str) -> int:
        """Tokens of a text."""

    def ids(self, text: str) -> list[int] | None:
        """The tokens themselves; None where they are counted by a rule."""


class PromptWriter:
    """Renders conversations and counts tokens as one checkpoint does."""

    exact = True

    def __init__(self, name: str, tokenizer: Tokenizer, template: Template) -> None:
        self._name = name
        self._tokenizer = tokenizer
        self._template = template
        added = tokenizer.get_added_tokens_decoder().values()
        self._special = [token.content for token in added if token.special]
        # one that takes the blanks before it is no place to part a text
        bounds = [token.content for token in added if token.special and not token.lstrip]
        longest_first = sorted(bounds, key=len, reverse=True)
        self._bounds = re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")
        self.count = lru_cache(maxsize=65536)(self._count)
        self._piece_ids = lru_cache(maxsize=4096)(self._encode)

    def render(self, turns: Sequence[Turn]) -> str:
        """The prompt as text, the video's place marked by the checkpoint's marker token.

        Raises:
            CheckpointError: the template does not take such a conversation.
        """
        from jinja2 import TemplateError

        contents = [[{"type": "text", "text": self.plain(turn.text)}] for turn in turns]
        contents[0].insert(0, {"type": "video"})
        messages = [
            {"role": turn.role, "content": content}
            for turn, content in zip(turns, contents, strict=True)
        ]
        try:
            return self._template.render(messages=messages, add_generation_prompt=True)
        except TemplateError as error:
            raise _bad_template(self._name, error) from error

    def plain(self, text: str) -> str:
        """Text in which nothing is a special token any more: "<|im_end|>" -> "< |im_end|>".

        What a person types is never allowed to end a turn or to stand for a picture. Characters
        that are none (bytes of a command line that are not UTF-8) become question marks.
        """
        text = text.encode("utf-8", "replace").decode("utf-8")
        for token in self._special:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def ids(self, text: str) -> list[int]:
        """The tokens, piece by piece from special token to special token, which bound every piece.

        What was said before is not tokenized again while the next question is typed.
        """
        first, *rest = self._bounds.split(text)
        bound = zip(rest[::2], rest[1::2], strict=True)
        pieces = [first, *(special + words for special, words in bound)]
        return [each for piece in pieces if piece for each in self._piece_ids(piece)]

    def _count(self, text: str) -> int:
        return len(self.ids(text))

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)


def writer_for(card: ModelCard, route: str | None = None) -> Writer:
    """The checkpoint's own writer, or one that goes by a rule where it has no tokenizer here."""
    text = card.route(route).text
    if card.folder is None or not (card.folder / "tokenizer.json").is_file():
        return _approximate_writer(card.family.chat_format, text.marker)
    return prompt_writer(card.folder, text.template)


@lru_cache(maxsize=32)
def _approximate_writer(chat_format: str, marker: str) -> Writer:
    from core.planning.approximate import ApproximateWriter

    return ApproximateWriter(chat_format, marker)


@lru_cache(maxsize=8)
def prompt_writer(folder: Path, template: str | None = None) -> PromptWriter:
    """The writer for the checkpoint in ``folder``, with another ``template`` if one is given.

    Raises:
        CheckpointError: its tokenizer or chat template is missing or cannot be read.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(
            f"The tokenizer of {folder.name} cannot be read ({file.name}: {error}).",
            remedy="Use a checkpoint that comes with a tokenizer.json.",
        ) from error
    return PromptWriter(folder.name, tokenizer, _template(folder, template))


def _template(folder: Path, source: str | None) -> Template:
    from jinja2 import TemplateError

    try:
        return _compiled(source or _template_source(folder))
    except TemplateError as error:
        raise _bad_template(folder.name, error) from error


def _bad_template(name: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"The chat template of {name} does not work: {error}",
        remedy="Choose another checkpoint, or mend its chat_template.jinja.",
    )


def _template_source(folder: Path) -> str:
    """The template, looked for where transformers looks, in its order."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        template = read_json(folder / name).get("chat_template")
        if isinstance(template, str):
            return template
    raise CheckpointError(
        f"{folder.name} has no chat template.",
        remedy="Use an instruction-tuned checkpoint; base models cannot hold a conversation.",
    )


def _compiled(source: str) -> Template:
    """Compile as transformers does: sandboxed, blocks trimmed."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def to_json(value: Any, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=False, **options)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(source)
