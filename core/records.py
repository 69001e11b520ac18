"""What was foreseen and what happened, as plain values for JSON: bytes, seconds, tokens."""

from __future__ import annotations

from typing import Any

from core.asking import Foreseen
from core.engine.base import Finished
from core.planning.card import load_card
from core.planning.catalog import catalog
from core.planning.memory import DeviceMemory
from core.planning.plan import Plan
from core.video.info import VideoInfo


def foreseen_record(foreseen: Foreseen) -> dict[str, Any]:
    """The object that ``estimate --json`` prints."""
    plan, found = foreseen.plan, foreseen.estimate
    tokens, seconds, remedy = found.tokens, found.seconds, foreseen.remedy
    return {
        "model": foreseen.card.name,
        "family": foreseen.card.family.name,
        "route": plan.route,
        "settings": foreseen.settings.as_dict(),
        "video": video_record(foreseen.info),
        "frames": frames_record(plan),
        "tokens": {
            "video": tokens.video,
            "labels": tokens.labels,
            "question": tokens.question,
            "history": tokens.history,
            "template": tokens.template,
            "prompt": tokens.prompt,
            "reply": tokens.reply,
            "total": tokens.total,
            "exact": tokens.exact,
        },
        "context": {"limit": found.context_tokens, "used": round(found.context_share, 4)},
        "memory": [
            _memory_record(each, kept) for each, kept in zip(found.memory, found.kept, strict=True)
        ],
        "placement": {"mode": found.placement.mode, "replicas": found.placement.replicas},
        "seconds": {
            "read": seconds.read,
            "vision": seconds.vision,
            "prefill": seconds.prefill,
            "per_token": seconds.per_token,
            "rough": seconds.rough,
        },
        "verdict": found.verdict,
        "remedy": None
        if remedy is None
        else {
            "message": remedy.message,
            "settings": None if remedy.settings is None else remedy.settings.as_dict(),
        },
    }


def _memory_record(memory: DeviceMemory, kept: int) -> dict[str, Any]:
    """``layers`` are the first and the last one on the device, null where there are none."""
    return {
        "device": memory.device.name,
        "capacity": memory.device.capacity_bytes,
        "weights": memory.weights,
        "kv_cache": memory.kv_cache,
        "activations": memory.activations,
        "reserve": memory.reserve,
        "peak": memory.peak,
        "kept": kept,
        "missing": memory.missing,
        "layers": [memory.layers[0], memory.layers[-1]] if memory.layers else None,
    }


def catalog_records() -> list[dict[str, Any]]:
    """The array that ``estimate --model list --json`` prints."""
    cards = [load_card(each.name) for each in catalog()]
    return [
        {
            "name": card.name,
            "family": card.family.name,
            "parameters": card.parameters,
            "context": card.context_tokens,
            "routes": [route.name for route in card.routes],
        }
        for card in cards
    ]


def frames_record(plan: Plan) -> dict[str, Any]:
    """Which frames of the video, and at which size."""
    return {
        "count": len(plan.indices),
        "times": list(plan.times),
        "indices": list(plan.indices),
        "height": plan.height,
        "width": plan.width,
        "grid": list(plan.grid),
    }


def video_record(info: VideoInfo) -> dict[str, Any]:
    """What is known of the video."""
    return {
        "width": info.width,
        "height": info.height,
        "duration": info.duration_seconds,
        "frame_rate": float(info.frame_rate),
        "frame_count": info.frame_count,
        "frame_count_source": info.frame_count_source,
        "codec": info.codec,
        "container": info.container,
        "rotation": info.rotation,
        "variable_rate": info.variable_rate,
    }


def answered_record(foreseen: Foreseen, answer: str, finished: Finished) -> dict[str, Any]:
    """The object that ``ask --json`` prints: what was foreseen, the answer, what happened."""
    return {
        **foreseen_record(foreseen),
        "answer": answer,
        "actual": {
            "prompt_tokens": finished.prompt_tokens,
            "reply_tokens": finished.reply_tokens,
            "reused_tokens": finished.reused_tokens,
            "frame_times": list(finished.frame_times),
            "seconds_to_read": finished.read_seconds,
            "seconds_to_first_token": finished.seconds_to_first_token,
            "tokens_per_second": finished.tokens_per_second,
            "peak_bytes": list(finished.peak_bytes),
            "reason": finished.reason,
        },
    }
