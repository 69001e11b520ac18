"""What happens when in a new video, looked for in the background: then scenes can be chosen."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from core.errors import Cancelled, FramewiseError
from core.video import profile_of
from core.video.digest import learn
from core.video.info import VideoInfo
from core.video.profile import Profile
from ui import controls, render, texts
from ui.sessions import Session

log = logging.getLogger(__name__)
TOLD_SECONDS = 0.5


def watch(session: Session) -> Iterator[dict[str, Any]]:
    """The line under the video with how far it is, and at last the strategies that there are now.

    Ends without a word where there is no video, or as soon as there is another.
    """
    info, name = session.info, session.name
    if info is None or info.profile is not None:
        return
    look = _Look(info, session.watching)
    while not look.over.wait(TOLD_SECONDS):
        if session.info is not info:
            return
        yield {"line": render.video_line(info, name, texts.WATCHING.format(look.share))}
    if session.info is not info:
        return
    if look.profile is None:
        yield {"line": render.video_line(info, name)}
        return
    session.info = info = replace(info, profile=look.profile)
    scenes = texts.SCENES.format(len(look.profile.cuts) + 1) if look.profile.cuts else ""
    yield {
        "line": render.video_line(info, name, scenes),
        "strategy": gr.update(choices=controls.strategies(info)),
    }


class _Look:
    """A profile in the making, in a thread of its own.

    Attributes:
        share: of the work that is done.
        profile: None until it is there, and where there will be none.
        over: set at the end.
    """

    def __init__(self, info: VideoInfo, stop: threading.Event) -> None:
        self.share, self.over = 0.0, threading.Event()
        self.profile: Profile | None = None
        self._begun = time.monotonic()
        threading.Thread(target=self._run, args=(info, stop), daemon=True).start()

    def _run(self, info: VideoInfo, stop: threading.Event) -> None:
        try:
            if info.path is not None:  # another person's question about it is known again
                learn(info.path, stop=stop)
            self.profile = profile_of(info, stop=stop, progress=self._told)
            log.info("Profile of %s: %.1f s", info.path, time.monotonic() - self._begun)
        except Cancelled:
            pass
        except (FramewiseError, OSError) as error:
            log.warning("No profile: %s", error)
        except Exception:  # a defect, but the page must live
            log.exception("A defect of Framewise")
        finally:
            self.over.set()

    def _told(self, share: float) -> None:
        self.share = share
