"""A model in this process, through transformers: one code path for every class it knows."""

from __future__ import annotations

import gc
import logging
import queue
import resource
import sys
import threading
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from core.engine.base import Event, Finished, FramesNeeded, Progress, Request, Started
from core.engine.fast import Fast, execution_of
from core.engine.preparing import Preparer
from core.engine.quantizing import held_bytes
from core.engine.reply import Either, Reply
from core.engine.waiting import Line, Ticket
from core.errors import Cancelled, CheckpointError, ContextOverflow, MemoryOverflow
from core.planning.card import ModelCard
from core.planning.machine import GIB, Device, processor
from core.planning.memory import AS_STORED, Execution

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 0.3


class LocalEngine:
    """One model that answers one request at a time; see core.engine.base.Engine."""

    capacity = 1

    def __init__(
        self,
        card: ModelCard,
        model: Any,
        processor: Any,
        devices: tuple[Device, ...],
        execution: Execution = AS_STORED,
    ) -> None:
        self.card = card
        self._model, self._processor, self._devices = model, processor, devices
        self._preparer = Preparer(card, processor, str(model.device), model.dtype)
        kept, away = _budgets(model, devices)
        self._fast = Fast.of(model, kept_bytes=kept, away_bytes=away)
        self.execution = execution_of(self._fast, execution)
        if self._fast is not None and self._fast.decoder is not None:
            threading.Thread(
                target=_warm_up, args=(self._fast,), name="set-up", daemon=True
            ).start()
        self._line = Line((0,))  # one turn
        self._stop: threading.Event = threading.Event()  # of the request under way
        self._watch_layers()

    def devices(self) -> tuple[Device, ...]:
        """Where the model is held."""
        return self._devices

    def knows(self, video: Hashable) -> bool:
        """Whether it can answer about this video without its frames."""
        seen = self._fast is not None and self._fast.has_seen(video)
        return seen and self._preparer.knows(video)

    def close(self) -> None:
        """Free the memory, once those who came before are answered."""
        ticket = self._line.join()
        ticket.wait()
        self._model = self._processor = self._fast = None
        _free_memory()
        ticket.leave()

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        """Answer in a thread of its own and hand on what happens there; see Engine.stream."""
        if self._model is None:
            raise CheckpointError(
                f"{self.card.name} has been unloaded.", remedy="Load the model again."
            )
        events: queue.Queue[Event | BaseException] = queue.Queue()
        gone = threading.Event()
        ticket = self._line.join()  # here, so that threads that start late lose no place
        worker = threading.Thread(
            target=self._work, args=(request, Either(stop, gone), events, ticket), daemon=True
        )
        worker.start()
        try:
            while True:
                event = _next(events, worker)
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            gone.set()  # whoever was listening has left, so the model has nothing to say

    def _work(
        self,
        request: Request,
        stop: Either,
        events: queue.Queue[Event | BaseException],
        ticket: Ticket[int],
    ) -> None:
        """Wait for the turn, run, and report whatever comes, errors included."""
        try:
            while not ticket.wait(HEARTBEAT_SECONDS):
                events.put(Progress(stage="waiting", done=ticket.before()))
                if stop.is_set():
                    reply = self._reply(stop, events)
                    reply.stopped = True
                    events.put(reply.finished())
                    return
            self._stop = stop
            try:
                self._answer(request, stop, events)
            finally:
                self._stop = threading.Event()
        except BaseException as error:
            events.put(error)
        finally:
            ticket.leave()

    def _answer(
        self, request: Request, stop: Either, events: queue.Queue[Event | BaseException]
    ) -> None:
        """Answer; where memory does not suffice, once more without what was kept."""
        reply = self._reply(stop, events)
        overflow = self._attempt(request, reply, events)
        if overflow is not None:
            _free_memory()  # only here, where no traceback holds the tensors any more
            if reply.begun or self._fast is None or not self._fast.forget():
                raise overflow
            _free_memory()
            overflow = self._attempt(request, reply, events)
        if overflow is not None:
            _free_memory()
            raise overflow
        events.put(reply.finished(limit=request.reply_tokens, peak_bytes=self._peaks()))

    def _attempt(
        self, request: Request, reply: Reply, events: queue.Queue[Event | BaseException]
    ) -> MemoryOverflow | None:
        import torch

        try:
            with torch.inference_mode():
                self._reset_peaks()
                inputs = self._inputs(request)
                reply.prompt_tokens = int(inputs["input_ids"].shape[1])
                self._check_length(reply.prompt_tokens, request)
                events.put(Started(prompt_tokens=reply.prompt_tokens))
                self._generate(inputs, request, reply)
        except Cancelled:
            reply.stopped = True
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            return self._overflow(reply.prompt_tokens, error)
        return None

    def _reply(self, stop: Either, events: queue.Queue[Event | BaseException]) -> Reply:
        return Reply(self._processor.tokenizer, stop, events)

    def _inputs(self, request: Request) -> dict[str, Any]:
        if request.frames is not None:
            return self._preparer.inputs(request)
        try:
            if self.knows(request.video):
                return self._preparer.inputs(request)
        except KeyError:
            pass  # another beginning than the one it knows
        raise FramesNeeded

    def _generate(self, inputs: dict[str, Any], request: Request, reply: Reply) -> None:
        """The reply into ``reply``, the fast way where the class is known to it."""
        if self._fast is None:
            self._model.generate(**inputs, max_new_tokens=request.reply_tokens, streamer=reply)
            return
        reply.reused_tokens = self._fast.generate(
            inputs,
            video=request.video,
            max_new_tokens=request.reply_tokens,
            streamer=reply,
            look=self._look,
        )

    def _look(self) -> None:
        if self._stop.is_set():
            raise Cancelled

    def _check_length(self, prompt_tokens: int, request: Request) -> None:
        total = prompt_tokens + request.reply_tokens
        if total > self.card.context_tokens:
            raise ContextOverflow(
                f"{total:,} tokens exceed the {self.card.context_tokens:,} of {self.card.name}.",
                remedy="Take fewer frames or fewer patches a frame.",
            )

    def _watch_layers(self) -> None:
        """Look at the stop event before every layer, so that a long prefill can be stopped too."""
        import torch

        def before_layer(_module: torch.nn.Module, _inputs: tuple[Any, ...]) -> None:
            self._look()

        for module in self._model.modules():
            if isinstance(module, torch.nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(before_layer)

    def _overflow(self, prompt_tokens: int, error: BaseException) -> MemoryOverflow:
        sizes = ", ".join(f"{d.name} {d.capacity_bytes / GIB:.0f} GiB" for d in self._devices)
        return MemoryOverflow(
            f"Out of memory with a prompt of {prompt_tokens:,} tokens ({sizes}): {_short(error)}",
            remedy="Take fewer frames or fewer patches a frame, then ask again.",
        )

    def _cuda(self) -> list[str]:
        return [device.name for device in self._devices if device.kind == "cuda"]

    def _reset_peaks(self) -> None:
        import torch

        for name in self._cuda():
            torch.cuda.reset_peak_memory_stats(name)

    def _peaks(self) -> tuple[int, ...]:
        import torch

        cuda = tuple(int(torch.cuda.max_memory_allocated(name)) for name in self._cuda())
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
        return cuda or (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,)


def _next(
    events: queue.Queue[Event | BaseException], worker: threading.Thread
) -> Event | BaseException:
    try:
        return events.get(timeout=HEARTBEAT_SECONDS)
    except queue.Empty:
        if worker.is_alive() or not events.empty():
            return Progress(stage="thinking")
        return RuntimeError("The thread that runs the model ended without a word.")


def _warm_up(fast: Fast) -> None:
    """Beside the first questions; without it they only take longer."""
    try:
        fast.warm_up()
    except Exception as error:  # a GPU with no room left for it, a compiler that is not there
        log.warning("Not all could be set up in advance: %s", _short(error))
        _free_memory()


def _budgets(model: Any, devices: tuple[Device, ...]) -> tuple[int, int]:
    """Bytes that may be kept for later questions on the devices, and beside them in the machine.

    Half of what the weights leave of the GPUs (a request that needs it has it), an eighth of the
    machine's memory beside them; where there is no GPU, a quarter of what the weights leave.
    """
    weights = sum(held_bytes(each) for each in model.parameters())
    gpus = [each.capacity_bytes for each in devices if each.kind == "cuda"]
    if gpus:
        return max(0, sum(gpus) - weights) // 2, processor().capacity_bytes // 8
    return max(0, devices[0].capacity_bytes - weights) // 4, 0


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text.lower()


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
