"""Writes frames to an H.264 mp4 that plays everywhere; knows nothing of what they show."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np


def write_mp4(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    frame_rate: int,
    crf: int = 23,
    preset: str = "veryfast",
) -> None:
    """Encodes (height, width, 3) uint8 RGB frames as yuv420p, with the index at the front.

    The same frames give the same bytes: one thread, and no date in the file.
    """
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = None
        seen: np.ndarray | None = None
        for index, picture in enumerate(frames):
            if stream is None:
                stream = _stream(container, picture, frame_rate)
                stream.options = {"crf": str(crf), "preset": preset}
            if picture is not seen:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
                seen = picture
            frame.pts = index
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError("no frames to write")
        container.mux(stream.encode())


def _stream(
    container: av.container.OutputContainer, picture: np.ndarray, frame_rate: int
) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=frame_rate)
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.thread_count = 1
    # Declares the matrix that the frames are converted with, so that players show true colours.
    stream.codec_context.colorspace = 1
    stream.codec_context.color_primaries = 1
    stream.codec_context.color_trc = 1
    stream.codec_context.color_range = 1
    return stream
