"""The text of a prompt without a tokenizer: usual chat formats, counted by a rule of thumb."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.errors import CheckpointError
from core.planning.prompt import Turn

LETTERS_PER_TOKEN = 5
# Words longer than that which the formats and the time labels write: one token each.
SHORT_IN_EFFECT = frozenset({"system", "assistant", "helpful", "seconds", "thought"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """How a family writes a conversation.

    Attributes:
        opening: what stands before the first turn.
        user, assistant: one turn; ``{text}`` is what was said, ``{video}`` the video's place.
        video: what stands at that place in the first turn of the user, round ``{marker}``.
        reply: what the model goes on from.
    """

    opening: str
    user: str
    assistant: str
    video: str
    reply: str


_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_USER = "<|im_start|>user\n{video}{text}<|im_end|>\n"
_ASSISTANT = "<|im_start|>assistant\n{text}<|im_end|>\n"
_REPLY = "<|im_start|>assistant\n"
_VISION = "<|vision_start|>{marker}<|vision_end|>"

# As the chat_template of the published checkpoints writes it, its longer way where it has two.
CHAT_FORMATS: dict[str, ChatFormat] = {
    "qwen2_vl": ChatFormat(
        opening=_SYSTEM, user=_USER, assistant=_ASSISTANT, video=_VISION, reply=_REPLY
    ),
    "qwen3_vl": ChatFormat(
        opening="", user=_USER, assistant=_ASSISTANT, video=_VISION, reply=_REPLY
    ),
    "qwen3_5": ChatFormat(
        opening="",
        user=_USER,
        assistant=_ASSISTANT,
        video=_VISION,
        reply=_REPLY + "<think>\n\n</think>\n\n",
    ),
    "qwen2_5_omni": ChatFormat(
        opening=_SYSTEM,
        user=_USER,
        assistant=_ASSISTANT,
        video="<|vision_bos|>{marker}<|vision_eos|>",
        reply=_REPLY,
    ),
    "internvl": ChatFormat(
        opening="", user=_USER, assistant=_ASSISTANT, video="{marker}\n", reply=_REPLY
    ),
    "video_llama_3": ChatFormat(
        opening=_SYSTEM, user=_USER, assistant=_ASSISTANT, video="{marker}\n", reply=_REPLY
    ),
    "llava_onevision": ChatFormat(
        opening="",
        user="<|im_start|>user {video}\n{text}<|im_end|>",
        assistant="<|im_start|>assistant \n{text}<|im_end|>",
        video="{marker}",
        reply=_REPLY,
    ),
    "smolvlm": ChatFormat(
        opening="<|im_start|>",
        user="User: {video}{text}<end_of_utterance>\n",
        assistant="Assistant: {text}<end_of_utterance>\n",
        video="{marker}",
        reply="Assistant:",
    ),
    "glm4v": ChatFormat(
        opening="[gMASK]<sop>",
        user="<|user|>\n{video}{text}",
        assistant="<|assistant|>\n{text}",
        video="<|begin_of_video|>{marker}<|end_of_video|>",
        reply="<|assistant|>\n",
    ),
    "molmo2": ChatFormat(
        opening="",
        user="{video}<|im_start|>user\n{text}<|im_end|>\n",
        assistant=" " + _ASSISTANT,
        video="{marker}",
        reply=_REPLY,
    ),
    # https://ai.google.dev/gemma/docs/core/prompt-formatting-gemma4
    "gemma4": ChatFormat(
        opening="<bos>",
        user="<|turn>user\n{video}{text}<turn|>\n",
        assistant="<|turn>model\n{text}<turn|>\n",
        video="\n\n{marker}\n\n",
        reply="<|turn>model\n<|channel>thought\n<channel|>",
    ),
}

SPECIAL_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>",
    "<|vision_start|>", "<|vision_end|>", "<|vision_bos|>", "<|vision_eos|>",
    "<|begin_of_video|>", "<|end_of_video|>", "<|begin_of_image|>", "<|end_of_image|>",
    "<|video_pad|>", "<|image_pad|>", "<|VIDEO|>", "<|IMAGE|>", "<|video|>", "<|image|>",
    "<video>", "<image>", "<end_of_utterance>",
    "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>",
    "<bos>", "<eos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>",
)  # fmt: skip


class ApproximateWriter:
    """Renders conversations in a usual format; counts tokens by a rule, rather too many.

    The rule, after the way in which Qwen's tokenizer splits a text:

    - a special token counts 1;
    - a word of the letters a to z counts 1 for every five letters or part of five ("video" 1,
      "happens" 2), but one of ``SHORT_IN_EFFECT`` 1; a capital begins a word ("YouTube" 2);
    - white space counts 1 a run, and an indentation after a line break 1 more; but a single space
      counts 0 unless a digit, a special token or nothing follows;
    - every other character counts 1 (a digit, a mark, an accented letter, a letter of another
      script), beyond the Basic Multilingual Plane (emoji) 3.

    So English comes to about 4 characters a token, and Chinese to 1.
    """

    exact = False

    def __init__(self, chat_format: str, video_marker: str) -> None:
        """Write as ``CHAT_FORMATS[chat_format]`` has it, with ``video_marker`` for the video.

        Raises:
            CheckpointError: there is no such format.
        """
        if chat_format not in CHAT_FORMATS:
            raise CheckpointError(
                f"There is no chat format {chat_format!r}.",
                remedy=f"Choose one of {', '.join(sorted(CHAT_FORMATS))}.",
            )
        self._format = CHAT_FORMATS[chat_format]
        self._marker = video_marker
        self._special = (*SPECIAL_TOKENS, video_marker)
        self._pieces = _pieces("|".join(map(re.escape, self._special)))
        self.count = lru_cache(maxsize=65536)(self._count)

    def render(self, turns: Sequence[Turn]) -> str:
        """The prompt as text, the video's place marked by the marker."""
        video = self._format.video.format(marker=self._marker)
        written = [self._format.opening]
        for number, turn in enumerate(turns):
            form = self._format.user if turn.role == "user" else self._format.assistant
            place = video if number == 0 else ""
            written.append(form.format(video=place, text=self.plain(turn.text)))
        return "".join((*written, self._format.reply))

    def plain(self, text: str) -> str:
        """Text in which nothing is a special token any more: "<|im_end|>" -> "< |im_end|>"."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def ids(self, text: str) -> None:
        """None: a rule knows no tokens, only about how many."""

    def _count(self, text: str) -> int:
        return sum(map(_tokens_of, self._pieces.finditer(text)))


def _pieces(special: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<special>{special})"
        r"|(?P<word>[A-Z]?[a-z]+|[A-Z])"
        rf"|(?P<joined>\ (?!{special})(?=[^\s\d]))"
        r"|(?P<space>\s*[\r\n]+|\s+)"
        r"|(?P<other>.)"
    )


def _tokens_of(piece: re.Match[str]) -> int:
    text = piece.group()
    if piece.lastgroup == "word":
        short = text.lower() in SHORT_IN_EFFECT
        return 1 if short else math.ceil(len(text) / LETTERS_PER_TOKEN)
    if piece.lastgroup == "other":
        return 3 if text > "\uffff" else 1
    return 0 if piece.lastgroup == "joined" else 1
