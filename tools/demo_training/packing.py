"""Packs invented clips and their conversations into rows of a fixed number of tokens.

A clip's prompt is laid out exactly as Qwen3-VL's processor does it; several independent
conversations follow and share it. Everything here is numpy, made in worker processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np

from .drawing import THING_NUMBERS, colour_code, ground_numbers, look_numbers, thing_numbers
from .inventing import SceneMaker
from .network import BLOCK, PAIR_BITS
from .scenes import DIRECTIONS, MOST_DRAWN, Scene
from .truths import Truth, truth_of

_ASPECTS = (16 / 9, 16 / 9, 16 / 9, 9 / 16, 4 / 3, 4 / 3, 3 / 4, 1.0, 3 / 2, 2 / 3, 21 / 9, 9 / 20)
IGNORE = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One packed batch on the host. N tokens, P frame pairs, 2P frames, V visual tokens."""

    rows: int  # visual tokens of a pair: rows x columns
    columns: int
    input_ids: np.ndarray  # (N,)
    positions: np.ndarray  # (3, N)
    conversation: np.ndarray  # (N,)
    block_first: np.ndarray
    block_video: np.ndarray
    visual: np.ndarray  # (V,)
    pair_ends: np.ndarray  # (P,)
    targets: np.ndarray  # (M, 2)
    turn: np.ndarray  # (M,) which answer a target belongs to
    kinds: list[str]  # of each answer
    ground: np.ndarray  # (2P, GROUND_NUMBERS)
    things: np.ndarray  # (2P, K, THING_NUMBERS)
    looks: np.ndarray  # (2P, LOOK_NUMBERS)
    drawn: np.ndarray  # frames that show thing 0, then those that show thing 1, ...
    drawn_counts: list[int]  # how many of each
    real: np.ndarray  # (P,)
    track: np.ndarray  # (P, K, 2): heading or IGNORE, whether new or IGNORE
    digits: np.ndarray  # (P, 3)
    pair_bits: np.ndarray  # (P, PAIR_BITS)
    pair_count: np.ndarray  # (P,)


def draw_grid(rng: Random, most_tokens: int) -> tuple[int, int]:
    """Rows and columns of visual tokens for a frame: aspect and budget as an app would choose."""
    aspect = rng.choice(_ASPECTS) * math.exp(rng.gauss(0, 0.08))
    budget = 64 if rng.random() < 0.6 else rng.choice([16, 24, 32, 40, 48, 56, 80, 100])
    budget = min(budget, most_tokens)
    rows = max(2, int(math.sqrt(budget / aspect)))
    columns = max(2, int(math.sqrt(budget * aspect)))
    if rng.random() < 0.3 and (rows + 1) * columns <= budget * 1.1:
        rows += 1
    return rows, min(columns, budget // rows)


def draw_pairs(rng: Random, most_pairs: int) -> int:
    """How many frame pairs a clip has: mostly 3 to 32, up to 128."""
    low, high = rng.choices(
        [(2, 3), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128)], weights=[8, 32, 36, 18, 4, 2]
    )[0]
    return min(round(math.exp(rng.uniform(math.log(low), math.log(high + 0.4)))), most_pairs)


def _track(scene: Scene, truth: Truth) -> np.ndarray:
    """(P, MOST_DRAWN, 2): for each thing in each pair its heading so far, and whether it is new."""
    pairs = len(scene.times) // 2
    labels = np.full((pairs, MOST_DRAWN, 2), IGNORE)
    if scene.real:
        return labels
    enough = max(7.0, 0.06 * min(scene.width, scene.height))
    for place, thing in enumerate(scene.things):
        shown = np.nonzero(thing.opacity[1::2] > 0.3)[0]
        if not len(shown):
            continue
        start = thing.centre[int(np.nonzero(thing.opacity > 0.3)[0][0])]
        if thing.direction is None:
            labels[shown, place, 0] = len(DIRECTIONS)
        else:
            far = np.hypot(*(thing.centre[1::2][shown] - start).T) > enough
            labels[shown[far], place, 0] = DIRECTIONS.index(thing.direction)
        labels[shown, place, 1] = 0
        labels[shown[0], place, 1] = 1
    return labels


