"""The example clips: small, playable everywhere, and showing what their list says."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
EXAMPLES = tomllib.loads((FOLDER / "examples.toml").read_text(encoding="utf-8"))["example"]
DURATIONS = {"flash": 12, "order": 15, "motion": 10, "small": 8, "rare": 120}

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: Path(e["file"]).stem)


def test_every_clip_is_listed_once() -> None:
    assert sorted(e["file"] for e in EXAMPLES) == sorted(p.name for p in FOLDER.glob("*.mp4"))


@each_example
def test_entry_is_complete(example: dict) -> None:
    assert example["title"]
    assert example["shows"].endswith(".")
    assert 2 <= len(example["questions"]) <= 3
    assert example["try"]
    assert all(one["settings"] and one["note"] for one in example["try"])


@each_example
def test_clip_plays_everywhere(example: dict) -> None:
    path = FOLDER / example["file"]
    assert path.stat().st_size < 1_000_000
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (640, 360, 24)
        seconds = float(stream.duration * stream.time_base)
        assert seconds == pytest.approx(DURATIONS[path.stem], abs=0.05)


@each_example
def test_index_comes_before_the_pictures(example: dict) -> None:
    start = (FOLDER / example["file"]).read_bytes()[:64_000]
    assert 0 < start.find(b"moov") < start.find(b"mdat")


@each_example
def test_flash_is_where_the_list_says(example: dict) -> None:
    flash = example.get("flash_seconds")
    white = _white_seconds(FOLDER / example["file"], skip="DEFAULT" if flash else "NONREF")
    if flash is None:
        assert white == []
        return
    begins, ends = flash
    assert min(white) == pytest.approx(begins, abs=1 / 24)
    assert max(white) == pytest.approx(ends, abs=1 / 24)
    assert len(white) == 12


@pytest.mark.parametrize(
    ("fps", "printed"),
    [(0.25, None), (0.5, None), (1, "7.1"), (2, "7.5"), (3, "7.7"), (4, "7.8")],
    ids=str,
)
def test_flash_is_missed_or_found_by_the_rate(fps: float, printed: str | None) -> None:
    begins, ends = EXAMPLES[0]["flash_seconds"]
    count = max(4, int(12 * fps) // 2 * 2)
    times = np.linspace(0, 287, count).round() / 24
    inside = [i // 2 for i, t in enumerate(times) if begins <= t < ends]
    found = {f"{(times[2 * pair] + times[2 * pair + 1]) / 2:.1f}" for pair in inside}
    assert found == ({printed} if printed else set())


def _white_seconds(path: Path, *, skip: str) -> list[float]:
    """The times of the frames that are white all over, without those that FFmpeg may `skip`."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.skip_frame = skip
        container.streams.video[0].thread_type = "AUTO"
        return [
            frame.time
            for frame in container.decode(video=0)
            if frame.to_ndarray(width=16, height=9, format="gray").min() > 240
        ]
