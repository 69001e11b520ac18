"""Reads an English answer into facts: colours, shapes, numbers, times, directions; judges nothing.

"The red circle appears at 6.2 seconds."
-> mentions (red circle), times ("6.2",), appears
"""

import re
from dataclasses import dataclass

from tools.demo_evaluation import palette, shapes

COLOURS = (*palette.KNOWN, *palette.UNKNOWN, "gray", "gold", "violet", "indigo")
SHAPES = (*shapes.KNOWN, *shapes.UNKNOWN)
COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: number for number, word in enumerate(COUNTED)}
NOUNS = ("shape", "object", "thing", "figure", "one", "ones")

_SHAPE = "|".join(f"{shape}(?:es|s)?" for shape in SHAPES)
_COLOUR = "|".join(COLOURS)
_MENTION = re.compile(
    rf"\b(?:({_COLOUR})\s+)?({_SHAPE})\b|\b({_COLOUR})\s+(?:{'|'.join(NOUNS)})s?\b"
)
_TIME = re.compile(r"\d+\.\d+")
_WAY = re.compile(r"\b(left|right|up|down|upwards?|downwards?|leftwards?|rightwards?)\b")
_RESTS = re.compile(
    r"(?:not|n't|never) mov|stays? still|stands? still|\bstill\b|stationary|rests\b|motionless"
)
_START = re.compile(r"(?:from|at|since|in) the (?:very )?(?:start|beginning)|always there")
_END = re.compile(
    r"(?:until|till|to|at) the (?:very )?end|does not disappear|never disappears|stays"
)
_FADED = re.compile(r"\b(?:disappears?|leaves?|vanish(?:es)?|gone|goes away)\b")
_SHOWN = re.compile(r"\b(?:appears?|shows? up|comes? in|enters?)\b")


@dataclass(frozen=True, slots=True)
class Mention:
    """A thing as named: "red circle", "circle" or "red shape"."""

    colour: str | None
    shape: str | None

    def fits(self, colour: str | None, shape: str | None) -> bool:
        """Whether a thing of this colour and shape may be called so."""
        return self.colour in (None, colour) and self.shape in (None, shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an answer says, in the order in which it says it; `text` is in lower case."""

    text: str
    refuses: bool
    yes: bool | None
    denies: bool
    mentions: tuple[Mention, ...]
    colours: tuple[str, ...]
    shapes: tuple[str, ...]
    times: tuple[str, ...]
    numbers: frozenset[int]
    ways: frozenset[str]
    rests: bool
    bound: str | None
    appears: bool
    disappears: bool

    @property
    def words(self) -> frozenset[str]:
        """Every word of the answer."""
        return frozenset(re.findall(r"[a-z]+", self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a description says of one body."""

    colour: str | None
    shape: str | None
    ways: frozenset[str]
    appears: str | None
    disappears: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """A whole description."""

    bodies: tuple[Told, ...]
    flashes: tuple[str, ...]


def read(answer: str) -> Facts:
    """Every fact an answer states."""
    text = re.sub(r"\s+", " ", answer.lower().replace("’", "'")).strip()
    start = re.match(r"(yes|no)\b(?=\W|$)", text)
    rest = text[start.end() :] if start and text[start.end() :].startswith((",", ".", "!")) else ""
    body = rest if rest else text
    return Facts(
        text=body,
        refuses=text.startswith("i cannot"),
        yes={"yes": True, "no": False}.get(start[1]) if start and (rest or text in _BARE) else None,
        denies=bool(re.search(r"\b(?:no|not|never|none|nothing)\b|n't\b", body)),
        mentions=tuple(_mentions(body)),
        colours=tuple(_singular_colour(c) for c in re.findall(rf"\b({_COLOUR})\b", body)),
        shapes=tuple(_singular(s) for s in re.findall(rf"\b({_SHAPE})\b", body)),
        times=tuple(_TIME.findall(body)),
        numbers=_numbers(body),
        ways=_ways(body),
        rests=bool(_RESTS.search(body)),
        bound="start" if _START.search(body) else "end" if _END.search(body) else None,
        appears=bool(_SHOWN.search(body)),
        disappears=bool(_FADED.search(body)),
    )


def describe_sentences(answer: str) -> Tale | None:
    """A description taken apart, or None where a sentence cannot be understood as true."""
    bodies: list[Told] = []
    flashes: list[str] = []
    for sentence in re.split(r"(?<=[.!])\s+(?=[A-Z])", answer.strip()):
        facts = read(sentence)
        if re.search(r"\bflash", facts.text):
            if facts.mentions or not facts.times:
                return None
            flashes += facts.times
        elif len(facts.mentions) == 1 and (told := _told(facts)) is not None:
            bodies.append(told)
        else:
            return None
    return Tale(bodies=tuple(bodies), flashes=tuple(flashes))


_BARE = {"yes", "yes.", "no", "no."}


def _told(facts: Facts) -> Told | None:
    """None where a time belongs to no event, or where it is unclear whether the body moves."""
    appears = re.search(r"\bappears? (?:at )?(\d+\.\d+)|\bcomes in at (\d+\.\d+)", facts.text)
    disappears = re.search(r"\b(?:disappears?|leaves) (?:at )?(\d+\.\d+)", facts.text)
    events = [next(filter(None, m.groups())) for m in (appears, disappears) if m]
    if sorted(events) != sorted(facts.times) or facts.rests == bool(facts.ways):
        return None
    return Told(
        colour=facts.mentions[0].colour,
        shape=facts.mentions[0].shape,
        ways=facts.ways,
        appears=events[0] if appears else None,
        disappears=events[-1] if disappears else None,
    )


def _mentions(text: str) -> list[Mention]:
    found = []
    for colour, shape, lone in _MENTION.findall(text):
        name = _singular_colour(colour or lone) or None
        found.append(Mention(name, _singular(shape) if shape else None))
    return found


def _numbers(text: str) -> frozenset[int]:
    plain = _TIME.sub("", text)
    found = {int(digits) for digits in re.findall(r"\b\d+\b", plain)}
    found |= {NUMBERS[word] for word in re.findall(r"[a-z]+", plain) if word in NUMBERS}
    if not found and re.search(r"\b(?:no|none|not any)\b", plain):
        return frozenset({0})
    if not found and re.search(r"\bthere is an? ", plain):
        return frozenset({1})
    return frozenset(found)


def _ways(text: str) -> frozenset[str]:
    return frozenset(re.sub(r"wards?$", "", way) for way in _WAY.findall(text))


def _singular(word: str) -> str:
    return next(shape for shape in SHAPES if word in (shape, f"{shape}s", f"{shape}es"))


def _singular_colour(word: str) -> str:
    return "grey" if word == "gray" else word