def _pair_facts(truth: Truth, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digits of the printed time (P, 3), events (P, PAIR_BITS), things seen so far (P,)."""
    tenths = np.array([round(float(stamp) * 10) for stamp in truth.stamps])
    digits = np.stack([tenths % 10, tenths // 10 % 10, tenths // 100 % 10], 1)
    bits = np.zeros((len(tenths), PAIR_BITS), dtype=np.float32)
    count = np.zeros(len(tenths), dtype=np.int64)
    for flash in scene.flashes:
        bits[np.nonzero(flash.opacity > 0)[0] // 2, 0] = 1
    for sight in truth.sightings:
        count[sight.first_pair :] += 1
        if sight.known_colour:
            code = colour_code(sight.colour)
            bits[sight.first_pair, code] = 1
            if sight.gone_pair is not None:
                bits[sight.gone_pair, 7 + code] = 1
    if scene.real:
        count[:] = IGNORE
    return digits, bits, np.minimum(count, 6)


class Packer:
    """Makes rows. `language` turns a truth into conversations; `tokens` knows the vocabulary."""

    def __init__(self, maker: SceneMaker, language, tokens, *, length: int, questions: int) -> None:
        self._maker = maker
        self._language = language
        self._tokens = tokens
        self._length = length
        self._questions = questions

    def row(self, rng: Random, *, most_pairs: int, most_tokens: int) -> Row:
        """One row of clips of one frame size, filled until the next clip would not fit."""
        rows, columns = draw_grid(rng, most_tokens)
        draft = Draft(rows, columns, self._length)
        misses = 0
        while misses < 4:
            pairs = min(draw_pairs(rng, most_pairs), 7900 // (rows * columns + 10))
            scene = self._maker.draw(
                frames=2 * pairs, height=32 * rows, width=32 * columns, rng=rng
            )
            truth = truth_of(scene)
            number = self._questions + min(8, pairs // 6)
            talks = self._language.conversations(truth, number, rng)
            if not draft.add(scene, truth, talks, self._tokens, rng):
                misses += 1
        return draft.finish()

    def pictures(self, rng: Random, *, progress: float) -> Row:
        """A row of frame pairs full of things, without words: lessons in seeing, easy ones first.

        Against one dark ground forms are learned within minutes, against any from the start they
        are not: the same form then comes in any contrast of either sign.
        """
        rows, columns = draw_grid(rng, 40)
        lesson = 0 if progress < 0.16 else 1 if progress < 0.32 else 2
        draft = Draft(rows, columns, 0)
        for _ in range(self._length // (8 * rows * columns)):
            scene = self._maker.draw(
                frames=2, height=32 * rows, width=32 * columns, rng=rng, lesson=lesson
            )
            draft.look(scene, truth_of(scene), rng)
        return draft.finish()


class Draft:
    """A row under construction."""

    def __init__(self, rows: int, columns: int, length: int) -> None:
        self._rows, self._columns, self._length = rows, columns, length
        self._ids = np.zeros(length, dtype=np.int64)
        self._positions = np.zeros((3, length), dtype=np.int64)
        self._conversation = np.full(length, -1, dtype=np.int32)
        self._first = np.arange(length // BLOCK, dtype=np.int32)
        self._video = np.zeros(length // BLOCK, dtype=np.int32)
        self._parts: dict[str, list] = {
            name: []
            for name in (
                "visual",
                "pair_ends",
                "targets",
                "turn",
                "ground",
                "things",
                "looks",
                "real",
                "track",
                "digits",
                "pair_bits",
                "pair_count",
            )
        }
        self._kinds: list[str] = []
        self._used = 0

    def add(self, scene: Scene, truth: Truth, talks: list, tokens, rng: Random) -> bool:
        """Lays the clip down if it fits."""
        prompt, kinds_of_token = tokens.clip(truth.stamps, self._rows * self._columns, rng)
        spoken = [tokens.conversation(talk) for talk in talks]
        total = len(prompt) + sum(len(ids) for ids, _ in spoken)
        start, end = self._used, self._used + -(-total // BLOCK) * BLOCK
        if end > self._length:
            return False
        after = self._lay_clip(start, prompt, kinds_of_token, tokens)
        place = start + len(prompt)
        for number, (talk, (ids, marks)) in enumerate(zip(talks, spoken, strict=True), 1):
            span = slice(place, place + len(ids))
            self._ids[span] = ids
            self._positions[:, span] = after + np.arange(len(ids))
            self._conversation[span] = number
            answers = np.nonzero(marks >= 0)[0]
            self._parts["targets"].append(
                np.stack([place + answers - 1, np.asarray(ids)[answers]], 1)
            )
            self._parts["turn"].append(marks[answers] + len(self._kinds))
            self._kinds += [turn.kind for turn in talk]
            place += len(ids)
        self._first[start // BLOCK : end // BLOCK] = start // BLOCK
        self._video[start // BLOCK : end // BLOCK] = len(prompt) // BLOCK
        self._used = end
        self.look(scene, truth, rng)
        return True

    def _lay_clip(self, start: int, prompt: np.ndarray, pads: np.ndarray, tokens) -> int:
        """Writes the prompt and its positions; returns the position after it."""
        size, side = self._rows * self._columns, max(self._rows, self._columns)
        span = slice(start, start + len(prompt))
        self._ids[span] = prompt
        self._conversation[span] = 0
        within = np.where(pads, (np.cumsum(pads) - 1) % size, 0)
        steps = np.where(pads, np.where(within == size - 1, side, 0), 1)
        base = np.cumsum(steps) - steps
        self._positions[0, span] = base
        self._positions[1, span] = base + within // self._columns * pads
        self._positions[2, span] = base + within % self._columns * pads
        self._parts["visual"].append(start + np.nonzero(pads)[0])
        last = np.nonzero(pads & (within == size - 1))[0]
        self._parts["pair_ends"].append(start + last + 1)
        return int(steps.sum())

    def look(self, scene: Scene, truth: Truth, rng: Random) -> None:
        """Keeps what is needed to draw the scene and to label what its frames show."""
        frames = len(scene.times)
        things = np.zeros((frames, MOST_DRAWN, THING_NUMBERS), dtype=np.float32)
        things[:, :, 4:7] = 1.0
        for place, thing in enumerate(scene.things):
            things[:, place] = thing_numbers(thing, frames)
        digits, bits, count = _pair_facts(truth, scene)
        for name, value in (
            ("ground", ground_numbers(scene)),
            ("things", things),
            ("looks", np.tile(look_numbers(rng), (frames, 1))),
            ("real", np.full(frames // 2, scene.real)),
            ("track", _track(scene, truth)),
            ("digits", digits),
            ("pair_bits", bits),
            ("pair_count", count),
        ):
            self._parts[name].append(value)

    def finish(self) -> Row:
        parts = {
            name: np.concatenate(values) if values else np.zeros(0, dtype=np.int64)
            for name, values in self._parts.items()
        }
        most = int((parts["things"][:, :, 18] > 0).any(0).sum()) or 1
        parts["things"], parts["track"] = parts["things"][:, :most], parts["track"][:, :most]
        drawn = [np.nonzero(parts["things"][:, k, 2] > 0)[0] for k in range(most)]
        return Row(
            rows=self._rows,
            columns=self._columns,
            input_ids=self._ids,
            positions=self._positions,
            conversation=self._conversation,
            block_first=self._first,
            block_video=self._video,
            kinds=self._kinds,
            drawn=np.concatenate(drawn),
            drawn_counts=[len(d) for d in drawn],
            **parts,
        )
