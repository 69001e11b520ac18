"""Values into words, HTML and Markdown: pure; the forecast has meter.py to itself."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from core.asking import Foreseen
from core.engine.base import Finished
from core.errors import FramewiseError
from core.planning.machine import GIB
from core.planning.plan import Plan
from core.video.info import VideoInfo
from ui import texts

_SETTING = re.compile(r"\b(" + "|".join(name for name in texts.LABELS if "_" in name) + r")\b")
_TIME = re.compile(r"(?<![\w#=.])(?:(\d{1,2}):)?(\d{1,3}):(\d{2})(?:\.\d+)?(?![\w:])")
_SECONDS = re.compile(r"(?<![\w#=.:])(\d{1,6}(?:\.\d+)?)(?= seconds?\b)")
_LISTED = re.compile(r"(?<![\w#=.:])(\d{1,6}\.\d)(?=(?:, \d+\.\d)*(?:,? and \d+\.\d)+ seconds\b)")


def clock(seconds: float) -> str:
    """Seconds as a person reads them: 6.25 -> "0:06.2", 3725 -> "1:02:05"."""
    whole, tenths = divmod(int(seconds * 10), 10)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}.{tenths}"


def size(count: int) -> str:
    """Bytes in GiB: 1610612736 -> "1.5 GiB"."""
    return f"{count / GIB:.1f} GiB"


def video_line(info: VideoInfo, name: str, more: str = "") -> str:
    """File, size, rate and length in one line of HTML, and what ``more`` is known."""
    rate = f"{float(info.frame_rate):.4g} fps" + (" (varies)" if info.variable_rate else "")
    parts = [name, f"{info.width}×{info.height}", rate, clock(info.duration_seconds), info.codec]
    parts += [more] if more else []
    return '<p class="fw-quiet">' + " · ".join(html.escape(part) for part in parts) + "</p>"


def timeline(plan: Plan, info: VideoInfo) -> str:
    """A mark for each sampled time over the length of the video, as HTML."""
    length = max(info.duration_seconds, 1e-3)
    marks = "".join(f'<i style="left:{100 * seconds / length:.3f}%"></i>' for seconds in plan.times)
    return (
        f'<div class="fw-timeline" role="img" aria-label="{len(plan.times)} sampled times">'
        f"{marks}</div>"
    )


def strip(
    plan: Plan,
    info: VideoInfo,
    pictures: Mapping[int, str],
    stand_ins: Mapping[int, int] | None = None,
) -> str:
    """The planned frames with their times; ``pictures`` are data URLs by frame index.

    Until a frame's own picture is there, that of its stand-in is shown, with its own time.
    """
    stand_ins, cells = stand_ins or {}, []
    for index, seconds in zip(plan.indices, plan.times, strict=True):
        title, near, label = f"frame {index} at {seconds:.2f} s", "", clock(seconds)
        picture, instead = pictures.get(index), stand_ins.get(index, index)
        if picture is None and instead in pictures:
            picture, near = pictures[instead], ' class="fw-near"'
            label = f"≈ {clock(info.time_of(instead))}"
            title += texts.STAND_IN.format(instead, info.time_of(instead))
        image = f'<img src="{picture}" alt="">' if picture else "<span></span>"
        cells.append(
            f'<a href="#t={seconds:.3f}" data-index="{index}" data-seconds="{seconds:.3f}"{near}'
            f' title="{title}">{image}<b>{label}</b></a>'
        )
    shape = f"--fw-shape:{info.width}/{info.height}"
    return f'<div class="fw-strip" style="{shape}" tabindex="0">{"".join(cells)}</div>'


def notice(error: FramewiseError | None) -> str:
    """What went wrong and what to do, as HTML; nothing for None."""
    if error is None:
        return ""
    remedy = f"<span>{in_page_words(error.remedy)}</span>" if error.remedy else ""
    return (
        f'<div class="fw-notice" role="alert"><strong>{in_page_words(error.message)}</strong>'
        f"{remedy}</div>"
    )


def in_page_words(text: str) -> str:
    """A message as HTML, settings by the names they have on the page: max_frames -> “Frames, …”."""
    return _SETTING.sub(lambda match: f"“{texts.LABELS[match[0]]}”", html.escape(text))


def answer(text: str) -> str:
    """A model's words as Markdown: no HTML, no pictures to fetch, times that seek the player."""
    safe = html.escape(text, quote=False).replace("![", "!\\[")
    safe = _TIME.sub(_link_clock, safe)
    safe = _LISTED.sub(_link_seconds, safe)
    return _SECONDS.sub(_link_seconds, safe)


def _link_seconds(match: re.Match[str]) -> str:
    return f"[{match[1]}](#t={float(match[1]):g})"


def _link_clock(match: re.Match[str]) -> str:
    seconds = int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
    return f"[{match[0]}](#t={seconds})"


def typed(text: str) -> str:
    """A person's words, shown as typed."""
    return html.escape(text, quote=False).replace("![", "!\\[")


def actual_text(foreseen: Foreseen, finished: Finished) -> str:
    """Foretold against actual, in one line."""
    found = foreseen.estimate
    off = finished.prompt_tokens - found.tokens.prompt
    match = (
        "as foretold"
        if off == 0
        else f"{abs(off):,} {'more' if off > 0 else 'fewer'} than foretold"
    )
    match += _reused(found.reused.tokens, finished.reused.tokens)
    parts = [
        f"{finished.prompt_tokens:,} prompt tokens, {match}",
        f"first word {finished.seconds_to_first_token:.2f} s "
        f"(foretold {found.seconds.first_token:.2f})",
        f"{finished.tokens_per_second:.0f} tokens/s",
    ]
    on_gpus = [each.peak for each in found.memory if each.device.kind == "cuda"]
    if on_gpus:
        foretold = max(on_gpus) if found.placement.mode == "replicas" else sum(on_gpus)
        parts.append(f"peak {size(sum(finished.peak_bytes))} (foretold {size(foretold)})")
    if finished.reason == "length":
        parts.append(f"cut at {finished.reply_tokens:,} tokens")
    if finished.reason == "stopped":
        parts.append("stopped")
    return " · ".join(parts)


def _reused(foretold: int, happened: int) -> str:
    """Tokens that were kept, and how many were to be where that is another number."""
    if foretold == happened:
        return f" ({happened:,} kept)" if happened else ""
    return f" ({happened:,} kept, foretold {foretold:,})"


def stage(name: str, done: int, total: int) -> str:
    """What the wait is for."""
    if name == "waiting" and done:
        return texts.WAITING.format(done)
    return texts.STAGES[name] + (f", {done:,} of {total:,}" if total else "") + " …"
