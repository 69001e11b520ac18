"""What a decoding process may take, held by the kernel; called inside that process only."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

OPEN_FILES = 128  # eight threads with a container each, and the libraries' own


def confine() -> None:
    """For good: no core dumps, no bytes written to files, few files open at once.

    Writing to a mapped file is not writing to a file, so that frames still come back.
    """
    with suppress(ImportError):  # no limits on this system: the deadline is left
        import resource

        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES)


def allow(*, more_bytes: int, cpu_seconds: float) -> None:
    """For the next job: so much address space and processor time beyond what is used by now.

    Past the first an allocation fails, past the second the kernel ends the process (SIGXCPU).
    """
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _soft(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + cpu_seconds) + 1)
        if sys.platform == "linux":  # elsewhere the limit is not kept
            _soft(resource.RLIMIT_AS, _pages(0) + more_bytes)


def resident_bytes() -> int:
    """Memory that this process holds now, shared libraries and mapped frames left out."""
    return max(0, _pages(1) - _pages(2)) if sys.platform == "linux" else 0


def _pages(field: int) -> int:
    """Size, resident, shared: bytes of this process as the kernel counts them."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[field]) * os.sysconf("SC_PAGE_SIZE")


def _limit(kind: int, value: int) -> None:
    """Both limits, so that it cannot be raised again; a lower one stays."""
    import resource

    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _soft(kind: int, value: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
