"""Frames by index: the right picture at its true time, whatever the codec and the spacing.

The contract suite of core.video.reading.Reader: every reader runs it over every clip.
"""

from __future__ import annotations

import functools
import importlib
import platform
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from clips import CLIPS, Clip, number_of, numbers_of, write
from core.errors import Cancelled, SettingsError, VideoError
from core.video import describe_video, iter_frames, probe, read_frames
from core.video.reading import READERS

each_reader = pytest.mark.parametrize("reader", READERS)
each_clip = pytest.mark.parametrize("clip", CLIPS.values(), ids=lambda clip: clip.name)

# Reader -> what it refuses, by name -> why, as it says. Everything else it reads, and reads right.
REFUSALS: dict[str, dict[str, str]] = {
    "pyav": {},
    "torchcodec": {
        "h264.ts": "it loses its place in MPEG transport streams",
        "starts_late.ts": "it loses its place in MPEG transport streams",
        "mpeg2.mpg": "it loses its place in MPEG program streams",
        "h264.avi": "it gives the frame at .* s was wanted",
        "damaged.avi": "nothing is decoded at 0.08 s",
    },
    "decord": {
        "av1.mp4": "it has no decoder for AV1",
        "av1_10_bit.webm": "it has no decoder for AV1",
        "animation.gif": "it has no decoder for GIF",
        "h264.ts": "it loses its place in MPEG transport streams",
        "starts_late.ts": "it loses its place in MPEG transport streams",
        "mpeg2.mpg": "it loses its place in MPEG program streams",
        "h264.avi": "it gives the frame at .* s was wanted",
        "uncounted.avi": "broken metadata",
        "two_alike.mp4": "it cannot choose among 2 video streams of 96x64",
        "turned_90.mkv": "it does not turn the picture by the 90 degrees due",
        "turned_180.mkv": "it does not turn the picture by the 180 degrees due",
        "edited.mp4": "it shows the 5 frames that an edit list hides",
        "damaged.avi": r"nothing is decoded at 0\.0\d s",
    },
}
# What `make test` has set up must be there; what it could not set up is left out, with the reason.
ROOT = Path(__file__).resolve().parent.parent
FFMPEG_FOUND = ROOT / ".venv" / "ffmpeg.found"
SET_UP = {
    "pyav": True,
    "torchcodec": FFMPEG_FOUND.is_file() and bool(FFMPEG_FOUND.read_text().strip()),
    "decord": (platform.system(), platform.machine()) == ("Linux", "x86_64"),
}


@pytest.fixture(autouse=True)
def _leave_out_what_is_not_here(request: pytest.FixtureRequest) -> None:
    spec = getattr(request.node, "callspec", None)
    reader = spec.params.get("reader") if spec else None
    if reader is not None and not SET_UP[reader]:
        reason = _reason_against(reader)
        if reason is not None:
            pytest.skip(reason)


@functools.cache
def _reason_against(reader: str) -> str | None:
    try:
        importlib.import_module(READERS[reader]).load()
    except SettingsError as error:
        return error.message
    return None


@contextmanager
def as_told(reader: str, name: str) -> Iterator[None]:
    """What stands in it succeeds, or is refused as the table says."""
    if name not in REFUSALS[reader]:
        yield
        return
    with pytest.raises(VideoError, match=REFUSALS[reader][name]) as caught:
        yield
    assert caught.value.message.startswith(f"The reader {reader} cannot read {name}: ")
    assert caught.value.remedy == "Choose the reader pyav."


def _few_at_random(count: int) -> list[int]:
    return sorted(random.Random(count).sample(range(count), k=min(7, count)))


