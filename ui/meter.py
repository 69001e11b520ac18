"""The forecast in words and as bars: pure; knows no components and no handlers."""

from __future__ import annotations

import html
from collections.abc import Sequence

from core.asking import Foreseen
from core.planning.forecast import DeviceMemory, Estimate, Tokens
from core.planning.seconds import BUS_BYTES
from ui import texts
from ui.render import in_page_words, size

LEAST_SECONDS = 0.1
NAMED = 3  # devices that a sentence names before it only counts


def headline(foreseen: Foreseen) -> tuple[str, str]:
    """The forecast in one sentence, and its verdict in a few words with the numbers."""
    plan, found = foreseen.plan, foreseen.estimate
    count = len(plan.indices)
    sentence = (
        f"{count:,} {'frame' if count == 1 else 'frames'} of {plan.width}×{plan.height}, "
        f"{certainty(foreseen)}{found.tokens.prompt:,} tokens + {found.tokens.reply:,} for the "
        "reply"
    )
    share = f"{found.context_share:,.1%} of the context"
    verdict = {
        "fits": f"fits, {share}",
        "over_context": f"too much, {found.missing_tokens:,} tokens over: {share}"
        + (", and too much for the memory" if found.over else ""),
        "over_memory": f"too much for the memory: {lacking(found)}",
    }[found.verdict]
    return sentence, verdict


def certainty(foreseen: Foreseen) -> str:
    """What stands before a number of tokens that is not exact."""
    if not foreseen.card.family.exact:
        return "at most "
    return "" if foreseen.estimate.tokens.exact else "approximately "


def lacking(found: Estimate) -> str:
    """By how much the memory is too small, and where."""
    each = [f"{size(one.missing)} more on {one.device.name}" for one in found.over[:NAMED]]
    rest = len(found.over) - NAMED
    others = f" and {rest} other device{'s' if rest > 1 else ''}"
    return ", ".join(each) + (others if rest > 0 else "")


def placed(found: Estimate) -> str:
    """How the model lies on several devices; empty for one device, or where it does not fit."""
    devices, replicas = len(found.memory), found.placement.replicas
    if devices == 1 or found.over:
        return ""
    if found.placement.mode == "split":
        return f"One model, its layers split over {len(found.placement.used)} devices."
    if found.placement.mode == "offload":
        return _offloaded(found)
    if found.placement.mode == "replicas":
        return f"A replica on each of {replicas} devices: {replicas} questions at a time."
    return f"Whole on one device: {replicas} of {devices} can hold a replica each."


def _offloaded(found: Estimate) -> str:
    host = found.memory[-1]
    seconds = host.weights / BUS_BYTES
    waiting = f"{_named(host.layers)} {'waits' if len(host.layers) == 1 else 'wait'}"
    return (
        f"The devices cannot hold it all: {waiting} in the machine's memory, and every token of "
        f"the reply takes {_brief(seconds)} more to fetch {size(host.weights)}."
    )


def _named(layers: range) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}–{layers[-1]}"


def meter(foreseen: Foreseen, *, above: str = "") -> str:
    """The forecast as HTML: a sentence, a bar of tokens, a bar for each device.

    ``above`` is HTML that says whose forecast it is, where that is not the loaded model's.
    """
    found = foreseen.estimate
    return "".join(
        [
            f'<div class="fw-meter" data-verdict="{found.verdict}">',
            above,
            _headline(foreseen),
            _tokens(foreseen),
            _memory(found),
            "</div>",
        ]
    )


def as_if(model: str, devices: str) -> str:
    """Says that the forecast is not about the loaded model, as HTML."""
    line = texts.AS_IF.format(*(html.escape(each) for each in (model, devices)))
    return f'<p class="fw-as-if">{line}</p>'


def _headline(foreseen: Foreseen) -> str:
    sentence, verdict = headline(foreseen)
    seconds, remedy = foreseen.estimate.seconds, foreseen.remedy
    if remedy is None:
        first = f"First word {_within(seconds.first_token, rough=seconds.rough)}"
        title = texts.ROUGH if seconds.rough else texts.MEASURED
        speed = f" then {_brief(1 / seconds.per_token, unit='tokens/s')}."
        more, below = f' <span title="{title}">{first},{speed}</span>', ""
        spared = kept(foreseen.estimate)
        more += f" {spared}." if spared else ""
    else:
        more = ""
        below = f'<p class="fw-remedy" role="alert">{in_page_words(remedy.message)}</p>'
    return (
        f'<p class="fw-headline"><span>{sentence}:</span> '
        f'<strong class="fw-{"good" if remedy is None else "bad"}">{verdict}.</strong>{more}</p>'
        f"{below}"
    )


def kept(found: Estimate) -> str:
    """What need not be done again, in a few words; empty where all has to be done."""
    reused, prompt = found.reused, found.tokens.prompt
    if reused.tokens:
        return texts.KEPT_TOKENS.format(min(reused.tokens, prompt), prompt)
    if reused.seen or reused.reading == "none":
        return texts.KEPT_FRAMES
    return texts.STORED_FRAMES if reused.reading == "store" else ""


