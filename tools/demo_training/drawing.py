"""Draws scenes: numbers about things become pixels, on a GPU or a CPU.

One pass a thing: its signed distance is looked up in the outline atlas and turned into soft
coverage. What cameras, encoders and rescaling do to pixels is applied along the way: colour is
softer than brightness, edges ring, blocks shift, levels round. Knows nothing of words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from . import colours, outlines
from .outlines import ATLAS_REACH, ATLAS_SIDE
from .pictures import SIDE

THING_NUMBERS = 20
GROUND_NUMBERS = 20
LOOK_NUMBERS = 10


def shape_code(name: str) -> int:
    """1.. for known shapes, then one code for all others; 0 is kept for no thing."""
    return 1 + (outlines.KNOWN.index(name) if name in outlines.KNOWN else len(outlines.KNOWN))


def colour_code(name: str) -> int:
    return 1 + (colours.KNOWN.index(name) if name in colours.KNOWN else len(colours.KNOWN))


@dataclass(frozen=True, slots=True)
class Atlases:
    outlines: torch.Tensor  # (variants * ATLAS_SIDE**2,) float16
    pictures: torch.Tensor  # (pictures * SIDE**2, 3) uint8


def thing_numbers(thing, frames: int) -> np.ndarray:
    """(frames, THING_NUMBERS): place and opacity vary by frame, the rest is repeated."""
    width, edge = thing.border or (0.0, thing.rgb)
    fixed = [
        thing.half,
        *thing.stretch,
        *thing.rgb,
        width,
        *edge,
        thing.hollow,
        thing.variant,
        *thing.texture,
    ]
    rows = np.empty((frames, THING_NUMBERS), dtype=np.float32)
    rows[:, 0:2] = thing.centre
    rows[:, 2] = thing.opacity
    rows[:, 3] = thing.turn
    rows[:, 4:18] = fixed
    rows[:, 18], rows[:, 19] = shape_code(thing.shape), colour_code(thing.colour)
    return rows


def ground_numbers(scene) -> np.ndarray:
    """(T, GROUND_NUMBERS): ground colours, picture and view, and the strongest flash."""
    ground = scene.ground
    rows = np.zeros((len(scene.times), GROUND_NUMBERS), dtype=np.float32)
    rows[:, 0:3], rows[:, 3:6] = ground.rgb, ground.rgb_far
    rows[:, 6:8] = ground.slope
    rows[:, 8], rows[:, 9], rows[:, 10] = ground.picture, ground.amount, ground.grey
    rows[:, 11:15] = ground.view
    for flash in scene.flashes:
        lit = flash.opacity > 0
        rows[lit, 15:18] = flash.rgb
        rows[lit, 18] = flash.opacity[lit]
    return rows


def look_numbers(rng) -> np.ndarray:
    """(LOOK_NUMBERS,): how camera, encoder and rescaling treat one clip."""
    clean = rng.random() < 0.25
    rough = 0.3 if clean else 1.0
    return np.array(
        [
            rng.uniform(0.8, 1.5 if clean else 2.4),  # width of an edge in pixels
            rng.uniform(1.0, 3.2),  # of a colour edge, in edge widths
            abs(rng.gauss(0, 0.010)) * rough + (rng.uniform(0, 0.04) if rng.random() < 0.15 else 0),
            rng.uniform(0, 0.035) * rough,  # unrest near edges
            rng.choice([0.0, rng.uniform(0, 0.012)]) * rough,  # steps between blocks
            rng.gauss(0, 0.015),  # brightness
            np.exp(rng.gauss(0, 0.04)),  # contrast
            np.exp(rng.gauss(0, 0.06)),  # gamma
            np.exp(rng.gauss(0, 0.05)),  # saturation
            rng.gauss(0, 0.012),  # tint
        ],
        dtype=np.float32,
    )


def _columns(numbers: torch.Tensor) -> list[torch.Tensor]:
    """(F, K) to K tensors of (F, 1, 1)."""
    return [c[:, None, None] for c in numbers.unbind(-1)]


def _luma_chroma(r, g, b):
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, r - y, b - y


def _picture_at(pictures, row, u, v):
    """Nearest texel of mirrored pictures, three channels in 0..1."""
    u, v = (
        SIDE - 1 - (x.remainder(2 * SIDE) - SIDE + 0.5).abs().clamp(max=SIDE - 0.51) for x in (u, v)
    )
    place = (row.long() * SIDE + v.long().clamp(0, SIDE - 1)) * SIDE + u.long().clamp(0, SIDE - 1)
    return [pictures[:, c][place].float() / 255 for c in range(3)]


def _distance_at(atlas, row, u, v):
    """Bilinear signed distance at (u, v) in units of the half-extent."""
    scale = ATLAS_SIDE / (2 * ATLAS_REACH)
    x, y = (u + ATLAS_REACH) * scale - 0.5, (v + ATLAS_REACH) * scale - 0.5
    away = ((x - x.clamp(0, ATLAS_SIDE - 1)).abs() + (y - y.clamp(0, ATLAS_SIDE - 1)).abs()) / scale
    x, y = x.clamp(0, ATLAS_SIDE - 1.001), y.clamp(0, ATLAS_SIDE - 1.001)
    left, top = x.floor(), y.floor()
    fx, fy = x - left, y - top
    base = (row.long() * ATLAS_SIDE + top.long()) * ATLAS_SIDE + left.long()
    upper = atlas[base].float() * (1 - fx) + atlas[base + 1].float() * fx
    lower = atlas[base + ATLAS_SIDE].float() * (1 - fx) + atlas[base + ATLAS_SIDE + 1].float() * fx
    return upper * (1 - fy) + lower * fy + away


def draw_ground(numbers, xs, ys, pictures):
    """Luma, red and blue difference of the ground, each (F, H, W)."""
    (r, g, b, r2, g2, b2, sx, sy, row, amount, grey, zoom, turn, dx, dy, *_) = _columns(numbers)
    height, width = ys.shape[1], xs.shape[2]
    share = (((xs / width - 0.5) * sx + (ys / height - 0.5) * sy) + 0.5).clamp(0, 1)
    cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    pr, pg, pb = _picture_at(pictures, row, xs * cos - ys * sin + dx, xs * sin + ys * cos + dy)
    plain_y, plain_r, plain_b = _luma_chroma(
        r + (r2 - r) * share, g + (g2 - g) * share, b + (b2 - b) * share
    )
    py, pcr, pcb = _luma_chroma(pr, pg, pb)
    colour = 1 - grey
    full = (amount > 0.99).float()
    y = plain_y + amount * (py - 0.5) * (1 - full) + full * (py - plain_y)
    red = plain_r * (1 - full) + amount * pcr * colour
    blue = plain_b * (1 - full) + amount * pcb * colour
    return y, red, blue


def paint_thing(y, red, blue, mask, numbers, look, xs, ys, atlas, pictures):
    """The planes with one more thing over them; `mask` keeps what is covered by any."""
    (
        cx,
        cy,
        opacity,
        turn,
        half,
        sx,
        sy,
        r,
        g,
        b,
        edge,
        er,
        eg,
        eb,
        hollow,
        row,
        skin,
        patina,
        *_,
    ) = _columns(numbers)
    soft, soft_colour, _, unrest, *_ = _columns(look)
    dx, dy = (xs - cx) / sx, (ys - cy) / sy
    cos, sin = torch.cos(turn), torch.sin(turn)
    u, v = (dx * cos + dy * sin) / half, (dy * cos - dx * sin) / half
    away = _distance_at(atlas, row, u, v)
    line = (away + hollow / 2).abs() - hollow / 2
    away = torch.where(hollow > 0, line, away) * half
    inner = torch.where(edge > 0, away + edge * half, away)
    tr, tg, tb = _picture_at(pictures, skin, (u + 1.5) * 70, (v + 1.5) * 70)
    fy, fr, fb = _luma_chroma(
        r + patina * (tr - 0.5 - (r - 0.5) * (patina > 0.3)),
        g + patina * (tg - 0.5 - (g - 0.5) * (patina > 0.3)),
        b + patina * (tb - 0.5 - (b - 0.5) * (patina > 0.3)),
    )
    ey, ered, eblue = _luma_chroma(er, eg, eb)
    wide = soft * soft_colour

    def cover(gap, width):
        return (0.5 - gap / width).clamp(0, 1) * opacity

    mask = torch.maximum(mask, cover(away, soft))
    y = y + cover(away, soft) * (ey - y)
    y = y + cover(inner, soft) * (fy - y)
    red = red + cover(away, wide) * (ered - red)
    red = red + cover(inner, wide) * (fr - red)
    blue = blue + cover(away, wide) * (eblue - blue)
    blue = blue + cover(inner, wide) * (fb - blue)
    near = (-(away.abs() / (soft * 3))).exp() * (opacity > 0)
    return y + near * unrest * torch.randn_like(y), red, blue, mask


def finish(y, red, blue, numbers, look, xs, ys):
    """Flash, encoder and camera: (F, 3, H, W) in -1..1, levels rounded to 8 bits."""
    fr, fg, fb, flash = _columns(numbers)[15:19]
    _, _, grain, _, blocks, light, contrast, gamma, saturation, tint = _columns(look)
    flash_y, flash_r, flash_b = _luma_chroma(fr, fg, fb)
    y = y + flash * (flash_y - y)
    red = (red + flash * (flash_r - red)) * saturation
    blue = (blue + flash * (flash_b - blue)) * saturation
    hashed = torch.sin((xs / 8).floor() * 12.99 + (ys / 8).floor() * 78.23) * 43758.5453
    y = y + grain * torch.randn_like(y) + blocks * (2 * (hashed - hashed.floor()) - 1)
    red = red + 0.5 * grain * torch.randn_like(y) + tint
    y = ((y - 0.5) * contrast + 0.5 + light).clamp(0, 1) ** gamma
    r, b = y + red, y + blue
    g = (y - 0.299 * r - 0.114 * b) / 0.587
    rgb = torch.stack([r, g, b], 1).clamp(0, 1)
    return (rgb * 255).round() / 127.5 - 1


class Painter:
    """Draws the frames of a batch of one frame size."""

    def __init__(self, atlases: Atlases, *, fused: bool) -> None:
        self._atlases = atlases

        def fuse(function):
            return torch.compile(function, dynamic=True) if fused else function

        self._ground, self._thing, self._finish = map(fuse, (draw_ground, paint_thing, finish))

    @torch.no_grad()
    def frames(
        self,
        *,
        ground: torch.Tensor,
        things: torch.Tensor,
        looks: torch.Tensor,
        drawn: list[torch.Tensor],
        height: int,
        width: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(F, 3, H, W) float32 in -1..1, and what things cover, (F, H, W) in 0..1.

        ground (F, GROUND_NUMBERS), things (F, K, THING_NUMBERS), looks (F, LOOK_NUMBERS); drawn[k]
        lists the frames that show thing k.
        """
        device = ground.device
        xs = torch.arange(width, device=device)[None, None] + 0.5
        ys = torch.arange(height, device=device)[None, :, None] + 0.5
        plain = self._ground(ground, xs, ys, self._atlases.pictures)
        planes = torch.stack([*plain, torch.zeros_like(plain[0])])
        for k, frames in enumerate(drawn):
            painted = self._thing(
                *planes[:, frames],
                things[frames, k],
                looks[frames],
                xs,
                ys,
                self._atlases.outlines,
                self._atlases.pictures,
            )
            planes[:, frames] = torch.stack(painted)
        mask = planes[3] * (ground[:, 18] < 0.5)[:, None, None]
        return self._finish(*planes[:3], ground, looks, xs, ys), mask


def to_patches(frames: torch.Tensor) -> torch.Tensor:
    """Frames (F, 3, H, W), F even, as Qwen3-VL's processor flattens them: (patches, 1536).

    Source: transformers `Qwen3VLVideoProcessor.patchify`, patch 16, two frames, merge 2.
    """
    count, channels, height, width = frames.shape
    rows, columns = height // 32, width // 32
    split = frames.view(count // 2, 2, channels, rows, 2, 16, columns, 2, 16)
    split = split.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return split.reshape(count // 2 * rows * columns * 4, channels * 2 * 256)


def to_cells(mask: torch.Tensor) -> torch.Tensor:
    """What is covered in each patch: (patches, 2 frames * 8 * 8 cells), in the tower's order."""
    count, height, width = mask.shape
    cells = mask.view(count, height // 2, 2, width // 2, 2).mean((2, 4))
    rows, columns = height // 32, width // 32
    split = cells.view(count // 2, 2, rows, 2, 8, columns, 2, 8)
    return split.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(-1, 128)
