"""The examiner of the demo model: what is true of a scene, and which answers count as right."""

import random

import pytest

from core.planning import load_card
from tools.demo_evaluation import judging as j
from tools.demo_evaluation.filming import DRAWERS
from tools.demo_evaluation.reading import Told
from tools.demo_evaluation.report import BARS
from tools.demo_evaluation.scene import Backdrop, Body, Flash, Scene
from tools.demo_evaluation.seen import Samples, doubts, look
from tools.demo_evaluation.shapes import plain
from tools.demo_evaluation.wording import wordings

REFUSED = "I cannot tell: I see no star in these frames."
RED_CIRCLE, BLUE_SQUARE = ("red", "circle"), ("blue", "square")
RIGHT, STILL = frozenset({"right"}), frozenset()
UP_RIGHT = frozenset({"up", "right"})


def colours(*names: str) -> j.Colours:
    return j.Colours(colours=frozenset(names), shape="square")


def time(text: str, verb: str = "appears") -> j.Time:
    return j.Time(time=text, body=("yellow", "star"), verb=verb)


def told(name: str, ways: frozenset[str] = STILL, **times: str) -> Told:
    colour, shape = name.split()
    events = {"appears": None, "disappears": None} | times
    return Told(colour=colour, shape=shape, ways=ways, **events)


MOVE = j.Direction(ways=RIGHT, body=RED_CIRCLE)
DIAGONAL = j.Direction(ways=UP_RIGHT, body=RED_CIRCLE)
REST = j.Direction(ways=STILL, body=RED_CIRCLE)
SEEN = j.YesNo(yes=True, there=frozenset({RED_CIRCLE, BLUE_SQUARE}))
UNSEEN = j.YesNo(yes=False, there=frozenset({("green", "star")}))
FLASHES = j.Times(times=("2.2", "6.2", "9.8"))
STORY = j.Description(
    bodies=(told("red circle", RIGHT), told("blue square", appears="4.2")), flashes=("6.2",)
)
STORY_TEXT = (
    "A red circle moves right. A blue square appears at 4.2 seconds and does not move. "
    "The picture flashes at 6.2 seconds."
)
GONE = j.Description(bodies=(told("red circle", UP_RIGHT, appears="1.2", disappears="5.8"),))

