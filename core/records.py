"""What was foreseen and what happened, as plain values for JSON: bytes, seconds, tokens."""

from __future__ import annotations

from typing import Any

from core.asking import Foreseen
from core.engine.base import Finished
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
        "frames": {
            "count": len(plan.indices),
            "times": list(plan.times),
            "indices": list(plan.indices),
            "height": plan.height,
            "width": plan.width,
            "grid": list(plan.grid),
        },
        "tokens": {
            "video": tokens.video,
            "labels": tokens.labels,
            "question": tokens.question,
            "history": tokens.history,
            "template": tokens.template,
            "prompt": tokens.prompt,
            "reply": tokens.reply,
            "total": tokens.total,
        },
        "context": {"limit": found.context_tokens, "used": round(found.context_share, 4)},
        "memory": [
            {
                "device": each.device.name,
                "capacity": each.device.capacity_bytes,
                "weights": each.weights,
                "kv_cache": each.kv_cache,
                "activations": each.activations,
                "reserve": each.reserve,
                "peak": each.peak,
            }
            for each in found.memory
        ],
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
            "frame_times": list(finished.frame_times),
            "seconds_to_read": finished.read_seconds,
            "seconds_to_first_token": finished.seconds_to_first_token,
            "tokens_per_second": finished.tokens_per_second,
            "peak_bytes": list(finished.peak_bytes),
            "reason": finished.reason,
        },
    }
