"""What is taken from the index of an .mp4, against what its packets say when all are read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clips import CLIPS, X264, Clip, write
from core.video import moov, units
from core.video.indexed import LONG_ENOUGH, entries_of, indexed
from core.video.opening import opened, video_stream
from core.video.probing import probe_file
from core.video.rates import to_microseconds
from core.video.tables import Table, by_index, by_packets
from damaging import mutated

LONG = 2 * LONG_ENOUGH
PLAIN = {
    "b_frames.mp4": Clip(name="b_frames.mp4", frames=LONG, options=X264),
    "sound.mp4": Clip(
        name="sound.mp4", frames=LONG, options=X264, sound=True, muxing={"movflags": "faststart"}
    ),
    "no_b_frames.mov": Clip(name="no_b_frames.mov", frames=LONG, options=X264 | {"bf": "0"}),
    "late.mp4": Clip(name="late.mp4", frames=LONG, options=X264, first_second=3.0),
    "second_picture.mp4": Clip(
        name="second_picture.mp4", frames=LONG, options=X264, second_picture=(48, 32)
    ),
    "delimiters.mp4": Clip(
        name="delimiters.mp4", frames=LONG, options=X264 | {"x264-params": "aud=1"}
    ),
}
NOT_PLAIN = {
    "fragments.mp4": Clip(
        name="fragments.mp4", frames=LONG, options=X264, muxing={"movflags": "frag_keyframe"}
    ),
    "open_group.mp4": Clip(
        name="open_group.mp4", frames=LONG, options=X264 | {"x264-params": "open-gop=1"}
    ),
    "refreshed.mp4": Clip(
        name="refreshed.mp4", frames=LONG, options=X264 | {"x264-params": "intra-refresh=1"}
    ),
    "mpeg4.mp4": Clip(name="mpeg4.mp4", codec="mpeg4", frames=LONG),
    "film.mkv": Clip(name="film.mkv", container="matroska", frames=LONG, options=X264),
}
DAMAGED = 60  # of each kind


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The clip of this name, encoded once."""
    folder, made = tmp_path_factory.mktemp("long"), dict[str, Path]()

    def file(name: str) -> Path:
        if name not in made:
            made[name] = write((PLAIN | NOT_PLAIN)[name], folder)
        return made[name]

    return file


def _both(path: Path) -> tuple[Table | None, Table | None]:
    """By the index, and by all packets."""
    with opened(path) as one, opened(path) as other:
        stream = video_stream(other, path)
        return by_index(one, path, entries_of(stream)), by_packets(other, stream)


def _assert_alike(quick: Table, slow: Table | None) -> None:
    assert slow is not None
    assert quick.seconds.tolist() == slow.seconds.tolist()
    assert quick.keyframes == slow.keyframes
    assert quick.last_duration == slow.last_duration


@pytest.mark.parametrize("name", PLAIN)
def test_the_index_says_what_the_packets_say(name: str, long_file: Callable[[str], Path]) -> None:
    quick, slow = _both(long_file(name))
    assert quick is not None
    assert len(quick.seconds) == LONG
    _assert_alike(quick, slow)


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_read(name: str, long_file: Callable[[str], Path]) -> None:
    quick, slow = _both(long_file(name))
    assert quick is None
    assert slow is not None
    assert len(probe_file(long_file(name)).frame_times or ()) == LONG


@pytest.mark.parametrize("name", [name for name in CLIPS if name.endswith(("mp4", "mov"))])
def test_short_clips_are_read(name: str, clip_file: Callable[[str], Path]) -> None:
    """Their packets cost less than a look into the index."""
    path = clip_file(name)
    with opened(path) as container:
        stream = video_stream(container, path)
        assert indexed(container, stream, path, entries_of(stream)) is None


