"""One token after the other at the speed of the memory: CUDA graphs over joined weights.

Eager decoding is bound by the processor's launches: some 900 kernels a token. Here a step is
captured once for each conversation (some 20 ms) and replayed; where layers lie on several devices,
one graph for each. What lies between the products is fused by torch.compile once that is ready.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.engine.attention import causal
from core.engine.keeping import Conversation
from core.engine.kernels import has_kernels
from core.engine.layers import Shape, Weights, after_attention, before_attention, join, shape_of

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
WARM_UPS = 2
TRIED_TOKENS = (1024, 1536)
RECOMPILED = 64  # once for each device and kind of model in this process


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Layers that follow each other on one device."""

    device: torch.device
    numbers: range
    weights: tuple[Weights, ...]
    warming: Any  # a stream of its own: each new one would keep a workspace of the products


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """What a layer does before its attention and after, plain or fused; see layers.py."""

    before: Callable[..., Any]
    after: Callable[..., Any]


class Decoder:
    """Steps of a model whose text layers are of the pattern that layers.py knows."""

    def __init__(self, text: Any, head: Any, shape: Shape) -> None:
        self.text, self.head, self.shape = text, head, shape
        self.stages = _stages(text.layers)
        self.axes = position_axes(text)
        self.rotations = [_settled(text.rotary_emb, stage.device) for stage in self.stages]
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

    def compile(self) -> None:
        """Fuse what lies between the products; where that fails, go on without."""
        import torch

        torch._dynamo.config.recompile_limit = max(RECOMPILED, torch._dynamo.config.recompile_limit)
        one, many = (
            Halves(before=torch.compile(before_attention), after=torch.compile(after_attention))
            for _ in range(2)
        )
        try:
            for stage in self.stages:
                self._try(stage, one, tokens=1)
                for tokens in TRIED_TOKENS:  # the second makes them any number
                    self._try(stage, many, tokens=tokens)
        except Exception as error:  # no compiler, no Triton, a version that cannot
            log.info("Text layers without fused kernels: %s", str(error).split("\n")[0])
            return
        self.one, self.many = one, many

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
            cos, sin = _turns(rotation, x, told["position_ids"].to(stage.device))
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

    def run(self, conversation: Conversation) -> Run:
        """Steps over this conversation, from its last token on."""
        return Run(self, conversation)


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


def position_axes(text: Any) -> int:
    """How many axes a position has: 3 where time, height and width turn apart, else 1."""
    import torch

    weight = text.embed_tokens.weight
    try:
        text.rotary_emb(weight[None, :1], torch.zeros(1, 1, dtype=torch.long, device=weight.device))
    except Exception:  # IndexError, RuntimeError: it looks for an axis that is not there
        return 3
    return 1


