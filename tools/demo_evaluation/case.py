"""A clip, a question about it, and what a right answer says: what an examiner handles."""

import random
from dataclasses import dataclass

from core.planning.card import ModelCard
from core.planning.settings import Settings
from tools.demo_evaluation.casting import Part, cast, draw_flashes
from tools.demo_evaluation.footage import Footage
from tools.demo_evaluation.judging import Expectation
from tools.demo_evaluation.scene import Body, Scene
from tools.demo_evaluation.seen import Samples, Seen, is_brief, look
from tools.demo_evaluation.stage import Stage, draw_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One clip and one question. `samples` is what the app's plan has to take from the clip."""

    kind: str
    clip: Scene | Footage
    settings: Settings
    samples: Samples
    question: str
    expected: Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """A scene with its stage and all that can be seen of it."""

    stage: Stage
    scene: Scene
    seen: Seen

    def case(self, kind: str, question: str, expected: Expectation) -> Case:
        """A question about this scene."""
        return Case(
            kind=kind,
            clip=self.scene,
            settings=self.stage.settings,
            samples=self.stage.samples,
            question=question,
            expected=expected,
        )

    def has_brief_visits(self) -> bool:
        """Whether one of the bodies could be taken for a flash."""
        return any(is_brief(sight, self.stage.samples) for sight in self.seen.sights)

    def alone(self, body: Body) -> str:
        """`"red circle"`, or a shorter name that fits no other body of the scene."""
        others = [other for other in self.scene.bodies if other is not body]
        if all(other.shape != body.shape for other in others):
            return body.shape
        if all(other.colour != body.colour for other in others):
            return f"{body.colour} shape"
        return body.name


def stage_show(
    rng: random.Random,
    card: ModelCard,
    parts: list[Part],
    *,
    flashes: int = 0,
    twins: bool = False,
    fps: float | None = None,
) -> Show | None:
    """A scene whose every body can be seen, or None where the draw did not give one.

    `twins` allows two bodies of the same colour and shape.
    """
    stage = draw_stage(rng, card, fps=fps)
    bodies = cast(rng, stage, parts)
    if bodies is None or (not twins and len({body.name for body in bodies}) < len(bodies)):
        return None
    drawn = draw_flashes(rng, stage, bodies, flashes)
    if drawn is None:
        return None
    scene = stage.scene(bodies, drawn)
    seen = look(scene, stage.samples)
    if len(seen.sights) < len(bodies) or len(seen.flashes) < flashes:
        return None
    return Show(stage=stage, scene=scene, seen=seen)


def some_parts(rng: random.Random, low: int, high: int, lives: tuple[str, ...]) -> list[Part]:
    """From `low` to `high` parts of any colour and shape, each with one of these lives."""
    return [Part(life=rng.choice(lives)) for _ in range(rng.randint(low, high))]
