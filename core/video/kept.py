"""One reading of frames in a folder: a picture file each, and a manifest, written last.

A folder without a manifest, or with anything in it that is not as the manifest says, is spoilt.
Knows nothing of where such folders are and how long they stay.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Cancelled
from core.video.reading import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
MANIFEST = "manifest.json"
THREADS = max(2, min(4, os.cpu_count() or 1))
BACKLOG = 4 * THREADS  # pictures that wait to be encoded, or are decoded ahead

# Chroma at full size, since small frames of drawn things lose their edges first. PNG at its
# quickest: its pixels are exact at any level.
SAVING: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "png": {"format": "PNG", "compress_level": 1},
}


class Spoilt(Exception):
    """A folder is not what its manifest says; it never leaves the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One file of a reading, as the manifest lists it."""

    index: int
    seconds: float
    file: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A whole reading that is there.

    Attributes:
        folder: where its files are.
        height, width: pixels of every picture.
        pictures: ascending by index, none twice.
    """

    folder: Path
    height: int
    width: int
    pictures: tuple[Picture, ...]

    @property
    def seconds(self) -> tuple[float, ...]:
        """The true time of each picture."""
        return tuple(each.seconds for each in self.pictures)

    def loaded(self, *, stop: threading.Event | None = None) -> list[bytes]:
        """Every file as it is coded, compared with its checksum.

        Raises:
            Spoilt: one is not right.
            Cancelled: ``stop`` was set; it is looked at before each file.
        """
        # A share for each thread: handing over one small file costs more than reading it.
        shares = [self.pictures[each::THREADS] for each in range(THREADS)]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="kept") as pool:
            loaded = list(
                pool.map(lambda share: [self._load(each, stop) for each in share], shares)
            )
        return [loaded[place % THREADS][place // THREADS] for place in range(len(self.pictures))]

    def frames(
        self, coded: Sequence[bytes], *, stop: threading.Event | None = None
    ) -> Iterator[Frame]:
        """Decode what ``loaded`` gave, in order, a few pictures ahead.

        Raises:
            Spoilt: a file is right by its checksum, and no picture of this size all the same.
            Cancelled: ``stop`` was set; it is looked at before each frame.
        """
        waiting: deque[tuple[Picture, Future[NDArray[np.uint8]]]] = deque()
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kept")
        try:
            for picture, data in zip(self.pictures, coded, strict=True):
                waiting.append((picture, pool.submit(self._decode, data)))
                if len(waiting) >= BACKLOG:
                    yield _next(waiting, stop)
            while waiting:
                yield _next(waiting, stop)
        finally:
            pool.shutdown(cancel_futures=True)

    def _load(self, picture: Picture, stop: threading.Event | None) -> bytes:
        _look(stop)
        try:
            data = (self.folder / picture.file).read_bytes()
        except OSError as error:
            raise Spoilt(f"{picture.file}: {error.strerror}") from error
        if len(data) != picture.size_bytes or checksum(data) != picture.checksum:
            raise Spoilt(f"{picture.file}: {len(data):,} bytes that are not those written")
        return data

    def _decode(self, data: bytes) -> NDArray[np.uint8]:
        import numpy as np
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                if (image.mode, image.size) != ("RGB", (self.width, self.height)):
                    raise Spoilt(f"a picture of {image.size} in {image.mode}")
                return np.array(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise Spoilt(str(error)) from error


def _look(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Cancelled


def _next(
    waiting: deque[tuple[Picture, Future[NDArray[np.uint8]]]], stop: threading.Event | None
) -> Frame:
    _look(stop)
    picture, pixels = waiting.popleft()
    return Frame(index=picture.index, seconds=picture.seconds, pixels=pixels.result())


def open_kept(folder: Path, indices: Sequence[int], *, height: int, width: int) -> Kept | None:
    """The reading in ``folder``, its files not yet looked at; None where there is no folder.

    Raises:
        Spoilt: the manifest is missing, changed, of another version or of another reading.
    """
    try:
        stored = json.loads((folder / MANIFEST).read_bytes())
        content = stored["content"]
        if stored["checksum"] != checksum(_coded(content)) or content["version"] != VERSION:
            raise Spoilt("the manifest is not the one written")
        pictures = tuple(Picture(**each) for each in content["pictures"])
    except OSError as error:
        if not folder.exists():
            return None
        raise Spoilt(f"no manifest: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Spoilt(f"the manifest is none: {error}") from error
    described = ([each.index for each in pictures], content["height"], content["width"])
    if described != (list(indices), height, width):
        raise Spoilt("the manifest is of another reading")
    return Kept(folder=folder, height=height, width=width, pictures=pictures)


class Keeping:
    """Puts a reading into ``folder``, which is its own until it is complete, frame by frame."""

    def __init__(self, folder: Path, image_format: str, pool: ThreadPoolExecutor) -> None:
        self.folder = folder
        self._format, self._pool = image_format, pool
        self._pictures: list[Future[Picture]] = []

    def put(self, frame: Frame) -> None:
        """Encode it in another thread; waits only where many are waiting already."""
        if len(self._pictures) >= BACKLOG:
            self._pictures[-BACKLOG].exception()
        name = f"{len(self._pictures):05}.{self._format}"
        self._pictures.append(self._pool.submit(self._write, name, frame))

    def finish(self, *, height: int, width: int) -> int:
        """Write the manifest, and give the bytes of all files.

        Raises:
            OSError, ValueError: a picture could not be coded or written.
        """
        pictures = sorted((each.result() for each in self._pictures), key=lambda each: each.index)
        content = {
            "version": VERSION,
            "height": height,
            "width": width,
            "pictures": [asdict(each) for each in pictures],
        }
        manifest = json.dumps({"checksum": checksum(_coded(content)), "content": content})
        (self.folder / MANIFEST).write_text(manifest, encoding="ascii")
        return len(manifest) + sum(each.size_bytes for each in pictures)

    def settle(self) -> None:
        """Encode nothing more; returns when no thread writes into the folder."""
        for each in self._pictures:
            if not each.cancel():
                each.exception()

    def _write(self, name: str, frame: Frame) -> Picture:
        from PIL import Image

        coded = io.BytesIO()
        Image.fromarray(frame.pixels).save(coded, **SAVING[self._format])
        data = coded.getvalue()
        (self.folder / name).write_bytes(data)
        return Picture(
            index=frame.index,
            seconds=frame.seconds,
            file=name,
            size_bytes=len(data),
            checksum=checksum(data),
        )


def checksum(data: bytes) -> str:
    """Tells that a file is not the one that was written."""
    return blake2b(data, digest_size=16).hexdigest()


def _coded(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode("ascii")
