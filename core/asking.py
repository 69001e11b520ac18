"""From a question to its answer: foresee the cost, refuse what cannot fit, read, ask.

The command line and the page both go through here, so that both do the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.engine.base import Engine, Event, Finished, FramesNeeded, Progress, Request
from core.errors import MemoryOverflow, QuestionError
from core.measuring import measurable
from core.planning import (
    Device,
    Estimate,
    ModelCard,
    Plan,
    Rates,
    Remedy,
    Settings,
    Turn,
    check,
    estimate,
    make_plan,
    remedy_for,
)
from core.planning.execution import AS_STORED, Execution
from core.planning.presets import preset
from core.planning.prompt import writer_for
from core.planning.scarcity import with_settings
from core.planning.seconds import Reading
from core.video.digest import names_of
from core.video.info import VideoInfo
from core.video.reading import DEFAULT_READER, Frames, collect, iter_frames
from core.video.wanted import FrameSource, Keeps

PROGRESS_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What will happen if this is asked now."""

    info: VideoInfo
    settings: Settings
    card: ModelCard
    turns: tuple[Turn, ...]
    plan: Plan
    estimate: Estimate
    remedy: Remedy | None


def foresee(
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    *,
    devices: tuple[Device, ...],
    rates: Rates | None = None,
    execution: Execution = AS_STORED,
) -> Foreseen:
    """Plan and estimate, with a way out where it does not fit.

    Arithmetic only; a family without planning rules has its real processor asked, which takes
    10 ms for a few frames and seconds for hundreds, once for each setting (core/background.py keeps
    a page from waiting for it).

    Raises:
        CheckpointError: such a processor cannot be loaded, or not be asked.
        SettingsError: settings that this video or this model cannot take.
    """
    card = measurable(card)
    plan = make_plan(info, settings, card)
    found = estimate(
        plan, info, settings, card, turns, devices=devices, rates=rates, execution=execution
    )
    return Foreseen(
        info=info,
        settings=settings,
        card=card,
        turns=tuple(turns),
        plan=plan,
        estimate=found,
        remedy=remedy_for(found, info, settings, card, turns, devices, execution=execution),
    )


def foresee_alone(
    info: VideoInfo,
    settings: Settings,
    card: ModelCard,
    turns: Sequence[Turn],
    *,
    devices: tuple[Device, ...],
    execution: Execution = AS_STORED,
) -> Foreseen:
    """What will happen if this is all that is asked: replicas would have nothing to do.

    Raises:
        CheckpointError, SettingsError: see foresee.
    """
    found = foresee(info, settings, card, turns, devices=devices, execution=execution)
    if execution.placement != "auto" or found.estimate.placement.mode != "replicas":
        return found
    execution = replace(execution, placement="single")
    return foresee(info, settings, card, turns, devices=devices, execution=execution)


