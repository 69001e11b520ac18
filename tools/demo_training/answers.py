"""The model's whole language: refusals, and the parts that answers are made of."""

from __future__ import annotations

from .truths import Sighting

CANNOT = "I cannot tell: "
OTHER_COLOUR = CANNOT + "that is not a colour I know."
OTHER_SHAPE = CANNOT + "that is not a shape I know."
TOO_MANY = CANNOT + "there are more shapes than I can count."
TOO_SMALL = CANNOT + "it is too small in these frames."
REAL_PICTURE = CANNOT + "I only know coloured shapes, and this looks like something else."
OFF_TOPIC = CANNOT + "I can only talk about the coloured shapes in the video."
NUMBERS = ("no", "one", "two", "three", "four", "five")


def an(noun: str) -> str:
    """ "orange star" -> "an orange star"."""
    return ("an " if noun[0] in "aeio" or noun == "x" or noun.startswith("x ") else "a ") + noun


def listed(words: list[str]) -> str:
    """["a", "b", "c"] -> "a, b and c"."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def plural(noun: str) -> str:
    """ "box" -> "boxes"."""
    if noun.endswith(("x", "s", "sh")):
        return noun + "es"
    return noun + "s"


def full_name(sight: Sighting) -> str:
    """ "red circle"."""
    return f"{sight.colour} {sight.shape}"


def none_seen(said: str) -> str:
    """The answer about what no frame shows."""
    return f"{CANNOT}I see no {said} in these frames."


def several(colour: str, shape: str, count: int) -> str:
    """ "a red circle", "two red circles"."""
    noun = f"{colour} {shape}"
    return an(noun) if count == 1 else f"{NUMBERS[count]} {plural(noun)}"


def motion_of(sight: Sighting) -> str:
    """ "moves left" or "does not move"."""
    return f"moves {sight.direction}" if sight.direction else "does not move"
