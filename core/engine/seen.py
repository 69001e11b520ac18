"""What the vision tower made of videos, for whoever asks about them next; knows no tower.

Those asked about least recently move to the machine's memory, and go when that is full too.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from core.engine.keeping import Shelf
from core.engine.shortage import is_out_of_memory

if TYPE_CHECKING:
    import torch


class Seen:
    """A tower's outputs, by video.

    Changed by one thread at a time, the model's; any may ask what is there.

    Attributes:
        here, away: outputs on the tower's device, and in the machine's memory.
    """

    def __init__(self, *, kept_bytes: int, away_bytes: int) -> None:
        self.here: Shelf[Any] = Shelf(kept_bytes)
        self.away: Shelf[Any] = Shelf(away_bytes)

    def __contains__(self, video: Hashable) -> bool:
        return video in self.here or video in self.away

    def asked_about(self, video: Hashable) -> None:
        """Let this one be the last that would go."""
        for shelf in (self.here, self.away):
            shelf.get(video)

    def get(self, video: Hashable, device: torch.device) -> Any | None:
        """What was made of it, on ``device``; None where that is not kept."""
        found = self.here.get(video)
        if found is None and (away := self.away.get(video)) is not None:
            found = _moved(away, device)
            self.away.pop(video)
            self.put(video, found)
        return found

    def put(self, video: Hashable, found: Any) -> None:
        """Keep it; others move away for it, or it does where it is too large."""
        self._put_away(self.here.put(video, found, _nbytes(found)))

    def spare(self, part: int, *, but: Hashable = None) -> bool:
        """Move one part in so many away; False where nothing was. See Shelf.spare."""
        gone = self.here.spare(part, but=but)
        self._put_away(gone)
        return bool(gone)

    def _put_away(self, gone: list[tuple[Hashable, Any]]) -> None:
        """Into the machine's memory, where there is room."""
        for video, found in gone:
            size = _nbytes(found)
            if size > self.away.limit:
                continue
            try:
                away = _moved(found, "cpu")
            except (MemoryError, RuntimeError) as error:  # it is lost, and the request goes on
                if not is_out_of_memory(error):
                    raise
            else:
                self.away.put(video, away, size)


def _moved(found: Any, device: torch.device | str) -> Any:
    """A tensor, a tuple or list of such, or an output with such fields, copied to ``device``."""
    from accelerate.utils import send_to_device

    return send_to_device(found, device)


def _nbytes(found: Any) -> int:
    import torch

    if isinstance(found, torch.Tensor):
        return int(found.nbytes)
    values = found.values() if hasattr(found, "values") else found
    return sum(_nbytes(each) for each in values if each is not None)
