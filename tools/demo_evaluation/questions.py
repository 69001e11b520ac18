"""Questions that the demo model can answer: a scene, a question and its truth for every kind."""

import random
from collections import Counter

from core.planning.card import ModelCard
from tools.demo_evaluation import judging as j
from tools.demo_evaluation.case import Case, Show, some_parts, stage_show
from tools.demo_evaluation.casting import Part
from tools.demo_evaluation.palette import KNOWN as COLOURS
from tools.demo_evaluation.reading import Told
from tools.demo_evaluation.scene import Body
from tools.demo_evaluation.seen import Sight
from tools.demo_evaluation.shapes import KNOWN as SHAPES
from tools.demo_evaluation.wording import ask

MIXED = ("always", "always", "always", "comes", "goes", "visits")


def colour(rng: random.Random, card: ModelCard) -> Case | None:
    """What colour is the square?"""
    if (show := stage_show(rng, card, some_parts(rng, 1, 5, MIXED))) is None:
        return None
    several = rng.random() < 0.15
    shape = _name(rng, [body.shape for body in show.scene.bodies], several=several)
    if shape is None:
        return None
    colours = frozenset(body.colour for body in show.scene.bodies if body.shape == shape)
    question = ask(rng, "colour", "several" if several else "one", shape=shape)
    return show.case("colour", question, j.Colours(colours=colours, shape=shape))


def shape(rng: random.Random, card: ModelCard) -> Case | None:
    """What shape is the red object?"""
    if (show := stage_show(rng, card, some_parts(rng, 1, 5, MIXED))) is None:
        return None
    several = rng.random() < 0.12
    name = _name(rng, [body.colour for body in show.scene.bodies], several=several)
    if name is None:
        return None
    shapes = frozenset(body.shape for body in show.scene.bodies if body.colour == name)
    question = ask(rng, "shape", "several" if several else "one", colour=name)
    return show.case("shape", question, j.Shapes(shapes=shapes, colour=name))


def presence(rng: random.Random, card: ModelCard) -> Case | None:
    """Is there a green star? Half of the answers are yes."""
    if (show := stage_show(rng, card, some_parts(rng, 1, 5, MIXED))) is None:
        return None
    way = rng.choice(("thing", "thing", "thing", "shape", "colour"))
    wanted = rng.choice(sorted(COLOURS)), rng.choice(SHAPES)
    if rng.random() < 0.6:
        body = rng.choice(show.scene.bodies)
        wanted = rng.choice(((body.colour, body.shape), (wanted[0], body.shape)))
    asked = {"thing": wanted, "shape": (None, wanted[1]), "colour": (wanted[0], None)}[way]
    there = {_pair(b) for b in show.scene.bodies if _fits(asked, b)}
    names = {"thing": " ".join(wanted), "shape": wanted[1], "colour": wanted[0]}
    question = ask(rng, "presence", way, **{way: names[way]})
    expected = j.YesNo(yes=bool(there), there=frozenset(there or {asked}))
    return show.case("presence", question, expected)


def direction(rng: random.Random, card: ModelCard) -> Case | None:
    """Which way does the blue circle move? One in eight rests."""
    parts = some_parts(rng, 0, 3, MIXED)
    subject = Part(life=rng.choice(("always", "always", *MIXED)), moves=rng.random() > 0.12)
    if (show := stage_show(rng, card, [subject, *parts])) is None:
        return None
    body = show.scene.bodies[0]
    sight = show.seen.of(lambda other: other is body)[0]
    if sight.frames < 3:
        return None
    name = show.alone(body) if rng.random() < 0.3 else body.name
    question = ask(rng, "direction", "thing", thing=name)
    return show.case("direction", question, j.Direction(ways=sight.ways, body=_pair(body)))


def order(rng: random.Random, card: ModelCard) -> Case | None:
    """Which comes first, what last, in what order, does this come before that?"""
    lives = ("comes", "comes", "comes", "visits")
    parts = some_parts(rng, 1, 4, lives)
    parts.insert(0, Part(life=rng.choice(("always", *lives))))
    if (show := stage_show(rng, card, parts)) is None:
        return None
    sights = show.seen.sights
    if len({sight.appears for sight in sights}) < len(sights):
        return None
    way = rng.choice(("first_of_two", "first_of_two", "first", "last", "sequence", "before"))
    bodies = [_pair(sight.body) for sight in sights]
    if way == "sequence":
        return show.case("order", ask(rng, "order", way), j.Sequence(bodies=tuple(bodies)))
    if way in ("first", "last"):
        expected = j.First(body=bodies[0 if way == "first" else -1], place=way)
        return show.case("order", ask(rng, "order", way), expected)
    early, late = sorted(rng.sample(range(len(bodies)), 2))
    a, b = rng.choice(((early, late), (late, early)))
    question = ask(rng, "order", way, a=sights[a].body.name, b=sights[b].body.name)
    if way == "before":
        pair = bodies[a], bodies[b]
        return show.case("order", question, j.Before(yes=a < b, pair=pair))
    return show.case("order", question, j.First(body=bodies[early]))


