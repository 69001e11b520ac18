"""The door to a video's profile, in the page's process: how long it may take, progress, stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import Any

from core.errors import Cancelled, VideoError
from core.video.budget import BASE_SECONDS, read_bytes, usable_threads
from core.video.info import VideoInfo
from core.video.profile import Profile
from core.video.request import Task
from core.video.sandbox import Sandbox
from core.video.wire import info_to_json

USUAL_SECONDS = 22.0  # for videos of up to half an hour
USUAL_DURATION_SECONDS = 1800.0
MOST_SECONDS = 120.0
BACKGROUND = Sandbox(workers=1)  # apart, so that nobody waits for frames behind a profile


def profile_of(
    info: VideoInfo,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[float], None] | None = None,
    budget_seconds: float | None = None,
) -> Profile:
    """How much happens when in a video.

    Args:
        info: the video.
        stop: ends it at once.
        progress: called with the share that is done, ascending from 0 to 1.
        budget_seconds: what it may take; within it as much is looked at as can be. None for what
            a video of this length is given by itself.

    Raises:
        VideoError: nothing of it can be decoded, or it has no file.
        Cancelled: ``stop`` was set.
    """
    if info.path is None:
        raise VideoError("This video is only described: there is no file to profile.")
    budget = budget_seconds_for(info) if budget_seconds is None else budget_seconds
    with closing(_messages(info, budget, stop)) as messages:
        for message in messages:
            if stop is not None and stop.is_set():
                raise Cancelled
            if "seconds" in message:
                return _profile(message)
            if progress is not None:
                progress(min(1.0, message["done"] / message["total"]))
    raise VideoError("The profile of the video was not finished.", remedy="Measure it again.")


def profiled(info: VideoInfo, *, stop: threading.Event | None = None) -> VideoInfo:
    """The video with its profile; see profile_of."""
    return replace(info, profile=profile_of(info, stop=stop))


def budget_seconds_for(info: VideoInfo) -> float:
    """What a video of this length is given: the same up to half an hour, then in proportion."""
    share = max(1.0, info.duration_seconds / USUAL_DURATION_SECONDS)
    return min(USUAL_SECONDS * share, MOST_SECONDS)


def _messages(
    info: VideoInfo, budget_seconds: float, stop: threading.Event | None
) -> Generator[dict[str, Any], None, None]:
    threads = usable_threads()
    assert info.path is not None
    task = Task(
        job="profile",
        arguments={
            "info": info_to_json(info),
            "budget_seconds": budget_seconds,
            "threads": threads,
        },
        what=info.path.name,
        deadline_seconds=BASE_SECONDS + 10 * budget_seconds,  # it ends by itself long before
        more_bytes=read_bytes(info, threads=threads, reader="pyav"),
        threads=threads,
    )
    return BACKGROUND.run(task, stop=stop)


def _profile(message: dict[str, Any]) -> Profile:
    """The profile that a decoding process made; it is looked at before it is believed."""
    try:
        return Profile(
            seconds=[float(value) for value in message["seconds"]],
            activity=[float(value) for value in message["activity"]],
            cuts=[float(value) for value in message["cuts"]],
            duration_seconds=float(message["duration_seconds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise VideoError(
            f"The profile of the video cannot be read: {error}.", remedy="Measure it again."
        ) from error
