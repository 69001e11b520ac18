"""Which RGB values people call by which colour name; knows nothing of shapes or pictures."""

from __future__ import annotations

import colorsys
from random import Random

KNOWN = ("red", "orange", "yellow", "green", "blue", "purple", "white")
UNKNOWN = ("pink", "magenta", "cyan", "turquoise", "teal", "brown", "grey", "black")

# Ranges of (hue in degrees, saturation, value), with a weight. They keep away from the borders
# between two names, where people disagree.
_RANGES: dict[str, list[tuple[float, tuple, tuple, tuple]]] = {
    "red": [
        (6, (353, 367), (0.72, 1.0), (0.58, 1.0)),
        (1, (346, 353), (0.86, 1.0), (0.70, 0.90)),
        (1, (355, 364), (0.88, 1.0), (0.50, 0.62)),
        (1, (356, 364), (0.58, 0.72), (0.74, 1.0)),
    ],
    "orange": [(6, (22, 39), (0.82, 1.0), (0.90, 1.0)), (1, (17, 24), (0.85, 1.0), (0.93, 1.0))],
    "yellow": [
        (6, (48, 63), (0.70, 1.0), (0.88, 1.0)),
        (1, (50, 62), (0.45, 0.70), (0.94, 1.0)),
        (1, (45, 50), (0.88, 1.0), (0.90, 1.0)),
    ],
    "green": [
        (5, (92, 150), (0.50, 1.0), (0.38, 1.0)),
        (1, (84, 96), (0.60, 1.0), (0.55, 1.0)),
        (1, (146, 159), (0.60, 1.0), (0.42, 0.85)),
        (1, (105, 135), (0.34, 0.52), (0.60, 0.98)),
    ],
    "blue": [
        (5, (207, 240), (0.62, 1.0), (0.55, 1.0)),
        (1, (226, 242), (0.75, 1.0), (0.42, 0.60)),
        (2, (196, 210), (0.55, 1.0), (0.72, 1.0)),
        (1, (200, 225), (0.42, 0.62), (0.68, 1.0)),
    ],
    "purple": [
        (5, (264, 289), (0.45, 1.0), (0.42, 0.98)),
        (2, (286, 301), (0.70, 1.0), (0.38, 0.72)),
        (1, (258, 266), (0.45, 0.75), (0.62, 0.97)),
    ],
    "white": [(1, (0, 360), (0.0, 0.045), (0.94, 1.0))],
    "pink": [
        (3, (318, 342), (0.35, 0.95), (0.84, 1.0)),
        (1, (338, 358), (0.22, 0.38), (0.92, 1.0)),
        (1, (326, 342), (0.70, 0.95), (0.84, 0.96)),
    ],
    "magenta": [(1, (297, 316), (0.82, 1.0), (0.86, 1.0))],
    "cyan": [(1, (174, 189), (0.72, 1.0), (0.80, 1.0))],
    "turquoise": [(1, (169, 183), (0.50, 0.85), (0.70, 0.92))],
    "teal": [(1, (170, 188), (0.70, 1.0), (0.42, 0.66))],
    "brown": [
        (3, (14, 31), (0.50, 0.92), (0.34, 0.62)),
        (1, (8, 22), (0.34, 0.52), (0.38, 0.60)),
    ],
    "grey": [(1, (0, 360), (0.0, 0.07), (0.30, 0.76))],
    "black": [(1, (0, 360), (0.0, 0.40), (0.0, 0.07))],
}

