"""Where a scene will play: size, rate, length, ground and sampling; knows no bodies, no questions.

The sampling is the app's own: the plan is made before anything is drawn, so that a scene can be
cast for the frames that the model will be given.
"""

import math
import random
from dataclasses import dataclass, field
from typing import TypeVar

from core.planning.card import ModelCard
from core.planning.plan import make_plan
from core.planning.settings import Settings
from core.video.info import VideoInfo, describe_video
from tools.demo_evaluation.palette import NEUTRALS, RGB, near, parse
from tools.demo_evaluation.scene import Backdrop, Body, Flash, Scene
from tools.demo_evaluation.seen import Samples

T = TypeVar("T")

SIZES = {
    (640, 360): 8,
    (320, 240): 4,
    (480, 270): 4,
    (426, 240): 3,
    (640, 480): 3,
    (854, 480): 3,
    (960, 540): 2,
    (1280, 720): 2,
    (360, 640): 4,
    (270, 480): 3,
    (480, 854): 2,
    (720, 1280): 1,
    (480, 480): 2,
    (400, 300): 2,
}
RATES = {10: 3, 12: 2, 15: 4, 20: 2, 24: 5, 25: 5, 30: 8, 50: 1, 60: 1}
LONG_SECONDS = 120
MOST_PIXELS = 70e6  # of a whole clip, which bounds the time to encode it to about a second
MOST_SQUEEZE = 0.2  # natural logarithm: a square looks at most 1.22 times as high as wide
MOST_FRAMES = 100  # sampled, but for the long clips


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A scene without its cast, and what the plan will take from it."""

    width: int
    height: int
    frame_rate: int
    frame_count: int
    backdrop: Backdrop
    seed: int
    settings: Settings
    samples: Samples = field(repr=False)

    @property
    def seconds(self) -> float:
        """The length of the clip."""
        return self.frame_count / self.frame_rate

    @property
    def short_side(self) -> int:
        """The picture's shorter side in pixels."""
        return min(self.width, self.height)

    @property
    def grounds(self) -> tuple[RGB, ...]:
        """The tones that a shape has to stand out on."""
        return self.backdrop.tones

    def scene(self, bodies: tuple[Body, ...], flashes: tuple[Flash, ...] = ()) -> Scene:
        """The scene with its cast."""
        return Scene(
            width=self.width,
            height=self.height,
            frame_rate=self.frame_rate,
            frame_count=self.frame_count,
            backdrop=self.backdrop,
            bodies=bodies,
            flashes=flashes,
            seed=self.seed,
        )


def draw_stage(rng: random.Random, card: ModelCard, *, fps: float | None = None) -> Stage:
    """A stage; `fps` asks for that sampling rate, else the default or one from 1 to 4."""
    while (stage := _try_stage(rng, card, fps=fps)) is None:
        pass
    return stage


def _try_stage(rng: random.Random, card: ModelCard, *, fps: float | None) -> Stage | None:
    """A stage, or None where it takes too long to film or its frames are squeezed too much."""
    width, height = _weighted(rng, SIZES)
    rate, seconds = _weighted(rng, RATES), _seconds(rng)
    settings = _settings(rng, fps=fps)
    count = round(seconds * rate)
    info = describe_video(
        width=width, height=height, duration_seconds=count / rate, frame_rate=rate
    )
    samples = samples_of(info, settings, card)
    squeeze = (samples.width / samples.height) / (width / height)
    too_long = len(samples.times) > MOST_FRAMES and seconds < LONG_SECONDS
    if width * height * count > MOST_PIXELS or too_long or abs(math.log(squeeze)) > MOST_SQUEEZE:
        return None
    return Stage(
        width=width,
        height=height,
        frame_rate=rate,
        frame_count=count,
        backdrop=_backdrop(rng, area=width * height),
        seed=rng.randrange(2**32),
        settings=settings,
        samples=samples,
    )


def samples_of(info: VideoInfo, settings: Settings, card: ModelCard) -> Samples:
    """What the app's own plan takes from a clip."""
    plan = make_plan(info, settings, card)
    printed = tuple(label.strip("<>").split()[0] for label in plan.labels)
    return Samples(times=plan.times, labels=printed, width=plan.width, height=plan.height)


def _seconds(rng: random.Random) -> float:
    """Mostly a few seconds, now and then up to 40, rarely two minutes."""
    chance = rng.random()
    if chance < 0.02:
        return LONG_SECONDS
    if chance < 0.09:
        return rng.uniform(22, 40)
    if chance < 0.30:
        return rng.uniform(12, 22)
    return rng.uniform(3, 12)


def _settings(rng: random.Random, *, fps: float | None) -> Settings:
    """The defaults for six clips of ten."""
    if fps is None and rng.random() < 0.3:
        fps = rng.choice((1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0))
    tokens = rng.choice((16, 24, 36, 48, 64)) if rng.random() < 0.15 else None
    return Settings(fps=fps, max_frame_tokens=tokens, reply_tokens=240)


def _backdrop(rng: random.Random, *, area: int) -> Backdrop:
    """Plain, graded or textured; moving noise only in small pictures, where it is quick."""
    name = rng.choice(sorted(NEUTRALS))
    tones = [near(rng, parse(rng.choice(NEUTRALS[name].split())), reach=4)]
    if rng.random() < 0.4:
        step = rng.randint(12, 30) * rng.choice((-1, 1))
        tones.append(_brighter(tones[0], step))
    kind = rng.choice(("plain", "plain", "plain", "texture", "grain", "noise"))
    small = area <= 640 * 360
    return Backdrop(
        tones=tuple(tones),
        angle=rng.uniform(0, 90),
        texture=rng.uniform(2, 6) if kind == "texture" else 0,
        grain=rng.uniform(2, 6) if kind == "grain" or (kind == "noise" and not small) else 0,
        noise=rng.uniform(2, 6) if kind == "noise" and small else 0,
    )


def _brighter(rgb: RGB, step: int) -> RGB:
    red, green, blue = (min(255, max(0, c + step)) for c in rgb)
    return red, green, blue


def _weighted(rng: random.Random, weights: dict[T, int]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]
