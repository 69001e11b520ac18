"""From frames and a rendered conversation to what the model takes; by words alone the next time.

Who waits for a turn can have it made in the machine's memory meanwhile, to be copied when it comes.

What stands for a video in a prompt follows from the video and its plan. Once it has been seen, the
prompt of another question about them is put together from it and the words, without any frame.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from core.engine.base import Request
from core.engine.pieces import in_pieces
from core.engine.runs import Runs
from core.planning.card import ModelCard
from core.planning.measured import Sampled, told
from core.planning.memory import goes_in_chunks
from core.planning.prompt import writer_for

KEPT_VIDEOS = 256
PIXELS = "pixel_values"  # how the names of what frames become begin
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
    """

    def __init__(self, card: ModelCard, processor: Any, device: str, dtype: Any) -> None:
        self._card, self._processor = card, processor
        self._pieces = goes_in_chunks(card)
        self._asked = _with_runs(processor) if self._pieces else processor
        self._device, self._dtype = device, dtype
        self._begun: OrderedDict[Hashable, _Begun] = OrderedDict()
        self._turn = threading.RLock()  # at the processor

    def knows(self, video: Hashable) -> bool:
        """Whether the prompt of a question about it can be made without its frames."""
        return video in self._begun

    def ids(self, request: Request) -> list[int] | None:
        """The prompt's tokens without its frames; None where it cannot be made without them.

        Takes no turn, and no tokenizer that another thread is using.
        """
        begun = self._begun.get(request.video)
        before, after = self._parted(request)
        if begun is None or begun.text != before:
            return None
        begin: list[int] = begun.inputs["input_ids"][0, : begun.length].tolist()
        return begin + (writer_for(self._card, request.plan.route).ids(after) or [UNKNOWN])

    def inputs(self, request: Request) -> dict[str, Any]:
        """What the model takes, frames as they are: neither sampled nor resized again.

        Without frames, pixels are a stand-in of their shape that holds no memory: the tower is not
        going to look at them.

        Raises:
            KeyError: there are no frames, and the video is not known.
        """
        if request.frames is None:
            return self._by_words(request)
        with self._turn:
            return self._made(request, self._device)

    def ahead(self, request: Request) -> dict[str, Any]:
        """The same of a request with frames in the machine's memory, for ``placed``."""
        with self._turn:
            made = self._made(request, "cpu")
        if not self._device.startswith("cuda"):
            return made
        return {
            name: each.pin_memory() if _is_tensor(each) else each for name, each in made.items()
        }

    def placed(self, made: dict[str, Any]) -> dict[str, Any]:
        """What was made ahead, on the device; ``made`` has to stay until the device has read it."""
        return {
            name: each.to(self._device, non_blocking=True) if _is_tensor(each) else each
            for name, each in made.items()
        }

    def _made(self, request: Request, device: str) -> dict[str, Any]:
        inputs = self._processed(request, device)
        if request.video is not None:
            self._remember(request, inputs)
        return inputs

    def _by_words(self, request: Request) -> dict[str, Any]:
        before, after = self._parted(request)
        begun = self._begun[request.video]
        if before != begun.text:
            raise KeyError(before)
        inputs = self._continued(begun, self._tokens(after, request.plan.route))
        self._begun.move_to_end(request.video)
        return inputs

    def _parted(self, request: Request) -> tuple[str, str]:
        """The prompt's words before its video, and after."""
        marker = self._card.route(request.plan.route).text.marker
        before, _, after = request.prompt.partition(marker)
        return before, after

    def _processed(self, request: Request, device: str) -> dict[str, Any]:
        """What shapes say of the whole video, and its pixels piece by piece where that is the same.

        Only a class whose resizing nothing else can do (plan.measured says so) does its own.
        """
        import torch

        assert request.frames is not None
        frames = torch.from_numpy(request.frames.pixels).permute(0, 3, 1, 2)
        whole = frames.to("meta" if self._pieces else device)
        made = {}
        for name, value in self._whole(request, whole).items():
            if not _is_tensor(value):
                made[name] = value
            elif name.startswith(PIXELS) and value.is_meta:
                made[name] = torch.empty(value.shape, dtype=self._dtype, device=device)
                in_pieces(
                    self._processor.video_processor,
                    frames,
                    made[name],
                    together=self._card.patches.temporal_patch_size,
                )
            elif name.startswith(PIXELS) and value.is_floating_point():
                made[name] = value.to(device, self._dtype)
            else:
                made[name] = value.to(device)
        return made

    def _whole(self, request: Request, pixels: Any) -> dict[str, Any]:
        plan = request.plan
        frames = Sampled(
            times=plan.times,
            height=plan.height,
            width=plan.width,
            duration_seconds=plan.duration_seconds,
        )
        found: dict[str, Any] = self._asked(
            text=[request.prompt],
            videos=[[pixels]],  # of the first text: some classes count them a text
            video_metadata=[told(frames)],
            do_sample_frames=False,
            do_resize=plan.measured is not None and plan.measured.resizes,
            return_metadata=True,  # some classes write their labels by it
            return_tensors="pt",
        )
        found.pop("video_metadata", None)
        return found

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
                name: each.cpu() if _is_tensor(each) else each
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


def _with_runs(processor: Any) -> Any:
    """The same processor with another tokenizer in its place."""
    tokens = (getattr(processor, name, None) for name in ("video_token", "image_token"))
    placeholders = [each for each in tokens if isinstance(each, str)]
    if not placeholders:
        return processor
    found = copy.copy(processor)
    found.tokenizer = Runs(processor.tokenizer, placeholders)
    return found


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)
