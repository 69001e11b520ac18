"""Questions about where things move."""

from __future__ import annotations

from .answers import full_name, listed, motion_of, none_seen
from .naming import Ask, Namer


class AboutMotion(Namer):
    """Direction, and whether and what moves."""

    def direction(self) -> Ask | None:
        if self._rng.random() < 0.04:
            return self._about_strange("direction", "direction")
        named = self._subject()
        if named is None:
            return None
        slots = self._slots(named)
        if named.sight is None:
            return Ask(
                kind="cannot_tell", group="direction", slots=slots, answer=none_seen(named.said)
            )
        if named.sight.vague_direction:
            return None
        return Ask(
            kind="direction",
            group="direction",
            slots=slots,
            answer=f"The {named.said} {motion_of(named.sight)}.",
        )

    def does_move(self) -> Ask | None:
        named = self._subject()
        if named is None:
            return None
        slots = self._slots(named)
        if named.sight is None:
            return Ask(
                kind="cannot_tell", group="does_move", slots=slots, answer=none_seen(named.said)
            )
        if named.sight.vague_direction:
            return None
        word = "Yes" if named.sight.direction else "No"
        return Ask(
            kind="does_move",
            group="does_move",
            slots=slots,
            answer=f"{word}, the {named.said} {motion_of(named.sight)}.",
        )

    def who_moves(self) -> Ask | None:
        sights = self._truth.sightings
        if not self._truth.settled or self._truth.crowd or any(s.vague_direction for s in sights):
            return None
        moving = [s for s in sights if s.direction]
        if not moving:
            answer = "Nothing moves."
        else:
            verb = "moves" if len(moving) == 1 else "move"
            answer = f"{listed(['the ' + full_name(s) for s in moving])} {verb}."
        return Ask(
            kind="who_moves", group="who_moves", slots={}, answer=answer[0].upper() + answer[1:]
        )
