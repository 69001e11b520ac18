"""The reader on torchcodec: exact frames decoded one at a time at full size, then scaled.

Its own scaling while decoding is bilinear, so Pillow's bicubic is used instead, as for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from core.errors import SettingsError
from core.video.borrowed import (
    Source,
    fitted,
    last_words,
    missing,
    refusal,
    refuse_unless_due,
    source,
)
from core.video.info import VideoInfo
from core.video.reading import Frame

# torchcodec seeks by the container's index and does not notice where it has landed in these
WITHOUT_INDEX = {"mpegts": "MPEG transport streams", "mpeg": "MPEG program streams"}


def read(
    info: VideoInfo, indices: Sequence[int], *, height: int, width: int, threads: int
) -> Iterator[Frame]:
    """Yield the frames at ``indices``; see core.video.reading.Reader."""
    library = load()
    found = source("torchcodec", info)
    if info.container in WITHOUT_INDEX:
        raise refusal(found, f"it loses its place in {WITHOUT_INDEX[info.container]}")
    decoder = _open(library, found, threads=threads)
    # degrees counter-clockwise that it has turned the picture by; older versions turn nothing
    turned = round(getattr(decoder.metadata, "rotation", None) or 0)
    for index in indices:
        try:
            frame = decoder.get_frame_at(index)
        except (RuntimeError, IndexError) as error:
            raise refusal(
                found, f"nothing is decoded at {found.times[index]:.2f} s ({last_words(error)})"
            ) from error
        refuse_unless_due(found, index, frame.pts_seconds - info.start_seconds)
        yield Frame(
            index=index,
            seconds=found.times[index],
            pixels=fitted(
                frame.data.numpy(), height=height, width=width, turn=(info.rotation + turned) % 360
            ),
        )


def load() -> Any:
    """The library's decoders.

    Raises:
        SettingsError: it is not installed, or does not load with this torch and FFmpeg.
    """
    try:
        import torchcodec
        from torchcodec import decoders
    except ImportError as error:
        raise missing(
            "torchcodec",
            f"torchcodec is not installed ({last_words(error)})",
            remedy="Run pip install -r requirements.txt -c constraints.txt.",
        ) from error
    except (RuntimeError, OSError) as error:
        raise _not_loaded() from error
    if getattr(torchcodec, "ffmpeg_major_version", 0) is None:
        raise _not_loaded()
    return decoders


def _not_loaded() -> SettingsError:
    return missing(
        "torchcodec",
        f"torchcodec {version('torchcodec')} is installed, but finds no FFmpeg libraries (versions "
        f"4 to 9), or does not go with torch {version('torch')}",
        remedy="Install FFmpeg (on Debian and Ubuntu: apt-get install ffmpeg; with conda: conda "
        "install ffmpeg), and torch and torchcodec from the same index.",
    )


def _open(library: Any, found: Source, *, threads: int) -> Any:
    try:
        decoder = library.VideoDecoder(
            str(found.path),
            stream_index=found.stream_index,
            dimension_order="NHWC",
            num_ffmpeg_threads=threads,
            device="cpu",
            seek_mode="exact",
        )
    except (RuntimeError, ValueError) as error:
        raise refusal(found, last_words(error)) from error
    if len(decoder) != len(found.times):
        raise refusal(found, f"it counts {len(decoder):,} frames of {len(found.times):,}")
    return decoder
