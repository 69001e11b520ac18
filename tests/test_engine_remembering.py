"""Conversations opened and put away: what is shared is copied once, and only where it must be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.engine.keeping import Conversation
from core.engine.remembering import Remembered

TOKEN = 2 * 2 * 2 * 3 * 4  # bytes: keys and values, layers, heads, size, float32


def _layers() -> list[Any]:
    layer = SimpleNamespace(
        input_layernorm=SimpleNamespace(weight=torch.ones(6)),
        self_attn=SimpleNamespace(head_dim=3, k_proj=SimpleNamespace(out_features=6)),
    )
    return [layer, layer]


def _made(kept: int = 1000, away: int = 1000) -> Remembered:
    return Remembered(_layers(), torch.float32, kept_bytes=kept * TOKEN, away_bytes=away * TOKEN)


def _read(remembered: Remembered, tokens: int, *, room: int = 40) -> Conversation:
    """A conversation of which so many tokens were read, the values of each its number."""
    kept = remembered.new("film", room)
    kept.ids += range(tokens)
    for each in (*kept.keys, *kept.values):
        each[:tokens] = torch.arange(tokens)[:, None, None]
    remembered.keep(kept)
    return kept


def _right(kept: Conversation, tokens: int) -> bool:
    expected = torch.arange(tokens).float()[:, None, None].expand(tokens, 2, 3)
    return kept.ids == list(range(tokens)) and all(
        torch.equal(each[:tokens], expected) for each in (*kept.keys, *kept.values)
    )


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The room of each copy that is made."""
    made: list[int] = []
    copy = Conversation.resized

    def counted(self: Conversation, tokens: int, **named: Any) -> Conversation:
        made.append(tokens)
        return copy(self, tokens, **named)

    monkeypatch.setattr(Conversation, "resized", counted)
    return made


def test_bytes_of_a_token() -> None:
    assert _made().token_bytes == TOKEN
    assert _made().new("film", 7).nbytes == 7 * TOKEN


@pytest.mark.parametrize(
    ("asked", "room", "made", "left"),
    [
        ([*range(20), 99], 40, [], 0),
        ([*range(20), 99], 60, [60], 0),
        ([*range(12), 99], 40, [40], 1),
        ([*range(12), 99], 60, [60], 1),
        ([*range(12), 99], 16, [16], 1),
    ],
    ids=["goes on", "goes on and grows", "departs", "departs and grows", "departs, shorter"],
)
def test_copied_once_at_most(
    asked: list[int], room: int, made: list[int], left: int, copies: list[int]
) -> None:
    remembered = _made()
    first = _read(remembered, 20)
    kept = remembered.open(asked, "film", room=room, least=1)
    assert kept is not None
    assert copies == made
    assert kept.room == room
    assert _right(kept, len(asked) - 1)
    assert len(list(remembered.here)) == left
    if left:
        kept.keys[0].zero_()
        assert _right(first, 20)


@pytest.mark.parametrize("asked", [[*range(20), 99], [*range(12), 99]], ids=["on", "departs"])
def test_back_from_the_machines_memory(asked: list[int], copies: list[int]) -> None:
    """With its room at once, not first as it was."""
    remembered = _made(kept=0)
    _read(remembered, 20)
    assert len(list(remembered.away)) == 1
    copies.clear()
    kept = remembered.open(asked, "film", room=60, least=1)
    assert kept is not None
    assert copies == [60]
    assert _right(kept, len(asked) - 1)
    assert not list(remembered.away)


@pytest.mark.parametrize(
    ("video", "least"), [("other", 1), (None, 1), ("film", 13)], ids=["video", "none", "too little"]
)
def test_none_that_would_do(video: str | None, least: int) -> None:
    remembered = _made()
    _read(remembered, 20)
    assert remembered.open([*range(12), 99], video, room=40, least=least) is None
    assert remembered.open([*range(12), 99], "film", room=40, least=12) is not None


def test_others_depart_from_one_in_use(copies: list[int]) -> None:
    """It is on no shelf, and stays as it is; nobody can depart once it is gone."""
    remembered = _made()
    first = _read(remembered, 20)
    remembered.here.shrink(0)
    remembered.use(first)
    for asked in ([*range(12), 99], [*range(20), 99]):
        kept = remembered.open(asked, "film", room=40, least=1)
        assert kept is not None
        assert kept is not first
        assert _right(kept, len(asked) - 1)
        kept.keys[0].zero_()
    assert copies == [40, 40]
    assert _right(first, 20)
    del first
    assert remembered.open([*range(12), 99], "film", room=40, least=1) is None


def test_the_last_token_is_always_read() -> None:
    remembered = _made()
    _read(remembered, 20)
    kept = remembered.open(list(range(20)), "film", room=40, least=1)
    assert kept is not None
    assert len(kept.ids) == 19


def test_the_longest_is_taken() -> None:
    remembered = _made()
    for tokens in (5, 15, 10):
        _read(remembered, tokens)
    kept = remembered.open([*range(30)], "film", room=40, least=1)
    assert kept is not None
    assert _right(kept, 15)


@pytest.mark.parametrize(
    ("asked", "video", "least", "shared"),
    [
        ([*range(30)], "film", 1, 15),
        ([*range(15)], "film", 1, 14),
        ([*range(12), 99], "film", 12, 12),
        ([*range(12), 99], "film", 13, 0),
        ([*range(30)], "other", 1, 0),
    ],
    ids=["the longest", "the last is read", "departs", "too little", "another video"],
)
def test_what_would_be_shared_is_what_is(
    asked: list[int], video: str, least: int, shared: int, copies: list[int]
) -> None:
    """Looked up as it is opened, and nothing moves for it."""
    remembered = _made(kept=45, away=100)  # the first is in the machine's memory
    for tokens in (5, 15):
        _read(remembered, tokens)
    before = [number for number, _ in remembered.here], len(copies)
    assert remembered.shared(asked, video, least=least) == shared
    assert ([number for number, _ in remembered.here], len(copies)) == before
    kept = remembered.open(asked, video, room=40, least=least)
    assert (0 if kept is None else len(kept.ids)) == shared


def test_others_make_room() -> None:
    """Those used least recently, into the machine's memory as long as there is some."""
    remembered = _made(kept=100, away=25)
    for tokens in (20, 21):
        _read(remembered, tokens)
    remembered.new("film", 50)
    assert [len(each.ids) for _, each in remembered.here] == [21]
    assert [len(each.ids) for _, each in remembered.away] == [20]
    remembered.new("film", 90)
    assert not list(remembered.here)
    assert [len(each.ids) for _, each in remembered.away] == [21]


def test_half_is_spared_the_last_used_stays() -> None:
    """Into the machine's memory as long as there is some; in the end all, then there is nothing."""
    remembered = _made(away=21)
    for tokens in (20, 21, 22, 23):
        _read(remembered, tokens)
    assert remembered.spare(2)
    assert [len(each.ids) for _, each in remembered.here] == [22, 23]
    assert [len(each.ids) for _, each in remembered.away] == [21]
    assert remembered.spare(1)
    assert not list(remembered.here)
    assert not remembered.spare(1)


def test_what_cannot_be_moved_away_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's reply ends with an error for that."""
    remembered = _made(kept=30)

    def scarce(*_: Any) -> Conversation:
        raise MemoryError

    _read(remembered, 20, room=20)
    monkeypatch.setattr(Conversation, "moved", scarce)
    _read(remembered, 21, room=21)
    assert [len(each.ids) for _, each in remembered.here] == [21]
    assert not list(remembered.away)
