"""How questions name things: by shape, by colour, by both, by "it"; also what is not there.

Draws names by lot. Knows the words for things but not what is asked about them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from . import colours, outlines
from .answers import OTHER_COLOUR, OTHER_SHAPE, an, full_name, plural
from .truths import Sighting, Truth

_SHAPE_WORDS = {
    "circle": ("circle",) * 8 + ("disc", "disk", "round shape", "dot", "circular shape", "ball"),
    "square": ("square",) * 9 + ("box", "square shape", "square box"),
    "triangle": ("triangle",) * 9 + ("triangular shape", "triangle shape"),
    "star": ("star",) * 9 + ("star shape", "star-shaped object"),
    "cross": ("cross",) * 8 + ("plus sign", "plus", "cross shape", "x shape", "x", "plus shape"),
}
_COLOUR_WORDS = {"purple": ("purple",) * 5 + ("violet",), "white": ("white",)}
STRANGE_COLOURS = (
    *colours.UNKNOWN * 3,
    "gray",
    "gray",
    "beige",
    "silver",
    "aqua",
    "fuchsia",
    "salmon",
    "tan",
    "khaki",
    "cream",
    "coral",
    "lilac",
    "mauve",
    "peach",
    "bronze",
    "lavender",
    "rose",
    "hot pink",
    "dark grey",
    "light grey",
    "chocolate",
    "copper",
    "ochre",
    "rainbow",
    "transparent",
    "rosy",
    "brownish",
    "pinkish",
    "greyish",
    "charcoal",
    "burgundy",
    "maroon",
)
STRANGE_SHAPES = (
    *[s for s in outlines.UNKNOWN if s != "letter"] * 3,
    "oval",
    "oval",
    "diamond ring",
    "donut",
    "doughnut",
    "rhombus",
    "trapezoid",
    "trapezium",
    "kite",
    "heptagon",
    "spiral",
    "cube",
    "cylinder",
    "cone",
    "pyramid",
    "semicircle",
    "half circle",
    "half moon",
    "moon",
    "wave",
    "zigzag",
    "line",
    "letter",
    "letter A",
    "letter B",
    "letter K",
    "heart shape",
    "oval shape",
    "hexagonal shape",
    "pentagon shape",
    "rectangular shape",
    "polygon with six sides",
    "decagon",
    "sphere",
    "prism",
    "arc",
    "curve",
    "droplet",
    "cloud",
    "lightning bolt",
    "teardrop",
    "nonagon",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    kind: str  # what accuracies are reported by
    group: str  # file of wordings
    slots: dict[str, str]
    answer: str
    asks: bool = True  # a question rather than a request


@dataclass(frozen=True, slots=True)
class Named:
    """What a question speaks about: words for it, the answer's words, and what it is, if seen."""

    noun: str  # "red circle"
    said: str  # "red circle" in the answer
    sight: Sighting | None
    bare: str | None = None  # "it": said as it is, without an article


def colour_word(name: str, rng: Random) -> str:
    """A word people use for the colour."""
    return rng.choice(_COLOUR_WORDS.get(name, (name,)))


def shape_word(name: str, rng: Random) -> str:
    """A word people use for the shape."""
    return rng.choice(_SHAPE_WORDS[name])


