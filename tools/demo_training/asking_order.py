"""Questions about which thing comes before which."""

from __future__ import annotations

from .answers import OTHER_COLOUR, full_name, listed, none_seen
from .asking_whole import AboutWhole
from .naming import Ask, Named
from .truths import Sighting


class AboutOrder(AboutWhole):
    """First, last, before, after, and the order of all."""

    def _two(self) -> tuple[Named, Named] | None:
        pool = [s for s in self._plain if self._pairs[s.colour, s.shape] == 1]
        if len(pool) < 2:
            return None
        sights = self._rng.sample(pool, 2)
        short = self._rng.random() < 0.3
        names = [self._name(s, short=short) for s in sights]
        return None if None in names else tuple(names)

    def _pair_slots(self, one: Named, two: Named) -> dict[str, str]:
        article = "" if self._rng.random() < 0.05 else "the "
        return {"x": article + one.noun, "y": article + two.noun}

    def _order_absent(self, group: str) -> Ask | None:
        """One of the two is not seen, or is outside this world."""
        rng = self._rng
        seen = self._name(rng.choice(self._plain), short=False) if self._plain else None
        if seen is None:
            return None
        if rng.random() < 0.3:
            noun, answer = self._strange()
            kind = "outside_colour" if answer == OTHER_COLOUR else "outside_shape"
            other = Named(noun, noun, None)
        else:
            other = self._absent()
            if other is None:
                return None
            kind, answer = "cannot_tell", none_seen(other.said)
        both = [seen, other]
        rng.shuffle(both)
        return Ask(kind=kind, group=group, slots=self._pair_slots(*both), answer=answer)

    def which_first(self) -> Ask | None:
        if self._rng.random() < 0.12:
            return self._order_absent("which_first")
        two = self._two()
        if two is None:
            return None
        one, other = two
        slots = self._pair_slots(one, other)
        a, b = one.sight, other.sight
        if a.vague_start or b.vague_start:
            return None
        if a.first_frame == b.first_frame:
            answer = f"The {one.said} and the {other.said} come at the same time."
        elif a.first_pair == b.first_pair:
            return None
        else:
            answer = f"The {(one if a.first_frame < b.first_frame else other).said} comes first."
        return Ask(kind="order", group="which_first", slots=slots, answer=answer)

    def before(self) -> Ask | None:
        after = self._rng.random() < 0.35
        group = "after" if after else "before"
        if self._rng.random() < 0.10:
            return self._order_absent(group)
        two = self._two()
        if two is None:
            return None
        one, other = two
        a, b = one.sight, other.sight
        if a.vague_start or b.vague_start or a.first_pair == b.first_pair:
            return None
        fact = "before" if a.first_pair < b.first_pair else "after"
        word = "Yes" if fact == group else "No"
        return Ask(
            kind="order",
            group=group,
            slots=self._pair_slots(one, other),
            answer=f"{word}, the {one.said} comes {fact} the {other.said}.",
        )

    def _ends(self, group: str) -> Ask | None:
        spoiled, sights = self._spoiled(), self._truth.sightings
        if spoiled:
            return self._spoiled_ask(spoiled, group)
        if not sights:
            return Ask(kind="cannot_tell", group=group, slots={}, answer=none_seen("shape"))
        if any(s.vague_start for s in sights) or max(self._pairs.values()) > 1:
            return None
        edge = (min if group == "first" else max)(s.first_frame for s in sights)
        chosen = [s for s in sights if s.first_frame == edge]
        if any(s.first_pair == chosen[0].first_pair for s in sights if s not in chosen):
            return None
        verb = "comes" if len(chosen) == 1 else "come"
        names = listed([f"the {full_name(s)}" for s in chosen])
        return Ask(
            kind="order",
            group=group,
            slots={},
            answer=f"{names[0].upper()}{names[1:]} {verb} {group}.",
        )

    def first(self) -> Ask | None:
        return self._ends("first")

    def last(self) -> Ask | None:
        return self._ends("last")

    def order(self) -> Ask | None:
        spoiled, sights = self._spoiled(), self._truth.sightings
        if spoiled:
            return self._spoiled_ask(spoiled, "order")
        if not sights:
            return Ask(kind="cannot_tell", group="order", slots={}, answer=none_seen("shape"))
        if any(s.vague_start for s in sights) or max(self._pairs.values()) > 1:
            return None
        steps: dict[int, list[Sighting]] = {}
        for sight in sights:
            steps.setdefault(sight.first_frame, []).append(sight)
        if len({frame // 2 for frame in steps}) < len(steps):
            return None
        parts = [listed([f"the {full_name(s)}" for s in step]) for step in steps.values()]
        if len(parts) > 1:
            answer = "First " + ", then ".join(parts) + "."
        elif len(sights) == 1:
            answer = f"There is only the {full_name(sights[0])}."
        else:
            answer = f"{parts[0][0].upper()}{parts[0][1:]} come at the same time."
        return Ask(kind="order_all", group="order", slots={}, answer=answer)
