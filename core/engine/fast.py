"""A model's way from a prompt to its reply, with what it read and saw before put to use.

Does what transformers' ``generate`` does for one sequence: the tower in chunks of frames, the
prompt in chunks of tokens, only the tokens that are new, the last token's logits alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.engine import attention
from core.engine.decoding import Decoder, position_axes
from core.engine.keeping import Conversation, Shelf, room_for, shared_length
from core.engine.picking import Picker, ends_of
from core.engine.tower import Tower, speed_up
from core.planning.memory import AS_STORED, PREFILL_CHUNK_TOKENS, Execution

if TYPE_CHECKING:
    import torch

CHUNK_TOKENS = PREFILL_CHUNK_TOKENS
SET_UP_TOKENS = 65536
VISION_SHARE = 4  # of what may be kept, one part in so many is for what the tower saw


def execution_of(fast: Fast | None, execution: Execution = AS_STORED) -> Execution:
    """How a model is run that way, as far as the forecast of memory goes."""
    return replace(execution, in_chunks=fast is not None and fast.tower is not None)


class _Heard(Exception):
    """What was asked for has been heard; the model need not go on."""


class Fast:
    """Runs one model, one request at a time.

    Attributes:
        decoder: for devices with kernels; None where tokens go through the model's own layers.
        conversations, away: what was read, on the devices and in the machine's memory.
        tower: the vision tower and what it saw; None where the class has none that is known.
    """

    def __init__(self, model: Any, *, kept_bytes: int, away_bytes: int) -> None:
        self._model, self._wrapper = model, model.model
        self._text, self._head = model.model.language_model, model.lm_head
        self._pictures = _picture_tokens(model.config)
        self._axes = position_axes(self._text)
        self._numbers = itertools.count()
        self.conversations: Shelf[Conversation] = Shelf(kept_bytes)
        self.away: Shelf[Conversation] = Shelf(away_bytes)
        module = _tower_of(self._wrapper)
        self.tower = None if module is None else Tower(module, Shelf(kept_bytes // VISION_SHARE))
        if module is not None:
            speed_up(module)
        self._text.config._attn_implementation = attention.CAUSAL
        self.decoder = Decoder.of(self._text, self._head)

    @staticmethod
    def of(model: Any, *, kept_bytes: int, away_bytes: int) -> Fast | None:
        """For classes whose text layers take embeddings and see all that was before.

        None for others, and where weights wait in the machine's memory. Packed ones have no
        decoder: their tokens go through the model's own layers.
        """
        text = getattr(getattr(model, "model", None), "language_model", None)
        layers = getattr(text, "layers", ())
        attending = [getattr(layer, "self_attn", None) for layer in layers]
        kinds = set(getattr(getattr(text, "config", None), "layer_types", None) or ())
        if (
            not attending
            or not all(hasattr(each, "k_proj") for each in attending)
            or not kinds <= {"full_attention"}
            or not hasattr(model, "lm_head")
            or not hasattr(text, "rotary_emb")
            or not getattr(text, "_supports_attention_backend", False)
            or any(each.is_meta for each in model.parameters())
        ):
            return None
        attention.register()
        return Fast(model, kept_bytes=kept_bytes, away_bytes=away_bytes)

    def has_seen(self, video: Hashable) -> bool:
        """Whether what the tower made of this video is still there."""
        return self.tower is not None and video in self.tower.shelf

    def warm_up(self) -> None:
        """Compile and set up what can be, for a thread beside the first questions."""
        import torch

        if self.decoder is None:
            return
        with torch.inference_mode():
            self.decoder.compile()
            if self.tower is not None:
                self.tower.fuse()
            kept = self._new(None, room_for(1))
            self.decoder.run(kept).start(torch.zeros(1, dtype=torch.long))
            self._set_up_attention()

    def _set_up_attention(self) -> None:
        """Go through the shapes of a long prompt's chunks once."""
        import torch

        assert self.decoder is not None
        shape, device = self.decoder.shape, self.decoder.stages[0].device
        like = self._text.norm.weight.new_empty
        query = like((1, shape.heads, CHUNK_TOKENS, shape.head_size), device=device)
        for past in range(0, SET_UP_TOKENS, CHUNK_TOKENS):
            tokens = past + CHUNK_TOKENS
            keys = like((tokens, shape.key_heads, shape.head_size), device=device)
            rows = keys.transpose(0, 1)[None]
            attention.causal(None, query, rows, rows, None, scaling=shape.scaling)
        torch.cuda.synchronize(device)

    def forget(self) -> bool:
        """Drop all that is kept; False where nothing was."""
        shelves = [self.conversations, self.away, *([self.tower.shelf] if self.tower else [])]
        gone = [shelf.shrink(0) for shelf in shelves]
        return any(gone)

    def generate(
        self,
        inputs: dict[str, Any],
        *,
        video: Hashable | None,
        max_new_tokens: int,
        streamer: Any,
        look: Callable[[], None] = lambda: None,
    ) -> int:
        """Write the reply to ``streamer``, as transformers' generate would.

        Args:
            inputs: of the model's processor, on its device: one sequence. Pixels are taken out.
            video: names the video and its plan; what was kept of others is not used.
            max_new_tokens: the longest reply.
            streamer: its ``put`` is given every token, (1,), and may raise to end it.
            look: called before every layer while the prompt is read; may raise to end it.

        Returns:
            How many tokens of the prompt had been read before.
        """
        ids = inputs["input_ids"][0].tolist()
        if self.tower is not None:
            self.tower.video = video
            self.tower.shelf.get(video)  # asked about: the last that would go
        room = room_for(len(ids) + max_new_tokens)
        kept = self._open(ids, video, room)
        read = len(kept.ids)
        try:
            told = self._tail(inputs["input_ids"][:, read:], kept) if read else self._told(inputs)
            if not read:  # only now: what the tower needs for a while is gone
                self._make_room(room * self._token_bytes)
                kept = self._new(video, room)
                kept.shift = _shift(told)
            logits = self._read(ids, told, kept, look)
            self._write(kept, ids, logits, max_new_tokens, streamer)
        finally:
            if video is not None and len(kept.ids) >= max(1, self._after_video(ids)):
                gone = self.conversations.put(next(self._numbers), kept, kept.nbytes)
                self._put_away(gone)
        return read

    def _open(self, ids: list[int], video: Hashable | None, room: int) -> Conversation:
        """Buffers for so many tokens, with as much read as any conversation shares."""
        number, shared = self._longest(ids, video)
        if number is None:
            return Conversation(video)
        kept = self._take(number, shared)
        if kept.room < room:
            self._make_room(room * self._token_bytes)
            kept = kept.resized(room, keep=shared)
        del kept.ids[shared:]
        return kept

    def _longest(self, ids: list[int], video: Hashable | None) -> tuple[Hashable | None, int]:
        """Which conversation about this video begins like ``ids``, and for how many tokens."""
        least = max(1, self._after_video(ids))  # no part of a video
        best: tuple[Hashable | None, int] = (None, least - 1)
        if video is not None:
            for number, each in (*self.conversations, *self.away):
                shared = min(shared_length(each.ids, ids), len(ids) - 1)
                if each.video == video and shared > best[1]:
                    best = number, shared
        return best if best[0] is not None else (None, 0)

    def _take(self, number: Hashable, shared: int) -> Conversation:
        """The conversation out of its shelf; a copy where others may go on from where it is."""
        kept = self.conversations.get(number) or self.away.get(number)
        assert kept is not None
        if number in self.away:
            self.away.pop(number)
            self._make_room(kept.nbytes)
            return kept.moved([_device_of(layer) for layer in self._text.layers])
        if shared < len(kept.ids):
            self._make_room(kept.nbytes)
            return kept.resized(kept.room, keep=shared)
        self.conversations.pop(number)
        return kept

    def _make_room(self, nbytes: int) -> None:
        self._put_away(self.conversations.shrink(max(0, self.conversations.limit - nbytes)))

    def _put_away(self, gone: list[tuple[Hashable, Conversation]]) -> None:
        """Into the machine's memory, where there is room."""
        import torch

        places = [torch.device("cpu")] * len(self._text.layers)
        for number, each in gone:
            if self._token_bytes * len(each.ids) <= self.away.limit:
                away = each.moved(places)
                self.away.put(number, away, away.nbytes)

    def _after_video(self, ids: list[int]) -> int:
        """The number of the first token after all that stand for pictures."""
        return next((n + 1 for n in range(len(ids) - 1, -1, -1) if ids[n] in self._pictures), 0)

    @property
    def _token_bytes(self) -> int:
        return self._new(None, 1).nbytes

    def _new(self, video: Hashable | None, room: int) -> Conversation:
        like, shapes = self._text.norm.weight.new_empty, []
        for layer in self._text.layers:
            size = layer.self_attn.head_dim
            heads = layer.self_attn.k_proj.out_features // size
            shapes.append(((room, heads, size), _device_of(layer)))
        keys, values = ([like(shape, device=place) for shape, place in shapes] for _ in "kv")
        return Conversation(video, keys=keys, values=values)

    def _read(
        self,
        ids: list[int],
        told: dict[str, Any],
        kept: Conversation,
        look: Callable[[], None],
    ) -> torch.Tensor:
        """Read what is new of the prompt, chunk by chunk; the logits after its last token."""
        from core.engine.cache import cache_of

        begin = len(kept.ids)
        cache = cache_of(kept)
        new = told["inputs_embeds"].shape[1]
        for start in range(0, new, CHUNK_TOKENS):
            end = min(start + CHUNK_TOKENS, new)
            chunk = _cut(told, start, end)
            if self.decoder is not None:
                last = self.decoder.read(chunk, kept, look)
            else:
                found = self._text(
                    **chunk, past_key_values=cache, use_cache=True, attention_mask=None
                )
                last = found.last_hidden_state[:, -1]
            kept.ids += ids[begin + start : begin + end]
        return self._logits(last) if self.decoder is None else self.decoder.finish(last)

    def _told(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the model tells its text layers about a prompt: embeddings, positions and more."""
        found: dict[str, Any] = {}

        def listen(_module: Any, _args: Any, told: dict[str, Any]) -> None:
            found.update(told)
            raise _Heard

        handle = self._text.register_forward_pre_hook(listen, with_kwargs=True)
        try:
            self._wrapper(**inputs, use_cache=False)
        except _Heard:
            pass
        finally:
            handle.remove()
        for name in ("input_ids", "attention_mask", "past_key_values", "use_cache"):
            found.pop(name, None)
        for name in [name for name in inputs if name.startswith("pixel_values")]:
            inputs.pop(name)  # a gigabyte that nothing needs any more
        if found.get("position_ids") is None:
            count = found["inputs_embeds"].shape[1]
            found["position_ids"] = self._positions(0, count)
        return found

    def _tail(self, ids: torch.Tensor, kept: Conversation) -> dict[str, Any]:
        """The same for words only, that follow what was read."""
        begin = len(kept.ids) + kept.shift
        return {
            "inputs_embeds": self._text.embed_tokens(ids),
            "position_ids": self._positions(begin, begin + ids.shape[1]),
        }

    def _positions(self, begin: int, end: int) -> torch.Tensor:
        import torch

        device = _place_of(self._text.embed_tokens)
        places = torch.arange(begin, end, device=device)[None]
        return places if self._axes == 1 else places[None].expand(self._axes, 1, -1)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(hidden.to(_place_of(self._head)))
        return logits

    def _write(
        self,
        kept: Conversation,
        ids: list[int],
        logits: torch.Tensor,
        max_new_tokens: int,
        streamer: Any,
    ) -> None:
        """Token after token; each is shown, and may end it, before the next is worked out."""
        config = self._model.generation_config
        ends = ends_of(config)
        picker = Picker(config, ids, max_new_tokens, logits.device)
        token = picker.pick(logits)
        steps = self._steps(kept, token, picker)
        for count in range(max_new_tokens):
            shown = token.cpu()
            streamer.put(shown)
            if int(shown) in ends or count == max_new_tokens - 1:
                break
            kept_id = int(shown)
            token = next(steps)
            kept.ids.append(kept_id)
        streamer.end()

    def _steps(
        self, kept: Conversation, token: torch.Tensor, picker: Picker
    ) -> Iterator[torch.Tensor]:
        """Tokens after ``token``; each has been read by the time that the next one is asked for."""
        if self.decoder is None:
            while True:
                logits = self._one(token.view(1, 1), kept)
                token = picker.pick(logits)
                yield token
        run = self.decoder.run(kept)
        run.start(token)
        while True:
            run.step()
            assert run.logits is not None
            if not picker.greedy:
                run.token.copy_(picker.pick(run.logits))
            yield run.token

    def _one(self, token: torch.Tensor, kept: Conversation) -> torch.Tensor:
        """The logits after one more token, through the model's own layers."""
        from core.engine.cache import cache_of

        device = _place_of(self._text.embed_tokens)
        found = self._text(
            **self._tail(token.to(device), kept),
            past_key_values=cache_of(kept),
            use_cache=True,
            attention_mask=None,
        )
        return self._logits(found.last_hidden_state[:, -1])


def _cut(told: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """The tokens from start to end of what the text layers are told."""
    cut = dict(told)
    cut["inputs_embeds"] = told["inputs_embeds"][:, start:end]
    cut["position_ids"] = told["position_ids"][..., start:end]
    marks = told.get("visual_pos_masks")
    if marks is not None:
        first, last = int(marks[:, :start].sum()), int(marks[:, :end].sum())
        cut["visual_pos_masks"] = marks[:, start:end]
        added = told.get("deepstack_visual_embeds") or []
        cut["deepstack_visual_embeds"] = [each[first:last] for each in added]
        if first == last:
            cut["visual_pos_masks"] = cut["deepstack_visual_embeds"] = None
    return cut


def _shift(told: dict[str, Any]) -> int:
    """How far the last token's rotary position is from its number."""
    positions = told["position_ids"]
    return int(positions[..., -1].max()) + 1 - int(positions.shape[-1])


def _picture_tokens(config: Any) -> set[int]:
    names = ("image_token_id", "video_token_id", "image_token_index", "video_token_index")
    found = (getattr(config, name, None) for name in names)
    return {each for each in found if each is not None}


def _tower_of(wrapper: Any) -> Any:
    return getattr(wrapper, "visual", None) or getattr(wrapper, "vision_tower", None)


def _device_of(layer: Any) -> torch.device:
    return _place_of(layer.input_layernorm)


def _place_of(module: Any) -> torch.device:
    """Where it computes: weights that wait elsewhere are on no device until they are fetched."""
    import torch

    hook = getattr(module, "_hf_hook", None)
    if module.weight.device.type == "meta" and hook is not None:
        return torch.device(hook.execution_device)
    device: torch.device = module.weight.device
    return device
