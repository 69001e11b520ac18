"""Prompts: rendered by the checkpoint's template, counted by its tokenizer, safe from any text."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jinja2 import Template
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from core.errors import CheckpointError
from core.planning import Settings, Turn, load_card, make_plan
from core.planning.forecast import count_tokens
from core.planning.prompt import PromptWriter, prompt_writer
from core.video import describe_video
from tiny_checkpoint import SPECIAL

MARKER = "<|video_pad|>"


@pytest.fixture(scope="module")
def writer(tiny_model: Path) -> PromptWriter:
    return prompt_writer(tiny_model)


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint without its weights, to be damaged."""
    ignore = shutil.ignore_patterns("*.safetensors")
    return Path(shutil.copytree(tiny_model, tmp_path / "copy", ignore=ignore))


def test_the_video_belongs_to_the_first_question(writer: PromptWriter) -> None:
    turns = [Turn("user", "What?"), Turn("assistant", "A circle."), Turn("user", "Where?")]
    assert writer.render(turns) == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>What?<|im_end|>\n"
        "<|im_start|>assistant\nA circle.<|im_end|>\n"
        "<|im_start|>user\nWhere?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("token", SPECIAL)
@pytest.mark.parametrize(
    "typed", ["{0}", "{0}{0}", "a{0}b", "<{0}>", "{0}\n{0}", "<|im_{0}end|>", "< {0}"], ids=repr
)
def test_typed_special_tokens_are_only_text(token: str, typed: str, writer: PromptWriter) -> None:
    """Neither in a question nor in an answer of before can text end a turn or stand for a video."""
    text = typed.format(token)
    plain = [Turn("user", "x"), Turn("assistant", "x"), Turn("user", "x")]
    sly = [Turn("user", text), Turn("assistant", text), Turn("user", text)]
    counts = {special: writer.render(plain).count(special) for special in SPECIAL}
    assert {special: writer.render(sly).count(special) for special in SPECIAL} == counts
    assert counts[MARKER] == 1


def test_what_is_typed_stays_readable(writer: PromptWriter) -> None:
    assert writer.plain("What is <|im_end|>?") == "What is < |im_end|>?"
    assert writer.plain("5 < 6, a|b, <3") == "5 < 6, a|b, <3"


@pytest.mark.parametrize(
    "text", ["", "What?", "Ünïcödé 漢字 🎬", "a\n\nb\tc", "12.5", "\u0000", "\udcff"], ids=ascii
)
def test_any_text_is_counted(text: str, writer: PromptWriter) -> None:
    count = writer.count(writer.plain(text))
    assert (count > 0) == bool(text)
    assert writer.count(writer.render([Turn("user", text)])) > count


def test_no_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer of copy .*tokenizer\.json") as caught:
        prompt_writer(copy)
    assert caught.value.remedy


def test_broken_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").write_text('{"version": "1.0", ', encoding="utf-8")
    with pytest.raises(CheckpointError, match="tokenizer of copy cannot be read"):
        prompt_writer(copy)


@pytest.mark.parametrize(
    "place", ["chat_template.json", "processor_config.json", "tokenizer_config.json"]
)
def test_templates_are_found_where_transformers_keeps_them(place: str, copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    text = "{% for message in messages %}{{ message.role }}: <|video_pad|>{% endfor %}"
    (copy / place).write_text(json.dumps({"chat_template": text}), encoding="utf-8")
    assert prompt_writer(copy).render([Turn("user", "What?")]) == "user: <|video_pad|>"


def test_no_template(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="copy has no chat template") as caught:
        prompt_writer(copy)
    assert "instruction-tuned" in caught.value.remedy


@pytest.mark.parametrize(
    "template",
    ["{% for message in messages %}", "{{ raise_exception('system turns only') }}",
     "{{ messages[9].role }}", "{{ ''.__class__.__mro__ }}"],
    ids=["unfinished", "raises", "wrong", "unsafe"],
)  # fmt: skip
def test_a_template_that_does_not_work(template: str, copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(template, encoding="utf-8")
    with pytest.raises(CheckpointError, match="chat template of copy") as caught:
        prompt_writer(copy).render([Turn("user", "What?")])
    assert caught.value.remedy


def test_a_template_without_a_place_for_a_video(copy: Path, tiny_model: Path) -> None:
    (copy / "chat_template.jinja").write_text("{{ messages[0].role }}", encoding="utf-8")
    card = replace(load_card(tiny_model), folder=copy, name="copy")
    info = describe_video(width=640, height=360, duration_seconds=2, frame_rate=25)
    with pytest.raises(CheckpointError, match="template of copy has no place for a video"):
        count_tokens(make_plan(info, Settings(), card), card, [Turn("user", "x")], reply_tokens=1)


def test_a_template_file_that_is_not_json(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    (copy / "tokenizer_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json is not valid JSON"):
        prompt_writer(copy)


class Counting:
    """A tokenizer that notes what it is given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self.given = tokenizer, list[str]()

    def encode(self, text: str, **named: bool) -> object:
        self.given.append(text)
        return self._tokenizer.encode(text, **named)

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        found: dict[int, AddedToken] = self._tokenizer.get_added_tokens_decoder()
        return found


@given(
    pieces=st.lists(st.sampled_from([*SPECIAL, " ", "\n", "a", "The end.", "漢", "<|im_", "12"]))
)
@hypothesis_settings(max_examples=200)
def test_tokens_by_pieces_are_those_of_the_whole(pieces: list[str], tiny_model: Path) -> None:
    text = "".join(pieces)
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    assert prompt_writer(tiny_model).ids(text) == tokenizer.encode(text).ids


def test_blanks_before_a_token_that_takes_them() -> None:
    """It takes them from the words before it, so that it cannot be parted from them."""
    tokenizer = Tokenizer(WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.add_special_tokens([AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True)])
    text = "a <r> a <l> a"
    writer = PromptWriter("words", tokenizer, Template(""))
    assert writer.ids(text) == tokenizer.encode(text).ids


def test_no_special_tokens_at_all() -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "?": 1}, unk_token="?"))
    assert PromptWriter("words", tokenizer, Template("")).ids("a") == [0]


def test_what_was_said_before_is_not_tokenized_again(
    writer: PromptWriter, tiny_model: Path
) -> None:
    """While the next question is typed, only the question is."""
    tokenizer = Counting(Tokenizer.from_file(str(tiny_model / "tokenizer.json")))
    counted = PromptWriter("counted", tokenizer, Template(""))
    history = [Turn("user", "What?"), Turn("assistant", "A long answer. " * 100)]
    counted.ids(writer.render([*history, Turn("user", "W")]))
    tokenizer.given.clear()
    prompt = writer.render([*history, Turn("user", "Wh")])
    assert counted.ids(prompt) == writer.ids(prompt)
    assert tokenizer.given == ["<|im_start|>user\nWh"]