@pytest.mark.parametrize("where", ["anywhere", "index"])
@pytest.mark.parametrize("name", ["b_frames.mp4", "late.mp4"])
def test_damage_is_never_taken_for_something_else(
    name: str, where: str, long_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """Of a file that opens, both ways say the same, or the quick one says nothing."""
    whole, quickly = long_file(name).read_bytes(), 0
    begin = whole.rindex(b"moov") - 4
    path = tmp_path / "damaged.mp4"
    for seed in range(DAMAGED):
        if where == "anywhere":
            path.write_bytes(mutated(whole, seed)[1])
        else:
            path.write_bytes(whole[:begin] + _changed(whole[begin:], seed))
        try:
            probe_file(path)
        except Exception:  # what it is refused for is tested elsewhere; it is not compared then
            continue
        quick, slow = _both(path)
        if quick is not None:
            quickly += 1
            _assert_alike(quick, slow)
    assert quickly >= DAMAGED // 20


def _changed(index: bytes, seed: int) -> bytes:
    """One to four bytes of the index are others."""
    random, changed = np.random.default_rng(seed), bytearray(index)
    for place in random.integers(8, len(index), size=random.integers(1, 5)).tolist():
        changed[place] = int(random.integers(256))
    return bytes(changed)


def _box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def _numbers(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}i", *numbers)


def _movie(
    *, shifts: bytes, edits: bytes = b"", more: bytes = b"", after: bytes = b"", tracks: int = 1
) -> bytes:
    """An index of three samples, track 7."""
    table = _box(
        b"stbl",
        _box(b"stsd", _numbers(0, 1), _box(b"avc1", bytes(16))),
        _box(b"stsz", _numbers(0, 100, 3)),
        shifts,
    )
    head = _box(b"tkhd", _numbers(0, 0, 0, 7))
    trak = _box(b"trak", head, edits, _box(b"mdia", _box(b"minf", table)))
    return _box(b"ftyp", b"isom") + _box(b"moov", trak * tracks, more) + after


def _shifted(*runs: int, entries: int | None = None) -> bytes:
    return _box(b"ctts", _numbers(0, len(runs) // 2 if entries is None else entries, *runs))


def _edited(*begins: int) -> bytes:
    entries = [number for begin in begins for number in (900, begin, 1 << 16)]
    return _box(b"edts", _box(b"elst", _numbers(0, len(begins), *entries)))


@pytest.mark.parametrize(
    "data",
    [
        _movie(shifts=_shifted(1, 5, 2, -4)),
        _movie(shifts=_shifted(1, 5, 2, -4), edits=_edited(0)),
        _movie(shifts=_shifted(1, 5, 2, -4), edits=_edited(-1, 10)),
    ],
    ids=["plain", "one edit", "a pause before"],
)
def test_shifts_are_spread_over_the_samples(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(data)
    track = moov.track(tmp_path / "film.mp4", 7)
    assert track is not None
    assert (track.format, track.count, track.shifts.tolist()) == (b"avc1", 3, [5, -4, -4])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"moov",
        _movie(shifts=_shifted(1, 5, 1, 0)),
        _movie(shifts=_shifted(1, 5, -1, 0, 3, 0)),
        _movie(shifts=_shifted(1, 5, 2, 2**30)),
        _movie(shifts=_shifted(1, 5, 2, 0, entries=2**30)),
        _movie(shifts=_shifted(3, 0) * 2),
        _movie(shifts=_shifted(3, 0), edits=_edited(0, 10)),
        _movie(shifts=_shifted(3, 0), edits=_edited(-1, 10, 20)),
        _movie(shifts=_shifted(3, 0), edits=_edited(0) * 2),
        _movie(shifts=_shifted(3, 0), more=_box(b"mvex")),
        _movie(shifts=_shifted(3, 0), more=b"\0\0\0\4"),
        _movie(shifts=_shifted(3, 0), after=_box(b"moof")),
        _movie(shifts=_shifted(3, 0), after=_box(b"moov")),
        _movie(shifts=_shifted(3, 0), after=b"\0"),
        _movie(shifts=_shifted(3, 0), tracks=2),
    ],
    ids=["empty", "cut off", "too few", "negative run", "far away", "more entries than bytes",
         "two tables", "two edits", "three edits", "two lists", "fragments to come",
         "a box too short", "fragment", "two indexes", "a byte too many", "a number twice"],
)  # fmt: skip
def test_an_index_that_is_not_plain_says_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(data)
    assert moov.track(tmp_path / "film.mp4", 7) is None


def test_without_shifts_each_is_shown_when_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(_movie(shifts=b""))
    track = moov.track(tmp_path / "film.mp4", 7)
    assert track is not None
    assert track.shifts.tolist() == [0, 0, 0]
    assert moov.track(tmp_path / "film.mp4", 8) is None


def _unit(kind: int, *content: int) -> bytes:
    data = bytes([kind, *content])
    return len(data).to_bytes(4, "big") + data


SLICE, IDR, DELIMITER = _unit(0x41, 1, 2), _unit(0x65, 1, 2), _unit(9, 0xF0)
MESSAGE, RECOVERY = _unit(6, 5, 2, 1, 1, 0x80), _unit(6, 1, 1, 9, 6, 1, 0xC0, 0x80)


@pytest.mark.parametrize(
    ("samples", "keys"),
    [
        ([IDR, SLICE, SLICE], [True, False, False]),
        ([MESSAGE + IDR, DELIMITER + SLICE, MESSAGE + SLICE], [True, False, False]),
        ([RECOVERY + IDR, SLICE], [True, False]),
        ([IDR, RECOVERY + SLICE], None),
        ([IDR, _unit(6, 255)], None),
        ([IDR, _unit(6, 5, 3, 0, 0, 3, 1, 0x80) + SLICE], None),
        ([IDR, _unit(6, 0, 0, 1, 0x65, 1, 1) + SLICE], None),
        ([IDR, _unit(2, 1, 2)], None),
        ([IDR, SLICE[:4]], None),
        ([IDR, b"\0\0\0\x09" + SLICE[4:]], None),
        ([IDR, b"\xff\xff\xff\xff" + SLICE[4:]], None),
        ([IDR, DELIMITER], None),
        ([IDR, DELIMITER * 40 + SLICE], None),
    ],
    ids=["plain", "messages", "a message of recovery", "recovery", "unfinished message",
         "bytes between", "a unit in a unit", "partition", "no unit", "too long", "far too long",
         "no slice", "too many"],
)  # fmt: skip
def test_keyframes_are_told_by_their_units(
    samples: list[bytes], keys: list[bool] | None, tmp_path: Path
) -> None:
    path, sizes = tmp_path / "samples", np.array([len(each) for each in samples])
    path.write_bytes(b"".join(samples))
    found = units.keyframes(path, np.cumsum(sizes) - sizes, sizes)
    assert (None if found is None else found.tolist()) == keys


def test_times_are_rounded_as_python_rounds() -> None:
    random = np.random.default_rng(0)
    halves = (np.arange(20_000) + 0.5) / 1e6
    for seconds in (halves, random.uniform(0, 9e4, 20_000), np.array([0.0, 1e9 / 3, 2e12 / 7])):
        both = np.concatenate([seconds, -seconds])
        assert to_microseconds(both).tolist() == [round(each, 6) for each in both.tolist()]