CASES = [
    ("colour", colours("red"), "The square is red.", True),
    ("colour phrased freely", colours("red"), "It is red", True),
    ("colour wrong", colours("red"), "The square is blue.", False),
    ("colour of another shape", colours("red"), "The circle is red.", False),
    ("colour refused", colours("red"), REFUSED, False),
    ("colours", colours("red", "blue"), "The squares are blue and red.", True),
    ("colours, one missing", colours("red", "blue"), "The square is red.", False),
    ("colours, one too many", colours("red"), "The squares are red and blue.", False),
    ("shape", j.Shapes(shapes=frozenset({"circle"}), colour="red"), "It's a circle.", True),
    ("shape wrong", j.Shapes(shapes=frozenset({"circle"}), colour="red"), "A star.", False),
    (
        "shapes",
        j.Shapes(shapes=frozenset({"circle", "cross"}), colour="red"),
        "The red shapes are a circle and a cross.",
        True,
    ),
    ("yes", SEEN, "Yes, there is a red circle.", True),
    ("yes, bare", SEEN, "Yes.", True),
    ("yes, invented", SEEN, "Yes, there is a red square.", False),
    ("yes, said no", SEEN, "No, there is no red circle.", False),
    ("no", UNSEEN, "No, there is no green star.", True),
    ("no, of something else", UNSEEN, "No, there is no green circle.", False),
    ("no, said yes", UNSEEN, "Yes, there is a green star.", False),
    ("no, refused", UNSEEN, REFUSED, False),
    ("direction", MOVE, "The red circle moves right.", True),
    ("direction, to the", MOVE, "It moves to the right.", True),
    ("direction wrong", MOVE, "The red circle moves left.", False),
    ("direction, of another", MOVE, "The blue circle moves right.", False),
    ("direction, half a diagonal", DIAGONAL, "The red circle moves right.", False),
    ("direction, diagonal", DIAGONAL, "The red circle moves up and to the right.", True),
    ("direction, diagonal for straight", MOVE, "It moves up and to the right.", False),
    ("direction, still", REST, "The red circle does not move.", True),
    ("direction, still for moving", MOVE, "The red circle does not move.", False),
    ("direction, moving for still", REST, "The red circle moves up.", False),
    ("first", j.First(body=RED_CIRCLE), "The red circle comes first.", True),
    ("first, said last", j.First(body=RED_CIRCLE), "The red circle comes last.", False),
    ("first, the other", j.First(body=RED_CIRCLE), "The blue square comes first.", False),
    ("last", j.First(body=RED_CIRCLE, place="last"), "The red circle comes last.", True),
    (
        "sequence",
        j.Sequence(bodies=(RED_CIRCLE, BLUE_SQUARE)),
        "First the red circle, then the blue square.",
        True,
    ),
    (
        "sequence, swapped",
        j.Sequence(bodies=(RED_CIRCLE, BLUE_SQUARE)),
        "First the blue square, then the red circle.",
        False,
    ),
    (
        "sequence, cut short",
        j.Sequence(bodies=(RED_CIRCLE, BLUE_SQUARE)),
        "First the red circle.",
        False,
    ),
    (
        "before, yes",
        j.Before(yes=True, pair=(RED_CIRCLE, BLUE_SQUARE)),
        "Yes, the red circle comes before the blue square.",
        True,
    ),
    (
        "before, yes but swapped",
        j.Before(yes=True, pair=(RED_CIRCLE, BLUE_SQUARE)),
        "Yes, the blue square comes before the red circle.",
        False,
    ),
    (
        "before, no and after",
        j.Before(yes=False, pair=(RED_CIRCLE, BLUE_SQUARE)),
        "No, the red circle comes after the blue square.",
        True,
    ),
    (
        "before, no and not",
        j.Before(yes=False, pair=(RED_CIRCLE, BLUE_SQUARE)),
        "No, the red circle does not come before the blue square.",
        True,
    ),
    (
        "before, no the other way round",
        j.Before(yes=False, pair=(RED_CIRCLE, BLUE_SQUARE)),
        "No, the blue square comes before the red circle.",
        True,
    ),
    ("time", time("6.2"), "The yellow star appears at 6.2 seconds.", True),
    ("time wrong", time("6.2"), "The yellow star appears at 6.8 seconds.", False),
    ("time not copied", time("6.2"), "The yellow star appears at 6 seconds.", False),
    ("time of the wrong event", time("6.2"), "It disappears at 6.2 seconds.", False),
    ("time gone", time("9.2", "disappears"), "The yellow star disappears at 9.2 seconds.", True),
    ("time, start", time("start"), "The yellow star is there from the start.", True),
    ("time, start as a number", time("start"), "The yellow star appears at 0.2 seconds.", False),
    ("time, end", time("end", "disappears"), "The yellow star stays until the end.", True),
    ("time, end said for a time", time("9.2", "disappears"), "It stays until the end.", False),
    ("flashes", FLASHES, "The flashes happen at 2.2, 6.2 and 9.8 seconds.", True),
    ("flashes, one missing", FLASHES, "The flashes happen at 2.2 and 9.8 seconds.", False),
    ("flash there", j.YesNo(yes=True, times=frozenset({"6.2"})), "Yes, at 6.2 seconds.", True),
    ("flash there, late", j.YesNo(yes=True, times=frozenset({"6.2"})), "Yes, at 7.2 s.", False),
    ("flash not there", j.YesNo(yes=False), "No, there is no flash.", True),
    ("flash colour", j.Colours(colours=frozenset({"white"})), "The flash is white.", True),
    ("number", j.Number(number=3), "There are three shapes.", True),
    ("number in digits", j.Number(number=3), "3", True),
    ("number wrong", j.Number(number=3), "There are four shapes.", False),
    ("number one", j.Number(number=1, shape="circle"), "There is one circle.", True),
    ("number none", j.Number(number=0, shape="circle"), "There are no circles.", True),
    ("number of another shape", j.Number(number=2, shape="circle"), "There are two stars.", False),
    ("describe", STORY, STORY_TEXT, True),
    ("describe, no flash", STORY, STORY_TEXT.rsplit(" The ", 1)[0], False),
    ("describe, wrong time", STORY, STORY_TEXT.replace("4.2", "4.8"), False),
    ("describe, wrong way", STORY, STORY_TEXT.replace("moves right", "moves up"), False),
    ("describe, no motion", STORY, STORY_TEXT.replace(" and does not move", ""), False),
    ("describe, invented", STORY, "A green star does not move. " + STORY_TEXT, False),
    ("describe, refused", STORY, REFUSED, False),
    (
        "describe, comes and goes",
        GONE,
        "A red circle appears at 1.2 seconds, moves up and to the right and leaves at 5.8 s.",
        True,
    ),
    (
        "describe, events swapped",
        GONE,
        "A red circle appears at 5.8 seconds, moves up and to the right and leaves at 1.2 s.",
        False,
    ),
    ("refusal", j.Refusal(), REFUSED, True),
    ("refusal in other words", j.Refusal(), "I am not sure.", False),
    ("refusal forgotten", j.Refusal(), "The circle is purple.", False),
]


