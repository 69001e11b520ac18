"""Where a model is laid: as asked, with layers in the machine's memory only where nothing else
does, and never fuller than accelerate's own balance."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.planning import load_card, parse_devices
from core.planning.devices import GIB, Device
from core.planning.execution import MODES, Execution
from core.planning.memory import Load, load_of
from core.planning.placement import memory_on, place, settled

HOST = Device(name="cpu", kind="cpu", model="", capacity_bytes=256 * GIB)
SMALL, LARGE = "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct"


def _load(model: str, prompt: int = 4608) -> Load:
    return load_of(
        load_card(model),
        dtype="bfloat16",
        prompt=prompt,
        total=prompt + 512,
        patches=4 * prompt,
        execution=Execution(in_chunks=True),
    )


@pytest.mark.parametrize(
    ("model", "devices", "wanted", "mode", "used"),
    [
        (SMALL, "H200", "auto", "single", (0,)),
        (SMALL, "4xL4", "auto", "replicas", (0, 1, 2, 3)),
        (SMALL, "4xL4", "single", "single", (0,)),
        (SMALL, "L4,H200", "single", "single", (1,)),
        (SMALL, "4xL4", "replicas", "replicas", (0, 1, 2, 3)),
        (SMALL, "T4,2xL4", "replicas", "replicas", (1, 2)),
        (SMALL, "4xL4", "split", "split", (0, 1, 2, 3)),
        (SMALL, "L4", "split", "single", (0,)),
        (LARGE, "2xH100", "auto", "split", (0, 1)),
        (LARGE, "2xH200", "auto", "split", (0, 1)),
        (LARGE, "8xL4,H200", "single", "single", (8,)),
        (LARGE, "2xL4", "replicas", "single", (0,)),
    ],
)
def test_as_asked(model: str, devices: str, wanted: str, mode: str, used: tuple[int, ...]) -> None:
    there = parse_devices(devices)
    found = place(_load(model), there, Execution(placement=wanted))
    assert (found.mode, found.used) == (mode, used)


def test_no_such_placement() -> None:
    with pytest.raises(SettingsError, match="no placement 'pipeline'") as caught:
        Execution(placement="pipeline")
    assert all(mode in caught.value.remedy for mode in MODES)


def test_a_tied_head_is_with_the_embeddings_and_its_logits_too() -> None:
    untied = _load(SMALL)
    tied = replace(untied, last_weights=0)
    devices = parse_devices("2x12GiB")
    last = memory_on(untied, place(untied, devices), devices)[-1]
    assert last.ends == untied.last_weights
    assert last.activations == untied.layer + untied.logits
    first, last = memory_on(tied, place(tied, devices), devices)
    assert (first.ends, last.ends) == (tied.first_weights, 0)
    assert last.activations == tied.layer
    assert first.activations == tied.logits + max(
        tied.layer + tied.prompt, tied.tower - first.kv_cache
    )


def test_layers_wait_in_the_machine_only_where_nothing_else_helps() -> None:
    load, two = _load(LARGE), parse_devices("2xL40S")
    assert place(load, (*parse_devices("2xH100"), HOST)).mode == "split"
    assert place(_load(SMALL), (*two, HOST)).mode == "replicas"
    found = place(load, (*two, HOST))
    assert found.mode == "offload"
    assert [layer for layers in found.layers for layer in layers] == list(range(80))
    first, last, host = memory_on(load, found, (*two, HOST))
    assert host.weights == -(-load.layer_weights * len(found.layers[2]) // 80)
    assert host.kv_cache == 0
    assert last.kv_cache == -(-load.kv_cache * (80 - len(found.layers[0])) // 80)
    assert not any(each.missing for each in (first, last, host))
    packed = Execution(precision="int8")  # whose layers cannot come and go
    assert place(replace(load, layer_weights=100 * GIB), (*two, HOST), packed).mode == "split"
    small = replace(HOST, capacity_bytes=16 * GIB)
    assert place(load, (*two, small)).mode == "split"
    assert len(memory_on(load, place(load, (*two, small)), (*two, small))) == 2


def test_what_is_settled_stays() -> None:
    for model, text in ((LARGE, "2xL40S"), (LARGE, "2xH100"), (SMALL, "4xL4"), (SMALL, "T4,L4")):
        devices = (*parse_devices(text), HOST)
        load = _load(model)
        found = place(load, devices)
        there, execution = settled(found, devices, Execution())
        again = place(_load(model, 9000), there, execution)
        assert again.mode == found.mode
        before = [each for each in memory_on(load, found, devices) if each.peak]
        assert list(memory_on(load, place(load, there, execution), there)) == before


loads = st.builds(
    Load,
    layers=st.integers(1, 48),
    layer_weights=st.integers(0, 40 * GIB),
    first_weights=st.integers(0, 3 * GIB),
    last_weights=st.integers(0, 2 * GIB),
    kv_cache=st.integers(0, 8 * GIB),
    tower=st.integers(0, 4 * GIB),
    prompt=st.integers(0, GIB),
    layer=st.integers(0, GIB),
    logits=st.integers(0, GIB),
)
machines = st.tuples(
    st.lists(st.integers(1, 24 * GIB), min_size=1, max_size=8),
    st.sampled_from([0, 8 * GIB, 64 * GIB]),
    st.sampled_from(MODES),
)


def _machine(sizes: list[int], host: int) -> tuple[Device, ...]:
    gpus = tuple(
        Device(name=f"cuda:{number}", kind="cuda", model="", capacity_bytes=size)
        for number, size in enumerate(sizes)
    )
    return (*gpus, replace(HOST, capacity_bytes=host)) if host else gpus


@given(load=loads, machine=machines)
@settings(max_examples=300)
def test_every_layer_has_its_place(load: Load, machine: tuple[list[int], int, str]) -> None:
    sizes, host, wanted = machine
    devices = _machine(sizes, host)
    found = place(load, devices, Execution(placement=wanted))
    memory = memory_on(load, found, devices)
    assert len(found.layers) == len(devices)
    every = list(range(load.layers))
    if found.mode == "replicas":
        assert all(list(found.layers[number]) == every for number in found.used)
        assert all(not found.layers[n] for n in range(len(devices)) if n not in found.used)
        assert not any(each.missing for each in memory)
        assert all(memory[n] == load.whole(devices[n]) for n in found.used)
        return
    assert [layer for layers in found.layers for layer in layers] == every
    assert memory[found.used[0]].ends >= load.first_weights
    assert sum(each.ends for each in memory) == load.first_weights + load.last_weights
    if found.mode == "offload":
        assert not any(each.missing for each in memory)
        alone = place(load, devices[:-1], Execution(placement=wanted))
        assert any(each.missing for each in memory_on(load, alone, devices[:-1]))
    if not any(each.missing for each in memory):
        assert all(memory[n].layers or memory[n].peak > memory[n].reserve for n in found.used)
    held = {number for number, layers in enumerate(found.layers[: len(sizes)]) if layers}
    assert held <= set(found.used)


def _balanced_by_accelerate(load: Load, devices: tuple[Device, ...]) -> list[int] | None:
    """Layers of each device as accelerate would lay them; None where it keeps other ends.

    It is given what the forecast knows: ends that stay whole, and each device's reserve.
    """
    import torch
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    class Weights(torch.nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.held = torch.nn.Parameter(
                torch.empty(count, dtype=torch.uint8, device="meta"), requires_grad=False
            )

    model = torch.nn.Module()
    model.front = Weights(load.first_weights)
    each = load.layer_weights // load.layers
    model.layers = torch.nn.ModuleList(Weights(each) for _ in range(load.layers))
    model.head = Weights(load.last_weights)
    reserve = load.on(devices[0], range(0), first=False, last=False).reserve
    free = {n: max(0, device.capacity_bytes - reserve) for n, device in enumerate(devices)}
    whole = ["Weights"]
    most = get_balanced_memory(model, max_memory=dict(free), no_split_module_classes=whole)
    places = infer_auto_device_map(model, max_memory=most, no_split_module_classes=whole)
    at = [places.get(f"layers.{n}", places.get("layers")) for n in range(load.layers)]
    if places.get("front") != 0 or places.get("head") != len(devices) - 1:
        return None
    counts = [at.count(number) for number in range(len(devices))]
    return counts if sum(counts) == load.layers else None


def _fullest(load: Load, counts: list[int], devices: tuple[Device, ...]) -> int:
    last = len(devices) - 1
    return max(
        load.on(device, range(count), first=number == 0, last=number == last).peak
        - device.capacity_bytes
        for number, (device, count) in enumerate(zip(devices, counts, strict=True))
    )


def test_never_fuller_than_accelerates_own_balance() -> None:
    """Over hundreds of random machines, alike and unlike; by the device that is fullest."""
    random_, compared = random.Random(0), 0
    for _ in range(300):
        load = Load(
            layers=random_.randint(8, 40),
            layer_weights=random_.randint(8, 40) * GIB,
            first_weights=random_.randint(1, 3) * GIB,
            last_weights=random_.randint(1, 2) * GIB,
            kv_cache=random_.randint(0, 6) * GIB,
            tower=random_.randint(0, 6) * GIB,
            prompt=random_.randint(0, 2) * GIB // 2,
            layer=random_.randint(0, 2) * GIB // 2,
            logits=GIB // 1000,
        )
        count = random_.randint(2, 6)
        sizes = [random_.choice([12, 16, 24, 40]) * GIB] * count
        if random_.random() < 0.5:
            sizes = [random_.choice([12, 16, 24, 40]) * GIB for _ in range(count)]
        devices = _machine(sizes, 0)
        theirs = _balanced_by_accelerate(load, devices)
        ours = place(load, devices, Execution(placement="split"))
        if theirs is None or len(ours.used) < count:
            continue
        compared += 1
        found = [len(layers) for layers in ours.layers]
        assert _fullest(load, found, devices) <= _fullest(load, theirs, devices)
    assert compared >= 100
