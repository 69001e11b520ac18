"""Memory that has run out: what says so, and how it is given back; knows no model."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from core.engine.stepping import capturing


def is_out_of_memory(error: BaseException) -> bool:
    """Whatever it is called on the device where it happened."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text.lower()
    )


def free_memory(own: Sequence[str]) -> None:
    """Give back what nothing holds any more on one's own CUDA devices.

    To torch only, where other replicas are at work on others: it empties the caches of all devices
    or none, and that beside another thread's kernels is suspect (see stepping.py).
    """
    import torch

    gc.collect()
    every = [f"cuda:{number}" for number in range(torch.cuda.device_count() if own else 0)]
    if own and not any(torch.cuda.memory_allocated(name) for name in every if name not in own):
        with capturing:
            for name in own:
                torch.cuda.synchronize(name)
            torch.cuda.empty_cache()


def bare(error: Exception) -> Exception:
    """Without the frames where it happened, and what happened before: they hold tensors."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)