@pytest.mark.parametrize(
    ("expected", "answer", "right"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_judge(expected: j.Expectation, answer: str, right: bool) -> None:
    assert expected.is_met(answer) is right


# Eight frames, one a second, from 0 to 7: four steps with the printed times 0.5, 2.5, 4.5 and 6.5.
SAMPLES = Samples(
    times=tuple(float(t) for t in range(8)),
    labels=("0.5", "2.5", "4.5", "6.5"),
    width=160,
    height=96,
)


def scene(body: dict | None = None, *flashes: tuple[float, float]) -> Scene:
    """A red circle of 20 pixels, with `body` put over it, in a black picture of 100 x 100."""
    round_one = {
        "colour": "red",
        "rgb": (255, 0, 0),
        "shape": "circle",
        "outline": plain("circle"),
        "height": 20,
        "start": (50.0, 50.0),
    }
    return Scene(
        width=100,
        height=100,
        frame_rate=10,
        frame_count=80,
        backdrop=Backdrop(tones=((0, 0, 0),)),
        bodies=(Body(**round_one | (body or {})),),
        flashes=tuple(
            Flash(colour="white", rgb=(255, 255, 255), begins=b, ends=e) for b, e in flashes
        ),
    )


@pytest.mark.parametrize(
    ("body", "appears", "disappears", "ways"),
    [
        ({}, None, None, set()),
        ({"appears": 1.5}, 1, None, set()),
        ({"appears": 2.5}, 1, None, set()),
        ({"appears": 3.5}, 2, None, set()),
        ({"disappears": 3.5}, None, 2, set()),
        ({"disappears": 2.5}, None, 1, set()),
        ({"start": (15, 50), "velocity": (10, 0)}, None, None, {"right"}),
        ({"start": (15, 85), "velocity": (10, -9)}, None, None, {"right", "up"}),
        ({"start": (-28, 50), "velocity": (17, 0)}, 1, None, {"right"}),
    ],
    ids=[
        "always",
        "appears with a step",
        "appears within a step",
        "appears with the next step",
        "gone with a step",
        "gone within a step",
        "moves right",
        "moves up and right",
        "slides in",
    ],
)
def test_what_is_seen_of_a_body(
    body: dict, appears: int | None, disappears: int | None, ways: set[str]
) -> None:
    assert doubts(scene(body), SAMPLES) is None
    (sight,) = look(scene(body), SAMPLES).sights
    assert (sight.appears, sight.disappears, sight.ways) == (appears, disappears, ways)


def test_what_comes_and_goes_between_frames_is_not_seen() -> None:
    visit = scene({"appears": 2.2, "disappears": 2.8}, (4.2, 4.8))
    assert doubts(visit, SAMPLES) is None
    seen = look(visit, SAMPLES)
    assert (seen.sights, seen.flashes) == ((), ())


def test_flashes_are_seen_in_the_step_of_their_frame() -> None:
    seen = look(scene(None, (2.8, 3.2), (5.9, 6.4)), SAMPLES)
    assert [step for _, step in seen.flashes] == [1, 3]


@pytest.mark.parametrize(
    ("doubtful", "reason"),
    [
        (scene({"appears": 1.9, "fade": 0.5}), "half shown"),
        (scene({"appears": 0.5}), "within the first step"),
        (scene({"start": (15, 50), "velocity": (10, 4)}), "between two directions"),
        (scene({"start": (0, 50)}), "never seen whole"),
        (scene({"appears": 2.5}, (2.8, 3.2)), "next to a flash"),
        (scene(None, (2.8, 3.2), (3.8, 4.2)), "seen as one"),
        (scene(None, (0.9, 1.2)), "first step shows a flash"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_doubtful_scenes_are_not_asked_about(doubtful: Scene, reason: str) -> None:
    assert reason in (doubts(doubtful, SAMPLES) or "")


@pytest.mark.parametrize("kind", BARS)
def test_every_kind_can_be_drawn_again(kind: str) -> None:
    card = load_card()
    draws = [_first_case(kind, random.Random(7), card) for _ in range(2)]
    assert draws[0] == draws[1]
    assert "{" not in draws[0].question


def _first_case(kind: str, rng: random.Random, card: object) -> object:
    while (case := DRAWERS[kind](rng, card)) is None:
        pass
    return case


@pytest.mark.parametrize("kind", [k for k in wordings() if k != "real_footage"])
def test_every_kind_is_asked_in_thirty_ways(kind: str) -> None:
    ways = [text for listed in wordings()[kind].values() for text in listed]
    assert len(ways) >= 30
    assert len({text.lower().rstrip(".?") for text in ways}) == len(ways)
