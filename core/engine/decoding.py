"""Text layers over joined weights, where they lie: prompts in chunks, and steps (stepping.py).

What lies between the products is fused by torch.compile once that is ready.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.engine.attention import causal
from core.engine.keeping import Conversation
from core.engine.kernels import has_kernels
from core.engine.layers import Shape, Weights, after_attention, before_attention, join, shape_of
from core.engine.positions import position_axes, settled, turns
from core.engine.stepping import MOST_ROWS, Run

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
TRIED_TOKENS = (1024, 1536, 2, MOST_ROWS)  # from the second on for any number
SET_UP_TOKENS = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Layers that follow each other on one device.

    Attributes:
        numbers: of the layers.
        warming: a stream to capture on, always the same: each new one would keep a workspace of the
            products; None where nothing can be captured.
        warmed: for how many rows steps were captured before.
    """

    device: torch.device
    numbers: range
    weights: tuple[Weights, ...]
    warming: Any
    warmed: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """What a layer does before its attention and after, plain or fused; see layers.py."""

    before: Callable[..., Any]
    after: Callable[..., Any]


class Decoder:
    """Steps of a model whose text layers are of the pattern that layers.py knows.

    Attributes:
        graphs: whether steps are captured; not while another thread compiles for the same device,
            as what waits for the device spoils a capture.
    """

    def __init__(self, text: Any, head: Any, shape: Shape) -> None:
        self.text, self.head, self.shape = text, head, shape
        self.words = text.embed_tokens.weight
        self.stages = _stages(text.layers)
        self.axes = position_axes(text)
        self.rotations = [settled(text.rotary_emb, stage.device) for stage in self.stages]
        self.graphs = True
        self.one = self.many = Halves(before=before_attention, after=after_attention)

    @staticmethod
    def of(text: Any, head: Any) -> Decoder | None:
        """A decoder for these text layers; None where they are of another kind or place."""
        import torch

        shapes = {shape_of(layer) for layer in text.layers}
        shape = shapes.pop()
        plain = all(
            each.dtype in (torch.bfloat16, torch.float16) and has_kernels(each.device)
            for each in (*text.parameters(), *head.parameters())
        )
        if shapes or shape is None or not plain or type(head) is not torch.nn.Linear:
            return None
        return Decoder(text, head, shape)

    def compile(self) -> Callable[[], None]:
        """Fuse what lies between the products; where that fails, go on without.

        Returns:
            What puts it to use.
        """
        import torch

        one, many = (
            Halves(before=torch.compile(before_attention), after=torch.compile(after_attention))
            for _ in range(2)
        )
        try:
            for stage in self.stages:
                self._try(stage, one, tokens=1)
                for tokens in TRIED_TOKENS:
                    self._try(stage, many, tokens=tokens)
        except Exception as error:  # no compiler, no Triton, a version that cannot
            log.info("Text layers without fused kernels: %s", str(error).split("\n")[0])
            return lambda: None
        return lambda: self._take(one, many)

    def _take(self, one: Halves, many: Halves) -> None:
        self.one, self.many = one, many

    def set_up(self, chunk_tokens: int) -> None:
        """Go through the shapes of a long prompt's chunks once: attention sets itself up."""
        import torch

        shape, device = self.shape, self.stages[0].device
        like = self.text.norm.weight.new_empty
        query = like((1, shape.heads, chunk_tokens, shape.head_size), device=device)
        with torch.cuda.device(device):
            for past in range(0, SET_UP_TOKENS, chunk_tokens):
                tokens = past + chunk_tokens
                keys = like((tokens, shape.key_heads, shape.head_size), device=device)
                rows = keys.transpose(0, 1)[None]
                causal(None, query, rows, rows, None, scaling=shape.scaling)
        torch.cuda.synchronize(device)

    def _try(self, stage: Stage, halves: Halves, *, tokens: int) -> None:
        import torch

        with torch.inference_mode(), torch.cuda.device(stage.device):
            weights = stage.weights[0]
            x = weights.norm.new_zeros(tokens, len(weights.norm))
            turn = x.new_zeros(tokens, 1, self.shape.head_size)
            query, _, _ = halves.before(x, turn, turn.clone(), weights.before, self.shape)
            halves.after(x, query.flatten(1), weights.after, self.shape)
            torch.cuda.synchronize(stage.device)

    def read(
        self,
        told: dict[str, Any],
        conversation: Conversation,
        look: Callable[[], None],
    ) -> torch.Tensor:
        """Read a chunk of a prompt behind what was read; the last hidden state is (1, hidden).

        Args:
            told: what the model tells its text layers: ``inputs_embeds`` (1, tokens, hidden),
                ``position_ids``, and where it adds pictures in several layers
                ``visual_pos_masks`` (1, tokens) and ``deepstack_visual_embeds``.
            conversation: with room for the chunk.
            look: called before every layer; may raise to end it.
        """
        x, begin = told["inputs_embeds"][0], len(conversation.ids)
        end, halves = begin + len(x), self.one if len(x) == 1 else self.many
        for stage, rotation in zip(self.stages, self.rotations, strict=True):
            x = x.to(stage.device)
            cos, sin = turns(rotation, x, told["position_ids"].to(stage.device))
            for number, weights in zip(stage.numbers, stage.weights, strict=True):
                look()
                query, key, value = halves.before(x, cos, sin, weights.before, self.shape)
                keys, values = conversation.keys[number], conversation.values[number]
                keys[begin:end], values[begin:end] = key, value
                found, _ = causal(
                    None,
                    query.transpose(0, 1)[None],
                    keys[:end].transpose(0, 1)[None],
                    values[:end].transpose(0, 1)[None],
                    attention_mask=None,
                    scaling=self.shape.scaling,
                )
                x = halves.after(x, found[0].flatten(1), weights.after, self.shape)
                x = _with_pictures(x, told, number)
        last: torch.Tensor = x[-1:]
        return last

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        """(1, hidden) after the last layer -> logits (1, vocabulary)."""
        from torch.nn.functional import linear, rms_norm

        norm, head = self.text.norm.weight, self.head.weight
        x = rms_norm(x.to(norm.device), norm.shape, norm, self.shape.epsilon)
        return linear(x.to(head.device), head)

    def run(self, *conversations: Conversation) -> Run:
        """Steps over these conversations side by side, each from its last token on."""
        return Run(self, conversations)


def _stages(layers: Any) -> list[Stage]:
    devices = [layer.input_layernorm.weight.device for layer in layers]
    edges = [n for n in range(len(devices)) if n == 0 or devices[n] != devices[n - 1]]
    spans = [range(a, b) for a, b in zip(edges, [*edges[1:], len(devices)], strict=True)]
    return [
        Stage(
            device=devices[span[0]],
            numbers=span,
            weights=tuple(join(layers[n]) for n in span),
            warming=_stream(devices[span[0]]),
        )
        for span in spans
    ]


def _stream(device: torch.device) -> Any:
    import torch

    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def _with_pictures(x: torch.Tensor, told: dict[str, Any], number: int) -> torch.Tensor:
    """What some towers add to the first layers' output where pictures are."""
    marks, added = told.get("visual_pos_masks"), told.get("deepstack_visual_embeds") or ()
    if marks is None or number >= len(added):
        return x
    x = x.clone()
    x[marks[0].to(x.device)] += added[number].to(x.device, x.dtype)
    return x
