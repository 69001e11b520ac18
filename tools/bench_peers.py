"""One reader on one file in a process of its own: a job on stdin, seconds and bytes on stdout.

Each peer is a generator: it imports, yields once, and then does the work that is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

EXAMPLE = Path(__file__).resolve().parents[1] / "assets" / "examples" / "flash.mp4"
Work = Iterator[int]  # yields 0 when it has imported, then the number of frames it read


def framewise(path: str, indices: list[int], height: int, width: int) -> Work:
    from core.video import probe, read_frames

    probe(EXAMPLE)  # the decoding process has imported its libraries too
    yield 0
    yield len(read_frames(probe(path), indices, height=height, width=width).indices)


def framewise_here(path: str, indices: list[int], height: int, width: int) -> Work:
    from core.video import pyav
    from core.video.probing import probe_file
    from core.video.reading import collect

    yield 0
    info, threads = probe_file(Path(path)), len(os.sched_getaffinity(0))
    frames = pyav.read(info, indices, height=height, width=width, threads=threads)
    yield len(collect(frames).indices)


def qwen(backend: str) -> Callable[[str, list[int], int, int], Work]:
    def work(path: str, indices: list[int], height: int, width: int) -> Work:
        os.environ["FORCE_QWENVL_VIDEO_READER"] = backend
        if backend == "torchcodec":
            import torchcodec.decoders  # noqa: F401
        else:
            import decord  # noqa: F401
        from qwen_vl_utils.vision_process import fetch_video

        yield 0
        size = {"resized_height": height, "resized_width": width}
        video = {"video": path, "nframes": len(indices) // 2 * 2, **size}
        yield len(fetch_video(video, image_patch_size=14))

    return work


def transformers(backend: str) -> Callable[[str, list[int], int, int], Work]:
    def work(path: str, indices: list[int], height: int, width: int) -> Work:
        import numpy as np
        from transformers.video_utils import load_video

        yield 0
        chosen = np.asarray(indices)
        video, _ = load_video(path, backend=backend, sample_indices_fn=lambda *_, **__: chosen)
        yield len(video)

    return work


def torchcodec(path: str, indices: list[int], height: int, width: int) -> Work:
    from torchcodec.decoders import VideoDecoder

    yield 0
    decoder = VideoDecoder(path, num_ffmpeg_threads=0)
    yield len(decoder.get_frames_at(indices).data)


def decord(path: str, indices: list[int], height: int, width: int) -> Work:
    import decord as library

    yield 0
    reader = library.VideoReader(path, width=width, height=height)
    yield len(reader.get_batch(indices).asnumpy())


PEERS: dict[str, Callable[[str, list[int], int, int], Work]] = {
    "framewise": framewise,
    "framewise, decoding in the same process": framewise_here,
    "qwen-vl-utils, torchcodec": qwen("torchcodec"),
    "qwen-vl-utils, decord": qwen("decord"),
    "torchcodec, full size": torchcodec,
    "decord, target size": decord,
    **{
        f"transformers load_video, {backend}": transformers(backend)
        for backend in ("torchcodec", "decord", "opencv", "torchvision", "pyav")
    },
}


def _peak_kilobytes() -> int:
    """Of the process that decodes: this one, or for ours the one beside it.

    getrusage would count in the parent's at the time of the fork.
    """
    decoding = [psutil.Process(), *psutil.Process().children()][-1]
    status = Path(f"/proc/{decoding.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _processor_seconds() -> float:
    """Of this process and the one beside it, by now."""
    times = [each.cpu_times() for each in (psutil.Process(), *psutil.Process().children())]
    return sum(each.user + each.system for each in times)


def main() -> None:
    job = json.load(sys.stdin)
    work = PEERS[job["peer"]](job["path"], job["indices"], *job["size"])
    next(work)
    imported = _peak_kilobytes()
    used, begun = _processor_seconds(), time.perf_counter()
    count = next(work)
    seconds, used = time.perf_counter() - begun, _processor_seconds() - used
    peak = _peak_kilobytes()
    if count != len(job["indices"]):
        raise SystemExit(f"{count} frames instead of {len(job['indices'])}")
    print(json.dumps([seconds, used, (peak - imported) * 1024]))


if __name__ == "__main__":
    main()
