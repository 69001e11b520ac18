"""A loaded model and a request's way through it, once it is the request's turn; knows no thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.engine.base import FramesNeeded, Request, Started
from core.engine.fast import Fast
from core.engine.live import most_of_process
from core.engine.preparing import Preparer
from core.engine.reply import Reply
from core.engine.room import budgets
from core.engine.room import free as free_on
from core.engine.shortage import free_memory, is_out_of_memory
from core.engine.writing import Row
from core.errors import Cancelled, ContextOverflow, MemoryOverflow
from core.planning.card import ModelCard
from core.planning.machine import GIB, Device
from core.planning.seconds import NOTHING, Reused

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A request; ``inputs`` are what the model takes, where that was made ahead."""

    request: Request
    inputs: dict[str, Any] | None = None


class Answering:
    """One model; the caller sees to it that one request at a time is in its turn.

    Attributes:
        fast: the fast way, where the class is known to it.
        stop: of the request under way; looked at before every piece of pixels and every layer.
    """

    def __init__(
        self,
        card: ModelCard,
        model: Any,
        processor: Any,
        devices: tuple[Device, ...],
        replicas: int = 1,
    ) -> None:
        """``replicas`` is how many such share the machine's memory."""
        self._card, self._model, self._devices = card, model, devices
        self.tokenizer = processor.tokenizer
        self._preparer = Preparer(card, processor, str(model.device), model.dtype)
        kept, away = budgets(model, devices)
        self.fast = Fast.of(model, kept_bytes=kept, away_bytes=away // replicas)
        self.stop = threading.Event()
        self._thread: int | None = None  # that answers
        self._watch_layers()

    def knows(self, video: Hashable) -> bool:
        """Whether it can answer about this video without its frames."""
        seen = self.fast is not None and self.fast.has_seen(video)
        return seen and self._preparer.knows(video)

    def reuse(self, request: Request) -> Reused:
        """What would not be done again if this came now; safe beside an answer under way."""
        video, fast = request.video, self.fast
        if fast is None or video is None:
            return NOTHING
        ids = self._preparer.ids(request)
        tokens = 0 if ids is None else fast.shared(ids, video)
        return Reused(
            tokens=tokens,
            seen=tokens > 0 or fast.has_seen(video),
            reading="video" if ids is None or not self.knows(video) else "none",
        )

    def ahead(self, request: Request, stop: threading.Event) -> Task:
        """What can be done before its turn: the inputs, but not by words, which take no time.

        Once ``stop`` is set nothing is: whose request it is hears of that in its turn.
        """
        if request.frames is None or self.knows(request.video):
            return Task(request=request)
        try:
            inputs = self._preparer.ahead(request, lambda: _look(stop))
            return Task(request=request, inputs=inputs)
        except Cancelled:
            pass
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        return Task(request=request)

    def answer(self, task: Task, reply: Reply) -> None:
        """The whole reply.

        Raises:
            ContextOverflow, MemoryOverflow, FramesNeeded: see Engine.stream.
        """

        def whole() -> None:
            self.reset_peaks()
            if self.fast is None:
                inputs, most = self._inputs(task, reply), task.request.reply_tokens
                self._model.generate(**inputs, max_new_tokens=most, streamer=reply)
                return
            self.fast.write(self._begun(task, reply))

        self._guarded(task, reply, whole)

    def begin(self, task: Task, reply: Reply) -> Row | None:
        """Its first token, of one that others are written beside; None where it was stopped.

        Raises:
            ContextOverflow, MemoryOverflow, FramesNeeded: see Engine.stream.
        """
        rows: list[Row] = []
        self._guarded(task, reply, lambda: rows.append(self._begun(task, reply)))
        return rows[0] if rows else None

    def tokens(self, task: Task) -> int:
        """The length of its prompt; 0 where it cannot be made, which is told in its turn."""
        if task.inputs is not None:
            return int(task.inputs["input_ids"].shape[1])
        try:
            return self._preparer.tokens(task.request, self._look)
        except Exception:
            return 0

    def overflow(self, prompt_tokens: int, said: str) -> MemoryOverflow:
        """What is said when memory has run out, once it is given back; ``said`` is what torch did.

        What is kept of other conversations counts as free: the next request may have it.
        """
        kept = 0 if self.fast is None else self.fast.conversations.nbytes // len(self._devices)
        free = {each.name: free_on(each) + kept for each in self._devices}
        sizes = "; ".join(
            f"{each.name}: {free[each.name] / GIB:.1f} of {each.capacity_bytes / GIB:.1f} GiB free"
            for each in self._devices
        )
        return MemoryOverflow(
            f"Out of memory with a prompt of {prompt_tokens:,} tokens ({sizes}): {said}",
            remedy="Take fewer frames or fewer patches a frame, then ask again.",
            free_bytes=free,
        )

    def free_memory(self) -> None:
        """Give back what nothing holds any more."""
        free_memory(self._cuda())

    def reset_peaks(self) -> None:
        """Count what is in use from now on."""
        import torch

        for name in self._cuda():
            torch.cuda.reset_peak_memory_stats(name)

    def peaks(self) -> tuple[int, ...]:
        """The most in use since then; see Finished."""
        import torch

        cuda = tuple(int(torch.cuda.max_memory_allocated(name)) for name in self._cuda())
        return cuda or (most_of_process(),)

    def _guarded(self, task: Task, reply: Reply, work: Callable[[], None]) -> None:
        """Do it; where memory does not suffice, again with less and less of what is kept."""
        sparing = iter(()) if self.fast is None else self.fast.sparing(but=task.request.video)
        said = self._attempt(reply, work)
        while said is not None:
            again = not reply.begun and next(sparing, False)
            self.free_memory()  # only here, where no traceback holds the tensors any more
            if not again:
                raise self.overflow(reply.prompt_tokens, said)
            said = self._attempt(reply, work)

    def _attempt(self, reply: Reply, work: Callable[[], None]) -> str | None:
        """Do it; what is said where memory has run out."""
        import torch

        self._thread = threading.get_ident()
        try:
            with torch.inference_mode():
                work()
        except Cancelled:
            reply.stopped = True
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return short(error)
        return None

    def _begun(self, task: Task, reply: Reply) -> Row:
        assert self.fast is not None
        inputs, video = self._inputs(task, reply), task.request.video
        seen = video is not None and self.fast.has_seen(video)
        row, read = self.fast.begin(
            inputs,
            video=video,
            max_new_tokens=task.request.reply_tokens,
            streamer=reply,
            look=self._look,
        )
        reply.reused = Reused(tokens=read, seen=seen or read > 0)
        return row

    def _inputs(self, task: Task, reply: Reply) -> dict[str, Any]:
        """On the device, and short enough."""
        made = self._made(task)
        tokens = int(made["input_ids"].shape[1])
        total = tokens + task.request.reply_tokens
        if total > self._card.context_tokens:
            raise ContextOverflow(
                f"{total:,} tokens exceed the {self._card.context_tokens:,} of {self._card.name}.",
                remedy="Take fewer frames or fewer patches a frame.",
            )
        if not reply.prompt_tokens:  # once, whatever has to be tried again
            reply.tell(Started(prompt_tokens=tokens))
        reply.prompt_tokens = tokens
        return made

    def _made(self, task: Task) -> dict[str, Any]:
        """By words where they suffice: what was made ahead has pixels that nobody needs then."""
        request = task.request
        try:
            if self.knows(request.video):
                return self._preparer.inputs(replace(request, frames=None))
        except KeyError:
            pass  # another beginning than the one it knows
        if task.inputs is not None:
            return self._preparer.placed(task.inputs)
        if request.frames is None:
            raise FramesNeeded
        return self._preparer.inputs(request, self._look)

    def _look(self) -> None:
        if threading.get_ident() == self._thread:  # another sets things up, through the same layers
            _look(self.stop)

    def _watch_layers(self) -> None:
        """Look at the stop event before every layer, so that a long prefill can be stopped too."""
        import torch

        def before_layer(_module: torch.nn.Module, _inputs: tuple[Any, ...]) -> None:
            self._look()

        for module in self._model.modules():
            if isinstance(module, torch.nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(before_layer)

    def _cuda(self) -> list[str]:
        return [device.name for device in self._devices if device.kind == "cuda"]


def _look(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled


def short(error: BaseException) -> str:
    """In a line."""
    return " ".join(str(error).split())[:300]
