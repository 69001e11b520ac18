"""A line: first come, first served, whoever leaves or stays."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.waiting import Line, Ticket


def test_places_move_up() -> None:
    line = Line(["only"])
    tickets = [line.join() for _ in range(4)]
    assert [each.before() for each in tickets] == [0, 1, 2, 3]
    assert [each.slot for each in tickets] == ["only", None, None, None]
    tickets[1].leave()
    assert [each.before() for each in tickets[2:]] == [1, 2]
    tickets[0].leave()
    assert [each.slot for each in tickets[2:]] == ["only", None]
    assert not tickets[3].wait(0)


def test_a_free_slot_that_is_preferred_is_given() -> None:
    line = Line(["a", "b", "c"])
    liked = line.join(lambda slot: slot == "c")
    usual = line.join()
    late = line.join(lambda slot: slot == "c")
    assert (liked.slot, usual.slot, late.slot) == ("c", "a", "b")


def test_what_goes_wrong_with_a_preference_keeps_nobody_waiting() -> None:
    """Whoever leaves calls the next: neither of them may be lost by the other's error."""
    line = Line(["a", "b"])
    first, second = line.join(), line.join()

    def confused(_: str) -> bool:
        raise ArithmeticError("confused")

    third, fourth = line.join(confused), line.join(confused)
    first.leave()
    second.leave()
    assert (third.slot, fourth.slot) == ("a", "b")
    third.leave()
    fourth.leave()
    assert line.join(confused).slot == "a"


@pytest.mark.parametrize(
    ("worth", "order"),
    [((0, 0, 0), "abc"), ((0, 2, 1), "bca"), ((1, 0, 1), "acb")],
    ids=["alike", "each another", "two alike"],
)
def test_of_the_free_slots_that_of_most_worth_is_given(worth: tuple[int, ...], order: str) -> None:
    line = Line("abc")
    slots = dict(zip("abc", worth, strict=True))
    assert line.free() == ("a", "b", "c")
    tickets = [line.join(slots.__getitem__) for _ in order]
    assert [each.slot for each in tickets] == list(order)
    assert line.free() == ()
    tickets[1].leave()
    assert line.free() == (order[1],)


def test_the_least_patient_of_those_who_wait() -> None:
    """Whoever has a slot does not count, nor whoever has left."""
    line = Line(["only"])
    tickets = [line.join(patience=n) for n in (2, 8, 1)]
    found = []
    for each in reversed(tickets):
        found.append(tickets[0].others())
        each.leave()
    assert found == [1, 8, math.inf]


def test_who_leaves_twice_frees_one_slot() -> None:
    line = Line(["only"])
    first, second, third = (line.join() for _ in range(3))
    first.leave()
    first.leave()
    assert (second.slot, third.slot) == ("only", None)


def test_who_waits_in_a_thread_is_called() -> None:
    line = Line([0])
    first, second = line.join(), line.join()
    called: list[bool] = []
    thread = threading.Thread(target=lambda: called.append(second.wait(30)))
    thread.start()
    first.leave()
    thread.join(30)
    assert called == [True]


@given(
    slots=st.integers(1, 3),
    moves=st.lists(st.one_of(st.just("join"), st.integers(0, 30)), max_size=60),
)
@settings(max_examples=200)
def test_served_in_the_order_of_coming(slots: int, moves: list[str | int]) -> None:
    """Whatever joins and leaves: those called are the first that came and have not left."""
    line = Line(range(slots))
    there: list[Ticket[int]] = []
    for move in moves:
        if move == "join":
            there.append(line.join())
        elif there:
            there.pop(int(move) % len(there)).leave()
        assert [each.wait(0) for each in there] == [n < slots for n in range(len(there))]
        held = [each.slot for each in there[:slots]]
        assert len(set(held)) == len(held)
