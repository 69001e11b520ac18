"""Rows on their way from worker processes to the device."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from dataclasses import fields
from pathlib import Path
from queue import Full, Queue
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer

from .inventing import SceneMaker
from .language import Language
from .network import Packed
from .packing import Packer, Row
from .plan import Plan, difficulty
from .scenes import stock_of
from .vocabulary import Tokens


def make_packer(plan: Plan, tokenizer_file: Path, *, held_out: bool = False) -> Packer:
    stock = stock_of(plan.variants(), plan.plain_pictures, plan.pictures)
    tokens = Tokens(Tokenizer.from_file(str(tokenizer_file)))
    return Packer(
        SceneMaker(stock),
        Language(held_out=held_out, stress=plan.stress),
        tokens,
        length=plan.tokens,
        questions=plan.questions,
    )


def _work(plan: Plan, tokenizer_file: Path, seed: int, share, queue) -> None:
    """Fills the queue with rows until the process is ended."""
    packer = make_packer(plan, tokenizer_file)
    rng = Random(seed)
    while os.getppid() != 1:
        asked = share.value
        if asked < 0:
            row = packer.pictures(rng, progress=1.0 + asked)
        else:
            most_pairs, most_tokens = difficulty(asked)
            row = packer.row(rng, most_pairs=most_pairs, most_tokens=most_tokens)
        while True:
            try:
                queue.put((asked, row), timeout=5)
                break
            except Full:
                continue


class Workers:
    """Processes that make rows; a context manager that ends them."""

    def __init__(self, plan: Plan, tokenizer_file: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._share = context.Value("d", -1.0)
        self.waited = 0.0  # seconds that training stood still for want of rows
        self._queue = context.Queue(maxsize=2 * plan.workers)
        self._processes = [
            context.Process(
                target=_work,
                daemon=True,
                args=(plan, tokenizer_file, plan.seed * 1000 + i, self._share, self._queue),
            )
            for i in range(plan.workers)
        ]

    def __enter__(self) -> Workers:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_) -> None:
        for process in self._processes:
            process.terminate()

    def next(self, share: float) -> Row:
        """The next row of difficulty `share`; -1 to 0 are pictures without words."""
        self._share.value = share
        started = time.monotonic()
        while True:
            made_for, row = self._queue.get(timeout=300)
            if (made_for < 0) == (share < 0) and (made_for >= 1.0 or share < 1.0):
                self.waited += time.monotonic() - started
                return row


def to_device(row: Row, device: torch.device) -> dict[str, torch.Tensor]:
    """The row's arrays as tensors."""
    moved = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, np.ndarray):
            tensor = torch.from_numpy(value)
            if device.type == "cuda":
                tensor = tensor.pin_memory().to(device, non_blocking=True)
            moved[field.name] = tensor
    return moved


def packed(moved: dict[str, torch.Tensor]) -> Packed:
    return Packed(**{field.name: moved[field.name] for field in fields(Packed)})


class Feeder:
    """A thread that moves rows to the device while the one before is being learned from."""

    def __init__(self, workers: Workers, device: torch.device, share: float) -> None:
        self._workers, self._device = workers, device
        self._ready: Queue = Queue(maxsize=2)
        self._stop = threading.Event()
        self.share = share
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            stream = torch.cuda.Stream() if self._device.type == "cuda" else None
            while not self._stop.is_set():
                row = self._workers.next(self.share)
                with torch.cuda.stream(stream):
                    moved = to_device(row, self._device)
                    self._offer((row, moved, stream.record_event() if stream else None))
        except Exception as error:  # handed to the reader, who raises it
            self._offer(error)

    def _offer(self, item) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=1)
                return
            except Full:
                continue

    def next(self, share: float) -> tuple[Row, dict]:
        """The next row and its tensors, ready for use on the current stream."""
        self.share = share
        item = self._ready.get()
        if isinstance(item, Exception):
            raise item
        row, moved, event = item
        if event is not None:
            stream = torch.cuda.current_stream()
            stream.wait_event(event)
            for tensor in moved.values():
                tensor.record_stream(stream)
        return row, moved
