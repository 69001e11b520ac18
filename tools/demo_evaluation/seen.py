"""The truth: what the sampled frames of a scene show, by the rules of the demo model's world.

Time is counted in steps here: a step is a pair of sampled frames with one printed time. A scene
that leaves room for doubt is refused by `doubts`, so that every answer can be judged.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tools.demo_evaluation.scene import Body, Flash, Scene

HARDLY, CLEARLY, WHOLE = 0.02, 0.5, 0.97
FLASH_SECONDS = 1.2  # what is seen for less than that could be called a flash
WAYS = ("right", "down", "left", "up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What the plan takes from the clip: times of frames, printed times of steps, frame size.

    A printed time is what the model reads, without unit: `"6.2"`.
    """

    times: tuple[float, ...]
    labels: tuple[str, ...]
    width: int
    height: int

    def agree_with(self, other: "Samples") -> bool:
        """Whether both are the same but for the rounding of times to a file's time base."""
        return (self.labels, self.width, self.height) == (
            other.labels,
            other.width,
            other.height,
        ) and all(abs(a - b) < 1e-3 for a, b in zip(self.times, other.times, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What can be seen of one body.

    `appears` is the step in which it is first seen, None if that is the start; `disappears` the
    step that shows it gone, None if it stays; `ways` the directions it moves in, empty if it
    rests.
    """

    body: Body
    appears: int | None
    disappears: int | None
    ways: frozenset[str]
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that the sampled frames show: bodies in order of appearance, and steps with flashes."""

    sights: tuple[Sight, ...]
    flashes: tuple[tuple[Flash, int], ...]
    labels: tuple[str, ...]

    def of(self, wanted: Callable[[Body], bool]) -> tuple[Sight, ...]:
        """The sights of the bodies that are `wanted`."""
        return tuple(sight for sight in self.sights if wanted(sight.body))


def look(scene: Scene, samples: Samples) -> Seen:
    """What there is to be seen; meaningful only if `doubts` finds none."""
    sights = [s for body in scene.bodies if (s := _sight(scene, body, samples)) is not None]
    sights.sort(key=lambda sight: sight.appears or 0)
    flashes = ((f, _steps(scene, f, samples)) for f in scene.flashes)
    found = sorted(((f, steps[0]) for f, steps in flashes if steps), key=lambda pair: pair[1])
    return Seen(sights=tuple(sights), flashes=tuple(found), labels=samples.labels)


def doubts(scene: Scene, samples: Samples) -> str | None:
    """Why people could disagree on what this scene shows, or None."""
    for body in scene.bodies:
        shares = [scene.shown(body, t) for t in _uncovered(scene, samples)]
        if any(HARDLY < share < CLEARLY for share in shares):
            return f"the {body.name} is half shown in a frame"
        if HARDLY < max(shares) < WHOLE:
            return f"the {body.name} is never seen whole"
        if not _in_one_piece(shares):
            return f"the {body.name} comes back"
        if shares and shares[0] < CLEARLY <= max(shares[:2]):
            return f"the {body.name} appears within the first step"
        if _leans(scene, body, samples):
            return f"the {body.name} moves between two directions"
    return _doubts_about_flashes(scene, samples)


def _doubts_about_flashes(scene: Scene, samples: Samples) -> str | None:
    covered = [steps for f in scene.flashes if (steps := _steps(scene, f, samples))]
    steps = sorted(step for group in covered for step in group)
    if steps and steps[0] == 0:
        return "the first step shows a flash"
    for one, other in pairwise(sorted(covered)):
        if other[0] - one[-1] < 2:
            return "two flashes are seen as one"
    for body in scene.bodies:
        sight = _sight(scene, body, samples)
        changes = (sight.appears, sight.disappears) if sight else ()
        if any(c is not None and abs(c - step) < 2 for c in changes for step in steps):
            return f"the {body.name} changes next to a flash"
    return None


def _uncovered(scene: Scene, samples: Samples) -> list[float]:
    return [t for t in samples.times if scene.flash_at(t) is None]


def _in_one_piece(shares: list[float]) -> bool:
    seen = [share >= CLEARLY for share in shares]
    return sum(a != b for a, b in zip([False, *seen], [*seen, False], strict=True)) <= 2


def _sight(scene: Scene, body: Body, samples: Samples) -> Sight | None:
    frames = [
        index
        for index, t in enumerate(samples.times)
        if scene.flash_at(t) is None and scene.shown(body, t) >= CLEARLY
    ]
    if not frames:
        return None
    last = len(samples.times) - 1
    return Sight(
        body=body,
        appears=frames[0] // 2 if frames[0] > 1 else None,
        disappears=None if frames[-1] == last else (frames[-1] + 1) // 2,
        ways=_ways(_path(body, samples, frames)),
        frames=len(frames),
    )


def _path(body: Body, samples: Samples, frames: list[int]) -> tuple[float, float]:
    """How far (x, y) a body goes between the first and the last frame that show it."""
    x0, y0 = body.centre(samples.times[frames[0]])
    x1, y1 = body.centre(samples.times[frames[-1]])
    return x1 - x0, y1 - y0


def _ways(path: tuple[float, float]) -> frozenset[str]:
    """One direction, or two for a diagonal: sectors of 45 degrees."""
    if math.hypot(*path) < 1:
        return frozenset()
    eighth = round(math.degrees(math.atan2(path[1], path[0])) / 45) % 8
    if eighth % 2 == 0:
        return frozenset({WAYS[eighth // 2]})
    return frozenset({WAYS[eighth // 2], WAYS[(eighth // 2 + 1) % 4]})


def _leans(scene: Scene, body: Body, samples: Samples) -> bool:
    """Whether a path is too short to be seen, or too far from the middle of its sector."""
    sight = _sight(scene, body, samples)
    if sight is None or not sight.ways:
        return False
    path = body.velocity
    degrees = math.degrees(math.atan2(path[1], path[0])) % 45
    return min(degrees, 45 - degrees) > (7 if len(sight.ways) == 1 else 10)


def is_brief(sight: Sight, samples: Samples) -> bool:
    """Whether a body is seen for so short that it could be called a flash itself."""
    step = samples.times[1] - samples.times[0]
    return sight.frames < 2 or sight.frames * step < FLASH_SECONDS


def travelled(scene: Scene, body: Body, samples: Samples) -> float:
    """How far a body is seen to go, as a share of the picture's shorter side."""
    frames = [i for i, t in enumerate(samples.times) if scene.shown(body, t) >= CLEARLY]
    if not frames:
        return 0.0
    return math.hypot(*_path(body, samples, frames)) / min(scene.width, scene.height)


def _steps(scene: Scene, flash: Flash, samples: Samples) -> list[int]:
    inside = {i // 2 for i, t in enumerate(samples.times) if scene.flash_at(t) is flash}
    return sorted(inside)