def _within(seconds: float, *, rough: bool) -> str:
    """0.01 -> "in less than 0.1 s", 2.34 -> "in about 2.3 s"."""
    if seconds < LEAST_SECONDS:
        return f"in less than {LEAST_SECONDS} s"
    return f"in {'roughly' if rough else 'about'} {_brief(seconds)}"


def _brief(number: float, *, unit: str = "s") -> str:
    """0.214 -> "0.2 s", 41.7 -> "42 s"."""
    return f"{number:,.{0 if number >= 10 else 1}f} {unit}"


def _tokens(foreseen: Foreseen) -> str:
    found = foreseen.estimate
    tokens, limit = found.tokens, found.context_tokens
    kinds = [
        ("video", tokens.video),
        ("time labels", tokens.labels),
        ("question", tokens.question),
        ("history", tokens.history),
        ("template", tokens.template),
        ("reply", tokens.reply),
    ]
    parts = [(name, count) for name, count in kinds if count]
    return (
        _bar(parts, total=tokens.total, kind="tokens")
        + _bar([("used", min(tokens.total, limit))], total=limit, kind="context")
        + _legend([(name, f"{name} {count:,}") for name, count in parts])
        + f'<p class="fw-shares">{_shares(tokens, limit)}{_doubt(foreseen)}</p>'
    )


def _shares(tokens: Tokens, limit: int) -> str:
    """Of what the context is made, in numbers."""
    text = tokens.prompt - tokens.video
    parts = [("video", tokens.video), ("text", text), ("reply", tokens.reply)]
    shares = ", ".join(f"{name} {count / limit:,.1%}" for name, count in parts)
    return f"{tokens.total:,} of {limit:,} tokens: {shares}."


def _doubt(foreseen: Foreseen) -> str:
    if not foreseen.card.family.exact:
        return f" {texts.AT_MOST}"
    return "" if foreseen.estimate.tokens.exact else f" {texts.APPROXIMATE}"


def _bar(parts: Sequence[tuple[str, int]], *, total: int, kind: str) -> str:
    pieces = "".join(
        f'<i class="fw-{name.replace(" ", "-")}" style="width:{100 * count / max(1, total):.2f}%"'
        f' title="{name}: {count:,}"></i>'
        for name, count in parts
    )
    return f'<div class="fw-bar fw-{kind}-bar">{pieces}</div>'


def _legend(parts: Sequence[tuple[str, str]]) -> str:
    entries = "".join(
        f'<span><i class="fw-{name.replace(" ", "-")}"></i>{words}</span>' for name, words in parts
    )
    return f'<p class="fw-legend">{entries}</p>'


def _memory(found: Estimate) -> str:
    replicas = [n for n in found.placement.used if found.placement.mode == "replicas"]
    devices = "".join(
        _device(each, kept, held=_held(found, number, replicas))
        for number, (each, kept) in enumerate(zip(found.memory, found.kept, strict=True))
    )
    kinds = ["tower", "weights", "cache", "activations", "reserve", "earlier", "free"]
    if not any(found.kept):
        kinds.remove("earlier")
    where = placed(found)
    return (
        f'<div class="fw-{found.placement.mode}">{devices}</div>'
        + _legend([(name, texts.MEMORY.get(name, name)) for name in kinds])
        + (f'<p class="fw-shares">{where}</p>' if where else "")
    )


def _held(found: Estimate, number: int, replicas: list[int]) -> str:
    """What of the model is on a device, in a few words; nothing where it is all in one place."""
    placement, layers = found.placement, found.memory[number].layers
    if number in replicas:
        return f"replica {replicas.index(number) + 1}"
    if placement.mode == "single":
        return ""
    tower = ["tower"] if placement.used and number == placement.used[0] else []
    return ", ".join([*tower, *([_named(layers)] if layers else [])])


def _device(memory: DeviceMemory, kept: int, *, held: str) -> str:
    capacity = memory.device.capacity_bytes
    parts = [
        ("tower", memory.ends),
        ("weights", memory.weights - memory.ends),
        ("cache", memory.kv_cache),
        ("activations", memory.activations),
        ("reserve", memory.reserve),
        ("earlier", kept),
    ]
    free = [("free", max(0, capacity - memory.peak - kept))]
    title = ", ".join(
        f"{texts.MEMORY.get(name, name)} {size(count)}" for name, count in [*parts, *free] if count
    )
    over = " fw-bad" if memory.missing else ""
    bar = _bar(parts, total=max(memory.peak, capacity), kind="memory")
    small = f"<small>{held}</small>" if held else ""
    return (
        f'<div class="fw-device" title="{title}"><span>{memory.device.name}{small}</span>{bar}'
        f'<b class="fw-amount{over}">{size(memory.peak)} of {size(capacity)}</b></div>'
    )
