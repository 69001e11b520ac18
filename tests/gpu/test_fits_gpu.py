"""What the forecast says fits does not run out: real shapes in a part of a device's memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("gib", [10, 11, 13], ids="{}GiB".format)
def test_what_fits_does_not_run_out(gib: int) -> None:
    """In a process of its own, as what other tests left behind would count."""
    environment = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fits_alone.py")), str(gib)],
        capture_output=True,
        text=True,
        timeout=280,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["frames"] >= 64
    assert found["replies"] == [64, 8]
    assert found["reused"] > 0.9 * found["prompt"]
