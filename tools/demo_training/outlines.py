"""The shapes: masks of every form in many proportions, as an atlas of signed distances.

A form fills the box -1..1 by its larger half-extent. Knows nothing of colours, places or time.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

KNOWN = ("circle", "square", "triangle", "star", "cross")
UNKNOWN = (
    "pentagon",
    "hexagon",
    "octagon",
    "ellipse",
    "rectangle",
    "heart",
    "crescent",
    "ring",
    "arrow",
    "parallelogram",
    "letter",
)
ATLAS_SIDE = 64
ATLAS_REACH = 1.3  # the atlas shows -1.3..1.3
_MASK_SIDE = 256

Points = list[tuple[float, float]]


def _regular(corners: int, turn: float) -> Points:
    return [
        (math.cos(turn + 2 * math.pi * i / corners), math.sin(turn + 2 * math.pi * i / corners))
        for i in range(corners)
    ]


def _square(rng: Random) -> Points:
    turn = rng.choice([math.pi / 4, math.pi / 4, 0.0, rng.uniform(0, math.pi / 2)])
    stretch = rng.uniform(0.93, 1.07)
    return [(x * stretch, y) for x, y in _regular(4, turn)]


def _triangle(rng: Random) -> Points:
    kind = rng.random()
    if kind < 0.4:
        return _regular(3, rng.choice([-math.pi / 2, math.pi / 2, rng.uniform(0, 2 * math.pi)]))
    if kind < 0.7:  # isosceles
        half, height = rng.uniform(0.45, 1.0), rng.uniform(0.9, 2.0)
        points = [(-half, height / 2), (half, height / 2), (0.0, -height / 2)]
    elif kind < 0.85:  # with a right angle
        points = [(-0.9, 0.9), (rng.uniform(0.5, 1.1), 0.9), (-0.9, -rng.uniform(0.5, 1.1))]
    else:
        points = [(-0.9, 0.8), (0.9, 0.8), (rng.uniform(-0.9, 0.9), -rng.uniform(0.4, 1.0))]
    return _turned(points, rng.choice([0.0, 0.0, math.pi, rng.uniform(0, 2 * math.pi)]))


def _star(rng: Random) -> Points:
    points = rng.choices([4, 5, 6], weights=[2, 8, 2])[0]
    inner = {4: (0.26, 0.48), 5: (0.30, 0.58), 6: (0.36, 0.62)}[points]
    inner_radius = rng.uniform(*inner)
    turn = rng.choice([-math.pi / 2, -math.pi / 2, rng.uniform(0, 2 * math.pi)])
    outer = _regular(points, turn)
    between = _regular(points, turn + math.pi / points)
    return [
        p
        for a, b in zip(outer, between, strict=True)
        for p in (a, (b[0] * inner_radius, b[1] * inner_radius))
    ]


def _cross(rng: Random) -> Points:
    t = rng.uniform(0.16, 0.42)
    arms = [
        (-t, -1),
        (t, -1),
        (t, -t),
        (1, -t),
        (1, t),
        (t, t),
        (t, 1),
        (-t, 1),
        (-t, t),
        (-1, t),
        (-1, -t),
        (-t, -t),
    ]
    turn = rng.choices([0.0, math.pi / 4, rng.uniform(0, math.pi / 2)], weights=[6, 3, 2])[0]
    return _turned(arms, turn)


def _turned(points: Points, turn: float) -> Points:
    c, s = math.cos(turn), math.sin(turn)
    return [(x * c - y * s, x * s + y * c) for x, y in points]


def _blob(rng: Random) -> Points:
    """Ellipse as a polygon."""
    flat = rng.uniform(0.28, 0.60)
    points = [(x, y * flat) for x, y in _regular(48, 0.0)]
    return _turned(points, rng.choice([0.0, math.pi / 2, rng.uniform(0, math.pi)]))


def _rectangle(rng: Random) -> Points:
    flat = rng.uniform(0.22, 0.58)
    points = [(-1, -flat), (1, -flat), (1, flat), (-1, flat)]
    return _turned(points, rng.choice([0.0, 0.0, math.pi / 2, rng.uniform(0, math.pi)]))


def _heart(rng: Random) -> Points:
    wide = rng.uniform(0.85, 1.1)
    angles = [2 * math.pi * i / 60 for i in range(60)]
    return [
        (
            wide * math.sin(a) ** 3,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
        )
        for a in angles
    ]


def _arrow(rng: Random) -> Points:
    shaft, head, neck = rng.uniform(0.12, 0.32), rng.uniform(0.5, 0.85), rng.uniform(-0.1, 0.4)
    points = [
        (-1, -shaft),
        (neck, -shaft),
        (neck, -head),
        (1, 0),
        (neck, head),
        (neck, shaft),
        (-1, shaft),
    ]
    return _turned(points, rng.choice([0.0, 0.5, 1.0, 1.5, rng.uniform(0, 2)]) * math.pi)


def _parallelogram(rng: Random) -> Points:
    slant, height = rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.6)
    side = rng.choice([-1, 1])
    return [
        (side * (-1 + slant), -height),
        (side, -height),
        (side * (1 - slant), height),
        (-side, height),
    ]


_POLYGONS = {
    "circle": lambda rng: _regular(64, 0.0),
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "pentagon": lambda rng: _regular(5, rng.choice([-math.pi / 2, rng.uniform(0, 2 * math.pi)])),
    "hexagon": lambda rng: _regular(6, rng.choice([0.0, math.pi / 6, rng.uniform(0, 2)])),
    "octagon": lambda rng: _regular(8, rng.choice([math.pi / 8, 0.0, rng.uniform(0, 2)])),
    "ellipse": _blob,
    "rectangle": _rectangle,
    "heart": _heart,
    "arrow": _arrow,
    "parallelogram": _parallelogram,
}


def _polygon_mask(points: Points) -> Image.Image:
    """The polygon scaled so that its larger half-extent is 1, in a box of +-ATLAS_REACH."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    middle_x, middle_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    half = max(max(xs) - min(xs), max(ys) - min(ys)) / 2
    scale = _MASK_SIDE / 2 / ATLAS_REACH / half
    image = Image.new("L", (_MASK_SIDE, _MASK_SIDE))
    ImageDraw.Draw(image).polygon(
        [
            ((x - middle_x) * scale + _MASK_SIDE / 2, (y - middle_y) * scale + _MASK_SIDE / 2)
            for x, y in points
        ],
        fill=255,
    )
    return image


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: int) -> None:
    scale, middle = _MASK_SIDE / 2 / ATLAS_REACH, _MASK_SIDE / 2
    draw.ellipse(
        [
            middle + (x - radius) * scale,
            middle + (y - radius) * scale,
            middle + (x + radius) * scale,
            middle + (y + radius) * scale,
        ],
        fill=fill,
    )


