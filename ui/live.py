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

    def __init__(self, foretold: Sequence[DeviceMemory], asked: Asked = in_use) -> None:
        self._foretold, self._asked = tuple(foretold), asked
        self._looked = float("-inf")

    def news(self) -> dict[str, str]:
        """The page's update: empty until there is something new."""
        if time.monotonic() - self._looked < EVERY_SECONDS:
            return {}
        self._looked = time.monotonic()
        return {"live": shown(self._foretold, self._asked([m.device for m in self._foretold]))}


def shown(foretold: Sequence[DeviceMemory], used: Sequence[int | None]) -> str:
    """A bar for each device that tells, with a mark at the foretold peak, as HTML."""
    rows = [
        _row(memory, now) for memory, now in zip(foretold, used, strict=True) if now is not None
    ]
    return f'<div class="fw-live">{texts.IN_USE}{"".join(rows)}</div>' if rows else ""


def _row(memory: DeviceMemory, now: int) -> str:
    total = max(memory.device.capacity_bytes, memory.peak, now, 1)
    words = texts.NOW_AND_FORETOLD.format(size(now), size(memory.peak))
    return (
        f'<div class="fw-device"><span>{memory.device.name}</span>'
        '<div class="fw-bar fw-live-bar">'
        f'<i class="fw-weights" style="width:{100 * now / total:.2f}%"></i>'
        f'<u style="left:{100 * memory.peak / total:.2f}%"></u></div>'
        f'<b class="fw-amount">{words}</b></div>'
    )
