"""A conversation in the form in which transformers' layers write and read keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from core.engine.keeping import Conversation

if TYPE_CHECKING:
    import torch


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """One layer; what it is given goes behind the tokens read, which only ``advance`` counts."""

    is_compileable = False
    is_sliding = False

    def __init__(self, conversation: Conversation, number: int) -> None:
        super().__init__()
        self._conversation, self._number = conversation, number
        self.is_initialized = True

    def lazy_initialization(self, *_args: Any, **_options: Any) -> None:
        """There is nothing to do: the conversation has its buffers."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write (1, heads, new, size) behind what was read; returns all of it, as views."""
        read = len(self._conversation.ids)
        end = read + key_states.shape[2]
        found = []
        for buffers, new in (
            (self._conversation.keys, key_states),
            (self._conversation.values, value_states),
        ):
            buffer = buffers[self._number]
            buffer[read:end] = new[0].transpose(0, 1)
            found.append(buffer[:end].transpose(0, 1)[None])
        return found[0], found[1]

    def get_seq_length(self, *_args: Any) -> int:
        """Tokens read."""
        return len(self._conversation.ids)

    def get_mask_sizes(self, query_length: Any, *_args: Any) -> tuple[int, int]:
        """Keys that the next tokens see, and where these begin."""
        new = query_length if isinstance(query_length, int) else len(query_length)
        return self.get_seq_length() + new, 0

    def get_max_length(self) -> int:
        """Without an end of its own."""
        return -1

    get_max_cache_shape = get_max_length  # its name before transformers 5.20


def cache_of(conversation: Conversation) -> Cache:
    """What a model takes as ``past_key_values``."""
    return Cache(layers=[_Layer(conversation, number) for number in range(len(conversation.keys))])
