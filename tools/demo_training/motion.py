"""When things come and go, and the ways they take. Seconds and pixels; knows no forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np


def draw_times(frames: int, rng: Random) -> np.ndarray:
    """Times of sampled frames: even, now and then jittered, from 0 to 200 seconds."""
    kind = rng.random()
    if kind < 0.5:
        step = rng.uniform(0.46, 0.56)
    elif kind < 0.8:
        step = math.exp(rng.uniform(math.log(0.1), math.log(1.2)))
    else:
        step = math.exp(rng.uniform(math.log(0.8), math.log(6.0)))
    step = min(step, 199.0 / frames)
    latest = max(0.0, 199.0 - step * frames)
    start = 0.0 if rng.random() < 0.65 else rng.uniform(0, latest) * rng.random()
    times = start + step * np.arange(frames)
    if rng.random() < 0.12:
        times = times + step * np.array([rng.uniform(-0.4, 0.4) for _ in range(frames)])
        times = np.maximum(times, 0.0)
    return times


def life(times: np.ndarray, rng: Random) -> tuple[float, float]:
    """When a thing comes and goes; infinite where it is there from the start or to the end."""
    first, last = float(times[0]), float(times[-1])
    step = (last - first) / (len(times) - 1)
    shortest = max(1.4, 2.3 * step)
    kind = rng.random()
    if kind < 0.40 or last - first < shortest + 2.2 * step:
        return -math.inf, math.inf
    if kind < 0.72:
        return rng.uniform(first + 1.2 * step, last - shortest), math.inf
    if kind < 0.86:
        return -math.inf, rng.uniform(first + shortest, last - 0.2 * step)
    length = min(shortest * math.exp(rng.uniform(0.0, 2.0)), last - first - 1.5 * step)
    birth = rng.uniform(first + 1.2 * step, max(first + 1.2 * step, last - length))
    death = birth + max(length, shortest)
    return birth, death if death < last else math.inf


def brief_life(times: np.ndarray, rng: Random) -> tuple[float, float]:
    """A life of 0.15 to 0.8 seconds round one sampled frame that is neither first nor last."""
    moment = float(times[rng.randrange(2, len(times) - 2)])
    length = rng.uniform(0.15, 0.8)
    birth = moment - rng.uniform(0.05, 0.95) * length
    return birth, birth + length


def opacity_of(times: np.ndarray, birth: float, death: float, rng: Random) -> np.ndarray:
    """1 while alive, 0 else, now and then with short fades that no frame shows as half there."""
    fade = rng.uniform(0.1, 0.5) if rng.random() < 0.25 else 1e-6
    fade = min(fade, (death - birth) / 3)
    alive = np.minimum((times - birth) / fade, (death - times) / fade)
    opacity = np.clip(np.nan_to_num(alive, posinf=1.0, neginf=0.0), 0.0, 1.0)
    opacity[opacity < 0.12] = 0.0
    return np.where((opacity > 0) & (opacity < 0.4), 0.4, opacity)


def _heading(rng: Random) -> tuple[int, float]:
    """A direction of the eight and an angle that people would call by it."""
    index = rng.choice([0, 2, 4, 6]) if rng.random() < 0.66 else rng.choice([1, 3, 5, 7])
    loose = 12 if index % 2 == 0 else 16
    spread = rng.choice([0.0, 1.0]) * rng.uniform(-loose, loose)
    return index, math.radians(45 * index + spread)


@dataclass(frozen=True, slots=True)
class Path:
    """A straight way; `heading` is a place in DIRECTIONS, None for one who stands."""

    start: tuple[float, float]
    end: tuple[float, float]
    heading: int | None


def _run_to_edge(point: tuple[float, float], angle: float, half: float, size: tuple) -> float:
    """How far from `point` along `angle` until a thing of that size has left the frame."""
    width, height = size
    runs = []
    for place, step, limit in (
        (point[0], math.cos(angle), width),
        (point[1], math.sin(angle), height),
    ):
        if abs(step) > 1e-6:
            border = limit + half if step > 0 else -half
            runs.append((border - place) / step)
    return min(runs)


def draw_path(half: float, size: tuple[int, int], still: bool, rng: Random) -> Path:
    """A place to stand, or a straight way inside the frame, into it, out of it or across it."""
    width, height = size
    edge = half * 1.05 + 1

    def inside() -> tuple[float, float]:
        return (rng.uniform(edge, width - edge), rng.uniform(edge, height - edge))

    if still:
        place = inside()
        return Path(place, place, None)
    heading, angle = _heading(rng)
    ux, uy = math.cos(angle), math.sin(angle)
    kind = rng.random()
    for _ in range(12):
        place = inside()
        ahead = _run_to_edge(place, angle, half, size)
        behind = _run_to_edge(place, angle + math.pi, half, size)
        inner = max(0.0, ahead - 2.1 * half - 2)
        shortest = max(9.0, 0.10 * min(size))
        if kind < 0.60:
            if inner < shortest:
                continue
            length = rng.uniform(shortest, inner)
            return Path(place, (place[0] + ux * length, place[1] + uy * length), heading)
        if kind < 0.74:
            return Path((place[0] - ux * behind, place[1] - uy * behind), place, heading)
        if kind < 0.88:
            return Path(place, (place[0] + ux * ahead, place[1] + uy * ahead), heading)
        return Path(
            (place[0] - ux * behind, place[1] - uy * behind),
            (place[0] + ux * ahead, place[1] + uy * ahead),
            heading,
        )
    place = inside()
    return Path(place, place, None)


def walk(path: Path, times: np.ndarray, birth: float, death: float) -> np.ndarray:
    """Centres (T, 2) for a steady walk along the path during the thing's life."""
    start, end = max(birth, float(times[0])), min(death, float(times[-1]))
    share = np.clip((times - start) / max(end - start, 1e-6), 0.0, 1.0)[:, None]
    return np.array(path.start) + share * (np.array(path.end) - np.array(path.start))
