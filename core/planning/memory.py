"""Bytes that a model and a request need: arithmetic on shapes; knows no torch and no placement.

Peaks follow the tensors that are alive at the fullest moment. The counts below were read off
forward passes of transformers 5.23 with every tensor counted (Qwen2.5-VL 3B and 7B, Qwen3-VL 2B, 8B
and 30B-A3B; the formulas are within 7% of all ten peaks) and held against a GPU: Qwen2.5-VL-7B in
bf16 on an H200, 72 tokens a frame, peak over the weights in GB of 10^9 bytes,

    frames   tokens   measured   foretold
        64    4,608        1.0       1.03
       256   18,432        3.8       4.14
       768   55,296       11.5      12.41

The float32 pixels are counted while the tower runs; a caller that holds them through prefill too
adds four bytes a value, under a tenth of the peak.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.planning.card import ModelCard
from core.planning.devices import GIB, Device
from core.planning.execution import AS_STORED, QUANTISED, Execution, goes_in_chunks, value_bytes
from core.planning.weights import parts_of

# Context, libraries, slack. Seen on an H200: 0.82 GiB beside what torch has, three workspaces of
# cuBLAS of 32 MiB, 0.1 to 0.3 GiB in pages that are held for a part of them.
# On a processor what a page with all libraries loaded takes is 0.8 GiB.
FRAMEWORK_BYTES = {"cpu": int(0.85 * GIB), "cuda": int(1.4 * GIB)}

# Alive at once, for each token of the piece that is prefilled: gate, up and product of the MLP (or
# four copies of the token for each of its experts), the layer's input, residual and normed state.
MLP_COPIES, EXPERT_COPIES, LAYER_STATES = 3, 4, 4
# Alive through prefill, for each token of the prompt: embeddings and what the tower handed over,
# and each deepstack output twice.
PROMPT_STATES, DEEPSTACK_STATES = 2, 2
# Alive in the tower's attention, for each patch: queries, keys and values with the residual, and
# in float32 whatever the rotary embedding of queries and keys makes.
TOWER_STATES, TOWER_FLOATS = 5, 7
# The same for layers and towers that are gone through in chunks, as core/engine does:
# read off peaks on an H200 (Qwen2.5-VL 3B, 7B and 32B, 16 to 768 frames); tools/bench_peaks.py
# compares. A tower takes so much where torch.compile fuses its attention; where not, core/engine
# takes half as much at a time.
CHUNK_LAYER_STATES, CHUNK_TOWER_STATES = 6.6, 0.65
# Towers of square frames are never fused; read off InternVL3-1B and LLaVA-OneVision-0.5B, for each
# patch of such a half: what comes into the MLP's activation and out of it, and other states.
SQUARE_TOWER_COPIES, SQUARE_TOWER_STATES = 2, 8.4
PREFILL_CHUNK_TOKENS, TOWER_CHUNK_PATCHES = 8192, 32_768
# Values that are prepared at a time; as float32 and two copies, beside the bytes of the frames.
PIECE_VALUES, PREPARED_BYTES = 2**24, 13
ROUND_TOKENS = 256  # what the engine rounds a conversation's cache up to


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes on one device at the moment it is fullest.

    Attributes:
        activations: what comes on top of the cache then; the cache fills after the tower has run.
        layers: the language model's layers held here; none on a device that stays free.
        ends: of the weights, those of tower, projector, embeddings and head.
    """

    device: Device
    weights: int
    kv_cache: int
    activations: int
    reserve: int
    layers: range = range(0)
    ends: int = 0

    @property
    def peak(self) -> int:
        """Everything together."""
        return self.weights + self.kv_cache + self.activations + self.reserve

    @property
    def missing(self) -> int:
        """Bytes beyond the device's capacity; 0 where it fits."""
        return max(0, self.peak - self.device.capacity_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What must be held, in bytes, before it is known where; see load_of().

    Attributes:
        layers: how many layers share ``layer_weights`` and ``kv_cache`` evenly.
        first_weights: vision tower, projector and token embeddings.
        last_weights: the head; 0 where it is the embeddings over again, and lies with them.
        tower: activations of the tower, with the pixels.
        prompt: kept on the first device through prefill.
        layer: activations of a layer in prefill.
        logits: of the last token.
    """

    layers: int
    layer_weights: int
    first_weights: int
    last_weights: int
    kv_cache: int
    tower: int
    prompt: int
    layer: int
    logits: int

    def on(
        self, device: Device, layers: range, *, first: bool, last: bool, visiting: int = 0
    ) -> DeviceMemory:
        """What ``layers``, and the model's ends, take on ``device``.

        ``visiting`` layers more run there whose weights lie elsewhere and come one at a time.
        """
        share = len(layers) + visiting
        kv_cache = _share(self.kv_cache, share, self.layers)
        activations = self.layer if share else 0
        if visiting:
            activations += _share(self.layer_weights, 1, self.layers)
        if first:
            activations = max(activations + self.prompt, self.tower - kv_cache)
        if first if self.head_first else last:
            activations += self.logits
        ends = (self.first_weights if first else 0) + (self.last_weights if last else 0)
        return DeviceMemory(
            device=device,
            weights=_share(self.layer_weights, len(layers), self.layers) + ends,
            kv_cache=kv_cache,
            activations=activations,
            reserve=FRAMEWORK_BYTES[device.kind],
            layers=layers,
            ends=ends,
        )

    def waiting(self, host: Device, layers: range) -> DeviceMemory:
        """What layers take in the machine's memory that run on a device."""
        return DeviceMemory(
            device=host,
            weights=_share(self.layer_weights, len(layers), self.layers),
            kv_cache=0,
            activations=0,
            reserve=FRAMEWORK_BYTES["cpu"],
            layers=layers,
        )

    @property
    def head_first(self) -> bool:
        """Whether the head is on the first device, as the embeddings are that it shares."""
        return self.last_weights == 0

    def whole(self, device: Device) -> DeviceMemory:
        """What all of it takes on one device."""
        return self.on(device, range(self.layers), first=True, last=True)


def load_of(
    card: ModelCard,
    *,
    dtype: str,
    prompt: int,
    total: int,
    patches: int,
    execution: Execution = AS_STORED,
) -> Load:
    """What a request needs: ``prompt`` tokens, ``total`` with the reply, ``patches`` of video."""
    text, size = card.text, value_bytes(dtype)
    first, layers, last = parts_of(card, dtype)
    in_chunks = goes_in_chunks(card, execution)
    if in_chunks:
        total = -(-total // ROUND_TOKENS) * ROUND_TOKENS
    activations = _in_chunks if in_chunks else _at_once
    tower, kept, layer = activations(card, size, prompt, patches)
    if dtype in QUANTISED:  # each matrix is unpacked for its product
        layer += text.hidden * text.mlp * size
    return Load(
        layers=text.layers,
        layer_weights=layers,
        first_weights=first,
        last_weights=last,
        kv_cache=2 * text.kv_layers * text.kv_heads * text.head_dim * total * size,
        tower=tower,
        prompt=kept,
        layer=layer,
        logits=text.vocab * (size + 4),
    )


def _at_once(card: ModelCard, size: int, prompt: int, patches: int) -> tuple[int, int, int]:
    """Load.tower, prompt and layer of transformers' own way."""
    text, vision = card.text, card.vision
    patch_values = 3 * card.patches.temporal_patch_size * card.patches.patch_size**2
    held = PROMPT_STATES + DEEPSTACK_STATES * vision.deepstack
    tower = vision.hidden * (TOWER_STATES * size + TOWER_FLOATS * 4) + patch_values * (4 + size)
    merged = card.patches.merge_size**2
    return (
        patches * (tower + text.hidden * vision.deepstack * size // merged),
        prompt * held * text.hidden * size + patches * vision.hidden * size,
        prompt * (_widest(card) + LAYER_STATES * text.hidden) * size,
    )


def _in_chunks(card: ModelCard, size: int, prompt: int, patches: int) -> tuple[int, int, int]:
    """Load.tower, prompt and layer where the tower and the layers go through it in chunks.

    The cache is made after the tower. In between the video takes its place among the embeddings,
    for which torch counts places in eight bytes each. What the tower saw is kept for later
    questions beside its copy there; what it adds to deeper layers is not copied.
    """
    text, vision = card.text, card.vision
    values = patches * 3 * card.patches.temporal_patch_size * card.patches.patch_size**2
    piece, state = min(prompt, PREFILL_CHUNK_TOKENS), prompt * text.hidden
    chunk = min(patches, TOWER_CHUNK_PATCHES)
    if card.frame_tokens is None:  # tokens are handed over
        seen = state * (1 + vision.deepstack)
        alive = MLP_COPIES * vision.mlp + CHUNK_TOWER_STATES * vision.hidden
    else:  # patches are
        seen = patches * vision.hidden
        alive = (SQUARE_TOWER_COPIES * vision.mlp + SQUARE_TOWER_STATES * vision.hidden) / 2
    looking = chunk * int(alive) * size
    placing = state * (8 + 1 + 2 * size)
    preparing = min(values, PIECE_VALUES) * PREPARED_BYTES
    return (
        values * size + max(preparing, seen * size + max(looking, placing)),
        (state + seen) * size,
        piece * int(_widest(card) + CHUNK_LAYER_STATES * text.hidden) * size,
    )


def _widest(card: ModelCard) -> int:
    text = card.text
    return max(MLP_COPIES * text.mlp, EXPERT_COPIES * text.experts_per_token * text.hidden)


def _share(amount: int, part: int, whole: int) -> int:
    """``part`` of ``whole`` equal shares, rounded up."""
    return -(-amount * part // whole)
