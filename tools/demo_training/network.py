"""The model: its sizes, and a training forward over packed clips that is fast on a GPU.

The modules are transformers' own Qwen3-VL; `Trainee` runs the same arithmetic on one long row in
which every clip is followed by several independent conversations. Knows nothing of scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

BLOCK = 128
_GRID_SIDE = 16
_AUX_LAYER = 4
SHAPE_CLASSES, COLOUR_CLASSES, HEADING_CLASSES = 8, 10, 9
PAIR_BITS = 15  # flash, seven colours come, seven colours gone
PAIR_COUNTS = 7


def build_config(vocabulary: int, ids: dict[str, int]):
    """Qwen3-VL with 7 thin text layers and a 4-block tower; `ids` are those of special tokens."""
    from transformers import Qwen3VLConfig

    return Qwen3VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": 256,
            "intermediate_size": 448,
            "num_hidden_layers": 7,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 32,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "bos_token_id": None,
        },
        vision_config={
            "depth": 4,
            "hidden_size": 192,
            "intermediate_size": 640,
            "num_heads": 6,
            "out_hidden_size": 256,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": _GRID_SIDE**2,
            "deepstack_visual_indexes": [1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch on the device: N tokens in one row, V of them visual, in order of the tower."""

    input_ids: torch.Tensor  # (N,)
    positions: torch.Tensor  # (3, N)
    conversation: torch.Tensor  # (N,) 0 the clip, 1.. its conversations, -1 padding
    block_first: torch.Tensor  # (N/BLOCK,) first block of the clip a block belongs to
    block_video: torch.Tensor  # (N/BLOCK,) number of blocks from there that hold only the clip
    visual: torch.Tensor  # (V,) places of visual tokens
    pair_ends: torch.Tensor  # (P,) places of the markers that end a frame pair
    targets: torch.Tensor  # (M, 2) places that predict, and what they should


def _rotate_half(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([-b, a], dim=-1)


def _rms(x, weight):
    x32 = x.float()
    return (weight * (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + 1e-6))).to(x.dtype)


def vision_block(x, cos, sin, w):
    """One tower block on (pairs, patches, hidden); patches of a pair see each other."""
    pairs, patches, hidden = x.shape
    heads = hidden // 32
    y = F.layer_norm(x, (hidden,), w[0], w[1], 1e-6)
    qkv = F.linear(y, w[2], w[3]).view(pairs, patches, 3, heads, 32).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    q, k = ((t.float() * cos + _rotate_half(t.float()) * sin).to(v.dtype) for t in (q, k))
    out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(pairs, patches, hidden)
    x = x + F.linear(out, w[4], w[5])
    y = F.layer_norm(x, (hidden,), w[6], w[7], 1e-6)
    return x + F.linear(F.gelu(F.linear(y, w[8], w[9]), approximate="tanh"), w[10], w[11])


def text_before(x, cos, sin, w):
    """Queries, keys and values of one text layer on a row (N, hidden)."""
    count = x.shape[0]
    y = _rms(x, w[0])
    q = _rms(F.linear(y, w[1]).view(count, -1, 32), w[4]).transpose(0, 1)
    k = _rms(F.linear(y, w[2]).view(count, -1, 32), w[5]).transpose(0, 1)
    v = F.linear(y, w[3]).view(count, -1, 32).transpose(0, 1)
    q, k = (t * cos + _rotate_half(t) * sin for t in (q, k))
    return q[None], k[None], v[None]


def text_after(x, out, w):
    """The rest of the layer: attention's output and the MLP, added to the row."""
    out = out[0].transpose(0, 1).reshape(x.shape[0], -1)
    x = x + F.linear(out, w[6])
    y = _rms(x, w[7])
    return x + F.linear(F.silu(F.linear(y, w[8])) * F.linear(y, w[9]), w[10])


def _weights(block, names: str) -> list[torch.Tensor]:
    return [block.get_parameter(name) for name in names.split()]


_VISION_NAMES = (
    "norm1.weight norm1.bias attn.qkv.weight attn.qkv.bias attn.proj.weight attn.proj.bias "
    "norm2.weight norm2.bias mlp.linear_fc1.weight mlp.linear_fc1.bias mlp.linear_fc2.weight "
    "mlp.linear_fc2.bias"
)
_TEXT_NAMES = (
    "input_layernorm.weight self_attn.q_proj.weight self_attn.k_proj.weight "
    "self_attn.v_proj.weight self_attn.q_norm.weight self_attn.k_norm.weight "
    "self_attn.o_proj.weight post_attention_layernorm.weight mlp.gate_proj.weight "
    "mlp.up_proj.weight mlp.down_proj.weight"
)


