"""What is drawn: a scene of shapes and flashes as plain values, and where each is at a time.

Lengths are pixels of the picture, times are seconds from the first frame. Nothing here draws, asks
or knows which frames will be sampled.
"""

from dataclasses import dataclass

from tools.demo_evaluation.palette import RGB
from tools.demo_evaluation.shapes import Outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A shape on its way: at `start` when it first is there, then `velocity` pixels a second.

    `appears` and `disappears` are None for a body that is there from the start or until the end;
    `fade` is how many seconds it takes to come and to go.
    """

    colour: str
    rgb: RGB
    shape: str
    outline: Outline
    height: float
    start: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)
    appears: float | None = None
    disappears: float | None = None
    fade: float = 0.0
    edge: RGB | None = None

    @property
    def name(self) -> str:
        """`"red circle"`."""
        return f"{self.colour} {self.shape}"

    @property
    def half_size(self) -> tuple[float, float]:
        """Half the width and half the height of what is drawn."""
        xs, ys = zip(*self.outline[0], strict=True)
        return self.height / 2 * max(map(abs, xs)), self.height / 2 * max(map(abs, ys))

    def centre(self, seconds: float) -> tuple[float, float]:
        """Where its middle is (x, y) at a time."""
        away = seconds - (self.appears or 0.0)
        return self.start[0] + self.velocity[0] * away, self.start[1] + self.velocity[1] * away

    def opacity(self, seconds: float) -> float:
        """From 0, not there, to 1, fully there."""
        come = 1.0 if self.appears is None else _ramp(seconds - self.appears, self.fade)
        gone = 0.0 if self.disappears is None else _ramp(seconds - self.disappears, self.fade)
        return come * (1.0 - gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """The whole picture in one colour, from `begins` up to, but not including, `ends`."""

    colour: str
    rgb: RGB
    begins: float
    ends: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """The ground: one or two tones, graded along `angle`, with what makes it less than even.

    `texture` is the swing of soft blotches, `grain` of still and `noise` of moving speckles, all
    in grey levels.
    """

    tones: tuple[RGB, ...]
    angle: float = 90.0
    texture: float = 0.0
    grain: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A whole clip, ready to be drawn; `seed` decides its texture and its noise."""

    width: int
    height: int
    frame_rate: int
    frame_count: int
    backdrop: Backdrop
    bodies: tuple[Body, ...]
    flashes: tuple[Flash, ...] = ()
    seed: int = 0

    @property
    def duration_seconds(self) -> float:
        """How long a player shows it."""
        return self.frame_count / self.frame_rate

    def shown(self, body: Body, seconds: float) -> float:
        """How much of a body is to be seen: its opacity times the share inside the picture."""
        x, y = body.centre(seconds)
        half_w, half_h = body.half_size
        inside_w = min(self.width, x + half_w) - max(0.0, x - half_w)
        inside_h = min(self.height, y + half_h) - max(0.0, y - half_h)
        share = max(0.0, inside_w) * max(0.0, inside_h) / (4 * half_w * half_h)
        return body.opacity(seconds) * share

    def flash_at(self, seconds: float) -> Flash | None:
        """The flash that covers the picture at a time."""
        return next((f for f in self.flashes if f.begins - 1e-6 <= seconds < f.ends - 1e-6), None)


def _ramp(seconds: float, fade: float) -> float:
    if fade <= 0:
        return 1.0 if seconds >= -1e-6 else 0.0
    return min(1.0, max(0.0, seconds / fade))
