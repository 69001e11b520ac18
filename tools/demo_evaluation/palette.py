"""Colours by the names people give them; knows nothing of shapes, scenes or pictures.

The values are taken from palettes people really use (CSS, Material, Tailwind, Matplotlib, Apple,
Flat UI). Values on the border between two names are left out: nobody could judge an answer there.
"""

import random
from collections.abc import Iterable

RGB = tuple[int, int, int]

KNOWN = {
    "red": "ff0000 dc143c e53935 f44336 d32f2f c62828 b71c1c ef4444 dc2626 b91c1c d62728 ff3b30 "
    "e31a1c b22222 cc0000 e74c3c c0392b ff2020",
    "orange": "ffa500 ff8c00 fb8c00 f57c00 ff9800 f97316 ff7f0e ff9500 e67e22 f28c28 fb923c",
    "yellow": "ffff00 ffeb3b fdd835 fde047 ffd60a f1e80f fff176 ffee33 f7e017 ffe600",
    "green": "00ff00 008000 228b22 4caf50 43a047 2e7d32 22c55e 16a34a 15803d 2ca02c 34c759 30d158 "
    "27ae60 32cd32 006400 00a550 66bb6a 90ee90",
    "blue": "0000ff 1e90ff 4169e1 2196f3 1976d2 0d47a1 3b82f6 2563eb 1d4ed8 1f77b4 007aff 0a84ff "
    "000080 87ceeb 6495ed 4682b4 3498db 60a5fa",
    "purple": "800080 9c27b0 7b1fa2 6a1b9a 4a148c a855f7 9333ea 7e22ce 9467bd af52de 8e44ad "
    "9b59b6 663399 8a2be2 9400d3 7d3c98",
    "white": "ffffff fafafa f8f9fa f5f5f5 fffaf0 f8fafc",
}

UNKNOWN = {
    "pink": "ffc0cb ff69b4 f06292 ec4899 ff80ab f9a8d4 ff85c0",
    "magenta": "ff00ff f000d8 ff1aff",
    "cyan": "00ffff 00bcd4 22d3ee 17becf 00e5ff",
    "turquoise": "40e0d0 00ced1 30d5c8 2dd4bf",
    "teal": "008080 009688 0d9488 00897b",
    "brown": "8b4513 795548 6f4e37 92400e 5d4037 7b4a21",
    "grey": "808080 9e9e9e 6b7280 757575 a9a9a9",
    "black": "000000 0a0a0a 141414 1a1a1a",
}

FLASHES = {
    "white": "ffffff fafafa",
    "red": "ff0000 f03030",
    "yellow": "ffff00 ffe93b",
    "green": "00ff00 22c540",
    "blue": "0000ff 2050f0",
    "orange": "ff9800 ff8c00",
    "purple": "9c27b0 a030e0",
}

NEUTRALS = {
    "black": "000000 080808 0c0c0e",
    "dark": "1c1e22 22262e 2b2b2b 30343c 262220",
    "grey": "6e7073 808488 8c8c8c 7a7670 5c6066",
    "light": "d8dade e4e2dc cfd3d8 dcdcdc e8e4ea",
    "white": "ffffff fcfcfa f6f7f8",
}


def parse(code: str) -> RGB:
    """`"ff8c00"` -> `(255, 140, 0)`."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def lab(rgb: RGB) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of an sRGB value, for telling how far apart two colours look."""
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in rgb]
    red, green, blue = linear
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def stands_out(rgb: RGB, others: Iterable[RGB]) -> bool:
    """Whether a person sees `rgb` at a glance on every one of `others`."""
    own = lab(rgb)
    for other in others:
        away = [a - b for a, b in zip(own, lab(other), strict=True)]
        if sum(d * d for d in away) < 32**2 or abs(away[0]) < 12:
            return False
    return True


def pick(rng: random.Random, names: dict[str, str], *, grounds: tuple[RGB, ...]) -> tuple[str, RGB]:
    """A colour's name and one of its values that stands out on all of `grounds`."""
    while True:
        name = rng.choice(sorted(names))
        rgb = near(rng, parse(rng.choice(names[name].split())))
        if stands_out(rgb, grounds):
            return name, rgb


def near(rng: random.Random, rgb: RGB, *, reach: int = 5) -> RGB:
    """`rgb` moved by at most `reach` in each channel."""
    red, green, blue = (min(255, max(0, c + rng.randint(-reach, reach))) for c in rgb)
    return red, green, blue
