"""What devices use while an answer runs, beside what was foretold; knows no components."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.engine.live import in_use
from core.planning import Device
from core.planning.memory import DeviceMemory
from ui import texts
from ui.render import size

EVERY_SECONDS = 1.0
Asked = Callable[[Sequence[Device]], tuple[int | None, ...]]


class Live:
    """Looks once a second, however often it is asked."""

    def __init__(
        self, foretold: Sequence[DeviceMemory], kept: Sequence[int], asked: Asked = in_use
    ) -> None:
        self._foretold, self._kept, self._asked = tuple(foretold), tuple(kept), asked
        self._looked = float("-inf")

    def news(self) -> dict[str, str]:
        """The page's update: empty until there is something new."""
        if time.monotonic() - self._looked < EVERY_SECONDS:
            return {}
        self._looked = time.monotonic()
        used = self._asked([each.device for each in self._foretold])
        return {"live": shown(self._foretold, self._kept, used)}


def shown(foretold: Sequence[DeviceMemory], kept: Sequence[int], used: Sequence[int | None]) -> str:
    """A bar for each device that tells, with a mark at the foretold peak, as HTML.

    ``kept`` is what earlier questions may have left beside it.
    """
    rows = [
        _row(memory, more, now)
        for memory, more, now in zip(foretold, kept, used, strict=True)
        if now is not None
    ]
    return f'<div class="fw-live">{texts.IN_USE}{"".join(rows)}</div>' if rows else ""


def _row(memory: DeviceMemory, kept: int, now: int) -> str:
    total = max(memory.device.capacity_bytes, memory.peak, now, 1)
    words = texts.NOW_AND_FORETOLD.format(size(now), size(memory.peak))
    words += texts.AND_KEPT.format(size(kept)) if kept else ""
    return (
        f'<div class="fw-device"><span>{memory.device.name}</span>'
        '<div class="fw-bar fw-live-bar">'
        f'<i class="fw-weights" style="width:{100 * now / total:.2f}%"></i>'
        f'<u style="left:{100 * memory.peak / total:.2f}%"></u></div>'
        f'<b class="fw-amount">{words}</b></div>'
    )
