"""Where a model is held before any question: with room for usual ones, or refused."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import pytest

from core.errors import MemoryOverflow, SettingsError
from core.planning import load_card, parse_devices
from core.planning.devices import GIB, Device
from core.planning.execution import MODES, Execution
from core.planning.holding import hold

HOST = Device(name="cpu", kind="cpu", model="", capacity_bytes=256 * GIB)
SMALL, LARGE = "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct"
EXPERTS = "Qwen/Qwen3-VL-30B-A3B-Instruct"


@pytest.mark.parametrize(
    ("model", "devices", "wanted", "layers"),
    [
        (SMALL, "H200", "auto", [28]),
        (SMALL, "T4,2xL4", "auto", [28, 28]),
        (LARGE, "2xH200", "auto", [39, 41]),
    ],
)
def test_held_before_any_question(model: str, devices: str, wanted: str, layers: list[int]) -> None:
    there, execution = hold(load_card(model), parse_devices(devices), Execution(placement=wanted))
    assert execution.layers is not None
    counts = [len(each) for each in execution.layers]
    assert len(there) == len(counts)
    assert sum(counts) == sum(layers)
    assert all(abs(one - two) <= 3 for one, two in zip(counts, layers, strict=True))


@pytest.mark.parametrize(
    ("model", "devices", "wanted", "error", "message", "remedy"),
    [
        (LARGE, "L4", "auto", MemoryOverflow, "need 136.7 GiB in bfloat16", "a smaller checkpoint"),
        (LARGE, "H100", "auto", MemoryOverflow, "cuda:0 have 79.6 GiB", "--quantize int8"),
        (EXPERTS, "L40S", "auto", MemoryOverflow, "need 57", "Choose a smaller checkpoint, or"),
        (
            EXPERTS,
            "L40S,H100",
            "replicas",
            MemoryOverflow,
            "fits on 1 of 2",
            "Choose --placement auto, a smaller",
        ),
        (LARGE, "2xH100", "single", MemoryOverflow, "need 136.7 GiB", "--placement auto"),
        (LARGE, "2xL40S", "replicas", MemoryOverflow, "need 136.7 GiB", "smaller"),
        (
            SMALL,
            "T4,L4",
            "replicas",
            MemoryOverflow,
            "fits on 1 of 2",
            "--placement auto, --quantize",
        ),
        (SMALL, "L4", "split", SettingsError, "takes several devices; there is cuda:0", "single"),
        (SMALL, "L4", "replicas", SettingsError, "takes several devices", "auto"),
    ],
)
def test_refused_with_what_would_fit(
    model: str, devices: str, wanted: str, error: Any, message: str, remedy: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        hold(load_card(model), parse_devices(devices), Execution(placement=wanted))
    assert remedy in caught.value.remedy


def test_the_machine_helps_before_it_is_refused() -> None:
    devices, execution = hold(load_card(LARGE), (*parse_devices("H100"), HOST))
    assert [each.name for each in devices] == ["cuda:0", "cpu"]
    assert execution.layers is not None
    assert sum(map(len, execution.layers)) == 80


@pytest.mark.parametrize(
    ("devices", "names"),
    [
        ("2GiB,80GiB", ["cuda:1", "cpu"]),
        ("80GiB,2GiB", ["cuda:0", "cpu"]),
        ("3GiB,2x46GiB", ["cuda:1", "cuda:2", "cpu"]),
        ("46GiB,3GiB,46GiB", ["cuda:0", "cuda:2", "cpu"]),
    ],
)
def test_a_gpu_that_others_fill_does_not_keep_the_machine_from_helping(
    devices: str, names: list[str]
) -> None:
    there, _ = hold(load_card(LARGE), (*parse_devices(devices), HOST))
    assert [each.name for each in there] == names


def test_a_split_is_over_several() -> None:
    with pytest.raises(MemoryOverflow) as caught:
        hold(load_card(SMALL), (*parse_devices("1GiB,80GiB"), HOST), Execution(placement="split"))
    assert "--placement auto" in caught.value.remedy


def test_replicas_that_are_asked_for_may_have_less_room() -> None:
    """18 GiB hold a 7B and 4,096 tokens of video, 24 GiB the usual 16,384."""
    two = parse_devices("24GiB,18GiB")
    there, _ = hold(load_card(SMALL), two, Execution(placement="replicas"))
    assert there == two
    assert hold(load_card(SMALL), two)[0] == two[:1]


def test_whatever_a_refusal_says_would_fit_does() -> None:
    """Over random machines; ``--placement auto`` is named wherever it helps."""
    random_, tried = random.Random(7), set()
    changes: dict[str, dict[str, Any]] = {
        "--placement auto": {"placement": "auto"},
        "--quantize int8": {"precision": "int8"},
        "--quantize int4": {"precision": "int4"},
    }
    for _ in range(60):
        sizes = [f"{random_.choice([1, 3, 9, 20, 28, 45, 80])}GiB" for _ in range(3)]
        devices, card = parse_devices(",".join(sizes)), load_card(random_.choice([SMALL, LARGE]))
        execution = Execution(placement=random_.choice(MODES))
        try:
            hold(card, devices, execution)
        except MemoryOverflow as refusal:
            for words, change in changes.items():
                if re.search(f"{words}\\b", refusal.remedy):
                    hold(card, devices, replace(execution, **change))
                    tried.add(words)
    assert tried == set(changes)


def test_a_card_is_held_by_its_own_shapes() -> None:
    card = load_card(LARGE)
    packed, execution = hold(card, parse_devices("H100"), Execution(precision="int4"))
    assert execution.layers == (range(card.text.layers),)
    assert [each.name for each in packed] == ["cuda:0"]