# how the wanted frames lie -> the indices of a video with so many frames
SPACINGS: dict[str, Callable[[int], Sequence[int]]] = {
    "every frame": range,
    "every seventh": lambda count: range(0, count, 7),
    "first and last": lambda count: [0, count - 1],
    "only the last": lambda count: [count - 1],
    "only one in the middle": lambda count: [count // 2],
    "three neighbours late": lambda count: sorted({max(0, count - 3 - i) for i in range(3)}),
    "the same ones again": lambda count: sorted([0, 0, count // 2, count // 2, count - 1] * 2),
    "a few at random": _few_at_random,
}
each_spacing = pytest.mark.parametrize("wanted", SPACINGS.values(), ids=SPACINGS.keys())


@each_reader
@each_spacing
@each_clip
def test_right_frames_at_their_times(
    clip: Clip,
    wanted: Callable[[int], Sequence[int]],
    reader: str,
    clip_file: Callable[[str], Path],
) -> None:
    info, indices = probe(clip_file(clip.name)), list(wanted(clip.frames))
    with as_told(reader, clip.name):
        frames = read_frames(info, indices, height=info.height, width=info.width, reader=reader)
        assert numbers_of(frames.pixels) == indices
        assert list(frames.indices) == indices
        true_times = [clip.shown_times[index] for index in indices]
        assert list(frames.seconds) == pytest.approx(true_times, abs=0.0011)
        assert list(frames.seconds) == [info.time_of(index) for index in indices]


def test_the_table_of_refusals_names_readers_and_clips() -> None:
    assert set(REFUSALS) == set(READERS)
    refused = {name for names in REFUSALS.values() for name in names}
    assert refused <= {*CLIPS, "edited.mp4", "damaged.avi"}


@each_reader
@pytest.mark.parametrize(
    ("height", "width"), [(32, 32), (64, 96), (256, 160), (33, 47), (40, 72)], ids=lambda n: str(n)
)
@pytest.mark.parametrize("name", ["h264.mp4", "turned_90.mp4", "turned_wide_pixels.mp4"])
def test_frames_have_the_size_that_was_asked_for(
    name: str, height: int, width: int, reader: str, clip_file: Callable[[str], Path]
) -> None:
    info = probe(clip_file(name))
    frames = read_frames(info, [0, 9], height=height, width=width, reader=reader)
    assert frames.pixels.shape == (2, height, width, 3)
    assert frames.pixels.dtype == np.uint8
    assert frames.pixels.flags.c_contiguous
    assert numbers_of(frames.pixels) == [0, 9]


@each_reader
def test_a_start_that_is_cut_away_is_not_counted(reader: str, tmp_path: Path) -> None:
    """Thirty frames are in the file; an edit list hides five, the only keyframe among them."""
    clip = Clip(
        name="edited.mp4",
        frames=30,
        first_second=-0.2,
        options={"g": "60", "bf": "0"},
        muxing={"avoid_negative_ts": "disabled"},
    )
    info = probe(write(clip, tmp_path))
    assert (info.frame_count, info.duration_seconds) == (25, pytest.approx(1.0))
    with as_told(reader, "edited.mp4"):
        frames = read_frames(info, [0, 7, 24], height=64, width=96, reader=reader)
        assert numbers_of(frames.pixels) == [5, 12, 29]
        assert list(frames.seconds) == pytest.approx([0.0, 0.28, 0.96])


@each_reader
def test_frames_come_one_by_one(reader: str, clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file("h264.mp4"))
    frames = iter_frames(info, [3, 60, 119], height=64, width=96, reader=reader)
    first = next(frames)
    assert (first.index, number_of(first.pixels)) == (3, 3)
    assert [number_of(frame.pixels) for frame in frames] == [60, 119]


@each_reader
def test_stop_ends_reading(reader: str, clip_file: Callable[[str], Path]) -> None:
    info, stop = probe(clip_file("h264.mp4")), threading.Event()
    frames = iter_frames(info, range(120), height=64, width=96, stop=stop, reader=reader)
    next(frames)
    stop.set()
    with pytest.raises(Cancelled):
        next(frames)


@each_reader
def test_a_file_that_has_gone_is_an_error_with_a_remedy(
    reader: str, clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip_file("h264.mp4").read_bytes())
    info = probe(file)
    file.unlink()
    with pytest.raises(VideoError, match=r"clip\.mp4 cannot be read") as caught:
        read_frames(info, [0], height=64, width=96, reader=reader)
    assert caught.value.remedy


@each_reader
def test_a_damaged_stretch_gives_the_picture_before_it_at_its_own_time(
    reader: str, clip_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """Every third JPEG is destroyed: what a viewer sees then is the one before."""
    data = bytearray(clip_file("mjpeg.avi").read_bytes())
    place, number = data.find(b"\xff\xd8\xff"), 0
    while place >= 0:
        if number % 3 == 2:
            data[place : place + 650] = bytes(650)
        place, number = data.find(b"\xff\xd8\xff", place + 650), number + 1
    file = tmp_path / "damaged.avi"
    file.write_bytes(data)
    info = probe(file)
    with as_told(reader, "damaged.avi"):
        frames = read_frames(info, range(12), height=64, width=96, reader=reader)
        seen = [0, 1, 1, 3, 4, 4, 6, 7, 7, 9, 10, 10]
        assert numbers_of(frames.pixels) == seen
        assert list(frames.seconds) == pytest.approx([index / 25 for index in seen])


def test_a_described_video_has_no_frames() -> None:
    info = describe_video(width=96, height=64, duration_seconds=2, frame_rate=25)
    with pytest.raises(VideoError, match="only described"):
        read_frames(info, [0], height=64, width=96)


def test_an_unknown_reader_lists_the_known_ones(clip_file: Callable[[str], Path]) -> None:
    info = probe(clip_file("h264.mp4"))
    with pytest.raises(SettingsError) as caught:
        read_frames(info, [0], height=64, width=96, reader="vhs")
    assert all(reader in caught.value.remedy for reader in READERS)


@pytest.mark.parametrize("library", ["torchcodec", "decord"])
def test_a_library_that_is_not_installed_is_an_error_that_says_how_to_install_it(
    library: str, clip_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # what import then says is: not found
    read = importlib.import_module(READERS[library]).read
    info = probe(clip_file("h264.mp4"))
    with pytest.raises(SettingsError, match=f"{library} is not installed") as caught:
        next(read(info, [0], height=64, width=96, threads=1))
    assert "pip install -r requirements.txt" in caught.value.remedy
    assert "pyav" in caught.value.remedy


@each_reader
@pytest.mark.parametrize("name", ["h264.mp4", "hevc_10_bit.mkv", "full_colour.webm", "mpeg2.mp4"])
def test_readers_agree_on_the_colours(
    name: str, reader: str, clip_file: Callable[[str], Path]
) -> None:
    """To within what rounding in another conversion to RGB and another scaling make."""
    info = probe(clip_file(name))
    told, asked = ({"height": 48, "width": 72, "reader": each} for each in ("pyav", reader))
    ours = read_frames(info, [0, 17], **told).pixels.astype(np.int16)
    theirs = read_frames(info, [0, 17], **asked).pixels
    assert np.abs(ours - theirs).mean() < 4
