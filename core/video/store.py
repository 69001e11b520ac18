"""Frames that were read once, kept on disk: bounded in size and age, safe with several processes.

Nothing in the store is ever needed: what is missing, spoilt or evicted is read from the video
again, and a disk that is full or read-only only means that nothing is kept.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path

from core.errors import FramewiseError, SettingsError
from core.video.digest import Digests, content_of, mark_of
from core.video.eviction import TEMPORARY, remove, sweep
from core.video.info import VideoInfo
from core.video.kept import MANIFEST, SAVING, Keeping, Kept, Spoilt, open_kept
from core.video.reading import DEFAULT_READER, Frame, iter_frames
from core.video.wanted import Wanted, wanted

log = logging.getLogger(__name__)

MAX_BYTES = 4 * 2**30
MAX_AGE_SECONDS = 30 * 24 * 3600.0


class FrameStore:
    """Readings in folders by (digest of the file, plan); several threads may use one.

    Called, it is a source of frames; see core.video.wanted.FrameSource.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_age_seconds: float = MAX_AGE_SECONDS,
        image_format: str = "jpeg",
    ) -> None:
        """Keep up to ``max_bytes`` in ``folder``, nothing unused for ``max_age_seconds``.

        Raises:
            SettingsError: no such ``image_format``.
        """
        if image_format not in SAVING:
            raise SettingsError(
                f"Frames cannot be kept as {image_format!r}.",
                remedy=f"Choose one of: {', '.join(SAVING)}.",
            )
        self.folder = folder
        self._max_bytes, self._max_age_seconds = max_bytes, max_age_seconds
        self._format = image_format
        self._digests = Digests(folder / "digests")
        self._encoders = ThreadPoolExecutor(2, thread_name_prefix="encode")
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="keep")
        self._finishing: set[Future[None]] = set()
        self._room_bytes = 0  # what may be written before the folder is measured again
        self._refused = False

    def frames(
        self,
        info: VideoInfo,
        indices: Sequence[int],
        *,
        height: int,
        width: int,
        stop: threading.Event | None = None,
        reader: str = DEFAULT_READER,
    ) -> Iterator[Frame]:
        """Yield the frames at ``indices`` (ascending): from the store, else from the video.

        The first reading gives the decoder's own pixels and keeps them meanwhile; later ones give
        those of the pictures kept, which differ by about one level of 255 as JPEG and not at all
        as PNG. Times are the true ones always. A reading that fails or is given up keeps nothing.

        Raises:
            VideoError: a frame cannot be decoded, or the video has no file.
            Cancelled: ``stop`` was set; it is looked at before each frame.
        """
        reading = wanted(info, indices, height=height, width=width, reader=reader)
        found = self._look_up(reading, stop)
        frames = self._first(reading, stop) if found is None else self._again(reading, *found, stop)
        frame = None
        for index in indices:
            if frame is None or frame.index != index:
                frame = next(frames)
            yield frame

    __call__ = frames

    def has(
        self, info: VideoInfo, indices: Sequence[int], *, height: int, width: int, reader: str
    ) -> bool:
        """Whether these frames are kept, as far as it is known without reading the files.

        False for a copy, under another name, that nobody has hashed in this process.
        """
        if info.path is None:
            return False
        reading = wanted(info, indices, height=height, width=width, reader=reader)
        if reading.mark is None:
            return False
        digest = self._digests.known(reading.mark) or content_of(reading.mark)
        if digest is None:
            return False
        return (self.folder / reading.name(digest, self._format) / MANIFEST).is_file()

    def keep(
        self,
        info: VideoInfo,
        indices: Sequence[int],
        *,
        height: int,
        width: int,
        stop: threading.Event | None = None,
        reader: str = DEFAULT_READER,
    ) -> Kept:
        """Have the frames in the store, whether they are read now or were before; see frames.

        Raises:
            FramewiseError: they are read, but the folder does not take them.
        """
        reading = wanted(info, indices, height=height, width=width, reader=reader)
        found = self._look_up(reading, stop)
        if found is None:
            for _ in self._first(reading, stop):
                pass
            self.settle()
            found = self._look_up(reading, stop)
        if found is None:
            raise FramewiseError(
                f"The {len(reading.indices):,} frames of {reading.path.name} could not be kept in "
                f"{self.folder}.",
                remedy="Check that the folder may be written and the disk has room, or that the "
                "video is not being changed.",
            )
        return found[0]

    def settle(self) -> None:
        """Return when everything handed out so far is on the disk, or given up."""
        wait_for(tuple(self._finishing))

    def _look_up(
        self, reading: Wanted, stop: threading.Event | None
    ) -> tuple[Kept, list[bytes]] | None:
        """What is kept, whole and checked; what is spoilt is removed."""
        if reading.mark is None:
            return None
        digest = self._digests.known(reading.mark)
        # A new name may be a known content, which the size tells almost for sure, at no cost.
        if digest is None and self._digests.any_of_size(reading.mark.size_bytes):
            try:
                digest = self._digests.find(reading.path, stop=stop)
            except OSError:
                return None
        if digest is None:
            return None
        folder = self.folder / reading.name(digest, self._format)
        try:
            kept = open_kept(folder, reading.indices, height=reading.height, width=reading.width)
            if kept is None:
                return None
            coded = kept.loaded(stop=stop)
        except Spoilt as error:
            log.info("Kept frames are spoilt and are read again: %s", error)
            remove(folder)
            return None
        _touch(folder / MANIFEST)
        return kept, coded

    def _again(
        self, reading: Wanted, kept: Kept, coded: list[bytes], stop: threading.Event | None
    ) -> Iterator[Frame]:
        given = 0
        try:
            for frame in kept.frames(coded, stop=stop):
                yield frame
                given += 1
        except Spoilt as error:
            log.info("Kept frames are spoilt and are read again: %s", error)
            remove(kept.folder)
            yield from self._decoded(reading, reading.indices[given:], stop)

    def _first(self, reading: Wanted, stop: threading.Event | None) -> Iterator[Frame]:
        keeping = self._begin(reading)
        try:
            for frame in self._decoded(reading, reading.indices, stop):
                if keeping is not None:
                    keeping.put(frame)
                if keeping is not None and frame.index == reading.indices[-1]:
                    done = self._finisher.submit(self._finish, reading, keeping)
                    self._finishing.add(done)
                    done.add_done_callback(self._finished)
                    keeping = None
                yield frame
        finally:
            if keeping is not None:
                keeping.settle()
                remove(keeping.folder)

    def _decoded(
        self, reading: Wanted, indices: Sequence[int], stop: threading.Event | None
    ) -> Iterator[Frame]:
        return iter_frames(
            reading.info,
            indices,
            height=reading.height,
            width=reading.width,
            stop=stop,
            reader=reading.reader,
        )

    def _begin(self, reading: Wanted) -> Keeping | None:
        """A folder to keep a reading in; None where nothing can be kept."""
        if reading.mark is None or self._refused or not reading.indices:
            return None
        folder = self.folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir()
        except OSError as error:
            self._refused = True
            log.warning("No frames are kept: %s cannot be written (%s).", self.folder, error)
            return None
        return Keeping(folder, self._format, self._encoders)

    def _finish(self, reading: Wanted, keeping: Keeping) -> None:
        """In a thread of its own: hash the file, write the manifest, give the folder its name."""
        try:
            size = keeping.finish(height=reading.height, width=reading.width)
            digest = self._digests.find(reading.path)
            if size <= self._max_bytes and mark_of(reading.path) == reading.mark:
                final = self.folder / reading.name(digest, self._format)
                try:
                    keeping.folder.rename(final)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise  # else another process was quicker
                self._room_bytes -= size
        except (OSError, ValueError) as error:
            log.warning("The frames of %s are not kept: %s", reading.path.name, error)
        finally:
            keeping.settle()
            remove(keeping.folder)
        if self._room_bytes < 0:
            free = sweep(
                self.folder, max_bytes=self._max_bytes, max_age_seconds=self._max_age_seconds
            )
            # several processes write at the same time, and each knows only of its own bytes
            self._room_bytes = min(free, self._max_bytes // 16)

    def _finished(self, done: Future[None]) -> None:
        self._finishing.discard(done)
        if done.exception() is not None:
            log.error("A defect while frames were kept", exc_info=done.exception())


def _touch(file: Path) -> None:
    with contextlib.suppress(OSError):  # a store that may only be read
        os.utime(file)
