"""Prompts without a tokenizer: the usual formats, and a count that anyone can redo by hand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CheckpointError
from core.planning import Turn
from core.planning.approximate import CHAT_FORMATS, SPECIAL_TOKENS, ApproximateWriter

MARKERS = {
    "qwen2_vl": "<|video_pad|>",
    "qwen3_vl": "<|video_pad|>",
    "qwen3_5": "<|video_pad|>",
    "qwen2_5_omni": "<|VIDEO|>",
    "internvl": "<video>",
    "video_llama_3": "<|video_pad|>",
    "llava_onevision": "<video>",
    "smolvlm": "<video>",
    "glm4v": "<|video|>",
    "gemma4": "<|video|>",
    "molmo2": "<|video|>",
}
QWEN = ApproximateWriter("qwen3_vl", "<|video_pad|>")
TURNS = [Turn("user", "What?"), Turn("assistant", "A circle."), Turn("user", "Where?")]


def _writer(chat_format: str) -> ApproximateWriter:
    return ApproximateWriter(chat_format, MARKERS[chat_format])


def test_every_format_is_tried() -> None:
    assert MARKERS.keys() == CHAT_FORMATS.keys()
    assert not QWEN.exact


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("<12.3 seconds>", 7),  # as Qwen's own tokenizer
        ("Frame12: ", 5),  # as Qwen's own tokenizer
        ("You are a helpful assistant.", 6),  # as Qwen's own tokenizer
        ("video", 1),
        ("happens", 2),
        ("incomprehensible", 4),
        ("YouTube", 2),
        ("GPU", 3),
        ("What's this?", 5),
        ("00:07", 5),
        ("in 12 s", 5),
        ("a  b", 3),
        ("a\n\n  b", 4),
        ("a \n b", 3),
        ("…", 1),
        ("é", 1),
        ("视频里发生了什么？", 9),
        ("что", 3),
        ("😀", 3),
        ("<|im_start|>user\n", 3),
        ("< |im_start|>", 7),
    ],
    ids=repr,
)
def test_counted_by_hand(text: str, tokens: int) -> None:
    assert QWEN.count(text) == tokens


@pytest.mark.parametrize(
    ("chat_format", "tokens"),
    [("qwen2_vl", 21), ("qwen3_vl", 10)],  # as Qwen's own tokenizer, with the outer markers
)
def test_the_template_round_a_question(chat_format: str, tokens: int) -> None:
    writer = _writer(chat_format)
    before, marker, after = writer.render([Turn("user", "What?")]).partition("<|video_pad|>")
    assert marker
    assert writer.count(before) + writer.count(after) - writer.count("What?") == tokens


@pytest.mark.parametrize(
    ("chat_format", "prompt"),
    [
        (
            "qwen2_vl",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>What?<|im_end|>\n"
            "<|im_start|>assistant\nA circle.<|im_end|>\n"
            "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "internvl",
            "<|im_start|>user\n<video>\nWhat?<|im_end|>\n"
            "<|im_start|>assistant\nA circle.<|im_end|>\n"
            "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "llava_onevision",
            "<|im_start|>user <video>\nWhat?<|im_end|><|im_start|>assistant \nA circle.<|im_end|>"
            "<|im_start|>user \nWhere?<|im_end|><|im_start|>assistant\n",
        ),
        (
            "smolvlm",
            "<|im_start|>User: <video>What?<end_of_utterance>\n"
            "Assistant: A circle.<end_of_utterance>\n"
            "User: Where?<end_of_utterance>\nAssistant:",
        ),
        (
            "glm4v",
            "[gMASK]<sop><|user|>\n<|begin_of_video|><|video|><|end_of_video|>What?"
            "<|assistant|>\nA circle.<|user|>\nWhere?<|assistant|>\n",
        ),
        (
            "gemma4",
            "<bos><|turn>user\n\n\n<|video|>\n\nWhat?<turn|>\n<|turn>model\nA circle.<turn|>\n"
            "<|turn>user\nWhere?<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
        ),
        (
            "molmo2",
            "<|video|><|im_start|>user\nWhat?<|im_end|>\n"
            " <|im_start|>assistant\nA circle.<|im_end|>\n"
            "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n",
        ),
    ],
)
def test_a_conversation(chat_format: str, prompt: str) -> None:
    assert _writer(chat_format).render(TURNS) == prompt


@pytest.mark.parametrize("typed", ["{0}", "{0}{0}", "a{0}b", "<{0}>", "{{{0}}}"], ids=repr)
@pytest.mark.parametrize("chat_format", MARKERS)
def test_typed_special_tokens_are_only_text(typed: str, chat_format: str) -> None:
    writer = _writer(chat_format)
    plain = writer.render(TURNS)
    assert plain.count(MARKERS[chat_format]) == 1
    for token in SPECIAL_TOKENS:
        written = writer.render([Turn(turn.role, typed.format(token)) for turn in TURNS])
        assert [written.count(each) for each in SPECIAL_TOKENS] == [
            plain.count(each) for each in SPECIAL_TOKENS
        ]


def test_characters_that_are_none() -> None:
    assert QWEN.plain("a\udcffb") == "a?b"


@pytest.mark.parametrize(
    "text",
    [
        "A man in a blue jacket walks across the street, picks up a newspaper from the bench and "
        "sits down. After about ten seconds a dog comes into the picture; it barks twice, runs "
        "around the bench and disappears behind a parked delivery van.",
        "What happens between the first and the second goal, and which team is leading?",
        "Wie viele Personen überqueren die Straße, und welche Farbe hat das Auto?",
    ],
    ids=["story", "question", "german"],
)
def test_rather_too_many(text: str) -> None:
    """No tokenizer of these joins words or marks; most of these words are one token to them."""
    pieces = len(re.findall(r"\w+|[^\w\s]", text))
    assert 1.1 * pieces <= QWEN.count(text) <= len(text) / 3


@given(st.text(), st.sampled_from(SPECIAL_TOKENS), st.text())
def test_special_tokens_bound_what_is_counted(before: str, token: str, after: str) -> None:
    before, after = QWEN.plain(before), QWEN.plain(after)
    whole = QWEN.count(before + token + after)
    assert whole == QWEN.count(before) + 1 + QWEN.count(after)


@given(st.text())
def test_from_no_token_to_one_a_byte(text: str) -> None:
    plain = QWEN.plain(text)
    assert bool(plain) <= QWEN.count(plain) <= len(plain.encode("utf-8"))


def test_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="no chat format 'llama'") as caught:
        ApproximateWriter("llama", "<video>")
    assert "glm4v, internvl" in caught.value.remedy
