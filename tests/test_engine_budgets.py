"""What may be kept for later questions: shares of what weights leave, and of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.engine.answering import Answering
from core.engine.fast import Fast
from core.planning import Device, load_card
from core.planning.keeping import VISION_SHARE
from core.planning.machine import processor as this_processor


@pytest.mark.parametrize("replicas", [1, 8])
def test_replicas_share_the_machines_memory(
    replicas: int, tiny_model: Path, processor: Any
) -> None:
    """An eighth for all of them; what each may keep on its GPU is its own."""
    from transformers import AutoModelForImageTextToText

    gpu = Device(name="cuda:0", kind="cuda", model="", capacity_bytes=2**33)
    network = AutoModelForImageTextToText.from_pretrained(tiny_model).eval()
    weights = sum(each.nbytes for each in network.parameters())
    found = Answering(load_card(tiny_model), network, processor, (gpu,), replicas).fast
    assert found is not None
    assert found.conversations.limit == (2**33 - weights) // 2
    away = this_processor().capacity_bytes // 8 // replicas
    assert found.away.limit == away
    assert found.tower is not None
    assert found.tower.seen.away.limit == away // VISION_SHARE


@pytest.mark.parametrize("devices", [1, 2])
def test_what_the_tower_saw_has_a_share_of_one_device(devices: int, tiny_model: Path) -> None:
    """It lies on the first one, however much all of them together may keep."""
    from transformers import AutoModelForImageTextToText

    network = AutoModelForImageTextToText.from_pretrained(tiny_model).eval()
    if devices == 2:
        network.model.language_model.layers[-1].to("meta")  # a device of its own
    fast = Fast(network, kept_bytes=devices * 2**30, away_bytes=0)
    assert fast.tower is not None
    assert fast.conversations.limit == devices * 2**30
    assert fast.tower.seen.here.limit == 2**30 // VISION_SHARE
