"""Questions about the clip as a whole: counting, listing, telling."""

from __future__ import annotations

from . import colours, outlines
from .answers import (
    NUMBERS,
    OTHER_COLOUR,
    OTHER_SHAPE,
    TOO_MANY,
    TOO_SMALL,
    an,
    full_name,
    listed,
    motion_of,
    none_seen,
    plural,
    several,
)
from .naming import Ask, Namer, colour_word, shape_word


class AboutWhole(Namer):
    """Counts, lists, descriptions, the ground; refused where one thing is outside the world."""

    def _spoiled(self) -> tuple[str, str] | None:
        """Why the clip as a whole cannot be told: (kind, refusal), ("", "") where it is unclear."""
        sights = self._truth.sightings
        if self._truth.crowd:
            return "outside_number", TOO_MANY
        odd_colour = any(not s.known_colour for s in sights)
        odd_shape = any(not s.known_shape for s in sights)
        tiny = any(s.tiny for s in sights)
        if odd_colour + odd_shape + tiny > 1:
            return "", ""
        if odd_colour:
            return "outside_colour", OTHER_COLOUR
        if odd_shape:
            return "outside_shape", OTHER_SHAPE
        return ("too_small", TOO_SMALL) if tiny else None

    @staticmethod
    def _spoiled_ask(spoiled: tuple[str, str], group: str) -> Ask | None:
        kind, answer = spoiled
        return Ask(kind=kind, group=group, slots={}, answer=answer, asks=False) if kind else None

    def shapes_all(self) -> Ask | None:
        spoiled, sights = self._spoiled(), self._truth.sightings
        if spoiled:
            return self._spoiled_ask(spoiled, "shapes_all")
        if not sights:
            return Ask(kind="cannot_tell", group="shapes_all", slots={}, answer=none_seen("shape"))
        answer = f"I see {listed([an(full_name(s)) for s in sights])}."
        if max(self._pairs.values()) > 1:
            answer = f"I see {listed([several(*p, n) for p, n in self._pairs.items()])}."
        return Ask(kind="shapes_all", group="shapes_all", slots={}, answer=answer)

    def count(self) -> Ask | None:
        rng, sights = self._rng, self._truth.sightings
        if rng.random() < 0.06:
            noun, answer = self._strange()
            kind = "outside_colour" if answer == OTHER_COLOUR else "outside_shape"
            return Ask(
                kind=kind,
                group="count",
                slots={"things": plural(noun), "thing": noun},
                answer=answer,
            )
        form = rng.random()
        like = rng.choice(self._plain) if self._plain and rng.random() < 0.7 else None
        colour = like.colour if like else rng.choice(colours.KNOWN)
        shape = like.shape if like else rng.choice(outlines.KNOWN)
        tiny = any(s.tiny for s in sights)
        word = rng.choice(
            (
                "shape",
                "shape",
                "shape",
                "object",
                "thing",
                "figure",
                "item",
                "form",
                "element",
                "blob",
            )
        )
        if form < 0.50:
            noun, said, found = word, "shape", len(sights)
            if any(not s.known_shape for s in sights):
                return Ask(
                    kind="outside_shape",
                    group="count",
                    answer=OTHER_SHAPE,
                    slots={"things": plural(word), "thing": word},
                )
        elif form < 0.72:
            noun, said, found = shape_word(shape, rng), shape, self._shapes[shape]
        elif form < 0.88:
            noun = f"{colour_word(colour, rng)} {word}"
            said, found = f"{colour} shape", self._colours[colour]
        else:
            noun = f"{colour_word(colour, rng)} {shape_word(shape, rng)}"
            said, found = f"{colour} {shape}", self._pairs[colour, shape]
        if tiny and form >= 0.5:
            return None
        slots = {"things": plural(noun), "thing": noun}
        if self._truth.crowd:
            return Ask(kind="outside_number", group="count", slots=slots, answer=TOO_MANY)
        answer = (
            f"There is one {said}." if found == 1 else f"There are {NUMBERS[found]} {plural(said)}."
        )
        return Ask(kind="count", group="count", slots=slots, answer=answer)

    def describe(self) -> Ask | None:
        spoiled, truth = self._spoiled(), self._truth
        if spoiled:
            return self._spoiled_ask(spoiled, "describe")
        if any(s.vague_start or s.vague_end or s.vague_direction for s in truth.sightings):
            return None
        parts = []
        for sight in truth.sightings:
            start = (
                ""
                if sight.from_start
                else (f"appears at {truth.stamps[sight.first_pair]} seconds and ")
            )
            end = (
                ""
                if sight.gone_pair is None
                else f" and disappears at {truth.stamps[sight.gone_pair]} seconds"
            )
            parts.append(f"{an(full_name(sight)).capitalize()} {start}{motion_of(sight)}{end}.")
        if not parts:
            parts.append("There are no shapes.")
        if truth.flashes:
            times = listed([truth.stamps[f.pair] for f in truth.flashes])
            parts.append(f"The picture flashes at {times} seconds.")
        group = self._rng.choice(("describe", "describe_shortly"))
        return Ask(kind="describe", group=group, slots={}, answer=" ".join(parts), asks=False)

    def background(self) -> Ask | None:
        name = self._truth.ground
        if name is None:
            return None
        return Ask(
            kind="background", group="background", slots={}, answer=f"The background is {name}."
        )