def _hollow_mask(name: str, rng: Random) -> Image.Image:
    """A ring (a disc with a hole in the middle) or a crescent (the hole beside it)."""
    image = Image.new("L", (_MASK_SIDE, _MASK_SIDE))
    draw = ImageDraw.Draw(image)
    _disc(draw, 0, 0, 1, 255)
    if name == "ring":
        _disc(draw, 0, 0, rng.uniform(0.5, 0.78), 0)
        return image
    turn, away, hole = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.7), rng.uniform(0.75, 0.95)
    _disc(draw, away * math.cos(turn), away * math.sin(turn), hole, 0)
    return image


def _letter_mask(rng: Random) -> Image.Image:
    """A printed character that cannot be taken for one of the known shapes."""
    font = ImageFont.load_default(size=rng.uniform(180, 230))
    image = Image.new("L", (2 * _MASK_SIDE, 2 * _MASK_SIDE))
    draw = ImageDraw.Draw(image)
    draw.text(
        (120, 120),
        rng.choice("ABCDEFGHJKLMNPQRSUVWYZ23456789?&"),
        fill=255,
        font=font,
        stroke_width=rng.choice([0, 4, 8]),
    )
    box = image.getbbox()
    glyph = image.crop(box)
    scale = _MASK_SIDE / ATLAS_REACH / max(glyph.size)
    glyph = glyph.resize([max(1, round(side * scale)) for side in glyph.size])
    mask = Image.new("L", (_MASK_SIDE, _MASK_SIDE))
    mask.paste(glyph, [(_MASK_SIDE - side) // 2 for side in glyph.size])
    return mask


def _mask(name: str, rng: Random) -> np.ndarray:
    if name == "letter":
        image = _letter_mask(rng)
    elif name in ("ring", "crescent"):
        image = _hollow_mask(name, rng)
    else:
        image = _polygon_mask(_POLYGONS[name](rng))
    return np.asarray(image) > 127


def _signed_distance(mask: np.ndarray, device: torch.device) -> torch.Tensor:
    """Distance to the outline in units of the half-extent, negative inside: (side, side)."""
    edge = np.zeros_like(mask)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    rows, columns = np.nonzero(edge)
    step = 2 * ATLAS_REACH / _MASK_SIDE
    border = torch.tensor(np.stack([columns, rows], 1) * step - ATLAS_REACH, device=device)
    centres = (torch.arange(ATLAS_SIDE, device=device) + 0.5) * 2 * ATLAS_REACH / ATLAS_SIDE
    centres = (centres - ATLAS_REACH).double()
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 2)
    nearest = torch.cdist(grid, border.double()).amin(1).reshape(ATLAS_SIDE, ATLAS_SIDE)
    pick = ((centres + ATLAS_REACH) / step).long()
    inside = torch.tensor(mask, device=device)[pick][:, pick]
    return torch.where(inside, -nearest, nearest)


def variants(per_known: int, per_unknown: int) -> list[str]:
    """The atlas' names in order: variant i of the atlas shows shape `variants(...)[i]`."""
    return [n for n in KNOWN for _ in range(1 if n == "circle" else per_known)] + [
        n for n in UNKNOWN for _ in range(per_unknown)
    ]


def build_atlas(names: list[str], device: torch.device, seed: int = 11) -> torch.Tensor:
    """Signed distances of all variants: (len(names), ATLAS_SIDE, ATLAS_SIDE), float16."""
    rng = Random(seed)
    return torch.stack([_signed_distance(_mask(name, rng), device).half() for name in names])
