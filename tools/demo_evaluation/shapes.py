"""Outlines of shapes, known to the model or not; knows nothing of colours, scenes or time.

An outline is one or more polygons around the origin with the shape's height scaled to 2 (from -1
to 1) before it is turned; the second polygon of a shape is a hole.
"""

import math
import random

Point = tuple[float, float]
Outline = tuple[tuple[Point, ...], ...]

KNOWN = ("circle", "square", "triangle", "star", "cross")
UNKNOWN = (
    "pentagon", "hexagon", "octagon", "ellipse", "rectangle",
    "heart", "crescent", "ring", "arrow", "parallelogram",
)  # fmt: skip


def outline(shape: str, rng: random.Random) -> Outline:
    """One way to draw `shape`, for example a star of five points with a random inner radius."""
    return _fitted(_turned(_DRAWERS[shape](rng), _turn(shape, rng)))


def plain(shape: str) -> Outline:
    """The way a child would draw one of the known shapes: upright and regular."""
    polygons = {
        "circle": _ring_of(72),
        "square": _ring_of(4, start=45),
        "triangle": _ring_of(3, start=-90),
        "star": _star(5, 0.42),
        "cross": _cross(0.34),
    }
    return _fitted((polygons[shape],))


def _turn(shape: str, rng: random.Random) -> float:
    """Degrees to turn a shape by. Half of all shapes stand upright."""
    upright = {"cross": (0, 0, 0, 45), "arrow": (0, 90, 180, 270), "parallelogram": (0,)}
    if shape in ("heart", "ellipse", "rectangle"):
        return rng.choice((0, 0, rng.uniform(-20, 20)))
    if shape in upright:
        return rng.choice(upright[shape]) + rng.choice((0, rng.uniform(-8, 8)))
    return rng.choice((0, rng.uniform(0, 360)))


def _ring_of(corners: int, *, start: float = 0) -> tuple[Point, ...]:
    angles = [math.radians(start + 360 * i / corners) for i in range(corners)]
    return tuple((math.cos(a), math.sin(a)) for a in angles)


def _star(points: int, inner: float) -> tuple[Point, ...]:
    ring = []
    for i in range(2 * points):
        angle, radius = math.radians(-90 + 180 * i / points), 1 if i % 2 == 0 else inner
        ring.append((radius * math.cos(angle), radius * math.sin(angle)))
    return tuple(ring)


def _cross(thickness: float) -> tuple[Point, ...]:
    t = thickness
    quarter = [(1, -t), (1, t), (t, t)]
    ring = []
    for _ in range(4):
        ring += quarter
        quarter = [(-y, x) for x, y in quarter]
    return tuple(ring)


def _box(wide: float) -> tuple[Point, ...]:
    return (-wide, -1), (wide, -1), (wide, 1), (-wide, 1)


def _triangle(rng: random.Random) -> Outline:
    """Isosceles or leaning, but never so flat that it looks like a line."""
    half, apex = rng.uniform(0.75, 1.3), rng.choice((0, 0, rng.uniform(-0.6, 0.6)))
    return (((apex, -1), (half, 1), (-half, 1)),)


def _ellipse(rng: random.Random) -> Outline:
    wide = rng.choice((rng.uniform(2, 2.6), 1 / rng.uniform(2, 2.6)))
    return (tuple((wide * x, y) for x, y in _ring_of(72)),)


def _rectangle(rng: random.Random) -> Outline:
    return (_box(rng.choice((rng.uniform(2, 2.8), 1 / rng.uniform(2, 2.8)))),)


def _heart(_: random.Random) -> Outline:
    ring = []
    for i in range(72):
        a = math.radians(5 * i)
        low = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        ring.append((math.sin(a) ** 3, -low / 16))
    return (tuple(ring),)


def _crescent(rng: random.Random) -> Outline:
    """A disc without the part that a second disc, moved to the right, would cover."""
    shift = rng.uniform(0.45, 0.6)
    tip = math.degrees(math.acos(shift / 2))
    outer = [math.radians(tip + (360 - 2 * tip) * i / 48) for i in range(49)]
    inner = [math.radians(180 + (180 - tip) - 2 * (180 - tip) * i / 48) for i in range(49)]
    ring = [(math.cos(a), math.sin(a)) for a in outer]
    return (tuple(ring + [(shift + math.cos(a), math.sin(a)) for a in inner]),)


def _ring(rng: random.Random) -> Outline:
    hole = rng.uniform(0.5, 0.7)
    return _ring_of(72), tuple((hole * x, hole * y) for x, y in _ring_of(72))


def _arrow(rng: random.Random) -> Outline:
    shaft = rng.uniform(0.22, 0.34)
    ring = (-1.2, -shaft), (0.1, -shaft), (0.1, -0.85), (1.2, 0)
    return (ring + tuple((x, -y) for x, y in reversed(ring[:3])),)


def _parallelogram(rng: random.Random) -> Outline:
    lean, wide = rng.choice((-1, 1)) * rng.uniform(0.5, 0.8), rng.uniform(1.2, 1.6)
    return (((-wide - lean, 1), (wide - lean, 1), (wide + lean, -1), (-wide + lean, -1)),)


_DRAWERS = {
    "circle": lambda rng: (_ring_of(72),),
    "square": lambda rng: (_ring_of(4, start=45),),
    "triangle": _triangle,
    "star": lambda rng: (_star(rng.choice((4, 5, 5, 5, 5, 6)), rng.uniform(0.36, 0.5)),),
    "cross": lambda rng: (_cross(rng.uniform(0.2, 0.4)),),
    "pentagon": lambda rng: (_ring_of(5, start=-90),),
    "hexagon": lambda rng: (_ring_of(6),),
    "octagon": lambda rng: (_ring_of(8, start=22.5),),
    "ellipse": _ellipse,
    "rectangle": _rectangle,
    "heart": _heart,
    "crescent": _crescent,
    "ring": _ring,
    "arrow": _arrow,
    "parallelogram": _parallelogram,
}


def _turned(drawn: Outline, degrees: float) -> Outline:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple(tuple((cos * x - sin * y, sin * x + cos * y) for x, y in ring) for ring in drawn)


def _fitted(drawn: Outline) -> Outline:
    """Centred on the origin and scaled until its height is 2."""
    xs, ys = zip(*drawn[0], strict=True)
    middle_x, middle_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    scale = 2 / (max(ys) - min(ys))
    return tuple(
        tuple(((x - middle_x) * scale, (y - middle_y) * scale) for x, y in ring) for ring in drawn
    )
