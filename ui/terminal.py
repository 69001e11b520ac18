"""What the command line prints for people: pure; knows no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.asking import Foreseen
from ui.meter import headline, placed
from ui.render import size


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
        placed(found),
        f"{'Roughly' if seconds.rough else 'About'} {seconds.read:.1f} s to read, "
        f"{seconds.vision + seconds.prefill:.1f} s to look, "
        f"{1 / seconds.per_token:.3g} tokens/s",
        "" if foreseen.remedy is None else foreseen.remedy.message,
    ]
    return "\n".join(line for line in lines if line)


def catalog_text(known: Sequence[dict[str, Any]]) -> str:
    """The checkpoints known offline, one a line."""
    rows = [("Name", "Family", "Parameters", "Context")]
    rows += [
        (each["name"], each["family"], f"{each['parameters'] / 1e9:.1f} B", f"{each['context']:,}")
        for each in known
    ]
    name, family = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:{name}}  {b:{family}}  {c:>10}  {d:>9}" for a, b, c, d in rows)