def time(rng: random.Random, card: ModelCard) -> Case | None:
    """When does the yellow star appear, or disappear? One in eight was there from the start."""
    verb = rng.choice(("appears", "appears", "disappears"))
    lives = ("comes", "comes", "visits") if verb == "appears" else ("goes", "goes", "visits")
    always = rng.random() < 0.12
    subject = Part(life="always" if always else rng.choice(lives))
    if (show := stage_show(rng, card, [subject, *some_parts(rng, 0, 3, MIXED)])) is None:
        return None
    body = show.scene.bodies[0]
    sight = show.seen.of(lambda other: other is body)[0]
    step = sight.appears if verb == "appears" else sight.disappears
    if (step is None) is not always:
        return None
    text = show.seen.labels[step] if step is not None else "start" if verb == "appears" else "end"
    name = show.alone(body) if rng.random() < 0.25 else body.name
    question = ask(rng, "time", verb, thing=name)
    return show.case("time", question, j.Time(time=text, body=_pair(body), verb=verb))


def flash(rng: random.Random, card: ModelCard) -> Case | None:
    """When does it flash, does it flash, how often, in what colour?"""
    if rng.random() < 0.06:
        return _blink(rng, card)
    way = rng.choice(("when", "when", "when", "when_many", "is_there", "how_many", "colour"))
    least, most = {"when_many": (2, 3), "is_there": (0, 1), "how_many": (1, 4)}.get(way, (1, 1))
    parts, flashes = some_parts(rng, 0, 3, MIXED), rng.randint(least, most)
    show = stage_show(rng, card, parts, flashes=flashes)
    if show is None or show.has_brief_visits():
        return None
    times = tuple(show.seen.labels[step] for _, step in show.seen.flashes)
    expected: j.Expectation = {
        "when": j.Times(times=times),
        "when_many": j.Times(times=times),
        "is_there": j.YesNo(yes=bool(times), times=frozenset(times)),
        "how_many": j.Number(number=len(times), times=frozenset(times)),
        "colour": j.Colours(colours=frozenset(f.colour for f, _ in show.seen.flashes)),
    }[way]
    return show.case("flash", ask(rng, "flash", way), expected)


def _blink(rng: random.Random, card: ModelCard) -> Case | None:
    """A shape that is seen for one or two frames is a flash as well."""
    others = some_parts(rng, 0, 2, ("always",))
    show = stage_show(rng, card, [Part(life="blinks", moves=False), *others])
    if show is None:
        return None
    body = show.scene.bodies[0]
    sight = show.seen.of(lambda other: other is body)[0]
    if sight.appears is None or sight.disappears not in (sight.appears, sight.appears + 1):
        return None
    expected = j.Times(times=(show.seen.labels[sight.appears],), there=frozenset({_pair(body)}))
    return show.case("flash", ask(rng, "flash", "blink", thing=body.name), expected)


def count(rng: random.Random, card: ModelCard) -> Case | None:
    """How many shapes, circles, red shapes are there? Twins are seen at the same time."""
    parts = some_parts(rng, 0 if rng.random() < 0.3 else 1, 5, MIXED)
    if parts and rng.random() < 0.5:
        parts[0] = Part(shape=rng.choice(SHAPES))
        parts[1:] = [Part(shape=parts[0].shape) if rng.random() < 0.5 else p for p in parts[1:]]
    show = stage_show(rng, card, parts, twins=True)
    if show is None or not _twins_meet(show):
        return None
    way = rng.choice(("all", "all", "shape", "shape", "colour"))
    body = rng.choice(show.scene.bodies) if parts and rng.random() < 0.85 else None
    shape = body.shape if body else rng.choice(SHAPES)
    colour = body.colour if body else rng.choice(sorted(COLOURS))
    asked = {"all": (None, None), "shape": (None, shape), "colour": (colour, None)}[way]
    number = sum(_fits(asked, other) for other in show.scene.bodies)
    question = ask(rng, "count", way, shape=shape, colour=colour)
    return show.case("count", question, j.Number(number=number, shape=asked[1], colour=asked[0]))


def _twins_meet(show: Show) -> bool:
    """Whether bodies of one name are always there, so that nobody takes one for the other."""
    often = Counter(sight.body.name for sight in show.seen.sights)
    twins = [sight for sight in show.seen.sights if often[sight.body.name] > 1]
    return all(sight.appears is None and sight.disappears is None for sight in twins)


def describe(rng: random.Random, card: ModelCard) -> Case | None:
    """What happens in the video?"""
    parts = some_parts(rng, 1, rng.choice((3, 4, 5)), MIXED)
    flashes = rng.choice((0, 0, 0, 1, 1, 2))
    show = stage_show(rng, card, parts, flashes=flashes)
    if show is None or any(sight.frames < 4 for sight in show.seen.sights):
        return None
    told = tuple(_told(sight, show.seen.labels) for sight in show.seen.sights)
    times = tuple(show.seen.labels[step] for _, step in show.seen.flashes)
    question = ask(rng, "describe", "all")
    return show.case("describe", question, j.Description(bodies=told, flashes=times))


def _told(sight: Sight, labels: tuple[str, ...]) -> Told:
    return Told(
        colour=sight.body.colour,
        shape=sight.body.shape,
        ways=sight.ways,
        appears=None if sight.appears is None else labels[sight.appears],
        disappears=None if sight.disappears is None else labels[sight.disappears],
    )


def _name(rng: random.Random, names: list[str], *, several: bool) -> str | None:
    """A name that occurs once, or more often if `several`."""
    fitting = [name for name, often in Counter(names).items() if (often > 1) is several]
    return rng.choice(sorted(fitting)) if fitting else None


def _pair(body: Body) -> tuple[str, str]:
    return body.colour, body.shape


def _fits(asked: tuple[str | None, str | None], body: Body) -> bool:
    return asked[0] in (None, body.colour) and asked[1] in (None, body.shape)
