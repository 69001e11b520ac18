"""The next token from the logits, by the model's own generation settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Picker:
    """Greedy, or sampled with temperature, top-k, top-p and the like."""

    def __init__(self, config: Any, ids: list[int], room: int, device: torch.device) -> None:
        """``config`` is transformers' GenerationConfig; ``ids`` the prompt, ``room`` the reply."""
        import torch

        self.sampled = bool(config.do_sample)
        self._steps = _steps(config, sampled=self.sampled)
        self._ids = torch.zeros(1, len(ids) + room, dtype=torch.long, device=device)
        self._ids[0, : len(ids)] = torch.tensor(ids, device=device)
        self._length = len(ids)

    @property
    def greedy(self) -> bool:
        """Whether it is always the likeliest token."""
        return not self.sampled and not self._steps

    def pick(self, logits: torch.Tensor) -> torch.Tensor:
        """(1, vocabulary) -> (1,), on the same device, which nothing waits for."""
        import torch

        scores = logits.float()
        for step in self._steps:
            scores = step(self._ids[:, : self._length], scores)
        if self.sampled:
            token = torch.multinomial(scores.softmax(dim=-1), 1)[:, 0]
        else:
            token = scores.argmax(dim=-1)
        self._ids[:, self._length] = token
        self._length += 1
        return token


def _steps(config: Any, *, sampled: bool) -> list[Any]:
    """The settings that mean something, in the order in which transformers applies them."""
    from transformers.generation import logits_process as known

    steps: list[Any] = []

    def add(value: Any, neutral: Any, make: Any) -> None:
        if value is not None and value != neutral:
            steps.append(make(value))

    add(config.repetition_penalty, 1.0, known.RepetitionPenaltyLogitsProcessor)
    add(config.no_repeat_ngram_size, 0, known.NoRepeatNGramLogitsProcessor)
    if sampled:
        add(config.temperature, 1.0, known.TemperatureLogitsWarper)
        add(config.top_k, 0, known.TopKLogitsWarper)
        add(config.top_p, 1.0, known.TopPLogitsWarper)
        add(config.min_p, None, known.MinPLogitsWarper)
    return steps
