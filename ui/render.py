"""Values into words, HTML and Markdown: pure, and the only place where numbers become text."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from core.asking import Foreseen
from core.engine.base import Finished
from core.errors import FramewiseError
from core.planning.forecast import DeviceMemory
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


def video_line(info: VideoInfo, name: str) -> str:
    """File, size, rate and length in one line of HTML."""
    rate = f"{float(info.frame_rate):.4g} fps" + (" (varies)" if info.variable_rate else "")
    parts = [name, f"{info.width}×{info.height}", rate, clock(info.duration_seconds), info.codec]
    return '<p class="fw-quiet">' + " · ".join(html.escape(part) for part in parts) + "</p>"


def headline(foreseen: Foreseen) -> tuple[str, str]:
    """The forecast in one sentence, and its verdict in a few words."""
    plan, found = foreseen.plan, foreseen.estimate
    sentence = (
        f"{len(plan.indices):,} frames of {plan.width}×{plan.height}, "
        f"{found.tokens.prompt:,} tokens + {found.tokens.reply:,} for the reply"
    )
    over = [each for each in found.memory if each.peak > each.device.capacity_bytes]
    share = f"{found.context_share:.1%} of the context"
    verdict = {
        "fits": f"fits, {share}",
        "over_context": f"too much, {share}",
        "over_memory": f"too much for the memory of {', '.join(m.device.name for m in over)}",
    }[found.verdict]
    return sentence, verdict


def meter(foreseen: Foreseen) -> str:
    """The forecast as HTML: a sentence, a bar of tokens, a bar for each device."""
    sentence, verdict = headline(foreseen)
    found = foreseen.estimate
    tokens = found.tokens
    kinds = [
        ("video", tokens.video),
        ("time labels", tokens.labels),
        ("question", tokens.question),
        ("history", tokens.history),
        ("template", tokens.template),
        ("reply", tokens.reply),
    ]
    parts = [(name, count) for name, count in kinds if count]
    about = "roughly" if found.seconds.rough else "about"
    fits = found.verdict == "fits"
    remedy = "" if foreseen.remedy is None else in_page_words(foreseen.remedy.message)
    return "".join(
        [
            f'<div class="fw-meter" data-verdict="{found.verdict}">',
            f'<p class="fw-headline"><span>{sentence}:</span> ',
            f'<strong class="fw-{"good" if fits else "bad"}">{verdict}.</strong>',
            f" First word in {about} {found.seconds.first_token:.1f} s.</p>" if fits else "</p>",
            "" if fits else f'<p class="fw-remedy" role="alert">{remedy}</p>',
            _bar(parts, total=tokens.total, kind="tokens"),
            _bar([("used", min(tokens.total, found.context_tokens))], total=found.context_tokens,
                 kind="context"),
            _legend(parts, f"{tokens.total:,} of {found.context_tokens:,} tokens"),
            *(_device(each) for each in found.memory),
            "</div>",
        ]
    )  # fmt: skip


def _bar(parts: Sequence[tuple[str, int]], *, total: int, kind: str) -> str:
    pieces = "".join(
        f'<i class="fw-{name.replace(" ", "-")}" style="width:{100 * count / max(1, total):.2f}%"'
        f' title="{name}: {count:,}"></i>'
        for name, count in parts
    )
    return f'<div class="fw-bar fw-{kind}-bar">{pieces}</div>'


def _legend(parts: Sequence[tuple[str, int]], right: str) -> str:
    entries = "".join(
        f'<span><i class="fw-{name.replace(" ", "-")}"></i>{name} {count:,}</span>'
        for name, count in parts
    )
    return f'<p class="fw-legend">{entries}<b>{right}</b></p>'


def _device(memory: DeviceMemory) -> str:
    parts = [
        ("weights", memory.weights),
        ("cache", memory.kv_cache),
        ("activations", memory.activations),
        ("reserve", memory.reserve),
    ]
    over = " fw-bad" if memory.peak > memory.device.capacity_bytes else ""
    title = ", ".join(f"{name} {size(count)}" for name, count in parts)
    bar = _bar(parts, total=max(memory.peak, memory.device.capacity_bytes), kind="memory")
    return (
        f'<div class="fw-device" title="{title}"><span>{memory.device.name}</span>{bar}'
        f'<b class="fw-amount{over}">{size(memory.peak)} of '
        f"{size(memory.device.capacity_bytes)}</b></div>"
    )


def timeline(plan: Plan, info: VideoInfo) -> str:
    """A mark for each sampled time over the length of the video, as HTML."""
    length = max(info.duration_seconds, 1e-3)
    marks = "".join(f'<i style="left:{100 * seconds / length:.3f}%"></i>' for seconds in plan.times)
    return (
        f'<div class="fw-timeline" role="img" aria-label="{len(plan.times)} sampled times">'
        f"{marks}</div>"
    )


def strip(plan: Plan, info: VideoInfo, pictures: Mapping[int, str]) -> str:
    """The planned frames with their times; ``pictures`` are data URLs by frame index."""
    cells = []
    for index, seconds in zip(plan.indices, plan.times, strict=True):
        picture = pictures.get(index)
        image = f'<img src="{picture}" alt="">' if picture else "<span></span>"
        cells.append(
            f'<a href="#t={seconds:.3f}" data-index="{index}" data-seconds="{seconds:.3f}"'
            f' title="frame {index} at {seconds:.2f} s">{image}<b>{clock(seconds)}</b></a>'
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
    parts = [
        f"{finished.prompt_tokens:,} prompt tokens, {match}",
        f"first word {finished.seconds_to_first_token:.2f} s "
        f"(foretold {found.seconds.first_token:.2f})",
        f"{finished.tokens_per_second:.0f} tokens/s",
    ]
    on_gpus = [each.peak for each in found.memory if each.device.kind == "cuda"]
    if on_gpus:
        parts.append(f"peak {size(sum(finished.peak_bytes))} (foretold {size(sum(on_gpus))})")
    if finished.reason == "length":
        parts.append(f"cut at {finished.reply_tokens:,} tokens")
    if finished.reason == "stopped":
        parts.append("stopped")
    return " · ".join(parts)


def estimate_text(foreseen: Foreseen) -> str:
    """The forecast for a terminal."""
    plan, found = foreseen.plan, foreseen.estimate
    sentence, verdict = headline(foreseen)
    times = ", ".join(f"{seconds:.1f}" for seconds in plan.times[:8])
    more = f", … {plan.times[-1]:.1f}" if len(plan.times) > 8 else ""
    seconds = found.seconds
    lines = [
        f"{foreseen.card.name} ({foreseen.card.family.name}, {plan.route})",
        f"{sentence}: {verdict}",
        f"Times: {times}{more} s",
        f"Tokens: {found.tokens.video:,} video, {found.tokens.labels:,} time labels, "
        f"{found.tokens.prompt:,} prompt, {found.tokens.total:,} of {found.context_tokens:,}",
        *(
            f"Memory of {each.device.name}: {size(each.peak)} of "
            f"{size(each.device.capacity_bytes)} ({size(each.weights)} weights, "
            f"{size(each.kv_cache)} cache, {size(each.activations)} activations)"
            for each in found.memory
        ),
        f"{'Roughly' if seconds.rough else 'About'} {seconds.read:.1f} s to read, "
        f"{seconds.vision + seconds.prefill:.1f} s to look, "
        f"{1 / seconds.per_token:.0f} tokens/s",
    ]
    if foreseen.remedy is not None:
        lines.append(foreseen.remedy.message)
    return "\n".join(lines)


def stage(name: str, done: int, total: int) -> str:
    """What the wait is for."""
    return texts.STAGES[name] + (f", {done:,} of {total:,}" if total else "") + " …"
