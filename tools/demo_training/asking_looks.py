"""Questions about colour, shape and presence of things."""

from __future__ import annotations

from collections import Counter

from . import colours, outlines
from .answers import OTHER_COLOUR, OTHER_SHAPE, TOO_SMALL, an, listed, none_seen, plural
from .naming import STRANGE_COLOURS, STRANGE_SHAPES, Ask, Named, Namer, colour_word, shape_word


class AboutLooks(Namer):
    """Colour, shape, presence."""

    def colour(self) -> Ask | None:
        rng = self._rng
        if rng.random() < 0.07:
            noun = rng.choice(STRANGE_SHAPES)
            return self._refused("outside_shape", "colour", noun, OTHER_SHAPE)
        sights = self._truth.sightings
        if sights and len(sights) == 1 and sights[0].known_shape and rng.random() < 0.25:
            named = self._name(sights[0])
            if named and named.bare:
                answer = (
                    OTHER_COLOUR
                    if not sights[0].known_colour
                    else (f"The {sights[0].shape} is {sights[0].colour}.")
                )
                kind = "colour" if sights[0].known_colour else "outside_colour"
                return Ask(kind=kind, group="colour", slots=self._slots(named), answer=answer)
        present = [s.shape for s in sights if s.known_shape]
        shape = (
            rng.choice(present) if present and rng.random() < 0.85 else rng.choice(outlines.KNOWN)
        )
        slots = self._slots(Named(shape_word(shape, rng), shape, None))
        found = [s for s in sights if s.shape == shape]
        if not found:
            return Ask(kind="cannot_tell", group="colour", slots=slots, answer=none_seen(shape))
        if not all(s.known_colour for s in found):
            return Ask(kind="outside_colour", group="colour", slots=slots, answer=OTHER_COLOUR)
        names = list(dict.fromkeys(s.colour for s in found))
        if len(found) == 1:
            answer = f"The {shape} is {names[0]}."
        else:
            answer = f"The {plural(shape)} are {listed(names)}."
            if rng.random() < 0.7:
                noun = plural(slots["n"])
                slots = {"the": "the " + noun, "n": noun, "a": noun, "any": noun}
        return Ask(kind="colour", group="colour", slots=slots, answer=answer)

    def colours_all(self) -> Ask | None:
        sights = self._truth.sightings
        names = list(dict.fromkeys(s.colour for s in sights))
        if not sights:
            answer, kind = none_seen("shape"), "cannot_tell"
        elif not all(s.known_colour for s in sights):
            answer, kind = OTHER_COLOUR, "outside_colour"
        elif len(sights) == 1:
            answer, kind = f"The {sights[0].shape} is {names[0]}.", "colour"
            if not sights[0].known_shape:
                return None
        else:
            answer, kind = f"The shapes are {listed(names)}.", "colour"
        return Ask(kind=kind, group="colours_all", slots={}, answer=answer)

    def shape(self) -> Ask | None:
        rng, sights = self._rng, self._truth.sightings
        if rng.random() < 0.07:
            return Ask(
                kind="outside_colour",
                group="shape",
                slots={"c": rng.choice(STRANGE_COLOURS)},
                answer=OTHER_COLOUR,
            )
        present = [s.colour for s in sights if s.known_colour]
        colour = (
            rng.choice(present) if present and rng.random() < 0.87 else rng.choice(colours.KNOWN)
        )
        found = [s for s in sights if s.colour == colour]
        kind, answer = "shape", ""
        if not found:
            kind, answer = "cannot_tell", none_seen(f"{colour} shape")
        elif any(s.tiny for s in found):
            kind, answer = "too_small", TOO_SMALL
        elif not all(s.known_shape for s in found):
            kind, answer = "outside_shape", OTHER_SHAPE
        elif len(found) == 1:
            answer = f"The {colour} shape is {an(found[0].shape)}."
        else:
            names = [
                an(s) if n == 1 else plural(s) for s, n in Counter(s.shape for s in found).items()
            ]
            answer = f"The {colour} shapes are {listed(names)}."
        return Ask(kind=kind, group="shape", slots={"c": colour_word(colour, rng)}, answer=answer)

    def presence(self) -> Ask | None:
        rng = self._rng
        if rng.random() < 0.12:
            return self._about_strange("presence", "presence")
        sights = self._plain
        colour, shape = rng.choice(colours.KNOWN), rng.choice(outlines.KNOWN)
        if sights and rng.random() < 0.75:
            like = rng.choice(sights)
            colour, shape = rng.choice(
                [
                    (like.colour, like.shape),
                    (like.colour, like.shape),
                    (like.colour, shape),
                    (colour, like.shape),
                ]
            )
        tiny = any(s.tiny for s in self._truth.sightings)
        form = rng.random()
        if form < 0.55:
            noun, said = self._noun(colour, shape), f"{colour} {shape}"
            there, unsure = bool(self._pairs[colour, shape]), tiny
        elif form < 0.78:
            noun, said = shape_word(shape, rng), shape
            there, unsure = bool(self._shapes[shape]), tiny
        else:
            noun, said = f"{colour_word(colour, rng)} {self._things_word()}", f"{colour} shape"
            there, unsure = bool(self._colours[colour]), False
        if unsure:
            return None
        slots = self._slots(Named(noun, said, None))
        if form >= 0.9:
            slots["a"] = slots["any"] = rng.choice(("anything ", "something ")) + colour_word(
                colour, rng
            )
            slots["n"] = "thing " + colour
        answer = f"Yes, there is {an(said)}." if there else f"No, there is no {said}."
        return Ask(kind="presence", group="presence", slots=slots, answer=answer)

    def is_colour(self) -> Ask | None:
        rng = self._rng
        single = [s for s in self._plain if self._shapes[s.shape] == 1]
        if not single:
            return None
        sight = rng.choice(single)
        colour = sight.colour if rng.random() < 0.5 else rng.choice(colours.KNOWN)
        slots = self._slots(Named(shape_word(sight.shape, rng), sight.shape, sight))
        slots["c"] = colour_word(colour, rng)
        word = "Yes" if colour == sight.colour else "No"
        return Ask(
            kind="is",
            group="is_colour",
            slots=slots,
            answer=f"{word}, the {sight.shape} is {sight.colour}.",
        )

    def is_shape(self) -> Ask | None:
        rng = self._rng
        single = [s for s in self._plain if self._colours[s.colour] == 1 and not s.tiny]
        if not single:
            return None
        sight = rng.choice(single)
        shape = sight.shape if rng.random() < 0.5 else rng.choice(outlines.KNOWN)
        word = "Yes" if shape == sight.shape else "No"
        slots = {"c": colour_word(sight.colour, rng), "a": an(shape_word(shape, rng))}
        return Ask(
            kind="is",
            group="is_shape",
            slots=slots,
            answer=f"{word}, the {sight.colour} shape is {an(sight.shape)}.",
        )
