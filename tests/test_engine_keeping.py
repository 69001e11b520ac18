"""What is kept: which goes first, how much, conversations copied and moved, what is shared."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.engine.cache import cache_of
from core.engine.keeping import Conversation, Shelf, room_for, shared_length

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("known", "wanted", "shared"),
    [
        ([], [], 0),
        ([], [1], 0),
        ([1], [], 0),
        ([1, 2, 3], [1, 2, 3], 3),
        ([1, 2], [1, 2, 3], 2),
        ([1, 2, 3], [1, 2], 2),
        ([1, 2, 3], [1, 9, 3], 1),
        ([9, 2, 3], [1, 2, 3], 0),
        ((1, 2, 3), [1, 2, 4], 2),
    ],
)
def test_shared_length(known: Sequence[int], wanted: Sequence[int], shared: int) -> None:
    assert shared_length(known, wanted) == shared


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_shared_length_is_the_longest(known: list[int], wanted: list[int]) -> None:
    shared = shared_length(known, wanted)
    assert known[:shared] == wanted[:shared]
    assert known[: shared + 1] != wanted[: shared + 1] or shared == len(known) == len(wanted)


@pytest.mark.parametrize(("tokens", "room"), [(0, 0), (1, 256), (256, 256), (257, 512)])
def test_room_is_rounded_up(tokens: int, room: int) -> None:
    assert room_for(tokens) == room


def _filled(limit: int = 100) -> Shelf[str]:
    shelf: Shelf[str] = Shelf(limit)
    for key in "abc":
        assert shelf.put(key, key.upper(), 30) == []
    return shelf


def _keys(shelf: Shelf[str]) -> str:
    return "".join(key for key, _ in shelf)


def test_a_shelf_knows_what_it_holds() -> None:
    shelf = _filled()
    assert list(shelf) == [("a", "A"), ("b", "B"), ("c", "C")]
    assert shelf.nbytes == 90
    assert "a" in shelf
    assert "d" not in shelf
    assert shelf.get("d") is None


def test_the_least_recently_used_goes_first() -> None:
    shelf = _filled()
    assert shelf.get("a") == "A"
    assert shelf.put("d", "D", 30) == [("b", "B")]
    assert _keys(shelf) == "cad"
    assert shelf.put("e", "E", 70) == [("c", "C"), ("a", "A")]
    assert _keys(shelf) == "de"
    assert shelf.nbytes == 100


def test_looking_whether_it_is_there_is_no_use() -> None:
    shelf = _filled()
    assert "a" in shelf
    assert shelf.put("d", "D", 30) == [("a", "A")]


def test_the_same_again_takes_the_place_of_the_first() -> None:
    shelf = _filled()
    assert shelf.put("a", "other", 40) == []
    assert list(shelf) == [("b", "B"), ("c", "C"), ("a", "other")]
    assert shelf.nbytes == 100


def test_what_is_too_large_goes_with_all_others() -> None:
    shelf = _filled()
    assert [key for key, _ in shelf.put("d", "D", 101)] == ["a", "b", "c", "d"]
    assert shelf.nbytes == 0


def test_a_limit_of_nothing_keeps_nothing() -> None:
    shelf: Shelf[str] = Shelf(0)
    assert shelf.put("a", "A", 1) == [("a", "A")]
    assert not list(shelf)


def test_it_is_taken_out() -> None:
    shelf = _filled()
    assert shelf.pop("b") == "B"
    assert shelf.pop("b") is None
    assert shelf.nbytes == 60


@pytest.mark.parametrize(
    ("limit", "gone", "left"), [(90, "", "abc"), (89, "a", "bc"), (30, "ab", "c"), (0, "abc", "")]
)
def test_it_shrinks(limit: int, gone: str, left: str) -> None:
    shelf = _filled()
    assert "".join(str(key) for key, _ in shelf.shrink(limit)) == gone
    assert _keys(shelf) == left


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=30))
def test_a_shelf_never_holds_more_than_its_limit(limit: int, puts: list[tuple[int, int]]) -> None:
    shelf: Shelf[int] = Shelf(limit)
    sizes: dict[int, int] = {}
    for key, size in puts:
        gone = shelf.put(key, key, size)
        sizes[key] = size
        sizes = {each: sizes[each] for each in sizes if each not in {name for name, _ in gone}}
        assert {each for each, _ in shelf} == set(sizes)
        assert shelf.nbytes == sum(sizes.values()) <= limit


def _conversation(*, room: int = 6, read: int = 4, layers: int = 2) -> Conversation:
    keys, values = (
        [
            torch.randn(room, 2, 3, generator=torch.Generator().manual_seed(n + k))
            for n in range(layers)
        ]
        for k in (0, 50)
    )
    return Conversation("video", ids=range(read), shift=-7, keys=keys, values=values)


def _same_past(one: Conversation, other: Conversation, tokens: int) -> bool:
    return all(
        torch.equal(mine[:tokens], theirs[:tokens])
        for mine, theirs in zip((*one.keys, *one.values), (*other.keys, *other.values), strict=True)
    )


def test_a_conversation_knows_its_size() -> None:
    kept = _conversation()
    assert (kept.room, kept.nbytes) == (6, 2 * 2 * 6 * 2 * 3 * 4)
    assert (Conversation().room, Conversation().nbytes) == (0, 0)


@pytest.mark.parametrize(("tokens", "keep"), [(6, 4), (9, 4), (9, 2), (4, 4), (3, 3), (9, 0)])
def test_resized_keeps_what_is_wanted(tokens: int, keep: int) -> None:
    kept = _conversation()
    copy = kept.resized(tokens, keep=keep)
    assert (copy.room, copy.ids) == (tokens, list(range(keep)))
    assert (copy.video, copy.shift) == (kept.video, kept.shift)
    assert _same_past(copy, kept, keep)


def test_a_resized_one_is_another() -> None:
    kept = _conversation()
    before = _conversation()
    copy = kept.resized(6, keep=4)
    copy.keys[0].zero_()
    copy.ids.append(9)
    assert _same_past(kept, before, 6)
    assert kept.ids == before.ids


def test_what_is_spent_is_gone_and_its_copy_whole() -> None:
    kept, before = _conversation(), _conversation()
    copy = kept.resized(9, keep=4, spend=True)
    assert kept.nbytes == 0
    assert (copy.room, copy.ids) == (9, [0, 1, 2, 3])
    assert _same_past(copy, before, 4)


def test_moved_takes_only_what_was_read() -> None:
    kept = _conversation()
    copy = kept.moved([CPU, torch.device("meta")])
    assert copy.room == len(copy.ids) == 4
    assert copy.nbytes == kept.nbytes * 4 // 6
    assert [each.device.type for each in (*copy.keys, *copy.values)] == ["cpu", "meta"] * 2
    assert (copy.video, copy.shift) == (kept.video, kept.shift)
    assert torch.equal(copy.keys[0], kept.keys[0][:4])


def test_moved_to_where_it_is_holds_no_more_than_it_counts() -> None:
    """A view would keep the whole buffer, and be written to by whoever goes on with it."""
    kept = _conversation()
    copy = kept.moved([CPU, CPU])
    held = sum(each.untyped_storage().nbytes() for each in (*copy.keys, *copy.values))
    assert held == copy.nbytes
    before = kept.moved([torch.device("cpu")] * 2).resized(4, keep=4)
    copy.keys[0].zero_()
    assert _same_past(kept, before, 4)


def test_the_cache_writes_behind_what_was_read() -> None:
    kept, before = _conversation(), _conversation()
    cache = cache_of(kept)
    new = torch.randn(1, 2, 2, 3)  # (1, heads, tokens, size)
    for number in range(2):
        keys, values = cache.update(new, -new, number)
        assert keys.shape == values.shape == (1, 2, 6, 3)
        assert torch.equal(keys[0, :, 4:], new[0])
        assert torch.equal(values[0, :, 4:], -new[0])
        assert torch.equal(keys[0, :, :4].transpose(0, 1), before.keys[number][:4])
    assert cache.get_seq_length() == 4  # until the tokens are counted as read
    kept.ids += [7, 8]
    assert cache.get_seq_length() == 6
    assert cache.get_mask_sizes(3, 0) == (9, 0)
