"""The next token from the logits, by the model's own generation settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

DEFAULT_TOP_K = 50  # what generate samples from where a checkpoint does not say


class Picker:
    """Greedy, or sampled with temperature, top-k, top-p and the like."""

    def __init__(self, config: Any, ids: list[int], room: int, device: torch.device) -> None:
        """``config`` is transformers' GenerationConfig; ``ids`` the prompt, ``room`` the reply."""
        import torch

        self.sampled = bool(config.do_sample)
        self._steps = _steps(config, len(ids), device)
        self._ids = torch.zeros(1, len(ids) + room + 1, dtype=torch.long, device=device)  # see pick
        self._ids[0, : len(ids)] = torch.tensor(ids, device=device)
        self._length = self._prompt = len(ids)

    @property
    def greedy(self) -> bool:
        """Whether it is always the likeliest token."""
        return not self.sampled and not self._steps

    def pick(self, logits: torch.Tensor) -> torch.Tensor:
        """(1, vocabulary) -> (1,), on the same device, which nothing waits for.

        One more than the reply may have: a step can be under way when the last one is looked at.
        """
        import torch

        scores = logits.float()
        for step in self._steps:
            scores = step(self._ids[:, : self._length], scores)
        if self.sampled:
            # torch.multinomial's own arithmetic, without its look at the values
            drawn = torch.empty_like(scores).exponential_(1)
            token = (scores.softmax(dim=-1) / drawn).argmax(dim=-1)
        else:
            token = scores.argmax(dim=-1)
        self._ids[:, self._length] = token
        self._length += 1
        return token

    def back_to(self, tokens: int) -> None:
        """So many of the reply hold; those picked after them are picked again."""
        self._length = self._prompt + tokens


def ends_of(config: Any) -> set[int]:
    """Tokens after which a reply is complete."""
    found = config.eos_token_id
    if found is None:
        return set()
    return set(found) if isinstance(found, (list, tuple)) else {found}


def _steps(config: Any, prompt_tokens: int, device: torch.device) -> list[Any]:
    """The settings that mean something, in the order in which transformers applies them."""
    made = _rules(config, prompt_tokens, device)
    if config.do_sample:
        made |= _warpers(device)
    steps = []
    for name, (neutral, make) in made.items():
        value = getattr(config, name, None)
        if name == "top_k" and value is None:
            value = DEFAULT_TOP_K
        if value is not None and value != neutral:
            steps.append(make(value))
    return steps


def _rules(config: Any, prompt_tokens: int, device: torch.device) -> dict[str, Any]:
    """What tokens may come, greedy or not: setting -> its neutral value, and what applies it."""
    from transformers.generation import logits_process as known

    ends, at = sorted(ends_of(config)), str(device)
    shortest: dict[str, Any] = {
        "min_length": (0, lambda n: known.MinLengthLogitsProcessor(n, ends, device=at)),
        "min_new_tokens": (
            0,
            lambda n: known.MinNewTokensLengthLogitsProcessor(prompt_tokens, n, ends, device=at),
        ),
    }
    return {
        "repetition_penalty": (1.0, known.RepetitionPenaltyLogitsProcessor),
        "no_repeat_ngram_size": (0, known.NoRepeatNGramLogitsProcessor),
        "bad_words_ids": ([], lambda ids: known.NoBadWordsLogitsProcessor(ids, ends or None)),
        **(shortest if ends else {}),
        "suppress_tokens": ([], lambda ids: known.SuppressTokensLogitsProcessor(ids, device=at)),
        "begin_suppress_tokens": (
            [],
            lambda ids: known.SuppressTokensAtBeginLogitsProcessor(ids, prompt_tokens, device=at),
        ),
    }


def _warpers(device: torch.device) -> dict[str, Any]:
    """What is sampled from."""
    from transformers.generation import logits_process as known

    return {
        "temperature": (1.0, known.TemperatureLogitsWarper),
        "top_k": (0, known.TopKLogitsWarper),
        "top_p": (1.0, known.TopPLogitsWarper),
        "min_p": (None, known.MinPLogitsWarper),
        "typical_p": (1.0, known.TypicalLogitsWarper),
        "epsilon_cutoff": (0.0, known.EpsilonLogitsWarper),
        "eta_cutoff": (0.0, lambda cut: known.EtaLogitsWarper(cut, device=str(device))),
    }
