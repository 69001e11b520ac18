"""One token after the other, of one reply or of several, at the speed of the memory: CUDA graphs.

Eager decoding is bound by the processor's launches: some 900 kernels a token. Here a step is
captured once for a set of conversations (some 20 ms) and replayed; where layers lie on several
devices, one graph for each. All rows share the products, which read each weight once a step; each
has its own attention over its own buffers, so that lengths may differ and nothing is padded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.engine.attention import causal
from core.engine.keeping import Conversation
from core.engine.positions import turns

if TYPE_CHECKING:
    import torch

    from core.engine.decoding import Decoder, Stage

MOST_ROWS = 8
capturing = threading.Lock()  # held meanwhile; to free memory spoils a capture on any device
WARM_UPS = 2  # before the first capture of so many rows: kernels are loaded, products tried
AGAIN = 1  # before later ones: another length may have attention take another kernel


class _Part:
    """One device's share of the steps.

    Attributes:
        entry: (rows, hidden) that comes from the device before; ``out`` goes to the next.
        place: (rows,) which token of each conversation is read next; ``turn`` is its position.
        ends: (2,) int32: of a row's query, one token.
        bounds: (rows, 2) int32: of the keys that each row sees.
    """

    def __init__(self, number: int, stage: Stage, conversations: Sequence[Conversation]) -> None:
        import torch

        norm, rows = stage.weights[0].norm, len(conversations)
        self.number, self.stage = number, stage
        self.buffers = [
            [(each.keys[n], each.values[n]) for each in conversations] for n in stage.numbers
        ]
        self.entry = norm.new_zeros(rows, len(norm))
        self.place = torch.zeros(rows, dtype=torch.long, device=stage.device)
        self.turn = self.place.clone()
        self.ends = torch.tensor([0, 1], dtype=torch.int32, device=stage.device)
        self.bounds = self.ends.repeat(rows, 1)
        self.graph: Any = None
        self.out: torch.Tensor | None = None

    def go_to(self, conversations: Sequence[Conversation]) -> None:
        """Let the token behind what was read be the next of each."""
        places = [len(each.ids) for each in conversations]
        shifted = [len(each.ids) + each.shift for each in conversations]
        self.place.copy_(self.place.new_tensor(places))
        self.turn.copy_(self.turn.new_tensor(shifted))


class Run:
    """Steps over the buffers of some conversations; without CUDA the same step, uncaptured.

    Attributes:
        token: (rows,) the tokens to be read; a step leaves the likeliest ones after them here.
        logits: (rows, vocabulary) of the last step.
    """

    def __init__(self, decoder: Decoder, conversations: Sequence[Conversation]) -> None:
        self._decoder, self._conversations = decoder, conversations
        self._parts = [_Part(n, each, conversations) for n, each in enumerate(decoder.stages)]
        self._halves = decoder.one if len(conversations) == 1 else decoder.many
        # the head is not with the last layers where it is tied to embeddings on the first device,
        # nor are these with the first layers where the tower leaves no room for any
        words, first, last = decoder.words.device, decoder.stages[0], decoder.stages[-1]
        self._words_apart = bool(words != first.device)
        self._head_apart = bool(decoder.head.weight.device != last.device)
        self._alone = len(self._parts) == 1 and not (self._words_apart or self._head_apart)
        self.token = self._parts[0].place.to(words, copy=True)
        self.logits: torch.Tensor | None = None

    def start(self, tokens: torch.Tensor) -> None:
        """Let ``tokens``, (rows,), be the next to be read, and capture the steps."""
        for part in self._parts:
            if part.graph is None and part.stage.warming is not None and self._decoder.graphs:
                self._capture(part)
            part.go_to(self._conversations)
        self.token.copy_(tokens)

    def step(self) -> None:
        """Read ``token``; nothing waits for the devices."""
        before = self._embedded() if self._words_apart else None
        for part in self._parts:
            if before is not None:
                part.entry.copy_(before, non_blocking=True)
            if part.graph is None:
                part.out = self._through(part)
            else:
                part.graph.replay()
            before = part.out
        assert before is not None
        if self._head_apart:
            self.logits = self._decoder.finish(before)
        if not self._alone:
            assert self.logits is not None
            self.token.copy_(self.logits.argmax(dim=-1), non_blocking=True)

    def _capture(self, part: _Part) -> None:
        import torch

        device, rows = part.stage.device, len(self._conversations)
        warm_ups = AGAIN if rows in part.stage.warmed else WARM_UPS
        with capturing, torch.cuda.device(device):
            stream = part.stage.warming
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(warm_ups):
                    part.go_to(self._conversations)
                    self._through(part)
            torch.cuda.current_stream(device).wait_stream(stream)
            part.graph = _captured(lambda: self._through(part), part, stream)
        part.stage.warmed.add(rows)

    def _through(self, part: _Part) -> torch.Tensor:
        """Hidden states that leave the device; the last one also fills logits and token."""
        shape, halves = self._decoder.shape, self._halves
        begins = part is self._parts[0] and not self._words_apart
        x = self._embedded() if begins else part.entry
        cos, sin = self._rotation(part, x)
        part.bounds[:, 1].copy_(part.place + 1)
        for weights, buffers in zip(part.stage.weights, part.buffers, strict=True):
            query, key, value = halves.before(x, cos, sin, weights.before, shape)
            found = _attended(part, query, key, value, buffers, shape.scaling)
            x = halves.after(x, found, weights.after, shape)
        part.place.add_(1)
        part.turn.add_(1)
        if part is self._parts[-1] and not self._head_apart:
            self.logits = self._decoder.finish(x)
            if self._alone:
                self.token.copy_(self.logits.argmax(dim=-1))
        return x

    def _embedded(self) -> torch.Tensor:
        from torch.nn.functional import embedding

        return embedding(self.token, self._decoder.words)

    def _rotation(self, part: _Part, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By the model's own rules; text is at the same place on all axes."""
        axes = self._decoder.axes
        position = part.turn[None] if axes == 1 else part.turn.expand(axes, 1, -1)
        return turns(self._decoder.rotations[part.number], x, position)


