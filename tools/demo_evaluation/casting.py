"""Puts shapes and flashes on a stage so that nobody can doubt what is to be seen."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tools.demo_evaluation import palette, shapes
from tools.demo_evaluation.scene import Body, Flash, Scene
from tools.demo_evaluation.seen import doubts, travelled
from tools.demo_evaluation.stage import Stage

CLEAR_PIXELS = 11.0  # the least height in the frames that the model is given
UNKNOWN_PIXELS = 28.0  # an octagon smaller than that is a circle to anybody
TRIES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a body should be; None leaves the choice.

    `life` is "always", "comes", "goes", "visits" or "blinks". `moves` of None moves half of them.
    """

    colour: str | None = None
    shape: str | None = None
    life: str = "always"
    moves: bool | None = None
    colours: dict[str, str] | None = None
    shapes: Sequence[str] = shapes.KNOWN


def cast(rng: random.Random, stage: Stage, parts: Sequence[Part]) -> tuple[Body, ...] | None:
    """A body for each part, none in the way of another, or None where that does not succeed."""
    bodies: tuple[Body, ...] = ()
    for part in parts:
        for _ in range(TRIES):
            body = _body(rng, stage, part, crowd=len(parts))
            if body is not None and _fits(stage, bodies, body):
                bodies += (body,)
                break
        else:
            return None
    return bodies


def draw_flashes(
    rng: random.Random, stage: Stage, bodies: tuple[Body, ...], count: int
) -> tuple[Flash, ...] | None:
    """`count` flashes of the whole picture, each in at least one sampled frame, or None."""
    flashes: tuple[Flash, ...] = ()
    for _ in range(count):
        for _ in range(TRIES):
            seconds = rng.choice(stage.samples.times[2:])
            flash = _flash(rng, stage, around=seconds)
            trial = tuple(sorted((*flashes, flash), key=lambda f: f.begins))
            if _apart(trial) and doubts(stage.scene(bodies, trial), stage.samples) is None:
                flashes = trial
                break
        else:
            return None
    return flashes


def draw_missed_flash(rng: random.Random, stage: Stage) -> Flash | None:
    """A flash that falls between two sampled frames, or None where they are too close."""
    gap = rng.randrange(len(stage.samples.times) - 1)
    before, after = stage.samples.times[gap : gap + 2]
    flash = _flash(rng, stage, around=(before + after) / 2)
    if flash.begins <= before + 0.05 or flash.ends >= after - 0.05:
        return None
    return flash


def _flash(rng: random.Random, stage: Stage, *, around: float) -> Flash:
    seconds = rng.uniform(0.15, 0.8)
    begins = max(0.0, around - rng.random() * seconds)
    colours = {"white": palette.FLASHES["white"]} if rng.random() < 0.5 else palette.FLASHES
    try_on = [palette.parse(code) for code in colours["white"].split()]
    if not all(palette.stands_out(rgb, stage.grounds) for rgb in try_on):
        colours = {name: codes for name, codes in palette.FLASHES.items() if name != "white"}
    name, rgb = palette.pick(rng, colours, grounds=stage.grounds)
    return Flash(colour=name, rgb=rgb, begins=begins, ends=begins + seconds)


def _apart(flashes: tuple[Flash, ...]) -> bool:
    return all(later.begins - earlier.ends > 0.2 for earlier, later in pairwise(flashes))


def _body(rng: random.Random, stage: Stage, part: Part, *, crowd: int) -> Body | None:
    """One try at a body, not yet compared with the others."""
    names = part.colours or palette.KNOWN
    if part.colour is not None:
        names = {part.colour: names[part.colour]}
    if not _any_stands_out(names, stage):
        return None
    colour, rgb = palette.pick(rng, names, grounds=stage.grounds)
    shape = part.shape or rng.choice(part.shapes)
    height = _height(rng, stage, known=shape in shapes.KNOWN, crowd=crowd)
    resting = Body(
        colour=colour,
        rgb=rgb,
        shape=shape,
        outline=shapes.outline(shape, rng),
        height=height,
        start=(0.0, 0.0),
        edge=_edge(rng, shape),
    )
    moves = rng.random() < 0.5 if part.moves is None else part.moves
    return (
        _slid(rng, stage, resting, part)
        if moves and rng.random() < 0.3
        else _placed(rng, stage, resting, part, moves=moves)
    )


def _any_stands_out(names: dict[str, str], stage: Stage) -> bool:
    """Whether some value does so with room to spare for `palette.near`."""
    codes = [palette.parse(code) for listed in names.values() for code in listed.split()]
    return sum(palette.stands_out(code, stage.grounds) for code in codes) * 3 >= len(codes)


def _height(rng: random.Random, stage: Stage, *, known: bool, crowd: int) -> float:
    """In pixels of the clip: 6 to 30% of its shorter side, and large enough in the frames."""
    in_frame = min(stage.samples.width, stage.samples.height)
    least = max(0.06, (CLEAR_PIXELS if known else UNKNOWN_PIXELS) / in_frame)
    most = max(least, 0.3 if crowd <= 3 else 0.24 if crowd <= 5 else 0.16)
    return rng.uniform(least, most) * stage.short_side


