"""From what a person does to core and back: values in, updates out. Errors become notices here."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from core.asking import Foreseen, answer, require
from core.engine.base import Engine, Event, Finished, Progress, Text
from core.errors import Cancelled, FramewiseError
from core.planning.forecast import usual_rates
from core.planning.placement import processors
from core.recalling import learned, recalled
from core.video import iter_frames, probe
from core.video.reading import DEFAULT_READER
from core.video.wanted import FrameSource
from ui import controls, meter, render, texts
from ui.choosing import Chooser, without_plan
from ui.live import Live
from ui.pending import Wanted
from ui.sessions import Exchange, Pictures, Session, Sessions
from ui.targets import described, is_loaded, target_of

log = logging.getLogger(__name__)
REFRESH_SECONDS = 0.05
MEASURING_SECONDS = 10.0
Values = dict[str, Any]
Message = dict[str, Any]


class Handlers:
    """What the page's events call.

    ``values`` are the controls' values: settings by their names, ``model`` and ``devices``, for
    which targets.py plans, and the ``reader`` of the frames.
    """

    def __init__(self, engine: Engine, *, frames_from: FrameSource = iter_frames) -> None:
        self.engine = engine
        self.frames_from = frames_from
        self.sessions = Sessions()
        self.rates = usual_rates(engine.card, processors(engine.devices()), engine.execution)
        self.chooser = Chooser(engine, self.follow)

    def open_video(
        self, path: str | None, session: Session, values: Values, question: str
    ) -> Values:
        """A new video starts a new conversation; None (removed, or refused) ends the old one."""
        session.end()
        session.watching = threading.Event()
        session.info, session.name, session.foreseen = None, "", None
        session.exchanges, session.pictures = [], Pictures()
        fault: FramewiseError | None = None
        if path is not None:
            try:
                session.info, session.name = probe(path), Path(path).name
            except FramewiseError as error:
                fault = error
            except Exception as error:  # a defect, but the page must live
                fault = _defect(error)
        updates = self.chooser.choose(session, values, question)
        line = render.video_line(session.info, session.name) if session.info else ""
        return {**updates, "notice": render.notice(fault), "line": line, "chat": []}

    def follow(self, session: Session, values: Values, question: str) -> Values:
        """The meter after a slider moved or a letter was typed: arithmetic, no decoding."""
        session.values, session.question = values, question
        if session.info is None:
            return without_plan(f'<p class="fw-quiet">{texts.EMPTY_METER}</p>')
        try:
            found = session.pending.latest(self._wanted(session, values, question))
            foreseen = self._recalled(found.value, values) if found else None
        except FramewiseError as error:
            session.foreseen = None
            return without_plan(render.notice(error))
        except Exception as error:
            session.foreseen = None
            return without_plan(render.notice(_defect(error)))
        session.foreseen = foreseen
        asking = str(time.monotonic_ns()) if found is None or found.stale else ""
        if found is None or foreseen is None:
            quiet = f'<p class="fw-quiet">{texts.MEASURING}</p>'
            return {**without_plan(quiet), "measuring": asking}
        mark = f'<p class="fw-quiet">{texts.MEASURING}</p>' if found.stale else ""
        plan, remedy = foreseen.plan, foreseen.remedy
        return {
            "meter": meter.meter(foreseen, above=mark + self._as_if(values)),
            "timeline": render.timeline(plan, session.info),
            "plan": ",".join(map(str, (id(session.pictures), *plan.indices))),
            "fit": gr.update(visible=remedy is not None and remedy.settings is not None),
            "measuring": asking,
        }

    def measured(self, session: Session) -> Values:
        """The meter again, once there is news of the plan that it waits for."""
        session.pending.wait(MEASURING_SECONDS)
        return self.follow(session, session.values, session.question)

    def fit(self, session: Session) -> Values:
        """Slider values that fit; nothing where the plan fits already."""
        foreseen = session.foreseen
        if foreseen is None or foreseen.remedy is None or foreseen.remedy.settings is None:
            return {}
        fitting = foreseen.remedy.settings
        bounds = ("min_frame_tokens", "max_frame_tokens", "max_tiles", "min_frames", "max_frames")
        chosen = {name: getattr(fitting, name) for name in bounds}
        return {name: value for name, value in chosen.items() if value is not None}

    def _as_if(self, values: Values) -> str:
        if is_loaded(values, self.engine):
            return ""
        return meter.as_if(*described(values, self.engine))

    def _again(self, session: Session) -> Values:
        """The meter now that there is more history, for the sliders as they are by now."""
        return self.follow(session, session.values, session.question)

    async def ask(self, session: Session, values: Values, question: str) -> AsyncIterator[Values]:
        """Stream the answer to ``question``; whatever goes wrong, the question is kept."""
        session.stop = stop = threading.Event()
        exchange = Exchange(question=question.strip())
        try:
            if session.info is None:
                raise FramewiseError(texts.NO_VIDEO, remedy=texts.NO_VIDEO_REMEDY)
            if not is_loaded(values, self.engine):
                raise FramewiseError(texts.AS_IF_ASKED, remedy=texts.AS_IF_ASKED_REMEDY)
            wanted = self._wanted(session, values, question)
            foreseen = await asyncio.to_thread(lambda: self._recalled(wanted.foresee(), values))
            require(foreseen)
            session.exchanges.append(exchange)
            yield {
                "chat": _messages(session, waiting="…"),
                "question": "",
                "notice": "",
                "busy": True,
            }
            reader = values.get("reader") or DEFAULT_READER
            answering = answer(
                self.engine, foreseen, stop=stop, reader=reader, frames_from=self.frames_from
            )
            live = Live(foreseen.estimate.memory, foreseen.estimate.kept)
            async for waiting in self._listen(answering, foreseen, exchange):
                yield {"chat": _messages(session, waiting=waiting), **live.news()}
            if stop.is_set() and not exchange.answer:
                raise Cancelled
            yield {"chat": _messages(session), "busy": False, "live": "", **self._again(session)}
        except Cancelled:
            self._take_back(session, exchange)
            yield {"chat": _messages(session), "busy": False, "question": question, "live": ""}
        except FramewiseError as error:
            self._take_back(session, exchange)
            yield self._refusal(session, error, question)
        except Exception as error:
            self._take_back(session, exchange)
            yield self._refusal(session, _defect(error), question)
        finally:
            stop.set()

    async def _listen(
        self, answering: Iterator[Event], foreseen: Foreseen, exchange: Exchange
    ) -> AsyncIterator[str]:
        """Fill ``exchange`` as the events come; yields what to show while there are no words."""
        events: queue.Queue[Event | BaseException | None] = queue.Queue()
        threading.Thread(target=_forward, args=(answering, events), daemon=True).start()
        waiting = "…"
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            while not events.empty():
                event = events.get_nowait()
                if event is None:
                    return
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, Text):
                    exchange.answer += event.text
                elif isinstance(event, Progress):
                    waiting = render.stage(event.stage, event.done, event.total)
                elif isinstance(event, Finished):
                    exchange.footer = render.actual_text(foreseen, event)
                    self.rates = learned(self.rates, foreseen, event)
            yield waiting

    def stop(self, session: Session) -> None:
        """End the answer under way within one token."""
        session.stop.set()

    def clear(self, session: Session, values: Values) -> Values:
        """Forget the conversation, keep the video."""
        session.stop.set()
        session.exchanges = []
        return {**self.follow(session, values, ""), "chat": [], "busy": False}

    def _wanted(self, session: Session, values: Values, question: str) -> Wanted:
        assert session.info is not None
        target = target_of(values, self.engine)
        return Wanted(
            info=session.info,
            settings=controls.settings_of(values, target.card),
            card=target.card,
            turns=tuple(session.turns(question.strip())),
            devices=target.devices,
            rates=self.rates if target.loaded else None,
            execution=target.execution,
        )

    def _recalled(self, foreseen: Foreseen, values: Values) -> Foreseen:
        """With what the loaded model and the frame store keep; another model keeps nothing."""
        if not is_loaded(values, self.engine):
            return foreseen
        reader = values.get("reader") or DEFAULT_READER
        return recalled(foreseen, self.engine, reader=reader, frames_from=self.frames_from)

    @staticmethod
    def _take_back(session: Session, exchange: Exchange) -> None:
        if exchange in session.exchanges and not exchange.answer:
            session.exchanges.remove(exchange)

    @staticmethod
    def _refusal(session: Session, error: FramewiseError, question: str) -> Values:
        return {
            "chat": _messages(session),
            "notice": render.notice(error),
            "question": question,
            "busy": False,
            "live": "",
        }


def _forward(answering: Iterator[Event], events: queue.Queue[Event | BaseException | None]) -> None:
    """Run in a thread: whatever happens there, who waits for events hears of it."""
    try:
        for event in answering:
            events.put(event)
        events.put(None)
    except BaseException as error:
        events.put(error)


def _messages(session: Session, *, waiting: str = "") -> list[Message]:
    messages: list[Message] = []
    for each in session.exchanges:
        messages.append({"role": "user", "content": render.typed(each.question)})
        content = render.answer(each.answer) or f"*{waiting}*"
        if each.footer:
            content += f"\n\n<small>{each.footer}</small>"
        messages.append({"role": "assistant", "content": content})
    return messages


def _defect(error: Exception) -> FramewiseError:
    log.exception("A defect of Framewise", exc_info=error)
    return FramewiseError(f"{texts.DEFECT} ({type(error).__name__}).", remedy=texts.DEFECT_REMEDY)
