"""Draws a case by its number and writes its clip; the part of the work that runs in many processes.

The same seed, kind and number give the same case, whatever else is drawn.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from core.planning.card import ModelCard, load_card
from core.video import probe
from tools.demo_evaluation import drawing, footage, questions, refusals
from tools.demo_evaluation.case import Case
from tools.demo_evaluation.encoding import write_mp4
from tools.demo_evaluation.footage import Footage
from tools.demo_evaluation.stage import samples_of

Drawer = Callable[[random.Random, ModelCard], Case | None]

DRAWERS: dict[str, Drawer] = {
    "colour": questions.colour,
    "shape": questions.shape,
    "presence": questions.presence,
    "direction": questions.direction,
    "order": questions.order,
    "time": questions.time,
    "flash": questions.flash,
    "count": questions.count,
    "describe": questions.describe,
    "cannot-tell": refusals.cannot_tell,
    "other-colour": refusals.other_colour,
    "other-shape": refusals.other_shape,
    "too-many": refusals.too_many,
    "real-footage": refusals.real_footage,
    "off-topic": refusals.off_topic,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Which case to draw, for which checkpoint, and where its clip goes."""

    kind: str
    number: int
    seed: int
    model: str
    folder: Path
    footage: Path | None = None

    @property
    def clip(self) -> Path:
        """The file of the clip."""
        return self.folder / f"{self.kind}-{self.number:04d}.mp4"


def film_all(tasks: Iterator[Task], *, jobs: int) -> Iterator[tuple[Task, Case]]:
    """Films in `jobs` processes, never more than a few clips ahead of who asks about them."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        under_way = [(task, pool.submit(film, task)) for task in islice(tasks, 4 * jobs)]
        while under_way:
            task, future = under_way.pop(0)
            case = future.result()
            under_way += [(later, pool.submit(film, later)) for later in islice(tasks, 1)]
            yield task, case


def film(task: Task) -> Case:
    """Draws the case and writes its clip; draws again where nothing could be asked."""
    rng = random.Random(f"{task.seed} {task.kind} {task.number}")
    card = load_card(task.model)
    while True:
        if task.kind == "real-footage":
            case: Case | None = refusals.real_footage(rng, card, task.footage)
        else:
            case = DRAWERS[task.kind](rng, card)
        if case is None:
            continue
        _write(rng, case, task.clip)
        if case.samples.agree_with(samples_of(probe(task.clip), case.settings, card)):
            return case


def _write(rng: random.Random, case: Case, path: Path) -> None:
    """Encodes as phones, screen recorders and web sites do: fast or thorough, fine or coarse."""
    clip = case.clip
    write_mp4(
        path,
        footage.frames(clip) if isinstance(clip, Footage) else drawing.frames(clip),
        frame_rate=clip.frame_rate,
        crf=rng.randint(18, 32),
        preset=rng.choice(("ultrafast", "ultrafast", "veryfast")),
    )