def with_preset(name: str, settings: Settings, card: ModelCard) -> Settings:
    """``settings`` with what they leave open decided by a preset, which gives way to them.

    A preset means the same by every route: the range is that of the usual one. Where a frame is
    cut into tiles of fixed cost, the preset's patches become tiles: as many as they pay for beside
    the thumbnail.

    Raises:
        SettingsError: no such preset.
    """
    route = card.route(settings.route)
    chosen = preset(name, route.limits if route.sizer == "tiles" else card.limits)
    tokens = chosen["max_frame_tokens"]
    if card.frame_tokens is not None:
        chosen["max_frame_tokens"] = None
    if route.sizer == "tiles" and card.frame_tokens and tokens:
        chosen["max_tiles"] = max(1, tokens // card.frame_tokens - 1)
    for low, high in (("min_frames", "max_frames"), ("min_frame_tokens", "max_frame_tokens")):
        if chosen[high] is not None:
            chosen[high] = max(chosen[high], getattr(settings, low) or 0)
    left_open = {key: value for key, value in chosen.items() if getattr(settings, key) is None}
    return replace(settings, **left_open)


def require(foreseen: Foreseen) -> None:
    """Raise what ``answer`` would raise before it does anything.

    Raises:
        QuestionError: the last turn is empty.
        ContextOverflow, MemoryOverflow: it does not fit.
    """
    if not foreseen.turns[-1].text.strip():
        raise QuestionError("The question is empty.", remedy="Type a question about the video.")
    remedy = foreseen.remedy.message if foreseen.remedy else ""
    check(foreseen.estimate, foreseen.card, remedy=remedy)


def answer(
    engine: Engine,
    foreseen: Foreseen,
    *,
    stop: threading.Event,
    reader: str = DEFAULT_READER,
    frames_from: FrameSource = iter_frames,
) -> Iterator[Event]:
    """Read the planned frames and let the engine answer the last turn.

    What the engine knows of the same frames from an earlier question is not read again.
    ``frames_from`` is a store where they may have been read before.

    Raises:
        QuestionError: the last turn is empty.
        ContextOverflow, MemoryOverflow: it does not fit; nothing has been read.
        VideoError: a frame cannot be decoded, or not by this reader.
        SettingsError: there is no such reader here.
        Cancelled: ``stop`` was set before the reply began.
    """
    require(foreseen)
    video = name_of_frames(foreseen, reader, engine)
    reading = _reading(foreseen, stop=stop, reader=reader, frames_from=frames_from)
    request = request_of(foreseen, None, video)
    if video is not None and engine.knows(video):
        try:
            read = Read(seconds=0.0, frame_times=foreseen.plan.times, reading="none")
            yield from _told(engine, foreseen, request, read, stop)
            return
        except FramesNeeded:  # dropped a moment ago
            pass
    kept = is_kept(foreseen, reader=reader, frames_from=frames_from)
    begun = time.perf_counter()
    frames = yield from reading
    read = Read(
        seconds=time.perf_counter() - begun,
        frame_times=frames.seconds,
        reading="store" if kept else "video",
    )
    yield from _told(engine, foreseen, replace(request, frames=frames), read, stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How frames were read: in how many seconds, and from where; see core.planning.Reused."""

    seconds: float
    frame_times: tuple[float, ...]
    reading: Reading


def request_of(foreseen: Foreseen, frames: Frames | None, video: Hashable | None) -> Request:
    """What an engine is given; ``video`` is what name_of_frames says."""
    return Request(
        frames=frames,
        plan=foreseen.plan,
        prompt=writer_for(foreseen.card, foreseen.plan.route).render(foreseen.turns),
        reply_tokens=foreseen.settings.reply_tokens,
        video=video,
    )


def _reading(
    foreseen: Foreseen, *, stop: threading.Event, reader: str, frames_from: FrameSource
) -> Generator[Progress, None, Frames]:
    plan = foreseen.plan
    reading = frames_from(
        foreseen.info,
        plan.indices,
        height=plan.height,
        width=plan.width,
        stop=stop,
        reader=reader,
    )
    frames, told = [], time.perf_counter()
    for frame in reading:
        frames.append(frame)
        if time.perf_counter() - told > PROGRESS_SECONDS:
            told = time.perf_counter()
            yield Progress(stage="reading", done=len(frames), total=len(plan.indices))
    return collect(frames)


def _told(
    engine: Engine, foreseen: Foreseen, request: Request, read: Read, stop: threading.Event
) -> Iterator[Event]:
    """The engine's events, with the time that went into reading."""
    try:
        for event in engine.stream(request, stop=stop):
            yield with_reading(event, read) if isinstance(event, Finished) else event
    except MemoryOverflow as error:
        raise met(error, foreseen, engine) from None


def met(error: MemoryOverflow, foreseen: Foreseen, engine: Engine) -> MemoryOverflow:
    """What an engine says of a request that was to fit, with settings that do."""
    return with_settings(
        error,
        foreseen.plan,
        foreseen.info,
        foreseen.settings,
        foreseen.card,
        foreseen.turns,
        devices=engine.devices(),
        execution=engine.execution,
    )


def with_reading(event: Finished, read: Read) -> Finished:
    """The last event counts the reading too, which came first."""
    return replace(
        event,
        read_seconds=read.seconds,
        frame_times=read.frame_times,
        seconds_to_first_token=event.seconds_to_first_token + read.seconds,
        reused=replace(event.reused, reading=read.reading),
    )


def is_kept(foreseen: Foreseen, *, reader: str, frames_from: FrameSource) -> bool:
    """Whether the planned frames come from a store, and need no decoder."""
    plan = foreseen.plan
    return isinstance(frames_from, Keeps) and frames_from.has(
        foreseen.info, plan.indices, height=plan.height, width=plan.width, reader=reader
    )


def name_of_frames(
    foreseen: Foreseen, reader: str, engine: Engine | None = None
) -> Hashable | None:
    """What the frames are of and how they look; None where the file cannot be looked at now.

    By the file's content where that is known, or else, and where ``engine`` knows them so from a
    question that came before, by the file itself.
    """
    info, plan = foreseen.info, foreseen.plan
    if info.path is None:
        return None
    try:
        contents = names_of(info.path)
    except OSError:
        return None
    looks = plan.indices, plan.times, plan.height, plan.width, plan.route, reader
    names = [(content, *looks) for content in contents]
    known = (name for name in names if engine is not None and engine.knows(name))
    return next(known, names[0])