class RowMask:
    """Who may look at whom in a row: a token sees its clip and its own conversation, backwards.

    Holds its tensors for good and only fills them anew, so that compiled attention stays valid.
    """

    def __init__(self, tokens: int, device: torch.device) -> None:
        self.conversation = torch.zeros(tokens, dtype=torch.int32, device=device)
        self.first = torch.zeros(tokens // BLOCK, dtype=torch.int32, device=device)
        self._steps = torch.arange(tokens // BLOCK, dtype=torch.int32, device=device)
        self.blocks: BlockMask | None = None

    def _allowed(self, batch, head, q, k):
        mine, other = self.conversation[q], self.conversation[k]
        return (k <= q) & ((other == 0) | (other == mine))

    def fill(self, batch: Packed) -> None:
        self.conversation.copy_(batch.conversation)
        self.first.copy_(batch.block_first)
        rows, first = self._steps[:, None], self.first[:, None]
        video = torch.minimum(self.first + batch.block_video, self._steps)
        whole = (video - self.first).clamp(min=0)
        partly = self._steps + 1 - torch.maximum(video, self.first)
        count = len(self._steps)
        fresh = BlockMask.from_kv_blocks(
            kv_num_blocks=partly[None, None],
            kv_indices=(torch.maximum(video, self.first)[:, None] + rows.T)
            .clamp(max=count - 1)[None, None]
            .contiguous(),
            full_kv_num_blocks=whole[None, None],
            full_kv_indices=(first + rows.T).clamp(max=count - 1)[None, None].contiguous(),
            BLOCK_SIZE=BLOCK,
            mask_mod=self._allowed,
            seq_lengths=(count * BLOCK, count * BLOCK),
        )
        if self.blocks is None:
            self.blocks = fresh
            return
        for name in (
            "kv_num_blocks",
            "kv_indices",
            "full_kv_num_blocks",
            "full_kv_indices",
            "q_num_blocks",
            "q_indices",
            "full_q_num_blocks",
            "full_q_indices",
        ):
            getattr(self.blocks, name).copy_(getattr(fresh, name))

    def dense(self) -> torch.Tensor:
        """The same as one (N, N) mask, for machines without the fused kernel."""
        count = len(self.conversation)
        place = torch.arange(count, device=self.conversation.device)
        clip = self.first.repeat_interleave(BLOCK)
        same = clip[:, None] == clip[None]
        return same & self._allowed(0, 0, place[:, None], place[None])


class Helpers(nn.Module):
    """Read-outs used in training only: they tell layers early what to look for."""

    def __init__(self, hidden: int, tower: int) -> None:
        super().__init__()
        self.cells = nn.Linear(tower, 128)
        self.token = nn.Linear(hidden, 2 * (SHAPE_CLASSES + COLOUR_CLASSES))
        self.track = nn.Linear(hidden, HEADING_CLASSES + 2)
        self.digits = nn.Linear(hidden, 30)
        self.pair = nn.Linear(hidden, PAIR_BITS + PAIR_COUNTS)


class Trainee(nn.Module):
    """transformers' model with the packed forward and the helpers."""

    def __init__(self, model: nn.Module, tokens: int, device: torch.device, *, fused: bool) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.helpers = Helpers(config.text_config.hidden_size, config.vision_config.hidden_size)
        self.to(device)
        self.mask = RowMask(tokens, device)
        self.fused = fused
        self._grids: dict[tuple[int, int], tuple] = {}

        def fuse(function, dynamic):
            return torch.compile(function, dynamic=dynamic) if fused else function

        self._vision_block = fuse(vision_block, True)
        self._text_before = fuse(text_before, False)
        self._text_after = fuse(text_after, False)
        self._flex = torch.compile(flex_attention, dynamic=False) if fused else None

    # -- tower ----------------------------------------------------------------------------------

    def _grid(self, rows: int, columns: int, device: torch.device) -> tuple:
        """Position table entries, their weights, and rotation of one pair's patches in order."""
        if (rows, columns) not in self._grids:
            self._grids[rows, columns] = tuple(t.to(device) for t in grid_positions(rows, columns))
        return self._grids[rows, columns]

    def tower(self, patches: torch.Tensor, rows: int, columns: int) -> tuple:
        """Visual tokens (V, hidden), those of the deepstack, and covered cells (V*4, 128)."""
        visual = self.model.model.visual
        index, weight, cos, sin = self._grid(rows, columns, patches.device)
        proj = visual.patch_embed.proj
        x = F.linear(patches, proj.weight.flatten(1), proj.bias)
        table = (visual.pos_embed(index) * weight[..., None]).sum(1)
        x = x.view(-1, rows * columns * 4, x.shape[-1]) + table.to(x.dtype)
        deep = cells = None
        for number, block in enumerate(visual.blocks):
            x = self._vision_block(x, cos, sin, _weights(block, _VISION_NAMES))
            if number in visual.deepstack_visual_indexes:
                deep = visual.deepstack_merger_list[0](x.reshape(-1, x.shape[-1]))
                cells = self.helpers.cells(x.reshape(-1, x.shape[-1]))
        return visual.merger(x.reshape(-1, x.shape[-1])), deep, cells

    # -- text -----------------------------------------------------------------------------------

    def _rotation(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines (N, 32) of interleaved three-axis positions."""
        inverse = self.model.model.language_model.rotary_emb.inv_freq.float()
        angles = positions.float()[..., None] * inverse
        row = angles[0].clone()
        for axis in (1, 2):
            row[:, axis:15:3] = angles[axis][:, axis:15:3]
        both = torch.cat([row, row], -1)
        return both.cos(), both.sin()

    def _attend(self, q, k, v, dense):
        if self.fused:
            return self._flex(q, k, v, block_mask=self.mask.blocks, enable_gqa=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=dense, enable_gqa=True)

    def glance(self, patches: torch.Tensor, rows: int, columns: int) -> dict:
        """The tower's read-outs alone: what each visual token shows, and what is covered."""
        seen, deep, cells = self.tower(patches, rows, columns)
        return {"token": self.helpers.token(seen) + 0.0 * deep.sum(), "cells": cells}

    def forward(self, batch: Packed, patches: torch.Tensor, rows: int, columns: int) -> dict:
        """Logits of the targets (M, vocabulary), and the helpers' read-outs."""
        language = self.model.model.language_model
        seen, deep, cells = self.tower(patches, rows, columns)
        x = language.embed_tokens(batch.input_ids).to(seen.dtype)
        x = x.index_copy(0, batch.visual, seen)
        cos, sin = (t.to(seen.dtype) for t in self._rotation(batch.positions))
        self.mask.fill(batch)
        dense = None if self.fused else self.mask.dense()
        middle = None
        for number, layer in enumerate(language.layers):
            w = _weights(layer, _TEXT_NAMES)
            q, k, v = self._text_before(x, cos, sin, w)
            x = self._text_after(x, self._attend(q, k, v, dense), w)
            if number == 0:
                x = x.index_add(0, batch.visual, deep)
            if number == _AUX_LAYER - 1:
                middle = x
        ends = _rms(x[batch.targets[:, 0]], language.norm.weight)
        pairs = middle[batch.pair_ends]
        return {
            "logits": F.linear(ends, language.embed_tokens.weight),
            "token": self.helpers.token(seen),
            "cells": cells,
            "track": self.helpers.track(middle[batch.visual]),
            "digits": self.helpers.digits(pairs),
            "pair": self.helpers.pair(pairs),
        }


def grid_positions(rows: int, columns: int) -> tuple[torch.Tensor, ...]:
    """Of one frame pair with rows x columns tokens: table rows (S, 4), weights, cos and sin.

    Patches come in blocks of 2 x 2. Source: transformers `vision_utils`, bilinear resampling with
    aligned corners, and the tower's axial rotation of base 10000.
    """
    y, x = torch.meshgrid(torch.arange(2 * rows), torch.arange(2 * columns), indexing="ij")
    y, x = (t.view(rows, 2, columns, 2).transpose(1, 2).flatten() for t in (y, x))

    def taps(place: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        source = place.float() * (_GRID_SIDE - 1) / max(size - 1, 1)
        low = source.floor()
        both = torch.stack([low, low + 1], 1)
        return both.long().clamp(0, _GRID_SIDE - 1), 1 - (source[:, None] - both).abs()

    (ty, wy), (tx, wx) = taps(y, 2 * rows), taps(x, 2 * columns)
    index = (ty[:, :, None] * _GRID_SIDE + tx[:, None]).flatten(1)
    weight = (wy[:, :, None] * wx[:, None]).flatten(1)
    inverse = 1.0 / (10000.0 ** (torch.arange(0, 16, 2).float() / 16))
    angles = torch.cat([y[:, None] * inverse, x[:, None] * inverse], -1)
    both = torch.cat([angles, angles], -1)
    return index, weight, both.cos(), both.sin()
