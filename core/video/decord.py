"""The reader on decord: exact frames where decord can be trusted with them, refusals elsewhere.

decord 0.6 (2021) decodes with FFmpeg 4. It seeks to a keyframe and counts from there, so that it
miscounts where pictures refer over keyframes: such videos are decoded from the start in one pass.
It decodes ahead without a limit, so that it scales (bicubic) and turns the pictures itself: at full
size a slow reader would have the whole video in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.video.borrowed import (
    Source,
    last_words,
    missing,
    packing,
    refusal,
    refuse_unless_due,
    source,
)
from core.video.info import VideoInfo
from core.video.reading import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODECS = {"av1": "AV1", "gif": "GIF"}  # its FFmpeg has no decoder, or no times, for these
CONTAINERS = {"mpegts": "MPEG transport streams", "mpeg": "MPEG program streams"}
TURNED = ("mov",)  # the containers of which it knows how the picture is to be turned
NO_SUBSTITUTES = 1e-6  # the share of damaged frames for which it may give the nearest ones


def read(
    info: VideoInfo, indices: Sequence[int], *, height: int, width: int, threads: int
) -> Iterator[Frame]:
    """Yield the frames at ``indices``; see core.video.reading.Reader."""
    library = load()
    found = source("decord", info)
    may_seek = _may_seek(found)
    _check_choice(library, found)
    options = {"num_threads": threads, "height": height, "width": width}
    pictures = _Pictures(library, found, options, may_seek=may_seek)
    for index in indices:
        yield Frame(index=index, seconds=found.times[index], pixels=pictures.at(index))


def load() -> Any:
    """The library.

    Raises:
        SettingsError: it is not installed, or does not load.
    """
    try:
        import decord
    except ImportError as error:
        raise missing(
            "decord",
            f"decord is not installed ({last_words(error)})",
            remedy="On Linux with x86_64, run pip install -r requirements.txt -c constraints.txt; "
            "elsewhere there is no package of it.",
        ) from error
    except (RuntimeError, OSError) as error:
        raise missing(
            "decord",
            f"decord is installed, but does not load ({last_words(error)})",
            remedy="Install it again.",
        ) from error
    decord.logging.set_level(decord.logging.QUIET)  # its errors are raised as well
    return decord


def _may_seek(found: Source) -> bool:
    """Refuse what decord is known to read wrongly; whether it may jump in the rest."""
    info = found.info
    if info.codec in CODECS:
        raise refusal(found, f"it has no decoder for {CODECS[info.codec]}")
    if info.container in CONTAINERS:
        raise refusal(found, f"it loses its place in {CONTAINERS[info.container]}")
    if info.rotation and info.container not in TURNED:
        raise refusal(found, f"it does not turn the picture by the {info.rotation} degrees due")
    packed = packing(found)
    if packed.discarded:
        raise refusal(found, f"it shows the {packed.discarded} frames that an edit list hides")
    return not packed.open_groups


def _check_choice(library: Any, found: Source) -> None:
    """Refuse where decord, which cannot be told, takes another stream or way up than a player."""
    sideways = found.info.rotation in (90, 270)
    if not found.rivals and not sideways:
        return
    size = (found.width, found.height)
    alike = 1 + found.rivals.count(size)
    if alike > 1:
        raise refusal(found, f"it cannot choose among {alike} video streams of {size[0]}x{size[1]}")
    due = size[::-1] if sideways else size
    taken = _Pictures(library, found, {"num_threads": 1}, may_seek=False).at(0).shape[1::-1]
    if taken != due:
        raise refusal(
            found, f"it shows a picture of {taken[0]}x{taken[1]}, not that of {due[0]}x{due[1]}"
        )


class _Pictures:
    """The pictures of one file, upright: decord turns them by itself."""

    def __init__(
        self, library: Any, found: Source, options: dict[str, int], *, may_seek: bool
    ) -> None:
        self._found, self._may_seek = found, may_seek
        self._failures = (library.base.DECORDError, RuntimeError, AssertionError, StopIteration)
        self._next = 0  # the index of the picture that comes without seeking
        try:
            self._video = library.VideoReader(str(found.path), fault_tol=NO_SUBSTITUTES, **options)
            seconds = self._video.get_frame_timestamp(range(len(self._video)))[:, 0]
        except self._failures as error:
            raise refusal(found, last_words(error)) from error
        if len(self._video) != len(found.times):
            raise refusal(found, f"it counts {len(self._video):,} frames of {len(found.times):,}")
        self._seconds = seconds.astype(np.float64) - float(seconds[0])

    def at(self, index: int) -> NDArray[np.uint8]:
        """The picture of frame ``index``, which is later than the one before."""
        refuse_unless_due(self._found, index, float(self._seconds[index]))
        try:
            if self._may_seek:
                picture = self._video[index]
            else:
                for _ in range(self._next, index):
                    self._video.next()  # its skip_frames() seeks
                picture = self._video.next()
        except self._failures as error:
            at = f"{self._found.times[index]:.2f} s"
            raise refusal(
                self._found, f"nothing is decoded at {at} ({last_words(error)})"
            ) from error
        self._next = index + 1
        return _without_padding(picture.asnumpy())


def _without_padding(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB alone: decord takes the padding of some narrow rows (72 pixels) for more channels."""
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, -1)[:, : width * 3]
    return np.ascontiguousarray(rows.reshape(height, width, 3))