def _edge(rng: random.Random, shape: str) -> palette.RGB | None:
    """A thin contour for one known shape in ten; a cross is too thin for one."""
    if shape not in ("circle", "square", "triangle") or rng.random() > 0.12:
        return None
    return rng.choice(((0, 0, 0), (255, 255, 255), (40, 40, 40)))


def _life(rng: random.Random, stage: Stage, life: str) -> tuple[float | None, float | None]:
    """When a body appears and when it disappears."""
    end = stage.seconds
    if life == "blinks":
        begins = rng.choice(stage.samples.times[2:]) - rng.random() * 0.4
        return begins, begins + rng.uniform(0.3, 0.7)
    appears = rng.uniform(0.08, 0.8) * end if life in ("comes", "visits") else None
    earliest = (appears or 0.0) + min(2.0, 0.2 * end)
    disappears = rng.uniform(earliest, 0.95 * end) if life in ("goes", "visits") else None
    return appears, disappears


def _placed(
    rng: random.Random, stage: Stage, body: Body, part: Part, *, moves: bool
) -> Body | None:
    """A body that is inside the picture all its life, at rest or on a straight way."""
    appears, disappears = _life(rng, stage, part.life)
    if disappears is not None and disappears <= (appears or 0.0):
        return None
    seconds = (disappears or stage.seconds) - (appears or 0.0)
    way = _way(rng, stage, rng.uniform(0.2, 1.3)) if moves else (0.0, 0.0)
    half_w, half_h = body.half_size
    low_x, high_x = half_w - min(0.0, way[0]), stage.width - half_w - max(0.0, way[0])
    low_y, high_y = half_h - min(0.0, way[1]), stage.height - half_h - max(0.0, way[1])
    if low_x > high_x or low_y > high_y:
        return None
    return replace(
        body,
        start=(rng.uniform(low_x, high_x), rng.uniform(low_y, high_y)),
        velocity=(way[0] / seconds, way[1] / seconds),
        appears=appears,
        disappears=disappears,
        fade=rng.choice((0.0, 0.0, rng.uniform(0.1, 0.4))) if part.life != "blinks" else 0.0,
    )


def _slid(rng: random.Random, stage: Stage, body: Body, part: Part) -> Body | None:
    """A body that comes in over an edge, or goes out over one, instead of popping up."""
    appears, disappears = _life(rng, stage, part.life)
    if part.life not in ("comes", "goes", "visits"):
        return None
    way = _way(rng, stage, 1.0)
    length = math.hypot(*way)
    speed = rng.uniform(0.25, 1.2) * stage.short_side
    velocity = way[0] / length * speed, way[1] / length * speed
    over_at = appears if appears is not None else disappears
    x, y = _over_the_edge(rng, stage, body, velocity, inwards=appears is not None)
    start = x - velocity[0] * over_at, y - velocity[1] * over_at
    if part.life == "visits":
        return replace(body, start=start, velocity=velocity)
    pop = rng.choice((None, disappears)) if appears is not None else None
    return replace(body, start=start, velocity=velocity, disappears=pop)


def _over_the_edge(
    rng: random.Random,
    stage: Stage,
    body: Body,
    velocity: tuple[float, float],
    *,
    inwards: bool,
) -> tuple[float, float]:
    """A place just outside of an edge that a body crosses inwards (or outwards)."""
    sign = 1 if inwards else -1
    toward = sign * velocity[0], sign * velocity[1]
    half_w, half_h = body.half_size
    x, y = rng.uniform(half_w, stage.width - half_w), rng.uniform(half_h, stage.height - half_h)
    if abs(toward[0]) > abs(toward[1]):
        return (-half_w if toward[0] > 0 else stage.width + half_w), y
    return x, (-half_h if toward[1] > 0 else stage.height + half_h)


def _way(rng: random.Random, stage: Stage, length: float) -> tuple[float, float]:
    """A way of `length` shorter sides in one of eight directions, not quite exactly."""
    eighth = rng.choice((0, 0, 2, 2, 4, 4, 6, 6, 1, 3, 5, 7))
    angle = math.radians(45 * eighth + rng.choice((0, 0, rng.uniform(-5, 5))))
    pixels = length * stage.short_side
    return pixels * math.cos(angle), pixels * math.sin(angle)


def _fits(stage: Stage, others: tuple[Body, ...], body: Body) -> bool:
    """Whether a body leaves no doubts, is seen to move if it moves, and meets no other."""
    scene = stage.scene((body,))
    if doubts(scene, stage.samples) is not None:
        return False
    if body.velocity != (0.0, 0.0) and travelled(scene, body, stage.samples) < 0.15:
        return False
    return not any(_meet(stage.scene((body, other)), body, other) for other in others)


def _meet(scene: Scene, one: Body, other: Body) -> bool:
    """Whether two bodies' boxes touch at any time at which both are to be seen."""
    reach = [a + b for a, b in zip(one.half_size, other.half_size, strict=True)]
    for moment in range(0, scene.frame_count, max(1, scene.frame_rate // 6)):
        seconds = moment / scene.frame_rate
        if scene.shown(one, seconds) == 0 or scene.shown(other, seconds) == 0:
            continue
        away = [abs(a - b) for a, b in zip(one.centre(seconds), other.centre(seconds), strict=True)]
        if away[0] < reach[0] and away[1] < reach[1]:
            return True
    return False
