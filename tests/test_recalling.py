"""What earlier questions teach and what they do not: a truth table; and what the store is asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.asking import Foreseen, foresee
from core.engine.base import Finished
from core.planning import Rates, Reused, Settings, Turn, load_card
from core.planning.forecast import reusing
from core.planning.machine import processor
from core.planning.seconds import KEPT_PIXELS, NOTHING
from core.recalling import learned, recalled
from core.video import describe_video, probe
from core.video.digest import learn
from core.video.store import FrameStore
from fake_engine import FakeEngine

RATES = Rates(decoded_pixels=1e8, vision_flops=1e11, prefill_flops=1e11, weight_bytes=1e10)
STORED, KNOWN = Reused(reading="store"), Reused(reading="none")
SEEN, READ = Reused(seen=True), Reused(tokens=100, seen=True)


@pytest.fixture
def foreseen(tiny_model: Path) -> Foreseen:
    info = describe_video(width=640, height=360, duration_seconds=60, frame_rate=30)
    turns, devices = [Turn("user", "What?")], (processor(),)
    return foresee(info, Settings(), load_card(tiny_model), turns, devices=devices, rates=RATES)


def _after(foreseen: Foreseen, foretold: Reused, happened: Reused, *, tokens: int = 10) -> Rates:
    """The rates after an answer of which each part took twice as long as the whole would."""
    seconds = foreseen.estimate.seconds
    read = 2 * seconds.read
    finished = Finished(
        prompt_tokens=900,
        reply_tokens=tokens,
        read_seconds=read,
        seconds_to_first_token=read + 2 * (seconds.vision + seconds.prefill),
        tokens_per_second=1 / (2 * seconds.per_token),
        reused=happened,
        peak_bytes=(0,),
        reason="end",
    )
    estimate = reusing(foreseen.estimate, foreseen.card, foretold)
    return learned(RATES, replace(foreseen, estimate=estimate), finished)


@pytest.mark.parametrize(
    ("foretold", "happened", "decoder", "prompt"),
    [
        (NOTHING, NOTHING, True, True),
        (STORED, STORED, False, True),
        (KNOWN, KNOWN, False, True),
        (NOTHING, STORED, False, True),
        (STORED, NOTHING, False, True),
        (SEEN, SEEN, True, False),
        (READ, READ, True, False),
        (NOTHING, SEEN, True, False),
        (NOTHING, READ, True, False),
        (READ, NOTHING, True, False),
        (replace(READ, reading="none"), NOTHING, False, False),
        (NOTHING, replace(READ, reading="none"), False, False),
    ],
    ids=[
        "all was done", "stored", "known", "stored meanwhile", "spoilt meanwhile", "seen",
        "read before", "seen meanwhile", "read meanwhile", "forgotten meanwhile",
        "forgotten with its frames", "known meanwhile",
    ],
)  # fmt: skip
def test_a_part_teaches_where_all_of_it_was_done(
    foretold: Reused, happened: Reused, decoder: bool, prompt: bool, foreseen: Foreseen
) -> None:
    after = _after(foreseen, foretold, happened)
    assert after.decoded_pixels == pytest.approx(RATES.decoded_pixels / (2 if decoder else 1))
    assert after.vision_flops == pytest.approx(RATES.vision_flops / (2 if prompt else 1))
    assert after.prefill_flops == pytest.approx(RATES.prefill_flops / (2 if prompt else 1))
    assert after.weight_bytes == pytest.approx(RATES.weight_bytes / 2)


def test_what_was_stopped_before_its_first_word_teaches_nothing(foreseen: Foreseen) -> None:
    assert _after(foreseen, NOTHING, NOTHING, tokens=0) == RATES


@pytest.fixture
def stored(tmp_path: Path, clip_file: Callable[[str], Path]) -> tuple[Path, FrameStore]:
    """A clip of its own, hashed as the page hashes what is opened, and a store."""
    path = Path(shutil.copy(clip_file("h264.mp4"), tmp_path / "clip.mp4"))
    learn(path)
    store = FrameStore(tmp_path / "store")
    return path, store


def _foretold(path: Path, store: FrameStore, model: Path, fps: float = 2.0) -> Foreseen:
    card = load_card(model)
    found = foresee(
        probe(path),
        Settings(fps=fps, max_frame_tokens=16),
        card,
        [Turn("user", "What?")],
        devices=(processor(),),
    )
    return recalled(found, FakeEngine(card), frames_from=store)


def _keep(found: Foreseen, store: FrameStore) -> None:
    plan = found.plan
    store.keep(found.info, plan.indices, height=plan.height, width=plan.width)


def test_the_store_is_asked_and_reads_nothing(
    stored: tuple[Path, FrameStore], tiny_model: Path
) -> None:
    path, store = stored
    first = _foretold(path, store, tiny_model)
    assert first.estimate.reused == NOTHING
    _keep(first, store)
    again = _foretold(path, store, tiny_model)
    assert again.estimate.reused == STORED
    plan = again.plan
    pixels = len(plan.indices) * plan.height * plan.width
    assert again.estimate.seconds.read == pixels / KEPT_PIXELS != first.estimate.seconds.read
    assert _foretold(path, store, tiny_model, fps=1.0).estimate.reused == NOTHING


def test_a_copy_is_known_once_it_was_hashed(
    stored: tuple[Path, FrameStore], tiny_model: Path
) -> None:
    """Asking does not read a whole file; the page hashes what is opened anyway."""
    path, store = stored
    _keep(_foretold(path, store, tiny_model), store)
    twin = Path(shutil.copy(path, path.with_name("twin.mp4")))
    assert _foretold(twin, store, tiny_model).estimate.reused == NOTHING
    learn(twin)
    assert _foretold(twin, store, tiny_model).estimate.reused == STORED


def test_a_video_without_a_file_is_not_in_the_store(foreseen: Foreseen, tmp_path: Path) -> None:
    found = recalled(foreseen, FakeEngine(foreseen.card), frames_from=FrameStore(tmp_path))
    assert found.estimate.reused == NOTHING
