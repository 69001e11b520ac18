"""What a frame looks like: as PyAV decodes it whole and Pillow resizes it, but for rounding."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import gradio
import numpy as np
import pytest
from PIL import Image

from clips import CLIPS as BAR_CODES
from core.video import probe
from core.video.pyav import read

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "assets" / "examples").glob("*.mp4"))
# clips that people filmed, which the package brings along
FILMED = sorted(Path(gradio.__file__).parent.glob("**/*.mp4"))
FAR = 1.5  # mean absolute difference, of 255
SCALES = {"a third": 1 / 3, "over a half": 0.6, "the same": 1.0, "upscaled": 1.6}

each_scale = pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())


def _difference(path: Path, indices: list[int], scale: float) -> float:
    """The largest mean absolute difference among the frames."""
    info = probe(path)
    height, width = max(1, round(info.height * scale)), max(1, round(info.width * scale))
    found = {f.index: f.pixels for f in read(info, indices, height=height, width=width, threads=2)}
    assert sorted(found) == indices
    differences = []
    with av.open(str(path)) as container:
        for index, picture in enumerate(container.decode(container.streams.best("video"))):
            if index in found:
                upright = picture.to_image().rotate(-info.rotation, expand=True)
                wanted = np.asarray(upright.resize((width, height), Image.Resampling.BICUBIC))
                differences.append(float(np.abs(wanted.astype(int) - found[index]).mean()))
            if index == indices[-1]:
                break
    assert len(differences) == len(indices)
    return max(differences)


@each_scale
@pytest.mark.parametrize("path", FILMED, ids=lambda path: path.name)
def test_filmed(path: Path, scale: float) -> None:
    assert _difference(path, [0, 7, 20], scale) < FAR


@each_scale
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_drawn(path: Path, scale: float) -> None:
    assert _difference(path, [0, 31], scale) < FAR


@each_scale
@pytest.mark.parametrize("name", ["h264.mp4", "ten_bit.mp4", "full_colour.mp4", "turned_90.mp4",
                                  "odd_size.webm", "mjpeg.avi", "animation.gif"])  # fmt: skip
def test_bar_codes(name: str, scale: float, clip_file: Callable[[str], Path]) -> None:
    assert name in BAR_CODES
    assert _difference(clip_file(name), [0, 11, 20], scale) < FAR


@each_scale
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le",
                                          "yuv444p10le", "yuvj420p"])  # fmt: skip
def test_saturated_edges_and_fine_detail(pixel_format: str, scale: float, tmp_path: Path) -> None:
    """Where chroma that is scaled apart from luma would be far off."""
    path = tmp_path / "edges.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = 192, 128, pixel_format
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(_edges(number), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode())
    assert _difference(path, [0, 5], scale) < FAR


def _edges(number: int) -> np.ndarray[Any, Any]:
    """Red beside blue, a colour wheel, and noise in the lower half: 128 x 192 x 3."""
    y, x = np.mgrid[0:128, 0:192]
    red = np.where((x + 3 * number) // 12 % 2, 230, 20)
    picture = np.stack([red, (y * 2) % 256, 250 - red], axis=-1)
    picture[64:] = np.random.default_rng(number).normal(128, 30, (64, 192, 1))
    return np.ascontiguousarray(picture.clip(0, 255), dtype=np.uint8)
