"""Questions that the demo model has to refuse: what is not seen, and what it does not know."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.planning.card import ModelCard
from core.planning.settings import Settings
from core.video.info import describe_video
from tools.demo_evaluation.case import Case, Show, some_parts, stage_show
from tools.demo_evaluation.casting import Part, cast, draw_missed_flash
from tools.demo_evaluation.footage import draw_footage
from tools.demo_evaluation.judging import Refusal
from tools.demo_evaluation.palette import KNOWN as COLOURS
from tools.demo_evaluation.palette import UNKNOWN as UNKNOWN_COLOURS
from tools.demo_evaluation.questions import MIXED
from tools.demo_evaluation.seen import doubts, look
from tools.demo_evaluation.shapes import KNOWN as SHAPES
from tools.demo_evaluation.shapes import UNKNOWN as UNKNOWN_SHAPES
from tools.demo_evaluation.stage import samples_of
from tools.demo_evaluation.wording import ask, wordings

LOW_RATES = (0.25, 0.3, 0.5, 0.5, 0.75)
Ask = Callable[[random.Random, Show], str]


def cannot_tell(rng: random.Random, card: ModelCard) -> Case | None:
    """Something that is not in the sampled frames, since it is not there or falls between them."""
    way = rng.choice((_missed_flash, _missed_flash, _missed_visit, _missed_visit, _absent, _absent,
                      _absent, _no_flash))  # fmt: skip
    return way(rng, card)


def _missed_flash(rng: random.Random, card: ModelCard) -> Case | None:
    show = stage_show(rng, card, some_parts(rng, 0, 3, MIXED), fps=rng.choice(LOW_RATES))
    if show is None or show.has_brief_visits():
        return None
    if (flash := draw_missed_flash(rng, show.stage)) is None:
        return None
    scene = replace(show.scene, flashes=(flash,))
    if doubts(scene, show.stage.samples) is not None or look(scene, show.stage.samples).flashes:
        return None
    question = ask(rng, "flash", rng.choice(("when", "when", "colour")))
    return replace(show, scene=scene).case("cannot-tell", question, Refusal())


def _missed_visit(rng: random.Random, card: ModelCard) -> Case | None:
    """A body that comes and goes between two sampled frames."""
    show = stage_show(rng, card, some_parts(rng, 0, 3, ("always",)), fps=rng.choice(LOW_RATES))
    if show is None:
        return None
    guest = cast(rng, show.stage, [Part(life="blinks", moves=False)])
    if guest is None or any(show.scene.shown(guest[0], t) for t in show.stage.samples.times):
        return None
    if any(guest[0].shape == b.shape or guest[0].colour == b.colour for b in show.scene.bodies):
        return None
    scene = replace(show.scene, bodies=show.scene.bodies + guest)
    way = rng.choice(("appears", "appears", "colour", "shape"))
    names = {"thing": guest[0].name, "shape": guest[0].shape, "colour": guest[0].colour}
    question = ask(rng, "time", way, **names) if way == "appears" else ask(rng, way, "one", **names)
    return replace(show, scene=scene).case("cannot-tell", question, Refusal())


def _absent(rng: random.Random, card: ModelCard) -> Case | None:
    """A question about a thing that the clip does not have."""
    show = stage_show(rng, card, some_parts(rng, 1, 4, MIXED))
    if show is None:
        return None
    bodies = show.scene.bodies
    colours = sorted(set(COLOURS) - {body.colour for body in bodies})
    shapes = sorted(set(SHAPES) - {body.shape for body in bodies})
    if not colours or not shapes:
        return None
    colour, shape = rng.choice(colours), rng.choice(shapes)
    kind, way = rng.choice((("colour", "one"), ("shape", "one"), ("time", "appears"),
                            ("time", "disappears"), ("direction", "thing")))  # fmt: skip
    names = {"thing": f"{colour} {shape}", "shape": shape, "colour": colour}
    return show.case("cannot-tell", ask(rng, kind, way, **names), Refusal())


def _no_flash(rng: random.Random, card: ModelCard) -> Case | None:
    show = stage_show(rng, card, some_parts(rng, 1, 4, MIXED))
    if show is None or show.has_brief_visits():
        return None
    question = ask(rng, "flash", rng.choice(("when", "when", "colour")))
    return show.case("cannot-tell", question, Refusal())


def other_colour(rng: random.Random, card: ModelCard) -> Case | None:
    """A shape of a colour that has no name in the model's world, or a question with such a name."""
    subject = Part(colours=UNKNOWN_COLOURS, life=rng.choice(MIXED))
    named = rng.random() < 0.5
    others = some_parts(rng, 1 if named else 0, 3, MIXED)
    parts = others if named and rng.random() < 0.4 else [subject, *others]
    if (show := stage_show(rng, card, parts)) is None:
        return None
    body, *rest = show.scene.bodies
    if not named:
        if any(other.shape == body.shape for other in rest):
            return None
        question = ask(rng, "other_colour", "what", shape=body.shape)
        return show.case("other-colour", question, Refusal())
    known = body.colour in COLOURS
    colour = rng.choice(sorted(UNKNOWN_COLOURS)) if known else body.colour
    other = show.scene.bodies[-1].name
    question = ask(rng, "other_colour", "named", colour=colour, shape=body.shape, other=other)
    return show.case("other-colour", question, Refusal())


