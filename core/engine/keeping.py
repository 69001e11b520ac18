"""What a model has read and seen, kept for the next question; knows no model and no page.

A conversation's keys and values let its next turn be read from where it differs; what the vision
tower made of a video serves whoever asks about the same video and plan. Each has its shelf, with a
limit in bytes: what was used least recently goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import torch

ROUND_TOKENS = 256
BLOCK_TOKENS = 512
Value = TypeVar("Value")


class Conversation:
    """Keys and values of the tokens that a model has read, with room for more.

    Attributes:
        ids: the tokens read: prompt and replies; grows.
        video: what its placeholders stand for.
        shift: rotary position of a token after the video, less its number.
        keys, values: for each layer (room, key heads, head size), on the layer's device.
    """

    def __init__(
        self,
        video: Hashable = None,
        *,
        ids: Sequence[int] = (),
        shift: int = 0,
        keys: Sequence[torch.Tensor] = (),
        values: Sequence[torch.Tensor] = (),
    ) -> None:
        self.ids, self.video, self.shift = list(ids), video, shift
        self.keys, self.values = tuple(keys), tuple(values)

    @property
    def room(self) -> int:
        """Tokens that the buffers hold."""
        return len(self.keys[0]) if self.keys else 0

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(each.nbytes for each in (*self.keys, *self.values))

    def resized(
        self,
        tokens: int,
        *,
        keep: int,
        places: Sequence[torch.device] | None = None,
        spend: bool = False,
    ) -> Conversation:
        """A copy with ``tokens`` of room and the first ``keep`` tokens read.

        Each layer stays on its device, or goes to its place. ``spend`` lets this one's buffers go
        one by one, so that there is never more than one layer twice.
        """
        at = [each.device for each in self.keys] if places is None else places
        pairs = [[*pair] for pair in zip(self.keys, self.values, strict=True)]
        if spend:
            self.keys = self.values = ()
        for place, pair in zip(at, pairs, strict=True):
            for number in range(2):
                pair[number] = _grown(pair[number], tokens, keep, place)
        keys, values = ([pair[number] for pair in pairs] for number in range(2))
        return Conversation(
            ids=self.ids[:keep], video=self.video, shift=self.shift, keys=keys, values=values
        )

    def moved(self, places: Sequence[torch.device]) -> Conversation:
        """A copy of what was read, each layer on its place; shares no memory with this one."""
        read = len(self.ids)
        return self.resized(read, keep=read, places=places)


def _grown(buffer: torch.Tensor, tokens: int, keep: int, place: torch.device) -> torch.Tensor:
    grown = buffer.new_empty(tokens, *buffer.shape[1:], device=place)
    grown[:keep].copy_(buffer[:keep])
    return grown


def shared_length(known: Sequence[int], wanted: Sequence[int]) -> int:
    """How many tokens two sequences have in common from the beginning.

    Block by block, which lists compare by themselves: tens of thousands of tokens in 0.1 ms.
    """
    least = min(len(known), len(wanted))
    for begin in range(0, least, BLOCK_TOKENS):
        end = min(begin + BLOCK_TOKENS, least)
        if list(known[begin:end]) != list(wanted[begin:end]):
            return next(place for place in range(begin, end) if known[place] != wanted[place])
    return least


def room_for(tokens: int) -> int:
    """Rounded up, so that a little more does not move everything."""
    return -(-tokens // ROUND_TOKENS) * ROUND_TOKENS


class Shelf(Generic[Value]):
    """Values with a size, the least recently used first; ``limit`` bounds their bytes.

    One thread at a time changes it; any may look at what is there.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._turn = threading.RLock()
        self._items: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        with self._turn:
            return sum(size for _, size in self._items.values())

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def __iter__(self) -> Any:
        with self._turn:
            return iter([(key, value) for key, (value, _) in self._items.items()])

    def get(self, key: Hashable) -> Value | None:
        """The value, now the last that would go."""
        with self._turn:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def pop(self, key: Hashable) -> Value | None:
        """Take a value out."""
        with self._turn:
            return self._items.pop(key, (None, 0))[0]

    def put(self, key: Hashable, value: Value, nbytes: int) -> list[tuple[Hashable, Value]]:
        """Keep a value; returns those that had to go for it, itself if it is too large."""
        with self._turn:
            self._items.pop(key, None)
            self._items[key] = (value, nbytes)
            return self.shrink(self.limit)

    def shrink(self, limit: int) -> list[tuple[Hashable, Value]]:
        """Let the least recently used go until ``limit`` bytes are kept."""
        gone = []
        with self._turn:
            while self._items and self.nbytes > limit:
                key, (value, _) = self._items.popitem(last=False)
                gone.append((key, value))
        return gone

    def spare(self, part: int, *, but: Hashable = None) -> list[tuple[Hashable, Value]]:
        """Let one part in so many go, used least recently; whole values, and ``but`` stays."""
        with self._turn:
            own = 0
            if but in self._items:
                self._items.move_to_end(but)
                own = self._items[but][1]
            return self.shrink(own + (self.nbytes - own) * (part - 1) // part)