# Values people meet in palettes and by name (CSS, Material, Tailwind, Matplotlib, Apple).
_PALETTES: dict[str, str] = {
    "red": "ff0000 f44336 e53935 d32f2f ef4444 dc2626 b91c1c d62728 ff3b30 c62828 b22222 dc143c "
    "cc0000 e00000 ee1111 c80000 ff2020 f03030 e6194b",
    "orange": "ffa500 ff8c00 ff9800 fb8c00 f57c00 f97316 fb923c ff7f0e ff9500 ff7f00 ff8000 ffa726 "
    "f58231 ff9f0a ff6f00",
    "yellow": "ffff00 ffeb3b fdd835 facc15 fde047 ffd700 ffcc00 fff176 ffee58 eab308 ffe119 "
    "f0f000 ffd60a ffff66 f7dc16",
    "green": "008000 00ff00 4caf50 43a047 388e3c 22c55e 16a34a 15803d 2ca02c 34c759 228b22 32cd32 "
    "006400 2e8b57 00c853 4ade80 3cb44b 1b5e20 00b400 90ee90 8bc34a 10b981 30d158",
    "blue": "0000ff 2196f3 1e88e5 1976d2 3b82f6 2563eb 1d4ed8 1f77b4 007aff 1e90ff 4169e1 00008b "
    "0d47a1 00bfff 03a9f4 6495ed 4682b4 4363d8 000080 0a84ff 0ea5e9 3f51b5 87ceeb 0050ff",
    "purple": "800080 9c27b0 8e24aa 7b1fa2 a855f7 9333ea 7e22ce 9467bd af52de 8a2be2 9400d3 "
    "663399 673ab7 911eb4 4b0082 9370db bf5af2 6a0dad a020f0",
    "white": "ffffff fafafa f5f5f5 fefefe f8f8ff fffafa fdfdfd",
    "pink": "ff69b4 ff1493 ffc0cb ffb6c1 ec4899 f472b6 e377c2 f48fb1 db7093 e91e63 fabed4",
    "magenta": "ff00ff f032e6 ff00cc f000f0",
    "cyan": "00ffff 00bcd4 06b6d4 17becf 22d3ee 42d4f4 26c6da",
    "turquoise": "40e0d0 48d1cc 00ced1 2dd4bf 30d5c8",
    "teal": "008080 009688 14b8a6 0d9488 008b8b 20b2aa 30b0c7",
    "brown": "8b4513 a0522d 795548 6d4c41 5d4037 8c564b 9a6324 654321 78350f 92400e",
    "grey": "808080 a9a9a9 696969 9e9e9e 757575 6b7280 7f7f7f 8e8e93 c0c0c0 616161 555555",
    "black": "000000 0a0a0a 111111 050505 101010",
}

Rgb = tuple[float, float, float]


def draw_colour(name: str, rng: Random) -> Rgb:
    """One RGB value in 0..1 that a person would call `name`."""
    if rng.random() < 0.4:
        code = rng.choice(_PALETTES[name].split())
        return tuple(
            min(1.0, max(0.0, int(code[i : i + 2], 16) / 255 + rng.gauss(0, 0.008)))
            for i in (0, 2, 4)
        )
    ranges = _RANGES[name]
    _, hue, saturation, value = rng.choices(ranges, weights=[r[0] for r in ranges])[0]
    return colorsys.hsv_to_rgb(
        rng.uniform(*hue) % 360 / 360, rng.uniform(*saturation), rng.uniform(*value)
    )


def distance(a: Rgb, b: Rgb) -> float:
    """How far apart two colours look: brightness counts double, all in 0..1 units."""
    luma = 0.30 * (a[0] - b[0]) + 0.59 * (a[1] - b[1]) + 0.11 * (a[2] - b[2])
    chroma = ((a[0] - b[0] - luma) ** 2 + (a[2] - b[2] - luma) ** 2) ** 0.5
    return ((2 * luma) ** 2 + chroma**2) ** 0.5


def draw_background(rng: Random) -> tuple[Rgb, str | None]:
    """An RGB value for the ground and its name, None where people would not agree on one."""
    kind = rng.random()
    if kind < 0.22:
        level, name = rng.uniform(0.0, 0.05), "black"
    elif kind < 0.42:
        level, name = rng.uniform(0.95, 1.0), "white"
    elif kind < 0.56:
        level, name = rng.uniform(0.30, 0.70), "grey"
    elif kind < 0.70:
        level, name = rng.uniform(0.05, 0.30), None
    elif kind < 0.84:
        level, name = rng.uniform(0.70, 0.95), None
    elif kind < 0.94:  # a hint of a colour, dark or pale
        value = rng.choice([rng.uniform(0.06, 0.35), rng.uniform(0.7, 1.0)])
        return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.30), value), None
    else:
        name = rng.choice(("blue", "green", "yellow", "purple", "red", "orange"))
        return draw_colour(name, rng), name
    return (level, level, level), name
