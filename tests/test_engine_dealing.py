"""Who gets which of many requests: whoever knows its video, where nobody waits for that."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asking_by_hand import NEVER, request
from core.engine import Finished, Request
from core.engine.dealing import Dealing
from core.engine.many import stream_many
from core.engine.replicas import Replicas
from core.planning import ModelCard, load_card
from fake_engine import FakeEngine


@pytest.fixture(scope="module")
def card(tiny_model: Path) -> ModelCard:
    return load_card(tiny_model)


@pytest.fixture(scope="module")
def asked(card: ModelCard) -> Request:
    return request(card)


def _dealt(
    asked: Request, videos: Sequence[str | None], knows: Sequence[str], asking: Sequence[int]
) -> list[int | str | None]:
    """What those who ask get by turns: a request's number, None, or "end".

    ``videos`` are of the requests, None where none is ready; ``knows``: what each engine knows.
    """
    source = (None if each is None else replace(asked, video=each) for each in videos)
    dealing = Dealing(source, [known.split().__contains__ for known in knows])
    numbers: list[list[int]] = [[] for _ in knows]
    taking = [dealing.taken(own, got) for own, got in enumerate(numbers)]
    found: list[int | str | None] = []
    for own in asking:
        got = next(taking[own], "end")
        found.append(numbers[own][-1] if isinstance(got, Request) else got)
    return found


@pytest.mark.parametrize(
    ("videos", "knows", "asking", "found"),
    [
        (["a", "b"], ["", ""], [0, 1], [0, 1]),
        (["a", "b"], ["", "a"], [0, 1], [1, 0]),
        (["a", "b"], ["a", "a"], [0, 1], [0, 1]),
        (["a", "b", "a"], ["", ""], [0, 1, 0], [0, 1, 2]),
        (["a", "a", "b"], ["", ""], [0, 1, 0], [0, 2, 1]),
        (["a", "a", "a"], ["", ""], [0, 1, 0], [0, 2, 1]),
        (["a", None, None], ["", "a"], [0, 0], [None, 0]),
        (["a", None, None], ["", "a"], [0, 1, 0], [None, 0, None]),
        (["a"], ["", "a"], [0, 0, 0, 1], [None, 0, "end", "end"]),
        (["a"], ["", "a"], [0, 1, 0], [None, 0, "end"]),
        (["a", "b", "c"], ["", "a"], [0, 0, 0], [1, 2, 0]),
        (["a", "b", "c"], ["", "a", "b"], [0, 1, 2], [2, 0, 1]),
        ([None, "a"], ["", ""], [0, 1], [None, 0]),
        ([], ["", ""], [0, 1], ["end", "end"]),
    ],
    ids=[
        "in order",
        "to the one that knows it",
        "one's own is as good",
        "another video",
        "to the one that is going to know it",
        "one is put by at a time",
        "none is ready: taken after all",
        "unless the other one comes",
        "there are no more: taken after all",
        "and the other one comes",
        "no longer than there are others",
        "two are put by for two",
        "nothing is ready",
        "nothing at all",
    ],
)
def test_who_gets_what(
    videos: list[str | None],
    knows: list[str],
    asking: list[int],
    found: list[int | str | None],
    asked: Request,
) -> None:
    assert _dealt(asked, videos, knows, asking) == found


def test_without_a_name_it_is_nobodys(asked: Request) -> None:
    source = iter([replace(asked, video=None)] * 3)
    dealing = Dealing(source, [lambda _: True, lambda _: True])
    numbers: list[int] = []
    assert len(list(dealing.taken(1, numbers))) == 3
    assert numbers == [0, 1, 2]


def test_what_cannot_be_had_is_told_in_the_end(asked: Request) -> None:
    def source() -> Iterator[Request]:
        yield asked
        raise ArithmeticError("confused")

    dealing = Dealing(source(), [lambda _: False])
    dealing.check()
    assert list(dealing.taken(0, [])) == [asked]
    with pytest.raises(ArithmeticError, match="confused"):
        dealing.check()


def test_each_once_to_many_at_the_same_time(asked: Request) -> None:
    count = 300
    source = (None if n % 7 == 0 else replace(asked, video=n % 5) for n in range(count))
    dealing = Dealing(source, [lambda _: False] * 4)
    numbers: list[list[int]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda own=own: list(dealing.taken(own, numbers[own])))  # type: ignore[misc]
        for own in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    wanted = range(count - len(range(0, count, 7)))
    assert sorted(number for got in numbers for number in got) == list(wanted)


def test_replicas_get_what_they_know(card: ModelCard, asked: Request) -> None:
    """Both are at their first request when the second ones are dealt."""
    both = threading.Barrier(2, timeout=60)

    class Knows(FakeEngine):
        def stream(self, request: Request, *, stop: threading.Event) -> Iterator[object]:  # type: ignore[override]
            if not self.requests:
                both.wait()
            return super().stream(request, stop=stop)

    engines = Knows(card), Knows(card)
    engines[0].known, engines[1].known = {"a"}, {"b"}
    requests = iter([replace(asked, video=each) for each in "ab"])
    told = list(stream_many(Replicas(engines), requests, stop=NEVER))
    assert [[each.video for each in engine.requests] for engine in engines] == [["a"], ["b"]]
    assert sorted(number for number, event in told if isinstance(event, Finished)) == [0, 1]


def test_what_one_has_taken_is_known_before_the_other_one_takes(asked: Request) -> None:
    """The other one comes while the first is still being told what it got."""
    found: list[Request | None] = []
    numbers: list[list[int]] = [[], []]

    class Meets:
        """A request that lets the other engine come when it is looked at after it was dealt."""

        looked = 0

        @property
        def video(self) -> str:
            self.looked += 1
            if self.looked == 2:
                other.start()
                other.join(0.3)  # it comes to its end if nobody keeps it waiting
            return "a"

    source: list[Any] = [Meets(), replace(asked, video="a"), None, None]
    dealing = Dealing(iter(source), [lambda _: False] * 2)
    other = threading.Thread(target=lambda: found.append(next(dealing.taken(1, numbers[1]))))
    taking = dealing.taken(0, numbers[0])
    next(taking)
    other.join(60)
    assert found == [None]  # put by for the one that is going to know the video
    next(taking)
    assert numbers == [[0, 1], []]


def test_frames_are_held_by_who_took_them_alone(card: ModelCard) -> None:
    dealing = Dealing((request(card) for _ in range(2)), [lambda _: False])
    taken = dealing.taken(0, [])
    frames = [weakref.ref(next(taken).frames.pixels) for _ in range(2)]
    assert all(each() is None for each in frames)