def other_shape(rng: random.Random, card: ModelCard) -> Case | None:
    """A thing of a shape that the model does not know, or a question with such a name."""
    subject = Part(shapes=UNKNOWN_SHAPES, life=rng.choice(MIXED))
    named = rng.random() < 0.5
    others = some_parts(rng, 1 if named else 0, 2, MIXED)
    parts = others if named and rng.random() < 0.4 else [subject, *others]
    if (show := stage_show(rng, card, parts)) is None:
        return None
    body, *rest = show.scene.bodies
    if show.seen.of(lambda other: other is body)[0].frames < 2:
        return None
    if not named:
        if any(other.colour == body.colour for other in rest):
            return None
        question = ask(rng, "other_shape", "what", colour=body.colour)
        return show.case("other-shape", question, Refusal())
    shape = rng.choice(UNKNOWN_SHAPES) if body.shape in SHAPES else body.shape
    other = show.scene.bodies[-1].name
    question = ask(rng, "other_shape", "named", shape=shape, colour=body.colour, other=other)
    return show.case("other-shape", question, Refusal())


def too_many(rng: random.Random, card: ModelCard) -> Case | None:
    """More shapes than five, to be counted or described."""
    lives = ("always", "always", "always", "always", "comes")
    show = stage_show(rng, card, some_parts(rng, 6, 9, lives), twins=True)
    if show is None:
        return None
    question = ask(rng, *rng.choice((("count", "all"), ("describe", "all"))))
    return show.case("too-many", question, Refusal())


def off_topic(rng: random.Random, card: ModelCard) -> Case | None:
    """An ordinary clip and a question that has nothing to do with it."""
    if (show := stage_show(rng, card, some_parts(rng, 0, 4, MIXED))) is None:
        return None
    return show.case("off-topic", ask(rng, "off_topic", "all"), Refusal())


def real_footage(rng: random.Random, card: ModelCard, extra: Path | None = None) -> Case:
    """A real picture, and any question at all."""
    clip = draw_footage(rng, extra)
    settings = Settings(fps=rng.choice((None, None, 1.0, 3.0)), reply_tokens=240)
    info = describe_video(
        width=clip.width,
        height=clip.height,
        duration_seconds=clip.frame_count / clip.frame_rate,
        frame_rate=clip.frame_rate,
    )
    kinds = sorted(set(wordings()) - {"off_topic"})
    kind = rng.choice((*kinds, "describe", "real_footage", "real_footage"))
    way = rng.choice(sorted(wordings()[kind]))
    names = {key: f"{rng.choice(sorted(COLOURS))} {rng.choice(SHAPES)}"
             for key in ("thing", "a", "b", "other")}  # fmt: skip
    names |= {"colour": rng.choice(sorted(COLOURS)), "shape": rng.choice(SHAPES)}
    return Case(
        kind="real-footage",
        clip=clip,
        settings=settings,
        samples=samples_of(info, settings, card),
        question=ask(rng, kind, way, **names),
        expected=Refusal(),
    )
