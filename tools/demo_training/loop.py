"""The training loop: one optimiser, lessons in seeing, then answers, a schedule by the clock."""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from .drawing import Atlases, Painter, to_cells, to_patches
from .feeding import Feeder, Workers, packed, to_device
from .losses import (
    REAL_SHAPE,
    cover_loss,
    helper_loss,
    right_answers,
    seeing_loss,
    token_labels,
)
from .network import COLOUR_CLASSES, SHAPE_CLASSES, Trainee
from .packing import Row
from .plan import Plan

_HELPER_WEIGHT = 0.5


class Trainer:
    """Model, optimiser and drawing on one device."""

    def __init__(self, model, plan: Plan, atlases: Atlases, device: torch.device) -> None:
        self.plan, self.device = plan, device
        fused = device.type == "cuda"
        model.model.visual.requires_grad_(not plan.words_only)
        self.trainee = Trainee(model, plan.tokens, device, fused=fused)
        self._painter = Painter(atlases, fused=fused)
        matrices = [p for p in self.trainee.parameters() if p.ndim > 1]
        others = [p for p in self.trainee.parameters() if p.ndim <= 1]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": plan.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=plan.peak_rate,
            betas=(0.9, 0.98),
            fused=fused,
        )

    def _patches(self, row: Row, moved: dict) -> torch.Tensor:
        """Patches of the drawn frames; `moved` also gets the cells that things cover."""
        frames, mask = self._painter.frames(
            ground=moved["ground"],
            things=moved["things"],
            looks=moved["looks"],
            drawn=moved["drawn"].split(row.drawn_counts),
            height=32 * row.rows,
            width=32 * row.columns,
        )
        moved["cells"] = to_cells(mask)
        return to_patches(frames).to(torch.bfloat16)

    def outputs(self, row: Row, moved: dict) -> dict:
        """Read-outs for one row whose tensors are `moved`."""
        patches = self._patches(row, moved)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return self.trainee(packed(moved), patches, row.rows, row.columns)

    def step(self, row: Row, rate: float, moved: dict) -> tuple:
        """One update: (loss of the answers, which answers were right before it)."""
        outputs = self.outputs(row, moved)
        logits, targets = outputs["logits"].float(), moved["targets"]
        loss = F.cross_entropy(logits, targets[:, 1])
        helping = helper_loss(outputs, moved, row.rows, row.columns)
        self._update(loss + _HELPER_WEIGHT * helping, rate)
        return loss.detach(), right_answers(logits, targets, moved["turn"], len(row.kinds))

    def look(self, row: Row, rate: float, moved: dict) -> tuple:
        """One update of the tower alone: (loss, share of things' tokens with the right shape)."""
        patches = self._patches(row, moved)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            guess = self.trainee.glance(patches, row.rows, row.columns)
        shape, colour, _ = token_labels(moved, row.rows, row.columns)
        loss = seeing_loss(guess["token"], shape, colour)
        self._update(loss + 2.0 * cover_loss(guess["cells"], moved), rate)
        told = guess["token"].view(-1, 2, SHAPE_CLASSES + COLOUR_CLASSES)
        told = told[..., :SHAPE_CLASSES].argmax(-1)
        things = (shape > 0) & (shape < REAL_SHAPE)
        return loss.detach(), ((told == shape) & things).sum() / things.sum()

    def _update(self, loss: torch.Tensor, rate: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.trainee.parameters(), 1.0, foreach=True)
        if self.device.type == "cuda":  # the fused step skips an update that is not finite
            self._optimiser.found_inf = (~torch.isfinite(norm)).float()
        self._optimiser.step()

    @torch.no_grad()
    def measure(self, rows: list[Row]) -> dict[str, tuple[int, int]]:
        """Right and asked by kind over fresh rows."""
        score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for row in rows:
            moved = to_device(row, self.device)
            outputs = self.outputs(row, moved)
            right = right_answers(
                outputs["logits"], moved["targets"], moved["turn"], len(row.kinds)
            ).tolist()
            for kind, good in zip(row.kinds, right, strict=True):
                score[kind][0] += good
                score[kind][1] += 1
        return {kind: tuple(pair) for kind, pair in sorted(score.items())}


def learning_rate(plan: Plan, step: int, elapsed: float) -> float:
    """Linear warm-up by steps, then a cosine to zero by the clock."""
    warm = min(1.0, (step + 1) / plan.warm_up_steps)
    return plan.peak_rate * warm * 0.5 * (1 + np.cos(np.pi * min(1.0, elapsed / plan.seconds)))


def train(trainer: Trainer, workers: Workers, log, *, fresh: bool, save) -> int:
    """Runs the plan to its end; `log(line)` every 100 steps, `save()` every two minutes."""
    plan, step, saved, elapsed = trainer.plan, 0, 0.0, 0.0
    tally = _Tally()
    ease = 0.0 if fresh else 1.0  # saved weights know short clips already
    with Feeder(workers, trainer.device, -1.0) as feeder:
        learn_to_look(trainer, feeder, log)
        for _ in range(4):  # compiles before the clock starts; a rate of 0 changes nothing
            row, moved = feeder.next(ease)
            while not row.kinds:  # pictures that were still on their way
                row, moved = feeder.next(ease)
            trainer.step(row, 0.0, moved)
        started, workers.waited = time.monotonic(), 0.0
        while elapsed < plan.seconds:
            share = ease + (1 - ease) * elapsed / (plan.seconds * plan.grow_share)
            row, moved = feeder.next(min(share, 1.0))
            tally.add(*trainer.step(row, learning_rate(plan, step, elapsed), moved), row.kinds)
            step += 1
            elapsed = time.monotonic() - started
            if step % 100 == 0:
                log(f"step {step} t {elapsed:.0f}s waited {workers.waited:.0f}s {tally.report()}")
                tally = _Tally()
            if elapsed - saved > 120:
                saved = elapsed
                save()
    return step


def learn_to_look(trainer: Trainer, feeder: Feeder, log) -> None:
    """The tower learns shapes and colours of things before any word is learned."""
    plan, started, step, elapsed = trainer.plan, None, 0, 0.0
    while elapsed < plan.look_seconds:
        row, moved = feeder.next(min(elapsed / plan.look_seconds - 1.0, -1e-6))
        rate = plan.peak_rate * min(1.0, (step + 1) / plan.warm_up_steps)
        loss, right = trainer.look(row, rate, moved)
        step += 1
        if step == 3:  # what compiles has compiled
            started = time.monotonic()
        elapsed = time.monotonic() - started if started else 0.0
        if step % 200 == 0:
            log(f"look {step} t {elapsed:.0f}s loss {float(loss):.3f} shapes {float(right):.3f}")


class _Tally:
    """Losses and exact answers by kind since the last report; reads the device late."""

    def __init__(self) -> None:
        self._steps: list[tuple] = []

    def add(self, loss: torch.Tensor, right: torch.Tensor, kinds: list[str]) -> None:
        self._steps.append((loss, right, kinds))

    def report(self) -> str:
        score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for _, right, kinds in self._steps:
            for kind, good in zip(kinds, right.tolist(), strict=True):
                score[kind][0] += good
                score[kind][1] += 1
        right, asked = (sum(pair[i] for pair in score.values()) for i in (0, 1))
        loss = np.mean([float(loss) for loss, _, _ in self._steps])
        kinds = " ".join(
            f"{kind}={100 * good / all_:.1f}" for kind, (good, all_) in sorted(score.items())
        )
        return f"loss {loss:.4f} exact {100 * right / max(asked, 1):.2f} of {asked} | {kinds}"
