"""Memory that two processes share: a nameless file mapped by both, gone with the last of them.

Not /dev/shm, which containers cut to 64 MB and where a killed process leaves its files behind.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from types import TracebackType


class Buffer:
    """``size`` bytes of zeros to be filled by a worker; the file is closed on leaving ``with``.

    ``mapping`` lives on for as long as anything refers to it.
    """

    def __init__(self, size: int) -> None:
        """Map ``size`` bytes, at least one.

        Raises:
            OSError: the system has not so much.
        """
        self.size = size
        self.descriptor = _nameless_file(size)
        try:
            self.mapping = mmap.mmap(self.descriptor, size)
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> Buffer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)


def _nameless_file(size: int) -> int:
    if sys.platform != "linux":
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    import fcntl

    descriptor = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(descriptor, size)
        # a worker that made the file shorter would end the page with SIGBUS at its next look
        sealed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, sealed)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
