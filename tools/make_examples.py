"""Draws the example clips of `assets/examples`: the first thing a newcomer asks about.

    python tools/make_examples.py

What each clip shows, and what to ask and to try, is written in `assets/examples/examples.toml`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.demo_evaluation.drawing import frames
from tools.demo_evaluation.encoding import write_mp4
from tools.demo_evaluation.palette import parse
from tools.demo_evaluation.scene import Backdrop, Body, Flash, Scene
from tools.demo_evaluation.shapes import plain

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
WIDTH, HEIGHT, FRAME_RATE = 640, 360, 24
TONES = {
    "red": "e5484d",
    "orange": "f5871f",
    "yellow": "fbd737",
    "green": "35b35c",
    "blue": "3e8bf2",
    "purple": "9a52d6",
    "white": "fafafa",
}
NIGHT = Backdrop(tones=(parse("2b3240"), parse("171b24")))
PAPER = Backdrop(tones=(parse("f7f5f1"), parse("e6e4df")))


def main() -> None:
    """Draws every clip anew; the same code and encoder give the same files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, scene in scenes().items():
        path = FOLDER / f"{name}.mp4"
        write_mp4(path, frames(scene), frame_rate=FRAME_RATE, crf=20, preset="slow")
        print(f"{path.name}: {scene.duration_seconds:.0f} s, {path.stat().st_size / 1e3:.0f} kB")


def scenes() -> dict[str, Scene]:
    """Every example by the name of its file."""
    return {
        "flash": flash(),
        "order": order(),
        "motion": motion(),
        "small": small(),
        "rare": rare(),
    }


def flash() -> Scene:
    """Half a second of white, between the samples of a low rate.

    12 s at 0.25 or 0.5 frames a second gives frames at 0, 4, 8 and 12 s, or about every 2.4 s:
    none of them falls into the flash. From 1 frame a second on, one does.
    """
    return _scene(
        seconds=12,
        backdrop=NIGHT,
        bodies=(
            _body("blue circle", at=(90, 120), velocity=(38, 0), height=84),
            _body("orange star", at=(200, 262), height=92),
            _body("green square", at=(470, 255), height=70),
        ),
        flashes=(Flash(colour="white", rgb=(255, 255, 255), begins=7.4, ends=7.9),),
    )


def order() -> Scene:
    """Four shapes, one after another, of which the first leaves again."""
    return _scene(
        seconds=15,
        backdrop=PAPER,
        bodies=(
            _body("red circle", at=(110, 180), appears=1.6, disappears=12.2, fade=0.3),
            _body("blue square", at=(255, 180), appears=4.2, height=82, fade=0.3),
            _body("green triangle", at=(395, 180), appears=6.9, fade=0.3),
            _body("purple star", at=(535, 180), appears=9.5, height=104, fade=0.3),
        ),
    )


def motion() -> Scene:
    """Three shapes on straight ways of their own, and one that rests."""
    return _scene(
        seconds=10,
        backdrop=NIGHT,
        bodies=(
            _body("yellow star", at=(70, 60), velocity=(48, 0), height=84),
            _body("red circle", at=(470, 300), velocity=(0, -20), height=72),
            _body("green cross", at=(64, 170), velocity=(13, 13), height=74),
            _body("blue square", at=(330, 285), height=72),
        ),
    )


def small() -> Scene:
    """Five shapes of about 22 pixels: 6 are left at 16 tokens a pair of frames, 12 at 64."""
    bodies = (
        _body("red circle", at=(96, 92), height=21),
        _body("yellow star", at=(232, 258), height=24),
        _body("green triangle", at=(338, 122), height=22),
        _body("blue square", at=(452, 276), height=20),
        _body("purple cross", at=(556, 104), height=22),
    )
    return _scene(seconds=8, backdrop=NIGHT, bodies=bodies)


def rare() -> Scene:
    """Two quiet minutes: a square that rests, and three visits of two seconds."""
    return _scene(
        seconds=120,
        backdrop=NIGHT,
        bodies=(
            _body("white square", at=(110, 270), height=66),
            _body("red star", at=(300, 130), appears=21.3, disappears=23.4, height=104),
            _body("blue circle", at=(500, 220), appears=58.2, disappears=60.3),
            _body("yellow triangle", at=(330, 250), appears=95.2, disappears=97.3),
        ),
    )


def _scene(
    *, seconds: int, backdrop: Backdrop, bodies: tuple[Body, ...], flashes: tuple[Flash, ...] = ()
) -> Scene:
    return Scene(
        width=WIDTH,
        height=HEIGHT,
        frame_rate=FRAME_RATE,
        frame_count=seconds * FRAME_RATE,
        backdrop=backdrop,
        bodies=bodies,
        flashes=flashes,
    )


def _body(
    name: str, *, at: tuple[float, float], height: float = 90, **ways: float | tuple[float, float]
) -> Body:
    """A shape in the examples' own tone of its colour. `"red circle"` names both."""
    colour, shape = name.split()
    rgb, outline = parse(TONES[colour]), plain(shape)
    return Body(
        colour=colour, rgb=rgb, shape=shape, outline=outline, height=height, start=at, **ways
    )


if __name__ == "__main__":
    main()
