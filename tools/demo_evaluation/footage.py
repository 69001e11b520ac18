"""Real pictures: windows into films and photographs, none of which show the demo model's world.

By default they come with Gradio, which the app needs anyway; a folder of films can be added.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

FILMS = ("b.mp4", "world.mp4")
PHOTOGRAPHS = ("cheetah.jpg", "cheetah1.jpg", "lion.jpg", "tower.jpg", "groot.jpeg")
SIZES = ((640, 360), (480, 270), (320, 240), (360, 640), (480, 480), (640, 480))
FRAME_RATE = 12
DECODED_WIDTH = 640

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """A clip cut out of a film or panned over a photograph.

    `first` and `last` are the boxes (left, top, right, bottom, as shares of the picture) that the
    clip begins and ends with; `begins` and `speed` choose the part of a film.
    """

    source: Path
    width: int
    height: int
    frame_count: int
    first: Box
    last: Box
    begins: float = 0.0
    speed: float = 1.0
    mirrored: bool = False
    frame_rate: int = FRAME_RATE


def sources(extra: Path | None = None) -> list[Path]:
    """Films and photographs of Gradio's package and of the folder `extra`."""
    spec = find_spec("gradio")  # found, not imported: that takes seconds
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Gradio's pictures are needed: pip install gradio")
    media = Path(spec.origin).parent / "media_assets"
    found = [media / "videos" / name for name in FILMS]
    found += [media / "images" / name for name in PHOTOGRAPHS]
    found = [path for path in found if path.is_file()]
    if extra is not None:
        found += sorted(p for p in extra.iterdir() if p.suffix in (".mp4", ".mkv", ".jpg", ".png"))
    return found


def draw_footage(rng: random.Random, extra: Path | None = None) -> Footage:
    """Another window each time: part, crop, zoom, speed, size."""
    width, height = rng.choice(SIZES)
    first = _box(rng)
    return Footage(
        source=rng.choice(sources(extra)),
        width=width,
        height=height,
        frame_count=round(rng.uniform(3, 9) * FRAME_RATE),
        first=first,
        last=_box(rng) if rng.random() < 0.6 else first,
        begins=rng.random(),
        speed=rng.uniform(0.5, 2.0),
        mirrored=rng.random() < 0.5,
    )


def frames(footage: Footage) -> Iterator[np.ndarray]:
    """Every frame as (height, width, 3) uint8 RGB."""
    pictures, rate = _pictures(footage.source)
    size = footage.width, footage.height
    for index in range(footage.frame_count):
        share = index / max(1, footage.frame_count - 1)
        at = footage.begins * len(pictures) + index / footage.frame_rate * footage.speed * rate
        picture = pictures[_there_and_back(int(at), len(pictures))]
        now = [a + (b - a) * share for a, b in zip(footage.first, footage.last, strict=True)]
        box = [now[i] * picture.size[i % 2] for i in range(4)]
        cut = picture.crop([round(v) for v in box])
        fitted = ImageOps.fit(cut, size, Image.Resampling.BILINEAR)
        yield np.asarray(ImageOps.mirror(fitted) if footage.mirrored else fitted)


def _box(rng: random.Random) -> Box:
    """A window of 55 to 100% of each side."""
    wide, high = rng.uniform(0.55, 1), rng.uniform(0.55, 1)
    left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
    return left, top, left + wide, top + high


def _there_and_back(index: int, count: int) -> int:
    """Runs to the end of a film, then backwards, and so on."""
    if count == 1:
        return 0
    index %= 2 * (count - 1)
    return min(index, 2 * (count - 1) - index)


@lru_cache(maxsize=8)
def _pictures(source: Path) -> tuple[list[Image.Image], float]:
    """Up to 20 s of a film at about 10 pictures a second, or the one photograph."""
    if source.suffix in (".jpg", ".jpeg", ".png"):
        picture = Image.open(source).convert("RGB")
        picture.thumbnail((1280, 1280))
        return [picture], 1.0
    found = []
    with av.open(str(source)) as container:
        stream = container.streams.best("video")
        step = max(1, round(float(stream.average_rate) / 10))
        for index, frame in enumerate(container.decode(stream)):
            if index % step == 0:
                height = round(DECODED_WIDTH * frame.height / frame.width)
                found.append(frame.reformat(DECODED_WIDTH, height).to_image())
            if len(found) == 200:
                break
    return found, float(stream.average_rate) / step
