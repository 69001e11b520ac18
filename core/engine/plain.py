"""Text layers as the model has them: what decoding.py is for devices without its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.engine.keeping import Conversation
from core.engine.remembering import place_of
from core.engine.telling import Teller

if TYPE_CHECKING:
    import torch


class Plain:
    """Reads chunks and single tokens through a model's own text layers."""

    def __init__(self, model: Any, teller: Teller) -> None:
        self._text, self._head = model.model.language_model, model.lm_head
        self._teller = teller

    def read(
        self, told: dict[str, Any], kept: Conversation, _look: Callable[[], None] = lambda: None
    ) -> torch.Tensor:
        """Read tokens behind what was read; the last hidden state, (1, hidden)."""
        from core.engine.cache import cache_of

        found = self._text(
            **told, past_key_values=cache_of(kept), use_cache=True, attention_mask=None
        )
        last: torch.Tensor = found.last_hidden_state[:, -1]
        return last

    def finish(self, hidden: torch.Tensor) -> torch.Tensor:
        """(1, hidden) after the last layer -> logits (1, vocabulary)."""
        logits: torch.Tensor = self._head(hidden.to(place_of(self._head)))
        return logits

    def after(self, token: int, kept: Conversation) -> torch.Tensor:
        """The logits after one more token."""
        import torch

        one = torch.tensor([[token]], device=place_of(self._text.embed_tokens))
        return self.finish(self.read(self._teller.words(one, len(kept.ids) + kept.shift), kept))
