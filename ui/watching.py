"""A new video looked at in the background: what it is known by, and then what happens when.

Once its content is known, the meter says what is kept of it; once scenes are, they can be chosen.
"""

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

    The meter is asked for again as soon as the content is known, by which others may have asked.
    Ends without a word where there is no video, or as soon as there is another.
    """
    info, name = session.info, session.name
    if info is None or info.profile is not None:
        return
    look = _Look(info, session.watching)
    while not look.over.wait(TOLD_SECONDS):
        if session.info is not info:
            return
        line = render.video_line(info, name, texts.WATCHING.format(look.share))
        yield {"line": line, **_known(look, session)}
    if session.info is not info:
        return
    if look.profile is None:
        yield {"line": render.video_line(info, name), **_known(look, session)}
        return
    session.info = info = replace(info, profile=look.profile)
    scenes = texts.SCENES.format(len(look.profile.cuts) + 1) if look.profile.cuts else ""
    yield {
        "line": render.video_line(info, name, scenes),
        "strategy": gr.update(choices=controls.strategies(info)),
        **_known(look, session),
    }


def _known(look: _Look, session: Session) -> dict[str, Any]:
    """Once, when the content has become known: that the meter be asked for again."""
    if not look.known.is_set():
        return {}
    look.known.clear()
    session.pending.tell()
    return {"measuring": str(time.monotonic_ns())}


class _Look:
    """A profile in the making, in a thread of its own.

    Attributes:
        share: of the work that is done.
        profile: None until it is there, and where there will be none.
        known: set when the content is known, until somebody has been told.
        over: set at the end.
    """

    def __init__(self, info: VideoInfo, stop: threading.Event) -> None:
        self.share, self.known, self.over = 0.0, threading.Event(), threading.Event()
        self.profile: Profile | None = None
        self._begun = time.monotonic()
        threading.Thread(target=self._run, args=(info, stop), daemon=True).start()

    def _run(self, info: VideoInfo, stop: threading.Event) -> None:
        try:
            if info.path is not None:  # another person's question about it is known again
                learn(info.path, stop=stop)
                self.known.set()
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
