"""Conversations that a model has had: opened where a prompt goes on, put away once it is answered.

Those used least recently move to the machine's memory, and go when that is full too.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from core.engine.keeping import Conversation, Shelf, shared_length
from core.engine.shortage import is_out_of_memory

if TYPE_CHECKING:
    import torch


_Found = tuple[Shelf[Conversation] | None, Hashable, Conversation, int]


class Remembered:
    """What was read, for whoever asks about the same video.

    Changed by one thread at a time, the model's; any may ask what is ``shared``.

    Attributes:
        here, away: conversations on the devices, and in the machine's memory.
        places: each layer's device.
        token_bytes: of a token's keys and values in all layers.
    """

    def __init__(
        self, layers: Any, dtype: torch.dtype, *, kept_bytes: int, away_bytes: int
    ) -> None:
        import torch

        self.here: Shelf[Conversation] = Shelf(kept_bytes)
        self.away: Shelf[Conversation] = Shelf(away_bytes)
        self.places = [place_of(layer.input_layernorm) for layer in layers]
        self._nowhere = [torch.device("cpu")] * len(self.places)  # on no device of the model
        self._shapes = [_shape(layer.self_attn) for layer in layers]
        self._dtype = dtype
        self._numbers = itertools.count()
        self._in_use: weakref.WeakSet[Conversation] = weakref.WeakSet()
        self._turn = threading.Lock()  # at those in use
        self.token_bytes = self._new(None, 1).nbytes

    def open(
        self, ids: list[int], video: Hashable | None, *, room: int, least: int
    ) -> Conversation | None:
        """One with ``room`` that has read as much of ``ids`` as any shares, but not the last token.

        None where none about this video shares ``least`` tokens.
        """
        found = self._longest(ids, video, least)
        if found is None:
            return None
        shelf, number, kept, shared = found
        departs = shelf is None or (shelf is self.here and shared < len(kept.ids))
        if shelf is not None:  # others may go on from one that is departed from
            _ = shelf.get(number) if departs else shelf.pop(number)
        if shelf is self.here and not departs and kept.room >= room:
            return kept
        self.make_room(room)
        return kept.resized(room, keep=shared, places=self.places, spend=not departs)

    def shared(self, ids: list[int], video: Hashable, *, least: int) -> int:
        """How much of ``ids`` the one that ``open`` would take has read; 0 where there is none."""
        found = self._longest(ids, video, least)
        return 0 if found is None else found[-1]

    def use(self, kept: Conversation) -> None:
        """Others may depart from this one while it is read and its reply is being written."""
        with self._turn:
            self._in_use.add(kept)

    def new(self, video: Hashable | None, room: int) -> Conversation:
        """An empty one, which others make room for."""
        self.make_room(room)
        return self._new(video, room)

    def aside(self, kept: Conversation) -> Conversation:
        """What was read of one in use, in the machine's memory; ``kept`` has no buffers then."""
        self._leave(kept)
        read = len(kept.ids)
        return kept.resized(read, keep=read, places=self._nowhere, spend=True)

    def back(self, aside: Conversation, room: int) -> Conversation:
        """One that was set aside, in use again."""
        self.make_room(room)
        kept = aside.resized(room, keep=len(aside.ids), places=self.places)
        self.use(kept)
        return kept

    def keep(self, kept: Conversation) -> None:
        """For later, unless its buffers are gone."""
        gone = []
        if kept.room >= len(kept.ids):
            gone = self.here.put(next(self._numbers), kept, kept.nbytes)
        self._leave(kept)
        self._put_away(gone)

    def make_room(self, tokens: int) -> None:
        """Move others away until so many tokens fit beside what may stay."""
        self._put_away(self.here.shrink(max(0, self.here.limit - tokens * self.token_bytes)))

    def spare(self, part: int) -> bool:
        """Move one part in so many away; False where nothing was. See Shelf.spare."""
        gone = self.here.spare(part)
        self._put_away(gone)
        return bool(gone)

    def _leave(self, kept: Conversation) -> None:
        with self._turn:
            self._in_use.discard(kept)

    def _longest(self, ids: list[int], video: Hashable | None, least: int) -> _Found | None:
        """Which conversation about this video begins like ``ids``, and for how many tokens."""
        known: list[tuple[Shelf[Conversation] | None, Hashable, Conversation]] = [
            (shelf, number, each) for shelf in (self.here, self.away) for number, each in shelf
        ]
        with self._turn:
            known += [(None, None, each) for each in self._in_use]
        best, most = None, least - 1
        for shelf, number, each in known:
            if video is None or each.video != video:
                continue
            shared = min(shared_length(each.ids, ids), len(ids) - 1)
            if shared > most:
                best, most = (shelf, number, each, shared), shared
        return best

    def _put_away(self, gone: list[tuple[Hashable, Conversation]]) -> None:
        """Into the machine's memory, where there is room."""
        for number, each in gone:
            if self.token_bytes * len(each.ids) > self.away.limit:
                continue
            try:
                away = each.moved(self._nowhere)
            except (MemoryError, RuntimeError) as error:  # it is lost, and the request goes on
                if not is_out_of_memory(error):
                    raise
            else:
                self.away.put(number, away, away.nbytes)

    def _new(self, video: Hashable | None, room: int) -> Conversation:
        import torch

        keys, values = (
            [
                torch.empty(room, *shape, dtype=self._dtype, device=place)
                for shape, place in zip(self._shapes, self.places, strict=True)
            ]
            for _ in "kv"
        )
        return Conversation(video, keys=keys, values=values)


def place_of(module: Any) -> torch.device:
    """Where it computes: weights that wait elsewhere are on no device until they are fetched."""
    import torch

    hook = getattr(module, "_hf_hook", None)
    if module.weight.device.type == "meta" and hook is not None:
        return torch.device(hook.execution_device)
    device: torch.device = module.weight.device
    return device


def _shape(attention: Any) -> tuple[int, int]:
    """(key heads, head size)."""
    size = int(attention.head_dim)
    return attention.k_proj.out_features // size, size
