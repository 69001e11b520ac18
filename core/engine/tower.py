"""The vision tower in chunks of frames, with fast attention, and its output kept for next time.

Attention in a tower does not cross frames, so chunks change nothing but the memory that is needed.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.engine.attention import PACKED
from core.engine.kernels import has_kernels
from core.engine.seen import Seen
from core.engine.taking import Taking
from core.planning.memory import TOWER_CHUNK_PATCHES

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
CHUNK_PATCHES = TOWER_CHUNK_PATCHES
TRIED_GRIDS = ((2, 18, 32), (3, 20, 36))
CLOSE = 0.05  # relative; bf16 noise of another order of operations is a tenth of it
WIDTH_STEP = 64  # products are slow where a width is no multiple of 8; this one suits all kernels


class Tower:
    """Stands in for the ``forward`` of a vision tower.

    Attributes:
        seen: the tower's outputs, by video.
        video: which one it is about to see; None keeps nothing.
        fused: whether torch.compile has fused its attention, which takes twice as much memory
            otherwise: then it sees half as much at a time, so that the forecast holds for both.
    """

    def __init__(self, module: Any, seen: Seen, states: Sequence[int] | None = None) -> None:
        """``states``: see taking.states_of."""
        self.seen = seen
        self.video: Hashable | None = None
        self.fused = False
        self._module = module
        _let_go(module)
        self._forward: Callable[..., Any] = module.forward
        if states is not None:
            self._forward = Taking(module, states)
        module.forward = self.look

    def look(self, pixels: torch.Tensor | None = None, **inputs: Any) -> Any:
        """The tower's own output: one that was kept, or chunk by chunk."""
        kept = None
        if self.video is not None:
            kept = self.seen.get(self.video, next(self._module.parameters()).device)
        if kept is None:
            kept = self._all(inputs.pop("pixel_values") if pixels is None else pixels, inputs)
            if self.video is not None:
                self.seen.put(self.video, kept)
        return copy.copy(kept)  # what called it may replace its fields

    def fuse(self) -> Callable[[], None]:
        """Let torch.compile fuse what lies between a block's products, where that can be done.

        Compiled on made-up videos before it is used, so that no question waits for it.

        Returns:
            What puts it to use.
        """
        import torch

        try:
            calls = self._overheard()
            if not calls:
                return lambda: None
            fused: Any = torch.compile(type(calls[0][0]).forward)
            for block, args, told in calls:
                expected = block.forward(*args, **told)
                if not _close(fused(block, *args, **told), expected):
                    return lambda: None
        except Exception as error:  # no compiler, no Triton, a version that cannot, Stop of another
            log.info("The tower without fused kernels: %s", str(error).split("\n")[0])
            return lambda: None
        return lambda: self._take(fused)

    def _take(self, fused: Any) -> None:
        for block in self._module.blocks:
            block.forward = functools.partial(fused, block)
        self.fused = True

    def _overheard(self) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
        """What blocks are called with for two small videos; none in a tower without lengths.

        On this thread: another may be at a question meanwhile.
        """
        import torch

        config = self._module.config
        if config._attn_implementation != PACKED:
            return []
        values = 3 * config.temporal_patch_size * config.patch_size**2
        weight = next(self._module.parameters())
        calls: list[Any] = []
        own = threading.get_ident()

        def listen(*call: Any) -> None:
            if threading.get_ident() == own:
                calls.append(call)

        handles = [
            block.register_forward_pre_hook(listen, with_kwargs=True)
            for block in self._module.blocks
        ]
        try:
            for frames, high, wide in TRIED_GRIDS:
                grid = torch.tensor([[frames, high, wide]], device=weight.device)
                self._forward(weight.new_zeros(frames * high * wide, values), grid_thw=grid)
        finally:
            for handle in handles:
                handle.remove()
        return calls

    def _all(self, pixels: torch.Tensor, inputs: dict[str, Any]) -> Any:
        """The last hidden states go chunk by chunk where there is something made of them."""
        parts = []
        for some, more in _chunks(pixels, inputs, halves=not self.fused):
            part = self._forward(some, **more)
            if getattr(part, "pooler_output", None) is not None and "grid_thw" in more:
                part = _without(part, "last_hidden_state")
            parts.append(part)
        return parts[0] if len(parts) == 1 else _joined(parts)


def _let_go(module: Any) -> None:
    """Take accelerate's hooks off the parts of a tower, which are all on one device.

    They bring inputs to a part, and nothing can be fused across them. The tower's own stays.
    """
    if not hasattr(module, "_hf_hook"):
        return
    from accelerate.hooks import remove_hook_from_submodules

    for part in module.children():
        remove_hook_from_submodules(part)