class Namer:
    """Finds words for things, seen or not, of one truth."""

    def __init__(self, truth: Truth, rng: Random) -> None:
        self._truth = truth
        self._rng = rng
        sights = truth.sightings
        self._pairs = Counter((s.colour, s.shape) for s in sights)
        self._shapes = Counter(s.shape for s in sights)
        self._colours = Counter(s.colour for s in sights)
        self._plain = [s for s in sights if s.known_shape and s.known_colour]

    def _things_word(self) -> str:
        return self._rng.choice(("shape", "shape", "object", "thing", "figure", "one", "item"))

    def _noun(self, colour: str, shape: str) -> str:
        rng = self._rng
        colour, shape = colour_word(colour, rng), shape_word(shape, rng)
        form = rng.random()
        if form < 0.88:
            return f"{colour} {shape}"
        return rng.choice(
            (
                f"{colour} coloured {shape}",
                f"{colour} colored {shape}",
                f"{shape} in {colour}",
                f"{shape} that is {colour}",
                f"{colour}-coloured {shape}",
                f"{shape} coloured {colour}",
            )
        )

    def _name(self, sight: Sighting, *, short: bool = True) -> Named | None:
        """Words that can only mean this thing."""
        rng, form = self._rng, self._rng.random()
        full = full_name(sight)
        if short and len(self._truth.sightings) == 1 and form < 0.12:
            bare = rng.choice(
                (
                    "it",
                    "the shape",
                    "the object",
                    "the thing",
                    "the figure",
                    "this",
                    "the only shape",
                    "the item",
                    "the one shape",
                    "that shape",
                )
            )
            return Named(bare, full, sight, bare)
        if short and self._shapes[sight.shape] == 1 and form < 0.30:
            return Named(shape_word(sight.shape, rng), sight.shape, sight)
        if short and self._colours[sight.colour] == 1 and form < 0.42:
            colour = colour_word(sight.colour, rng)
            return Named(f"{colour} {self._things_word()}", f"{sight.colour} shape", sight)
        if self._pairs[sight.colour, sight.shape] != 1:
            return None
        return Named(self._noun(sight.colour, sight.shape), full, sight)

    def _absent(self) -> Named | None:
        """A thing of this world that no frame shows; often close to one that is shown."""
        rng = self._rng
        colour, shape = rng.choice(colours.KNOWN), rng.choice(outlines.KNOWN)
        if self._plain and rng.random() < 0.6:
            like = rng.choice(self._plain)
            colour, shape = (like.colour, shape) if rng.random() < 0.5 else (colour, like.shape)
        form = rng.random()
        if form < 0.18 and not self._shapes[shape]:
            return Named(shape_word(shape, rng), shape, None)
        if form < 0.30 and not self._colours[colour]:
            return Named(
                f"{colour_word(colour, rng)} {self._things_word()}", f"{colour} shape", None
            )
        if self._pairs[colour, shape]:
            return None
        return Named(self._noun(colour, shape), f"{colour} {shape}", None)

    def _strange(self) -> tuple[str, str]:
        """Words for a thing outside this world, and the refusal they deserve."""
        rng = self._rng
        if rng.random() < 0.5:
            colour = rng.choice(STRANGE_COLOURS)
            noun = (
                self._things_word()
                if rng.random() < 0.4
                else shape_word(rng.choice(outlines.KNOWN), rng)
            )
            return f"{colour} {noun}", OTHER_COLOUR
        shape = rng.choice(STRANGE_SHAPES)
        if rng.random() < 0.5:
            shape = f"{colour_word(rng.choice(colours.KNOWN), rng)} {shape}"
        return shape, OTHER_SHAPE

    def _slots(self, named: Named) -> dict[str, str]:
        """Forms of the name for patterns: with article, bare, with "a" and "any"."""
        rng, noun = self._rng, named.noun
        if named.bare:
            return {"the": noun, "n": noun, "a": noun, "any": noun}
        article = rng.choices(("the ", "that ", "this ", ""), weights=[90, 2, 2, 3])[0]
        many = (
            plural(noun)
            if " in " not in noun and " that " not in noun and not noun.endswith(" one")
            else "any " + noun
        )
        return {
            "the": article + noun,
            "n": noun,
            "a": an(noun),
            "any": many if many.startswith("any ") else "any " + many,
        }

    def _subject(self) -> Named | Ask | None:
        """Mostly a thing that is seen and nameable, else one that is not seen."""
        if self._rng.random() < 0.82 and self._plain:
            return self._name(self._rng.choice(self._plain))
        return self._absent()

    def _refused(self, kind: str, group: str, noun: str, answer: str) -> Ask:
        slots = self._slots(Named(noun, noun, None))
        return Ask(kind=kind, group=group, slots=slots, answer=answer)

    def _about_strange(self, kind: str, group: str) -> Ask | None:
        """The question about a thing outside this world."""
        noun, answer = self._strange()
        outside = "outside_colour" if answer == OTHER_COLOUR else "outside_shape"
        return self._refused(outside, group, noun, answer)