def _captured(work: Callable[[], torch.Tensor], part: _Part, stream: Any) -> Any:
    """A graph of ``work``, whose outcome is the part's; None where there is no memory for it.

    Not by torch.cuda.graph, which empties the caches of all devices first. With it and expandable
    segments two replicas died of an illegal access on H200s, and without it they did not: memory
    taken from under another thread's kernels would explain it, but that was not proven.
    """
    import torch

    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.stream(stream):
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                part.out = work()
            finally:
                graph.capture_end()
    except torch.OutOfMemoryError:
        return None
    return graph


def _attended(
    part: _Part,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    buffers: Sequence[tuple[torch.Tensor, torch.Tensor]],
    scaling: float,
) -> torch.Tensor:
    """What each row finds in its own past, (rows, heads x head size), once its token is there."""
    import torch

    found = []
    for row, (keys, values) in enumerate(buffers):
        one = slice(row, row + 1)
        keys.index_copy_(0, part.place[one], key[one])
        values.index_copy_(0, part.place[one], value[one])
        attend = _attend if query.is_cuda else _attend_anywhere
        found.append(attend(query[one], keys, values, part.ends, part.bounds[row], scaling))
    return (found[0] if len(found) == 1 else torch.cat(found)).flatten(1)


def _attend(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    ends: torch.Tensor,
    bounds: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """FlashAttention over the keys up to ``bounds``, in as many pieces as keep all busy."""
    import torch

    found = torch.ops.aten._flash_attention_forward(
        query, keys, values, ends, bounds, 1, len(keys), 0.0, False, False, scale=scaling
    )
    out: torch.Tensor = found[0]
    return out


def _attend_anywhere(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    ends: torch.Tensor,
    bounds: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """The same where values may be looked at."""
    seen = int(bounds[1])
    rows = [each.transpose(0, 1)[None] for each in (query, keys[:seen], values[:seen])]
    return causal(None, rows[0], rows[1], rows[2], attention_mask=None, scaling=scaling)[0][0]