def _chunks(
    pixels: torch.Tensor, inputs: dict[str, Any], *, halves: bool
) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """Whole frames, at most CHUNK_PATCHES patches at a time: rows of patches, or pictures.

    In ``halves`` of what would be taken otherwise.
    """
    grid = inputs.get("grid_thw")
    if grid is None:
        pictures = CHUNK_PATCHES * 14 * 14 // max(1, pixels[0, 0].numel())
        step = _step(pictures, len(pixels), halves)
        for begin in range(0, len(pixels), step):
            yield pixels[begin : begin + step], inputs
        return
    if len(grid) != 1:
        yield from _rows(pixels, inputs, halves=halves)
        return
    frames, high, wide = grid[0].tolist()
    step = _step(CHUNK_PATCHES // (high * wide), frames, halves)
    for begin in range(0, frames, step):
        count = min(step, frames - begin)
        rows = pixels[begin * high * wide : (begin + count) * high * wide]
        yield rows, {**inputs, "grid_thw": grid.new_tensor([[count, high, wide]])}


def _rows(
    pixels: torch.Tensor, inputs: dict[str, Any], *, halves: bool
) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """The same of a grid with a row for each frame, as GLM-4.1V has it."""
    grid = inputs["grid_thw"]
    sizes = grid.prod(dim=-1).tolist()
    most, begin, place = _step(CHUNK_PATCHES, sum(sizes), halves), 0, 0
    while begin < len(sizes):
        end, count = begin + 1, sizes[begin]
        while end < len(sizes) and count + sizes[end] <= most:
            count += sizes[end]
            end += 1
        yield pixels[place : place + count], {**inputs, "grid_thw": grid[begin:end]}
        begin, place = end, place + count


def _step(most: int, there: int, halves: bool) -> int:
    """How many of ``there`` are seen at a time, where ``most`` have room."""
    step = min(most, there)
    return max(1, (step + 1) // 2 if halves else step)


def _without(found: Any, dropped: str) -> Any:
    """Made anew: to set a field to None leaves its tensor in the mapping that an output also is."""
    return type(found)(**{name: found[name] for name in list(found) if name != dropped})


def _joined(parts: list[Any]) -> Any:
    """Outputs of chunks put together, field by field."""
    import torch

    first = parts[0]
    if first is None:
        return None
    if isinstance(first, torch.Tensor):
        return torch.cat(parts)
    if isinstance(first, (list, tuple)) and not dataclasses.is_dataclass(first):
        return type(first)(_joined([part[n] for part in parts]) for n in range(len(first)))
    found = copy.copy(first)
    for name in list(first):
        found[name] = _joined([part[name] for part in parts])
    return found


def _close(found: Any, expected: Any) -> bool:
    difference = (found - expected).float().norm()
    return bool(difference <= CLOSE * expected.float().norm())


def speed_up(module: Any) -> bool:
    """Let a tower that takes lengths use one call for all frames, and widths that suit a GPU."""
    import torch

    weights = list(module.parameters())
    half = all(each.dtype in (torch.bfloat16, torch.float16) for each in weights)
    if not half or not all(has_kernels(each.device) for each in weights):
        return False
    widen_and_flatten(module)
    if not hasattr(module, "blocks") or not getattr(module, "_supports_flash_attn", False):
        return False
    module.config._attn_implementation = PACKED
    return True


def widen_and_flatten(module: Any) -> None:
    """The same arithmetic in shapes that suit a GPU."""
    for block in getattr(module, "blocks", ()):
        _widen(block.mlp)
        for each in block.parameters():  # so that what it leaves is one gap: see layers.join
            each.data = each.data.clone()
    _flatten(module)


def _flatten(module: Any) -> None:
    """A convolution whose windows do not overlap is a product, and a faster one."""
    import torch

    embedding = getattr(module, "patch_embed", None)
    convolution = getattr(embedding, "proj", None)
    if not isinstance(convolution, torch.nn.Conv3d) or tuple(convolution.stride) != tuple(
        convolution.kernel_size
    ):
        return
    weight, bias = convolution.weight, convolution.bias

    def embed(patches: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(patches.to(weight.dtype), weight.flatten(1), bias)

    module.patch_embed.forward = embed


def _widen(mlp: Any) -> None:
    """Zeros beyond the width of a gated MLP: they add nothing to what comes out."""
    import torch

    if not hasattr(mlp, "gate_proj"):
        return
    width = mlp.gate_proj.out_features
    more = -width % WIDTH_STEP
    if not more:
        return
    for each in (mlp.gate_proj, mlp.up_proj):
        each.weight.data = torch.nn.functional.pad(each.weight.data, (0, 0, 0, more))
        if each.bias is not None:
            each.bias.data = torch.nn.functional.pad(each.bias.data, (0, more))
        each.out_features = width + more
    mlp.down_proj.weight.data = torch.nn.functional.pad(mlp.down_proj.weight.data, (0, more))
    mlp.down_proj.in_features = width + more