def _turns(
    rotation: Any, x: torch.Tensor, positions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, (tokens, 1, head size), by the model's own rules.

    Before transformers 5.20 the three axes came apart, and attention took its part of each.
    """
    import torch

    cos, sin = rotation(x[None], positions)
    if cos.dim() == 4:
        parts = _sections(rotation.config) * 2
        cos, sin = (
            torch.cat([m[n % 3] for n, m in enumerate(each.split(parts, dim=-1))], dim=-1)
            for each in (cos, sin)
        )
    return cos[0, :, None].to(x.dtype), sin[0, :, None].to(x.dtype)


def _sections(config: Any) -> list[int]:
    rules = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    return list(rules.get("mrope_section", (16, 24, 24)))


def _with_pictures(x: torch.Tensor, told: dict[str, Any], number: int) -> torch.Tensor:
    """What some towers add to the first layers' output where pictures are."""
    marks, added = told.get("visual_pos_masks"), told.get("deepstack_visual_embeds") or ()
    if marks is None or number >= len(added):
        return x
    x = x.clone()
    x[marks[0].to(x.device)] += added[number].to(x.device, x.dtype)
    return x


def _copied(module: Any, device: torch.device) -> Any:
    """A small module on another device, without what would move its inputs back."""
    from accelerate.hooks import remove_hook_from_module

    return remove_hook_from_module(copy.deepcopy(module), recurse=True).to(device)


def _settled(rotation: Any, device: torch.device) -> Any:
    """A copy that does not look at positions, for which a graph being captured cannot wait.

    "dynamic" frequencies change only beyond the tokens that a model takes (InternVL3 has them).
    """
    copied = _copied(rotation, device)
    if "dynamic" in str(getattr(copied, "rope_type", "")):
        copied.rope_type = "default"
    return copied


class _Part:
    """One device's share of the steps over one conversation.

    Attributes:
        entry: (1, hidden) that comes from the device before; ``out`` goes to the next.
        place: (1,) which token of the conversation is read next; ``turn`` is its rotary position.
        rows, bounds: (2,) int32: of the query, and of the keys that it sees.
    """

    def __init__(self, stage: Stage, conversation: Conversation) -> None:
        import torch

        norm = stage.weights[0].norm
        self.stage = stage
        self.keys = [conversation.keys[n] for n in stage.numbers]
        self.values = [conversation.values[n] for n in stage.numbers]
        self.entry = norm.new_zeros(1, len(norm))
        self.place = torch.zeros(1, dtype=torch.long, device=stage.device)
        self.turn = self.place.clone()
        self.rows = torch.tensor([0, 1], dtype=torch.int32, device=stage.device)
        self.bounds = self.rows.clone()
        self.graph: Any = None
        self.out: torch.Tensor | None = None


class Run:
    """Steps over one conversation's buffers.

    Attributes:
        token: (1,) the token to be read; a step leaves the likeliest one after it here.
        logits: (1, vocabulary) of the last step.
    """

    def __init__(self, decoder: Decoder, conversation: Conversation) -> None:
        self._decoder, self._conversation = decoder, conversation
        self._parts = [_Part(stage, conversation) for stage in decoder.stages]
        self.token = self._parts[0].place.clone()
        self.logits: torch.Tensor | None = None

    def start(self, token: torch.Tensor) -> None:
        """Let ``token``, (1,), be the next to be read, and capture the steps."""
        for part in self._parts:
            if part.graph is None:
                self._capture(part)
            part.place.fill_(len(self._conversation.ids))
            part.turn.fill_(len(self._conversation.ids) + self._conversation.shift)
        self.token.copy_(token)

    def step(self) -> None:
        """Read ``token``; nothing waits for the devices."""
        import torch

        before: torch.Tensor | None = None
        for part in self._parts:
            with torch.cuda.device(part.stage.device):
                if before is not None:
                    part.entry.copy_(before, non_blocking=True)
                part.graph.replay()
                before = part.out
        assert before is not None
        if self._head_apart:
            self.logits = self._decoder.finish(before)
        if len(self._parts) > 1 or self._head_apart:
            assert self.logits is not None
            self.token.copy_(self.logits.argmax(dim=-1), non_blocking=True)

    @property
    def _head_apart(self) -> bool:
        """Whether the head is not with the last layers (tied to embeddings on the first device)."""
        return bool(self._decoder.head.weight.device != self._parts[-1].stage.device)

    def _capture(self, part: _Part) -> None:
        import torch

        device = part.stage.device
        with torch.cuda.device(device):
            stream = part.stage.warming
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    part.place.fill_(len(self._conversation.ids))
                    self._through(part)
            torch.cuda.current_stream(device).wait_stream(stream)
            part.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(part.graph, stream=stream, capture_error_mode="thread_local"):
                part.out = self._through(part)

    def _through(self, part: _Part) -> torch.Tensor:
        """Hidden states that leave the device; the last one also fills logits and token."""
        from torch.nn.functional import embedding

        decoder, shape = self._decoder, self._decoder.shape
        first, last = part is self._parts[0], part is self._parts[-1]
        x = embedding(self.token, decoder.text.embed_tokens.weight) if first else part.entry
        cos, sin = self._rotation(part, x)
        part.bounds[1:].copy_(part.place + 1)
        for weights, keys, values in zip(part.stage.weights, part.keys, part.values, strict=True):
            query, key, value = decoder.one.before(x, cos, sin, weights.before, shape)
            keys.index_copy_(0, part.place, key)
            values.index_copy_(0, part.place, value)
            found = _attend(part, query, keys, values, shape.scaling)
            x = decoder.one.after(x, found.flatten(1), weights.after, shape)
        part.place.add_(1)
        part.turn.add_(1)
        if last and not self._head_apart:
            self.logits = self._decoder.finish(x)
            if first:
                self.token.copy_(self.logits.argmax(dim=-1))
        return x

    def _rotation(self, part: _Part, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By the model's own rules; text is at the same place on all axes."""
        axes = self._decoder.axes
        position = part.turn.view(1, 1) if axes == 1 else part.turn.expand(axes, 1, 1)
        return _turns(self._decoder.rotations[self._parts.index(part)], x, position)


def _attend(
    part: _Part, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float
) -> torch.Tensor:
    """FlashAttention over the keys up to ``part.bounds``, in as many pieces as keep all busy."""
    import torch

    found = torch.ops.aten._flash_attention_forward(
        query, keys, values, part.rows, part.bounds, 1, len(keys), 0.0, False, False, scale=scaling
    )
    out: torch.Tensor = found[0]
    return out
