"""Questions about when things come, go and flash: printed times, copied."""

from __future__ import annotations

from collections import Counter

from . import colours
from .answers import NUMBERS, OTHER_COLOUR, listed, none_seen, several
from .naming import Ask, Named, Namer


class AboutTime(Namer):
    """Appearances, disappearances, flashes, and what a moment shows."""

    def appear(self) -> Ask | None:
        return self._time("appear")

    def vanish(self) -> Ask | None:
        return self._time("vanish")

    def _time(self, group: str) -> Ask | None:
        if self._rng.random() < 0.04:
            return self._about_strange(group, group)
        named = self._timed(group)
        if named is None:
            return None
        slots = self._slots(named)
        sight = named.sight
        if sight is None:
            return Ask(kind="cannot_tell", group=group, slots=slots, answer=none_seen(named.said))
        stamps = self._truth.stamps
        if group == "appear":
            if sight.vague_start:
                return None
            rest = (
                "is there from the start"
                if sight.from_start
                else (f"appears at {stamps[sight.first_pair]} seconds")
            )
        else:
            if sight.vague_end:
                return None
            rest = (
                "stays until the end"
                if sight.gone_pair is None
                else (f"disappears at {stamps[sight.gone_pair]} seconds")
            )
        kind = group if "seconds" in rest else "time_edge"
        return Ask(kind=kind, group=group, slots=slots, answer=f"The {named.said} {rest}.")

    def _timed(self, group: str) -> Named | None:
        """A thing to time; those that do come or go in the middle are asked about more."""
        if self._rng.random() < 0.14 or not self._plain:
            return self._absent()
        eventful = [
            s
            for s in self._plain
            if (not s.from_start if group == "appear" else s.gone_pair is not None)
        ]
        pool = eventful if eventful and self._rng.random() < 0.75 else self._plain
        return self._name(self._rng.choice(pool))

    def at_time(self) -> Ask | None:
        truth = self._truth
        if not truth.settled or truth.crowd:
            return None
        pair = self._rng.randrange(len(truth.stamps))
        stamp = truth.stamps[pair]
        if truth.stamps.count(stamp) > 1 or any(abs(f.pair - pair) < 4 for f in truth.flashes):
            return None
        both = [(s.frames[2 * pair], s.frames[2 * pair + 1]) for s in truth.sightings]
        if any(a != b for a, b in both) or any(
            s.vague_start or s.vague_end for s in truth.sightings
        ):
            return None
        there = Counter(
            (s.colour, s.shape) for s, (a, _) in zip(truth.sightings, both, strict=True) if a
        )
        seen = listed([several(*p, n) for p, n in there.items()]) if there else "no shapes"
        said = stamp[:-2] if stamp.endswith(".0") and self._rng.random() < 0.5 else stamp
        return Ask(
            kind="at_time",
            group="at_time",
            slots={"t": said},
            answer=f"At {stamp} seconds I see {seen}.",
        )

    def _flashes(self) -> tuple[list[str], list[str]] | None:
        """Printed times and colours of flashes; a brief thing counts where there is no other."""
        truth = self._truth
        if truth.flashes and truth.flashes_vague:
            return None
        if truth.flashes:
            return [truth.stamps[f.pair] for f in truth.flashes], [f.colour for f in truth.flashes]
        brief = [s for s in truth.sightings if s.brief]
        if any(s.vague_start or not s.known_colour for s in brief) or len(brief) > 1:
            return None
        return [truth.stamps[s.first_pair] for s in brief], [s.colour for s in brief]

    def _flash_slots(self, names: list[str]) -> dict[str, str]:
        colour = names[0] if names else self._rng.choice(("white", "red", "yellow"))
        bright = colour if self._rng.random() < 0.5 else self._rng.choice(("bright", "white"))
        if names and colour != "white" and bright == "white":
            bright = "bright"
        said = f"{colour} " if self._rng.random() < 0.1 else ""
        return {"fc": said, "fcw": bright}

    def flash_when(self) -> Ask | None:
        found = self._flashes()
        if found is None:
            return None
        times, names = found
        slots = self._flash_slots(names)
        if not times:
            return Ask(
                kind="cannot_tell", group="flash_when", slots=slots, answer=none_seen("flash")
            )
        answer = (
            f"The flash happens at {times[0]} seconds."
            if len(times) == 1
            else f"The flashes happen at {listed(times)} seconds."
        )
        return Ask(kind="flash_when", group="flash_when", slots=slots, answer=answer)

    def flash_is(self) -> Ask | None:
        found = self._flashes()
        if found is None:
            return None
        times, names = found
        if not times:
            answer = "No, there is no flash."
        elif len(times) == 1:
            answer = f"Yes, there is a flash at {times[0]} seconds."
        else:
            answer = f"Yes, there are flashes at {listed(times)} seconds."
        return Ask(kind="flash_is", group="flash_is", slots=self._flash_slots(names), answer=answer)

    def flash_count(self) -> Ask | None:
        found = self._flashes()
        if found is None or len(found[0]) > 5:
            return None
        count = len(found[0])
        noun = "is one flash" if count == 1 else f"are {NUMBERS[count]} flashes"
        return Ask(kind="flash_count", group="flash_count", slots={}, answer=f"There {noun}.")

    def flash_colour(self) -> Ask | None:
        found = self._flashes()
        if found is None:
            return None
        names = list(dict.fromkeys(found[1]))
        if not names:
            kind, answer = "cannot_tell", none_seen("flash")
        elif not all(n in colours.KNOWN for n in names):
            kind, answer = "outside_colour", OTHER_COLOUR
        else:
            kind = "flash_colour"
            answer = (
                f"The flash is {names[0]}."
                if len(found[0]) == 1
                else f"The flashes are {listed(names)}."
            )
        return Ask(kind=kind, group="flash_colour", slots=self._flash_slots(names), answer=answer)
