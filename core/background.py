"""Values that take a while, worked out in a thread of its own: the newest request first.

For a page that must not wait: it shows the last value with a mark until the new one is there.
Knows nothing of what is worked out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

KEPT_VALUES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest(Generic[Value]):
    """A value, and whether it is that of another request than the one asked about."""

    value: Value
    stale: bool


class Measurer(Generic[Key, Value]):
    """Works ``work(key)`` out for one key after the other; of those waiting the newest is kept."""

    def __init__(self, work: Callable[[Key], Value], *, ready: Callable[[Key], None]) -> None:
        """Call ``ready(key)``, in the working thread, whenever latest(key) has something new.

        It must not raise.
        """
        self._work, self._ready = work, ready
        self._lock = threading.Lock()
        self._found: OrderedDict[Key, Value | BaseException] = OrderedDict()
        self._last: Value | None = None
        self._under_way: Key | None = None
        self._waiting: Key | None = None

    def latest(self, key: Key) -> Latest[Value] | None:
        """The value of ``key``; until it is there the last one that was, marked; None at first.

        Raises:
            BaseException: whatever ``work(key)`` raised; what it raises is kept like a value.
        """
        with self._lock:
            if key not in self._found:
                self._ask(key)
                return None if self._last is None else Latest(value=self._last, stale=True)
            self._waiting = None  # whatever it was, it is not asked for any more
            self._found.move_to_end(key)
            found = self._found[key]
            if isinstance(found, BaseException):
                raise found
            self._last = found
            return Latest(value=found, stale=False)

    def _ask(self, key: Key) -> None:
        if self._under_way is None:
            self._under_way = key
            threading.Thread(target=self._run, args=(key,), daemon=True).start()
        else:
            self._waiting = None if key == self._under_way else key

    def _run(self, key: Key) -> None:
        following: Key | None = key
        while following is not None:
            key = following
            try:
                found: Value | BaseException = self._work(key)
            except BaseException as error:
                found = error
            following = self._keep(key, found)
            self._ready(key)

    def _keep(self, key: Key, found: Value | BaseException) -> Key | None:
        """Keep what was found, and take what to work out next."""
        with self._lock:
            self._found[key] = found
            if not isinstance(found, BaseException):
                self._last = found
            if len(self._found) > KEPT_VALUES:
                self._found.popitem(last=False)
            self._under_way, self._waiting = self._waiting, None
            return self._under_way
