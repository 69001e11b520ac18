"""The errors a person can mend: what happened, with numbers, and what to do about it.

FramewiseError
├── VideoError          the file: not a video, cut off, too large, a frame that cannot be read
├── SettingsError       a setting out of its range, or settings that contradict each other
├── QuestionError       nothing asked
├── CheckpointError     not a checkpoint, not reachable, or of a family without rules
├── ContextOverflow     more tokens than the model can read
├── MemoryOverflow      more bytes than a device holds, foretold or met
└── Cancelled           the caller asked to stop
"""

from __future__ import annotations

from collections.abc import Mapping


class FramewiseError(Exception):
    """Something the user can mend.

    Args:
        message: what happened, one or two sentences, with the numbers.
        remedy: what to do now; empty when nothing can be done.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class VideoError(FramewiseError):
    """The file cannot be used as a video."""


class SettingsError(FramewiseError):
    """A setting is out of range, or two settings contradict each other."""


class QuestionError(FramewiseError):
    """There is no question to answer."""


class CheckpointError(FramewiseError):
    """The model cannot be found, read or planned for."""


class ContextOverflow(FramewiseError):
    """The prompt and the reply need more tokens than the model's context has."""


class MemoryOverflow(FramewiseError):
    """A device has less memory than the request needs.

    Args:
        free_bytes: by the names of devices, what could be had beside the weights when memory ran
            out; empty where that was foretold.
    """

    def __init__(
        self, message: str, *, remedy: str = "", free_bytes: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.free_bytes = dict(free_bytes or {})


class Cancelled(FramewiseError):
    """The caller set its stop event while work was under way."""

    def __init__(self) -> None:
        super().__init__("Stopped.")
