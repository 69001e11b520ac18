"""A text layer as data: the weights of the Llama pattern, and one token's way through them.

Qwen2, Qwen3, Llama and Mistral build their layers alike: norm, attention with rotary positions,
norm, gated MLP. Others have the same parameters and another arithmetic (Granite multiplies what it
adds), so that a layer is taken over by its class, and only if its parameters are exactly these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CLASSES = {
    "LlamaDecoderLayer",
    "MistralDecoderLayer",
    "Qwen2DecoderLayer",
    "Qwen2VLDecoderLayer",
    "Qwen2_5_VLDecoderLayer",
    "Qwen3DecoderLayer",
    "Qwen3VLTextDecoderLayer",
}
NEEDED = {
    "input_layernorm.weight",
    "post_attention_layernorm.weight",
    *(f"self_attn.{name}_proj.weight" for name in "qkvo"),
    *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
}
ALLOWED = NEEDED | {
    *(f"self_attn.{name}_proj.bias" for name in "qkv"),
    "self_attn.q_norm.weight",
    "self_attn.k_norm.weight",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all layers have in common.

    Attributes:
        heads, key_heads, head_size: of the attention.
        scaling: of its products.
        epsilon: of the norms.
    """

    heads: int
    key_heads: int
    head_size: int
    scaling: float
    epsilon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One layer; ``qkv`` and ``gate_up`` are single matrices that the layer's own are views of."""

    norm: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    q_norm: torch.Tensor | None
    k_norm: torch.Tensor | None
    out: torch.Tensor
    mlp_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor

    @property
    def before(self) -> tuple[torch.Tensor | None, ...]:
        """What ``before_attention`` takes."""
        return self.norm, self.qkv, self.qkv_bias, self.q_norm, self.k_norm

    @property
    def after(self) -> tuple[torch.Tensor, ...]:
        """What ``after_attention`` takes."""
        return self.out, self.mlp_norm, self.gate_up, self.down


def shape_of(layer: Any) -> Shape | None:
    """The shape of a layer of the pattern; None for any other."""
    import torch

    names = {name for name, _ in layer.named_parameters()}
    if type(layer).__name__ not in CLASSES or not NEEDED <= names <= ALLOWED:
        return None
    if getattr(layer.self_attn, "sliding_window", None):
        return None
    linear = all(
        type(each) is torch.nn.Linear and type(each.weight) is torch.nn.Parameter  # no packed one
        for each in (*_projections(layer), layer.mlp.down_proj, layer.self_attn.o_proj)
    )
    acts_like_silu = type(layer.mlp.act_fn).__name__ in ("SiLU", "SiLUActivation")
    if not linear or not acts_like_silu:
        return None
    attention = layer.self_attn
    size = attention.head_dim
    return Shape(
        heads=attention.q_proj.out_features // size,
        key_heads=attention.k_proj.out_features // size,
        head_size=size,
        scaling=float(getattr(attention, "scaling", size**-0.5)),
        epsilon=float(layer.input_layernorm.variance_epsilon),
    )


def _projections(layer: Any) -> list[Any]:
    attention, mlp = layer.self_attn, layer.mlp
    return [attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj]


def join(layer: Any) -> Weights:
    """Put the matrices that read the same input into one, without a second copy of any.

    One product with 37,888 rows reads memory faster than two with 18,944. The others are written
    anew beside them: what a layer leaves behind is one gap then, which the next layer fills. Gaps
    between what stays would be of no use to anything large: 0.6 GiB of them in a model of 3B.
    """
    attention, mlp = layer.self_attn, layer.mlp
    biases = [each.bias for each in _projections(layer)[:3]]
    return Weights(
        norm=layer.input_layernorm.weight,
        qkv=_joined(_projections(layer)[:3], "weight"),
        qkv_bias=None if biases[0] is None else _joined(_projections(layer)[:3], "bias"),
        q_norm=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        k_norm=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        out=_joined([attention.o_proj], "weight"),
        mlp_norm=layer.post_attention_layernorm.weight,
        gate_up=_joined([mlp.gate_proj, mlp.up_proj], "weight"),
        down=_joined([mlp.down_proj], "weight"),
    )


def _joined(modules: list[Any], name: str) -> torch.Tensor:
    import torch

    parts = [getattr(each, name) for each in modules]
    whole = torch.cat([part.data for part in parts])
    begin = 0
    for part in parts:
        part.data = whole[begin : begin + len(part)]
        begin += len(part)
    return whole


def before_attention(
    x: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    weights: tuple[torch.Tensor | None, ...],
    shape: Shape,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, key and value of new tokens: (tokens, heads, head size) each.

    Args:
        x: (tokens, hidden).
        cos, sin: (tokens, 1, head size).
        weights: norm, qkv, qkv_bias, q_norm, k_norm.
        shape: of the layer.
    """
    from torch.nn.functional import linear, rms_norm

    norm, qkv, bias, q_norm, k_norm = weights
    assert qkv is not None
    y = linear(rms_norm(x, x.shape[-1:], norm, shape.epsilon), qkv, bias)
    y = y.view(len(x), -1, shape.head_size)
    last = shape.heads + shape.key_heads
    q, k, v = y[:, : shape.heads], y[:, shape.heads : last], y[:, last:]
    if q_norm is not None:
        q = rms_norm(q, q.shape[-1:], q_norm, shape.epsilon)
        k = rms_norm(k, k.shape[-1:], k_norm, shape.epsilon)
    return _rotated(q, cos, sin), _rotated(k, cos, sin), v


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    import torch

    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def after_attention(
    x: torch.Tensor, found: torch.Tensor, weights: tuple[torch.Tensor, ...], shape: Shape
) -> torch.Tensor:
    """The rest of the layer: (tokens, hidden).

    Args:
        x: what came into the layer.
        found: what attention found: (tokens, heads x head size).
        weights: out, mlp_norm, gate_up, down.
        shape: of the layer.
    """
    from torch.nn.functional import linear, rms_norm, silu

    out, norm, gate_up, down = weights
    x = x + linear(found, out)
    gate, up = linear(rms_norm(x, x.shape[-1:], norm, shape.epsilon), gate_up).chunk(2, dim=-1)
    return x + linear(silu(gate) * up, down)
