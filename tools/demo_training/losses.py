"""What training asks of the model beside its answers: to see, to follow, to know the time."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from .network import COLOUR_CLASSES, HEADING_CLASSES, PAIR_BITS, SHAPE_CLASSES
from .packing import IGNORE

REAL_SHAPE, REAL_COLOUR, FLASH_COLOUR = 7, 8, 9


def token_labels(moved: dict[str, torch.Tensor], rows: int, columns: int) -> tuple:
    """What each visual token shows: shape and colour classes (V, 2 frames), tracks (V, 2)."""
    things, ground = moved["things"], moved["ground"]
    count = things.shape[1]
    device = things.device
    x = (torch.arange(columns, device=device) + 0.5) * 32
    y = (torch.arange(rows, device=device) + 0.5) * 32
    reach = (0.7 * things[..., 4]).clamp(min=16.0)
    wide = (things[..., 0, None] - x).abs() <= reach[..., None]
    high = (things[..., 1, None] - y).abs() <= reach[..., None]
    on = (high[..., :, None] & wide[..., None, :]).flatten(2) & (things[..., 2, None] > 0.3)
    top = torch.where(on, torch.arange(1, count + 1, device=device)[:, None], 0).amax(1)
    codes = torch.cat([torch.zeros_like(things[:, :1, 18:20]), things[..., 18:20]], 1).long()
    shown = codes.gather(1, top[..., None].expand(-1, -1, 2))
    shape, colour = shown.unbind(-1)
    flash = (ground[:, 18] > 0.5)[:, None]
    shape, colour = shape.masked_fill(flash, 0), colour.masked_fill(flash, FLASH_COLOUR)
    real = moved["real"].repeat_interleave(2)[:, None]
    shape = shape.masked_fill(real, REAL_SHAPE)
    colour = colour.masked_fill(real & (colour < 0), 0).masked_fill(real, REAL_COLOUR)
    second = top[1::2]
    track = torch.cat([torch.full_like(moved["track"][:, :1], IGNORE), moved["track"]], 1)
    track = track.gather(1, second[..., None].expand(-1, -1, 2))
    track = track.masked_fill(flash[1::2, :, None], IGNORE)

    def by_token(label: torch.Tensor) -> torch.Tensor:
        return torch.stack([label[0::2], label[1::2]], -1).flatten(0, 1)

    return by_token(shape), by_token(colour), track.flatten(0, 1)


def seeing_loss(read_out: torch.Tensor, shape: torch.Tensor, colour: torch.Tensor):
    """How well the tower's tokens tell shape and colour; tokens without a thing count less."""
    guess = read_out.float().view(-1, 2, SHAPE_CLASSES + COLOUR_CLASSES)
    shown = (shape.flatten() > 0) & (shape.flatten() < REAL_SHAPE)
    weight = torch.where(shown, 1.0 / shown.sum().clamp(min=1), 0.3 / (~shown).sum().clamp(min=1))

    def one(logits, labels):
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return (each * weight).sum()

    return one(guess[..., :SHAPE_CLASSES], shape) + one(guess[..., SHAPE_CLASSES:], colour)


def cover_loss(guess: torch.Tensor, moved: dict[str, torch.Tensor]) -> torch.Tensor:
    """How well the tower tells ground from things, cell by cell; patches with an edge count most.

    Form is hard to learn while things differ in colour and contrast; a mask has neither.
    """
    cells = moved["cells"]
    each = F.binary_cross_entropy_with_logits(guess.float(), cells, reduction="none").mean(1)
    real = moved["real"].repeat_interleave(len(cells) // len(moved["real"]))
    mixed = (cells.amax(1) > 0.5) & ~real
    plain = (cells.amax(1) <= 0.5) & ~real
    return sum((each * part).sum() / part.sum().clamp(min=1) for part in (mixed, plain))


def helper_loss(outputs: dict, moved: dict[str, torch.Tensor], rows: int, columns: int):
    """How well the read-outs see objects, motion, times and events."""
    shape, colour, track = token_labels(moved, rows, columns)
    loss = seeing_loss(outputs["token"], shape, colour) + cover_loss(outputs["cells"], moved)
    tracks = outputs["track"].float()
    for logits, labels in (
        (tracks[:, :HEADING_CLASSES], track[:, 0]),
        (tracks[:, HEADING_CLASSES:], track[:, 1]),
    ):
        total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
        loss = loss + 0.5 * total / (labels != IGNORE).sum().clamp(min=1)
    digits = outputs["digits"].float().view(-1, 10)
    loss = loss + 0.5 * F.cross_entropy(digits, moved["digits"].flatten())
    pair = outputs["pair"].float()
    loss = loss + 2.0 * F.binary_cross_entropy_with_logits(pair[:, :PAIR_BITS], moved["pair_bits"])
    return loss + 0.5 * F.cross_entropy(
        pair[:, PAIR_BITS:], moved["pair_count"], ignore_index=IGNORE
    )


def right_answers(
    logits: torch.Tensor, targets: torch.Tensor, turn: torch.Tensor, answers: int
) -> torch.Tensor:
    """Which answers have every token on top: with greedy decoding they come out exactly."""
    wrong = (logits.argmax(-1) != targets[:, 1]).long()
    count = torch.zeros(answers, dtype=torch.long, device=logits.device)
    return count.index_add(0, turn, wrong) == 0
