"""Plans that take a while, since a model's real processor has to be asked; the page never waits.

While the new plan is worked out the last one stays, with a mark.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from core.asking import Foreseen, foresee
from core.background import Latest, Measurer
from core.planning import Device, ModelCard, Rates, Settings, Turn
from core.planning.execution import AS_STORED, Execution
from core.video.info import VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a plan is wanted for; see core.asking.foresee."""

    info: VideoInfo
    settings: Settings
    card: ModelCard
    turns: tuple[Turn, ...]
    devices: tuple[Device, ...]
    rates: Rates | None
    execution: Execution = AS_STORED

    def foresee(self) -> Foreseen:
        """The plan and its cost, however long it takes."""
        return foresee(
            self.info,
            self.settings,
            self.card,
            self.turns,
            devices=self.devices,
            rates=self.rates,
            execution=self.execution,
        )

    @property
    def quick(self) -> bool:
        """Whether that is arithmetic only."""
        return all(route.sizer != "measured" for route in self.card.routes)


class Pending:
    """The plans of one visitor."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self._measurer = Measurer(Wanted.foresee, ready=lambda _: self._news.set())

    def latest(self, wanted: Wanted) -> Latest[Foreseen] | None:
        """What is wanted, or what was there before it, marked; None where nothing was."""
        if wanted.quick:
            return Latest(value=wanted.foresee(), stale=False)
        return self._measurer.latest(wanted)

    def tell(self) -> None:
        """There is something new: what waits looks again."""
        self._news.set()

    def wait(self, seconds: float) -> None:
        """Wait until there is something new, or so long."""
        self._news.wait(seconds)
        self._news.clear()
