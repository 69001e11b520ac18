"""Draws a scene, frame by frame; knows nothing of files, questions or sampling."""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from tools.demo_evaluation.palette import RGB
from tools.demo_evaluation.scene import Backdrop, Body, Scene
from tools.demo_evaluation.shapes import Outline

SUPERSAMPLING = 4


def frames(scene: Scene) -> Iterator[np.ndarray]:
    """Every frame as (height, width, 3) uint8 RGB. A frame that repeats is the same object."""
    ground = backdrop(scene.backdrop, size=(scene.width, scene.height), seed=scene.seed)
    speckles = _speckles(scene)
    sprites = [Sprite(body) for body in scene.bodies]
    last_state: object = None
    picture = ground
    for index in range(scene.frame_count):
        seconds = index / scene.frame_rate
        state = _state(scene, sprites, seconds)
        if state != last_state or speckles:
            picture = _drawn(scene, sprites, ground, seconds)
            last_state = state
            if speckles:
                picture = _sum(picture, speckles[index % len(speckles)])
        yield picture


def backdrop(wanted: Backdrop, *, size: tuple[int, int], seed: int) -> np.ndarray:
    """The ground alone as (height, width, 3) uint8."""
    width, height = size
    rng = np.random.default_rng(seed)
    angle = math.radians(wanted.angle)
    x = np.linspace(-0.5, 0.5, width)[None, :] * math.cos(angle)
    y = np.linspace(-0.5, 0.5, height)[:, None] * math.sin(angle)
    share = np.clip(x + y + 0.5, 0, 1)[..., None]
    first, last = np.array(wanted.tones[0]), np.array(wanted.tones[-1])
    ground = first * (1 - share) + last * share
    if wanted.texture:
        blotches = Image.fromarray(rng.normal(size=(9, 9)).astype(np.float32))
        soft = np.asarray(blotches.resize(size, Image.Resampling.BICUBIC))
        ground = ground + wanted.texture * soft[..., None]
    if wanted.grain:
        ground = ground + rng.normal(scale=wanted.grain, size=(height, width, 1))
    return np.clip(ground, 0, 255).round().astype(np.uint8)


class Sprite:
    """A body drawn once: its colours (h, w, 3) and its coverage (h, w, 1), both float32."""

    def __init__(self, body: Body) -> None:
        self.body = body
        margin = 2
        half_w, half_h = (math.ceil(v) + margin for v in body.half_size)
        self.reach = half_w, half_h
        self.coverage = _mask(body.outline, height=body.height, reach=self.reach)[..., None]
        self.colours = np.broadcast_to(
            np.array(body.rgb, np.float32), (2 * half_h + 1, 2 * half_w + 1, 3)
        )
        if body.edge is not None:
            inner = _mask(body.outline, height=body.height * 0.86, reach=self.reach)[..., None]
            self.colours = _mixed(body.edge, body.rgb, inner)

    def place(self, seconds: float) -> tuple[float, float, float]:
        """Centre in quarters of a pixel and opacity, which together decide how it looks."""
        x, y = self.body.centre(seconds)
        return round(4 * x) / 4, round(4 * y) / 4, round(self.body.opacity(seconds), 2)

    def draw(self, picture: np.ndarray, seconds: float) -> None:
        """Blends the body into `picture`, cut at the edges."""
        x, y, opacity = self.place(seconds)
        left, top = math.floor(x) - self.reach[0], math.floor(y) - self.reach[1]
        rows, columns = self.coverage.shape[:2]
        height, width = picture.shape[:2]
        y0, y1 = max(0, top), min(height, top + rows)
        x0, x1 = max(0, left), min(width, left + columns)
        if opacity <= 0 or y0 >= y1 or x0 >= x1:
            return
        part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        share = _moved(self.coverage, x % 1, y % 1)[part] * opacity
        under = picture[y0:y1, x0:x1]
        blended = under * (1 - share) + self.colours[part] * share
        picture[y0:y1, x0:x1] = blended.round().astype(np.uint8)


def _mask(outline: Outline, *, height: float, reach: tuple[int, int]) -> np.ndarray:
    """Coverage (h, w) from 0 to 1 of an outline centred in a field of `2 * reach + 1` pixels."""
    fine = SUPERSAMPLING
    columns, rows = 2 * reach[0] + 1, 2 * reach[1] + 1
    mask = Image.new("L", (columns * fine, rows * fine))
    pen = ImageDraw.Draw(mask)
    for ring, value in zip(outline, (255, 0), strict=False):
        scale = height / 2 * fine
        pen.polygon(
            [(columns * fine / 2 + x * scale, rows * fine / 2 + y * scale) for x, y in ring],
            fill=value,
        )
    small = mask.resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _moved(mask: np.ndarray, right: float, down: float) -> np.ndarray:
    """A mask moved by a part of a pixel; its margin is empty, so that nothing wraps round."""
    if right:
        mask = mask * (1 - right) + np.roll(mask, 1, axis=1) * right
    if down:
        mask = mask * (1 - down) + np.roll(mask, 1, axis=0) * down
    return mask


def _mixed(outer: RGB, inner: RGB, share: np.ndarray) -> np.ndarray:
    return np.array(outer, np.float32) * (1 - share) + np.array(inner, np.float32) * share


def _state(scene: Scene, sprites: list[Sprite], seconds: float) -> object:
    """Equal for two times at which the frames look the same."""
    flash = scene.flash_at(seconds)
    if flash is not None:
        return flash
    return tuple(
        sprite.place(seconds) for sprite in sprites if scene.shown(sprite.body, seconds) > 0
    )


def _drawn(scene: Scene, sprites: list[Sprite], ground: np.ndarray, seconds: float) -> np.ndarray:
    flash = scene.flash_at(seconds)
    if flash is not None:
        return np.broadcast_to(np.array(flash.rgb, np.uint8), ground.shape).copy()
    picture = ground.copy()
    for sprite in sprites:
        sprite.draw(picture, seconds)
    return picture


def _speckles(scene: Scene) -> list[np.ndarray]:
    """Four fields of moving noise (height, width, 1) int16, or none."""
    if not scene.backdrop.noise:
        return []
    rng = np.random.default_rng(scene.seed + 1)
    size = (scene.height, scene.width, 1)
    fields = (rng.normal(scale=scene.backdrop.noise, size=size) for _ in range(4))
    return [field.round().astype(np.int16) for field in fields]


def _sum(picture: np.ndarray, speckles: np.ndarray) -> np.ndarray:
    return np.clip(picture + speckles, 0, 255).astype(np.uint8)
