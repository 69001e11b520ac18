"""Pictures that look like the real world, and fine textures for grounds, made by rule.

Every picture is (SIDE, SIDE, 3) uint8. Photographs that ship inside installed packages join in
where they are found. Knows nothing of clips.
"""

from __future__ import annotations

import colorsys
import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 256


def _array(rng: Random) -> np.random.Generator:
    return np.random.default_rng(rng.getrandbits(32))


def noise(rng: Random, slope: float, channels: int = 1) -> np.ndarray:
    """1/f^slope noise of zero mean and unit deviation: (SIDE, SIDE, channels)."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(_array(rng).normal(size=(channels, SIDE, SIDE)))
    field = np.fft.irfft2(spectrum / frequency**slope, s=(SIDE, SIDE))
    field -= field.mean(axis=(1, 2), keepdims=True)
    return (field / field.std(axis=(1, 2), keepdims=True)).transpose(1, 2, 0)


def _to_image(values: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))


def _natural_colour(rng: Random, hue: float | None = None) -> tuple[int, int, int]:
    """A muted colour, mostly earth, sky, leaf or skin."""
    if hue is None:
        hue = rng.choice(
            [rng.gauss(0.07, 0.03), rng.gauss(0.58, 0.04), rng.gauss(0.27, 0.06), rng.random()]
        )
    rgb = colorsys.hsv_to_rgb(hue % 1, min(1, abs(rng.gauss(0.3, 0.22))), rng.uniform(0.08, 0.98))
    return tuple(round(255 * c) for c in rgb)


# -- fine textures for grounds ------------------------------------------------------------------


def fine_texture(rng: Random) -> Image.Image:
    """Grain, paper, cloth, stripes or a grid: something plain things may lie on."""
    kind = rng.randrange(6)
    if kind <= 2:
        field = noise(rng, rng.choice([0.0, 0.5, 1.0, 1.5]), rng.choice([1, 3]))
        return _to_image(np.broadcast_to(0.5 + 0.17 * field, (SIDE, SIDE, 3)))
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    turn, period = rng.uniform(0, math.pi), SIDE / rng.randint(4, 40)
    wave = np.sin((x * math.cos(turn) + y * math.sin(turn)) * 2 * math.pi / period)
    if kind == 3:
        wave = np.sign(wave) if rng.random() < 0.5 else wave
    elif kind == 4:
        wave = np.sign(np.sin(x * 2 * math.pi / period) * np.sin(y * 2 * math.pi / period))
    else:
        lines = (x % period < 1.5) | (y % period < 1.5)
        wave = np.where(lines, 1.0, -0.2)
    grain = 0.1 * noise(rng, 0.5)[..., 0]
    return _to_image(np.repeat((0.5 + 0.3 * wave + grain)[..., None], 3, axis=2))


# -- footage ------------------------------------------------------------------------------------


def _clouds(rng: Random) -> Image.Image:
    """Coloured 1/f noise: sky, water, grass, fur."""
    field = noise(rng, rng.uniform(0.7, 2.0), 3)
    mix = 0.35 * field + 0.65 * field.mean(axis=2, keepdims=True)
    base = np.array(_natural_colour(rng)) / 255
    return _to_image(base + rng.uniform(0.08, 0.25) * mix)


def _dead_leaves(rng: Random) -> Image.Image:
    """Bodies of all sizes hiding one another, each with its own shade and grain."""
    image = Image.new("RGB", (SIDE, SIDE), _natural_colour(rng))
    draw = ImageDraw.Draw(image)
    hue = rng.random() if rng.random() < 0.5 else None
    smallest = rng.uniform(2, 14)
    for _ in range(rng.randint(60, 500)):
        radius = min(110.0, smallest * (1 - rng.random()) ** -0.6)
        x, y = rng.uniform(0, SIDE), rng.uniform(0, SIDE)
        own = _natural_colour(rng, None if hue is None else hue + rng.gauss(0, 0.05))
        if rng.random() < 0.5:
            flat = rng.uniform(0.4, 1.0)
            draw.ellipse([x - radius, y - radius * flat, x + radius, y + radius * flat], fill=own)
        else:
            corners = rng.randint(3, 7)
            draw.polygon(
                [
                    (
                        x + radius * rng.uniform(0.5, 1.2) * math.cos(6.28 * i / corners),
                        y + radius * rng.uniform(0.5, 1.2) * math.sin(6.28 * i / corners),
                    )
                    for i in range(corners)
                ],
                fill=own,
            )
    return image


def _street(rng: Random) -> Image.Image:
    """Sky, houses with windows, a road that narrows, cars."""
    image = Image.new("RGB", (SIDE, SIDE), _natural_colour(rng, 0.58))
    draw = ImageDraw.Draw(image)
    horizon = rng.randint(90, 170)
    x = -10
    while x < SIDE:
        width, top = rng.randint(18, 70), rng.randint(10, horizon - 20)
        draw.rectangle([x, top, x + width, horizon + 20], fill=_natural_colour(rng))
        pane, step = _natural_colour(rng), rng.randint(7, 14)
        for wx in range(x + 3, x + width - 4, step):
            for wy in range(top + 4, horizon, step + 3):
                if rng.random() < 0.8:
                    draw.rectangle([wx, wy, wx + step // 2, wy + step // 2 + 1], fill=pane)
        x += width + rng.randint(0, 8)
    draw.rectangle([0, horizon, SIDE, SIDE], fill=_natural_colour(rng))
    draw.polygon(
        [(SIDE * 0.45, horizon), (SIDE * 0.55, horizon), (SIDE, SIDE), (0, SIDE)],
        fill=(rng.randint(50, 110),) * 3,
    )
    for _ in range(rng.randint(0, 5)):
        size, cx = rng.randint(10, 40), rng.randint(0, SIDE)
        cy = horizon + rng.randint(5, 70)
        draw.rounded_rectangle([cx, cy, cx + 2 * size, cy + size], 4, fill=_natural_colour(rng))
        draw.ellipse([cx + 2, cy + size - 4, cx + 10, cy + size + 4], fill=(20, 20, 20))
        draw.ellipse(
            [cx + 2 * size - 10, cy + size - 4, cx + 2 * size - 2, cy + size + 4], fill=(20, 20, 20)
        )
    return image


def _portrait(rng: Random) -> Image.Image:
    """A head with hair, eyes and shoulders before something out of focus."""
    image = _dead_leaves(rng) if rng.random() < 0.5 else _clouds(rng)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(2, 12)))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        cx, cy, r = rng.randint(50, 206), rng.randint(70, 150), rng.randint(18, 75)
        tone = rng.uniform(0.35, 0.98)
        skin = tuple(round(255 * tone * c) for c in (1.0, rng.uniform(0.68, 0.84), 0.62))
        hair, cloth = _natural_colour(rng, 0.07), _natural_colour(rng)
        draw.ellipse([cx - 1.9 * r, cy + r, cx + 1.9 * r, cy + 4 * r], fill=cloth)
        draw.ellipse([cx - 1.05 * r, cy - 1.5 * r, cx + 1.05 * r, cy + 0.8 * r], fill=hair)
        draw.ellipse([cx - 0.82 * r, cy - 1.1 * r, cx + 0.82 * r, cy + 1.2 * r], fill=skin)
        for side in (-0.35, 0.35):
            ex = cx + side * r
            draw.ellipse([ex - r * 0.13, cy - r * 0.2, ex + r * 0.13, cy], fill=(240, 240, 240))
            draw.ellipse([ex - r * 0.07, cy - r * 0.18, ex + r * 0.07, cy - 2], fill=(30, 20, 10))
        draw.ellipse([cx - 0.3 * r, cy + 0.55 * r, cx + 0.3 * r, cy + 0.75 * r], fill=(150, 60, 60))
    return image


def _screen(rng: Random) -> Image.Image:
    """A page or a desktop: lines of text, panels, buttons."""
    dark = rng.random() < 0.4
    paper = (rng.randint(10, 50),) * 3 if dark else (rng.randint(225, 255),) * 3
    ink = (rng.randint(180, 255),) * 3 if dark else (rng.randint(0, 80),) * 3
    image = Image.new("RGB", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 5)):
        x, y = rng.randint(-20, 200), rng.randint(-20, 220)
        draw.rectangle(
            [x, y, x + rng.randint(20, 160), y + rng.randint(8, 90)],
            fill=_natural_colour(rng),
            outline=ink,
        )
    size = rng.uniform(7, 26)
    font = ImageFont.load_default(size=size)
    y = rng.uniform(0, 20)
    while y < SIDE:
        words = " ".join(
            "".join(rng.choices("etaoinshrdlucmfwypvbgkET01237", k=rng.randint(2, 9)))
            for _ in range(rng.randint(1, 9))
        )
        draw.text(
            (rng.choice([6, 6, 20, 60]), y),
            words,
            font=font,
            fill=ink if rng.random() < 0.85 else _natural_colour(rng),
        )
        y += size * rng.uniform(1.1, 2.2)
    return image


def _landscape(rng: Random) -> Image.Image:
    """Sky, ridges one behind the other, trees, perhaps a sun or a lake."""
    top = np.array(_natural_colour(rng, rng.choice([0.58, 0.58, 0.05])), dtype=float)
    low = np.array(_natural_colour(rng, 0.1), dtype=float)
    fade = np.linspace(0, 1, SIDE)[:, None, None]
    image = Image.fromarray(
        np.broadcast_to(top * (1 - fade) + low * fade, (SIDE, SIDE, 3)).astype(np.uint8)
    )
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.4:
        x, y, r = rng.randint(0, SIDE), rng.randint(10, 110), rng.randint(6, 26)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=(255, 240, rng.randint(120, 240)))
    base = rng.uniform(80, 150)
    for _ in range(rng.randint(2, 6)):
        phase, height = rng.uniform(0, 99), rng.uniform(4, 40)
        ridge = [
            (x, base - height * (math.sin(x / 37 + phase) + 0.5 * math.sin(x / 11 + 2 * phase)))
            for x in range(0, SIDE + 1, 3)
        ]
        draw.polygon(
            [*ridge, (SIDE, SIDE), (0, SIDE)],
            fill=_natural_colour(rng, rng.choice([0.25, 0.3, 0.1, 0.58])),
        )
        base += rng.uniform(12, 45)
    for _ in range(rng.randint(0, 25)):
        x, y, r = rng.randint(0, SIDE), rng.uniform(base - 60, SIDE), rng.uniform(3, 24)
        draw.rectangle([x - r / 8, y, x + r / 8, y + r * 1.4], fill=(70, 50, 30))
        draw.ellipse([x - r, y - r, x + r, y + r / 2], fill=_natural_colour(rng, 0.28))
    return image


def _globe(rng: Random) -> Image.Image:
    """One shaded, textured ball before darkness, stars or haze: a planet, a ball, a fruit."""
    ground = np.zeros((SIDE, SIDE, 3)) + np.array(_natural_colour(rng)) / 255 * rng.choice(
        [0.05, 0.05, 0.6]
    )
    if rng.random() < 0.5:
        ground += (_array(rng).random((SIDE, SIDE, 1)) > 0.997) * 0.8
    grain = noise(rng, rng.uniform(1.0, 1.8), 3)
    grain = 0.25 * grain + 0.75 * grain.mean(axis=2, keepdims=True)
    surface = np.array(_natural_colour(rng)) / 255 + 0.3 * grain
    if rng.random() < 0.6:
        land = noise(rng, 1.7) > rng.uniform(-0.5, 0.8)
        surface = np.where(land, np.array(_natural_colour(rng)) / 255, surface)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    cx, cy, r = rng.uniform(90, 166), rng.uniform(90, 166), rng.uniform(40, 110)
    away = np.hypot(x - cx, y - cy) / r
    light = np.clip(
        1 - 0.8 * ((x - cx) * rng.uniform(-1, 1) + (y - cy) * 0.5) / r - 0.3 * away**2, 0.05, 1.3
    )
    ball = (away < 1)[..., None]
    return _to_image(np.where(ball, surface * light[..., None], ground))


def _room(rng: Random) -> Image.Image:
    """A few large planes with soft light, furniture, a lamp, people as dark bodies."""
    image = Image.new("RGB", (SIDE, SIDE), _natural_colour(rng))
    draw = ImageDraw.Draw(image)
    corner, floor = rng.randint(40, 210), rng.randint(150, 210)
    draw.polygon([(0, 0), (corner, 30), (corner, floor), (0, SIDE)], fill=_natural_colour(rng))
    draw.polygon(
        [(0, SIDE), (corner, floor), (SIDE, floor + 20), (SIDE, SIDE)],
        fill=_natural_colour(rng, 0.08),
    )
    for _ in range(rng.randint(2, 8)):
        x, y = rng.randint(0, 220), rng.randint(30, 220)
        draw.rounded_rectangle(
            [x, y, x + rng.randint(10, 90), y + rng.randint(10, 70)],
            rng.randint(0, 9),
            fill=_natural_colour(rng),
        )
    light = 1 + 0.25 * noise(rng, 2.2)
    return _to_image(np.asarray(image) / 255 * light)


_PAINTERS = (
    _clouds,
    _dead_leaves,
    _dead_leaves,
    _street,
    _portrait,
    _screen,
    _landscape,
    _globe,
    _room,
)


def _weathered(image: Image.Image, rng: Random) -> Image.Image:
    """Grain, focus, light and mirror: no two pictures of a painter look alike."""
    values = np.asarray(image.convert("RGB")) / 255
    if rng.random() < 0.7:
        values = values * (1 + rng.uniform(0.02, 0.22) * noise(rng, rng.uniform(0.3, 1.6)))
    if rng.random() < 0.4:
        values = values * (1 + rng.uniform(0.1, 0.3) * noise(rng, 2.2))
    values = np.clip(values, 0, 1) ** rng.uniform(0.6, 1.7)
    values = values * np.array([rng.uniform(0.85, 1.1) for _ in range(3)]) * rng.uniform(0.5, 1.1)
    image = _to_image(values + rng.uniform(0, 0.12))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.5)))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def photographs() -> list[Image.Image]:
    """Photographs that installed packages carry, found without a network; often none."""
    found: list[Image.Image] = []
    try:
        from skimage import data
    except ImportError:
        data = None
    for name in (
        "astronaut",
        "cat",
        "chelsea",
        "coffee",
        "rocket",
        "camera",
        "coins",
        "page",
        "text",
        "moon",
        "rocket",
        "hubble_deep_field",
        "brick",
        "grass",
        "gravel",
    ):
        try:
            found.append(Image.fromarray(getattr(data, name)()).convert("RGB"))
        except (AttributeError, OSError, ImportError, ValueError, TypeError, RuntimeError):
            continue
    try:
        from sklearn.datasets import load_sample_images

        found += [Image.fromarray(values) for values in load_sample_images().images]
    except (ImportError, OSError):
        pass
    try:
        from matplotlib import cbook

        with cbook.get_sample_data("grace_hopper.jpg", asfileobj=True) as file:
            found.append(Image.open(file).convert("RGB"))
    except (ImportError, OSError):
        pass
    return found


def _crop(photo: Image.Image, rng: Random) -> Image.Image:
    side = rng.uniform(0.25, 1.0) * min(photo.size)
    x, y = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    box = tuple(int(v) for v in (x, y, x + side, y + side))
    return photo.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def paint(number: int, plain: int, photos: list[Image.Image], seed: int = 5) -> np.ndarray:
    """Picture `number` of the atlas: the first `plain` are textures, the rest footage."""
    rng = Random(seed * 1_000_003 + number)
    if number < plain:
        return np.asarray(fine_texture(rng).convert("RGB"))
    if photos and rng.random() < 0.3:
        return np.asarray(_weathered(_crop(rng.choice(photos), rng), rng))
    return np.asarray(_weathered(_PAINTERS[number % len(_PAINTERS)](rng), rng))
