"""A model's way from a prompt to its reply, with what it read and saw before put to use.

Does what transformers' ``generate`` does for one sequence: the tower in chunks of frames, the
prompt in chunks of tokens, only the tokens that are new, the last token's logits alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.engine import attention
from core.engine.compiling import allow_compiled, exclusive
from core.engine.decoding import Decoder
from core.engine.keeping import Conversation, Shelf, room_for
from core.engine.known import is_known, tower_of
from core.engine.nexts import OneByOne, Together
from core.engine.picking import Picker, ends_of
from core.engine.plain import Plain
from core.engine.relief import Relieved
from core.engine.remembering import Remembered
from core.engine.seen import Seen
from core.engine.taking import project_in_chunks, states_of
from core.engine.telling import Teller, cut, shift_of
from core.engine.tower import Tower, speed_up
from core.engine.writing import AHEAD, Row, Rows, Steps
from core.planning.execution import AS_STORED, Execution
from core.planning.keeping import VISION_SHARE
from core.planning.memory import PREFILL_CHUNK_TOKENS

if TYPE_CHECKING:
    import torch

    from core.planning.card import ModelCard

CHUNK_TOKENS = PREFILL_CHUNK_TOKENS
SPARED = (2, 2, 2, 1)  # where memory has run out, one part in so many goes, and one tries again


def execution_of(card: ModelCard, fast: Fast | None, execution: Execution = AS_STORED) -> Execution:
    """How a model is run that way, as far as the forecast of memory goes.

    What chunks take was measured for the families that say so; for others, at most the whole.
    """
    chunks = card.family.in_chunks and fast is not None and fast.tower is not None
    return replace(execution, in_chunks=chunks)


class Fast:
    """Runs one model; prompts are read one after the other, replies may be written side by side.

    Attributes:
        decoder: for devices with kernels; None where tokens go through the model's own layers.
        remembered: the conversations it has had.
        tower: the vision tower and what it saw; None where the class has none that is known.
    """

    def __init__(self, model: Any, *, kept_bytes: int, away_bytes: int) -> None:
        self._config = model.generation_config
        text = model.model.language_model
        self._teller = Teller(model)
        self._plain = Plain(model, self._teller)
        self.remembered = Remembered(
            text.layers,
            text.norm.weight.dtype,
            kept_bytes=kept_bytes,
            away_bytes=away_bytes,
        )
        module = tower_of(model.model)
        self.tower: Tower | None = None
        if module is not None:
            share = VISION_SHARE * len(set(self.remembered.places))
            seen = Seen(kept_bytes=kept_bytes // share, away_bytes=away_bytes // VISION_SHARE)
            self.tower = Tower(module, seen, states_of(model.model))
            project_in_chunks(model.model)
            speed_up(module)
        text.config._attn_implementation = attention.CAUSAL
        self.decoder = Decoder.of(text, model.lm_head)

    @staticmethod
    def of(model: Any, *, kept_bytes: int, away_bytes: int) -> Fast | None:
        """For the classes that it serves; None for others.

        Packed weights have no decoder: their tokens go through the model's own layers.
        """
        if not is_known(model):
            return None
        attention.register()
        return Fast(model, kept_bytes=kept_bytes, away_bytes=away_bytes)

    @property
    def conversations(self) -> Shelf[Conversation]:
        """What was read, on the devices."""
        return self.remembered.here

    @property
    def away(self) -> Shelf[Conversation]:
        """What was read, in the machine's memory."""
        return self.remembered.away

    def has_seen(self, video: Hashable) -> bool:
        """Whether what the tower made of this video is still there."""
        return self.tower is not None and video in self.tower.seen

    def shared(self, ids: list[int], video: Hashable) -> int:
        """How many tokens of this prompt would not be read again; for any thread."""
        return self.remembered.shared(ids, video, least=self._least(ids))

    def warm_up(self) -> None:
        """Compile and set up what can be, for a thread beside the first questions.

        Replies are written without graphs meanwhile, see Decoder, and with nothing that is
        compiled: what is ready is put to use when all is.
        """
        import torch

        if self.decoder is None:
            return
        self.decoder.graphs = False
        try:
            first = self.decoder.words.device
            with exclusive, torch.inference_mode(), torch.cuda.device(first):
                allow_compiled()
                ready = [self.decoder.compile(), *([self.tower.fuse()] if self.tower else [])]
                self.decoder.set_up(CHUNK_TOKENS)
                for put_to_use in ready:
                    put_to_use()
        finally:
            self.decoder.graphs = True

    def sparing(self, *, but: Hashable = None) -> Iterator[bool]:
        """Let go of half of what is kept, then of half of the rest, in the end of all.

        What was used least recently goes first, to the machine's memory where there is some. Gives
        True each time that something went.

        Args:
            but: a video that is asked about: what the tower made of it would only be made again.
        """
        for part in SPARED:
            gone = [self.remembered.spare(part)]
            if self.tower is not None:
                gone.append(self.tower.seen.spare(part, but=but))
            if any(gone):
                yield True

    def generate(
        self,
        inputs: dict[str, Any],
        *,
        video: Hashable | None,
        max_new_tokens: int,
        streamer: Any,
        look: Callable[[], None] = lambda: None,
    ) -> int:
        """Write the reply to ``streamer``, as transformers' generate would; see ``begin``.

        Returns:
            How many tokens of the prompt had been read before.
        """
        row, read = self.begin(
            inputs, video=video, max_new_tokens=max_new_tokens, streamer=streamer, look=look
        )
        self.write(row)
        return read

    def write(self, row: Row) -> None:
        """Go on with one reply by itself until it ends, and keep what it has read."""
        rows = self.rows()
        try:
            rows.join(row)
            while rows:
                rows.step()
        finally:
            self.leave(row)
        row.check()

    def rows(self) -> Relieved:
        """Where replies that were begun are gone on with."""
        rows = Rows(self._steps, ahead=0 if self.decoder is None else AHEAD)
        return Relieved(rows, self.remembered, self.sparing)

    def begin(
        self,
        inputs: dict[str, Any],
        *,
        video: Hashable | None,
        max_new_tokens: int,
        streamer: Any,
        look: Callable[[], None] = lambda: None,
    ) -> tuple[Row, int]:
        """Read a prompt and write the first token of its reply.

        Args:
            inputs: of the model's processor, on its device: one sequence. Pixels are taken out.
            video: names the video and its plan; what was kept of others is not used.
            max_new_tokens: the longest reply.
            streamer: its ``put`` is given every token, (1,), and may raise to end it.
            look: called before anything is moved, and before every layer while the prompt is read;
                may raise to end it.

        Returns:
            The reply, to be handed to ``leave`` when it has ended, and how many tokens of the
            prompt had been read before.
        """
        look()
        ids = inputs["input_ids"][0].tolist()
        if self.tower is not None:
            self.tower.video = video
            self.tower.seen.asked_about(video)
        kept, told = self._open(inputs, ids, video, room_for(len(ids) + max_new_tokens))
        read = len(kept.ids)
        self.remembered.use(kept)
        try:
            logits = self._read(ids, told, kept, look)
        except BaseException:
            if len(kept.ids) >= self._least(ids):
                self._keep(kept)
            raise
        picker = Picker(self._config, ids, max_new_tokens, logits.device)
        row = Row(
            kept,
            picker,
            streamer=streamer,
            limit=max_new_tokens,
            ends=ends_of(self._config),
            look=look,
        )
        row.show(picker.pick(logits).cpu())
        return row, read

    def leave(self, row: Row) -> None:
        """Keep what an ended reply has read."""
        self._keep(row.kept)

    def _least(self, ids: list[int]) -> int:
        """Tokens that a conversation must share to be gone on from: no part of a video."""
        return max(1, self._teller.after_video(ids))

    def _keep(self, kept: Conversation) -> None:
        if kept.video is not None:
            self.remembered.keep(kept)

    def _open(
        self, inputs: dict[str, Any], ids: list[int], video: Hashable | None, room: int
    ) -> tuple[Conversation, dict[str, Any]]:
        """Buffers with as much read as any conversation shares, and what is told of the rest."""
        kept = self.remembered.open(ids, video, room=room, least=self._least(ids))
        if kept is not None:
            read = len(kept.ids)
            return kept, self._teller.words(inputs["input_ids"][:, read:], read + kept.shift)
        told = self._teller.whole(inputs)
        kept = self.remembered.new(video, room)  # only now: what the tower needed a while is gone
        kept.shift = shift_of(told)
        return kept, told

    def _read(
        self,
        ids: list[int],
        told: dict[str, Any],
        kept: Conversation,
        look: Callable[[], None],
    ) -> torch.Tensor:
        """Read what is new of the prompt, chunk by chunk; the logits after its last token."""
        layers = self.decoder or self._plain
        begin = len(kept.ids)
        new = told["inputs_embeds"].shape[1]
        for start in range(0, new, CHUNK_TOKENS):
            end = min(start + CHUNK_TOKENS, new)
            last = layers.read(cut(told, start, end), kept, look)
            kept.ids += ids[begin + start : begin + end]
        return layers.finish(last)

    def _steps(self, rows: Sequence[Row]) -> Steps:
        if self.decoder is None:
            return OneByOne(rows, self._plain.after)
        return Together(rows, self.decoder.run(*(row.kept for row in rows)))
