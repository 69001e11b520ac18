"""torch.compile beside threads that answer and load: what each is told, and what waits for what."""

from __future__ import annotations

import threading

# Held while weights are loaded and while things are compiled. transformers sets the default dtype
# of the whole process for the one, and torch.compile sets back what it was when the other began.
exclusive = threading.Lock()
RECOMPILED = 64  # once for each device and kind of model in this process


def allow_compiled() -> None:
    """For every thread that runs compiled functions: newer torches keep these settings by thread.

    While another thread compiles, they run as they are written; torch would raise an error.
    """
    import torch._dynamo

    config = torch._dynamo.config
    config.recompile_limit = max(RECOMPILED, config.recompile_limit)
    config.error_on_nested_fx_trace = False
