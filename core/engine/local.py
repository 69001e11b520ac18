"""A model in this process, through transformers: one code path for every class it knows."""

from __future__ import annotations

import gc
import logging
import os
import queue
import resource
import sys
import threading
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from core.engine.base import Event, Finished, FramesNeeded, Progress, Request, Started
from core.engine.fast import Fast
from core.engine.preparing import Preparer
from core.engine.reply import Either, Reply
from core.errors import Cancelled, CheckpointError, ContextOverflow, MemoryOverflow, SettingsError
from core.planning.card import ModelCard
from core.planning.forecast import run_dtype, weight_bytes
from core.planning.machine import GIB, Device, processor, this_machine

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 0.3


def load_engine(card: ModelCard, *, device: str = "auto") -> LocalEngine:
    """Load the checkpoint that ``card`` describes.

    Args:
        card: the checkpoint.
        device: "auto" (all CUDA devices, or else the processor), "cpu", "cuda" or "cuda:1".

    Raises:
        SettingsError: no such device here.
        CheckpointError: the weights or the processor's files cannot be loaded.
        MemoryOverflow: the weights do not fit.
    """
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    devices = choose_devices(device)
    _check_weights(card, devices)
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(card.source)
        model = AutoModelForImageTextToText.from_pretrained(
            card.source,
            dtype=getattr(torch, run_dtype(card, devices[0])),
            device_map=_device_map(card, devices),
        )
    except torch.OutOfMemoryError as error:
        raise MemoryOverflow(
            f"{card.name} does not fit: {error}", remedy="Choose a smaller model or more memory."
        ) from error
    except Exception as error:  # each file format and class has its own ways to fail
        raise CheckpointError(
            f"{card.name} cannot be loaded: {type(error).__name__}: {_short(error)}",
            remedy="Check that the download is complete and the installed transformers knows it.",
        ) from error
    return LocalEngine(card, model.eval(), processor, devices)


class LocalEngine:
    """One model that answers one request at a time; see core.engine.base.Engine."""

    capacity = 1

    def __init__(
        self, card: ModelCard, model: Any, processor: Any, devices: tuple[Device, ...]
    ) -> None:
        self.card = card
        self._model, self._processor, self._devices = model, processor, devices
        self._preparer = Preparer(card, processor, str(model.device), model.dtype)
        kept, away = _budgets(card, devices)
        self._fast = Fast.of(model, kept_bytes=kept, away_bytes=away)
        self._turn = threading.Lock()
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
        """Free the memory."""
        with self._turn:
            self._model = self._processor = self._fast = None
            _free_memory()

    def stream(self, request: Request, *, stop: threading.Event) -> Iterator[Event]:
        """Answer in a thread of its own and hand on what happens there; see Engine.stream."""
        if self._model is None:
            raise CheckpointError(
                f"{self.card.name} has been unloaded.", remedy="Load the model again."
            )
        events: queue.Queue[Event | BaseException] = queue.Queue()
        gone = threading.Event()
        worker = threading.Thread(
            target=self._work, args=(request, Either(stop, gone), events), daemon=True
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
        self, request: Request, stop: Either, events: queue.Queue[Event | BaseException]
    ) -> None:
        """Wait for the turn, run, and report whatever comes, errors included."""
        try:
            while not self._turn.acquire(timeout=HEARTBEAT_SECONDS):
                events.put(Progress(stage="waiting"))
                if stop.is_set():
                    reply = self._reply(stop, events)
                    reply.stopped = True
                    events.put(reply.finished())
                    return
            try:
                self._stop = stop
                self._answer(request, stop, events)
            finally:
                self._stop = threading.Event()
                self._turn.release()
        except BaseException as error:
            events.put(error)

    def _answer(
        self, request: Request, stop: Either, events: queue.Queue[Event | BaseException]
    ) -> None:
        import torch

        overflow: MemoryOverflow | None = None
        reply = self._reply(stop, events)
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
            overflow = self._overflow(reply.prompt_tokens, error)
        inputs = None
        if overflow is not None:
            _free_memory()  # only here, where no traceback holds the tensors any more
            raise overflow
        events.put(reply.finished(limit=request.reply_tokens, peak_bytes=self._peaks()))

    def _reply(self, stop: Either, events: queue.Queue[Event | BaseException]) -> Reply:
        return Reply(self._processor.tokenizer, stop, events)

    def _inputs(self, request: Request) -> dict[str, Any]:
        if request.frames is None and not (request.video and self.knows(request.video)):
            raise FramesNeeded
        try:
            return self._preparer.inputs(request)
        except KeyError:
            raise FramesNeeded from None

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


def choose_devices(device: str) -> tuple[Device, ...]:
    """What ``device`` means on this machine; see load_engine."""
    here = this_machine()
    if device == "auto":
        return here
    if device == "cpu":
        return (processor(),)
    found = tuple(each for each in here if each.name in (device, f"{device}:0"))
    if not found:
        names = ", ".join(each.name for each in here if each.kind == "cuda") or "no CUDA devices"
        raise SettingsError(
            f"There is no device {device!r}: this machine has {names}.",
            remedy="Choose auto or cpu, or one of the devices listed.",
        )
    return found


def _check_weights(card: ModelCard, devices: tuple[Device, ...]) -> None:
    """Refuse before loading what cannot end well: half-loaded weights take the machine down."""
    needed = weight_bytes(card, devices[0])
    available = sum(each.capacity_bytes for each in devices)
    if needed > available:
        names = ", ".join(each.name for each in devices)
        raise MemoryOverflow(
            f"The weights of {card.name} need {needed / GIB:.1f} GiB in "
            f"{run_dtype(card, devices[0])}; {names} have {available / GIB:.1f} GiB.",
            remedy="Choose a smaller checkpoint, or a machine with more memory.",
        )


def _device_map(card: ModelCard, devices: tuple[Device, ...]) -> Any:
    """All on the first device where it fits with a fifth to spare, otherwise spread."""
    first = devices[0]
    if len(devices) == 1 or weight_bytes(card, first) * 1.2 < first.capacity_bytes:
        return {"": first.name}
    return "auto"


def _budgets(card: ModelCard, devices: tuple[Device, ...]) -> tuple[int, int]:
    """Bytes that may be kept for later questions on the devices, and beside them in the machine.

    Half of what the weights leave; a request that needs it has it.
    """
    free = sum(each.capacity_bytes for each in devices) - weight_bytes(card, devices[0])
    if devices[0].kind != "cuda":
        return max(0, free // 4), 0
    return max(0, free // 2), processor().capacity_bytes // 8


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
