"""From frames and a rendered conversation to what the model takes; by words alone the next time.

Who waits for a turn can have it made in the machine's memory meanwhile, to be copied when it comes.

What stands for a video in a prompt follows from the video and its plan. Once it has been seen, the
prompt of another question about them is put together from it and the words, without any frame.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from core.engine.base import Request
from core.engine.processing import PIXELS, Processing, is_tensor
from core.engine.reply import LOOK_SECONDS
from core.planning.card import ModelCard
from core.planning.prompt import writer_for

KEPT_VIDEOS = 256
UNKNOWN = -1  # stands for words that cannot be tokenized here: no token is equal to it
OF_TOKENS = ("input_ids", "attention_mask", "mm_token_type_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A prompt up to the end of its video.

    Attributes:
        text: the words before the video.
        length: tokens up to the end of the video.
        inputs: all that the processor gave, without pixels, in the machine's memory.
        pixels: of each kind of pixels a stand-in of their shape that holds no memory.
    """

    text: str
    length: int
    inputs: dict[str, Any]
    pixels: dict[str, Any]


class Preparer:
    """Makes a model's inputs with its processor; threads take turns, as processors demand it.

    Not for words alone: who has the model would wait while another's frames are made ready.

    Where it is given a ``look``, that is called while a turn is waited for and before every piece
    of pixels, and may raise to end it.
    """

    def __init__(self, card: ModelCard, processor: Any, device: str, dtype: Any) -> None:
        self._card, self._processor = card, processor
        self._processing = Processing(card, processor, dtype)
        self._device = device
        self._begun: OrderedDict[Hashable, _Begun] = OrderedDict()
        self._turn = threading.RLock()  # at the processor

    def knows(self, video: Hashable) -> bool:
        """Whether the prompt of a question about it can be made without its frames."""
        return video in self._begun

    def ids(self, request: Request) -> list[int] | None:
        """The prompt's tokens without its frames; None where it cannot be made without them.

        Takes no turn, and no tokenizer that another thread is using.
        """
        begun, words = self._known(request)
        if begun is None:
            return None
        begin: list[int] = begun.inputs["input_ids"][0, : begun.length].tolist()
        return begin + (writer_for(self._card, request.plan.route).ids(words) or [UNKNOWN])

    def tokens(self, request: Request, look: Callable[[], None] = lambda: None) -> int:
        """The prompt's length, for which no pixels are made where shapes say it.

        Raises:
            KeyError: there are no frames, and the video is not known.
        """
        begun, words = self._known(request)
        if begun is not None:
            return begun.length + len(self._tokens(words, request.plan.route))
        if request.frames is None:
            raise KeyError(request.video)
        with self._own_turn(look):
            return self._processing.tokens(request)

    def inputs(self, request: Request, look: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """What the model takes, frames as they are: neither sampled nor resized again.

        Without frames, pixels are a stand-in of their shape that holds no memory: the tower is not
        going to look at them.

        Raises:
            KeyError: there are no frames, and the video is not known.
        """
        if request.frames is None:
            return self._by_words(request)
        with self._own_turn(look):
            return self._made(request, self._device, look)

    def ahead(self, request: Request, look: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The same of a request with frames in the machine's memory, for ``placed``."""
        with self._own_turn(look):
            made = self._made(request, "cpu", look)
        if not self._device.startswith("cuda"):
            return made
        return {name: each.pin_memory() if is_tensor(each) else each for name, each in made.items()}

    def placed(self, made: dict[str, Any]) -> dict[str, Any]:
        """What was made ahead, on the device; ``made`` has to stay until the device has read it."""
        return {
            name: each.to(self._device, non_blocking=True) if is_tensor(each) else each
            for name, each in made.items()
        }

    @contextmanager
    def _own_turn(self, look: Callable[[], None]) -> Iterator[None]:
        while not self._turn.acquire(timeout=LOOK_SECONDS):
            look()
        try:
            yield
        finally:
            self._turn.release()

    def _made(self, request: Request, device: str, look: Callable[[], None]) -> dict[str, Any]:
        inputs = self._processing.made(request, device, look)
        if request.video is not None:
            self._remember(request, inputs)
        return inputs

    def _by_words(self, request: Request) -> dict[str, Any]:
        begun, words = self._known(request)
        if begun is None:
            raise KeyError(request.video)
        inputs = self._continued(begun, self._tokens(words, request.plan.route))
        self._begun.move_to_end(request.video)
        return inputs

    def _known(self, request: Request) -> tuple[_Begun | None, str]:
        """What is known of its prompt's beginning, and the words after the video."""
        before, after = self._parted(request)
        begun = self._begun.get(request.video)
        return (None if begun is None or begun.text != before else begun), after

    def _parted(self, request: Request) -> tuple[str, str]:
        """The prompt's words before its video, and after."""
        marker = self._card.route(request.plan.route).text.marker
        before, _, after = request.prompt.partition(marker)
        return before, after

    def _remember(self, request: Request, inputs: dict[str, Any]) -> None:
        """Keep what comes again, where the words after the video are tokens of their own."""
        before, after = self._parted(request)
        video, ids = request.video, inputs["input_ids"][0].tolist()
        tail = self._tokens(after, request.plan.route)
        if not tail or ids[-len(tail) :] != tail:
            return
        self._begun[video] = _Begun(
            text=before,
            length=len(ids) - len(tail),
            inputs={
                name: each.cpu() if is_tensor(each) else each
                for name, each in inputs.items()
                if not name.startswith(PIXELS)
            },
            pixels={
                name: each.new_zeros((), device=self._device).expand(each.shape)
                for name, each in inputs.items()
                if name.startswith(PIXELS)
            },
        )
        self._begun.move_to_end(video)
        while len(self._begun) > KEPT_VIDEOS:
            self._begun.popitem(last=False)

    def _continued(self, begun: _Begun, words: list[int]) -> dict[str, Any]:
        import torch

        tail = torch.tensor([words])
        inputs = dict(begun.inputs)
        for name in OF_TOKENS:
            if name in inputs:
                begin = inputs[name][:, : begun.length]
                rest = {"input_ids": tail, "attention_mask": torch.ones_like(tail)}.get(
                    name, torch.zeros_like(tail)
                )
                inputs[name] = torch.cat((begin, rest.to(begin.dtype)), dim=1)
        return self.placed(inputs) | begun.pixels

    def _tokens(self, text: str, route: str) -> list[int]:
        """By a tokenizer that nobody takes turns at, where there is one."""
        found = writer_for(self._card, route).ids(text)
        if found is None:
            with self._turn:
                found = self._processor.tokenizer(text, add_special_tokens=False).input_ids
        return found
