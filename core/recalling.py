"""What earlier questions do for the next one: the work it is spared, and the rates they taught.

The engine and the frame store are asked what they keep; nothing is read, and nothing waits.
"""

from __future__ import annotations

from dataclasses import replace

from core.asking import Foreseen, is_kept, name_of_frames, request_of
from core.engine.base import Engine, Finished, reuse_of
from core.planning.forecast import reusing
from core.planning.machine import Rates
from core.video.reading import DEFAULT_READER, iter_frames
from core.video.wanted import FrameSource


def recalled(
    foreseen: Foreseen,
    engine: Engine,
    *,
    reader: str = DEFAULT_READER,
    frames_from: FrameSource = iter_frames,
) -> Foreseen:
    """What will happen if ``engine`` is asked this now, with what it and the store keep.

    ``foreseen`` is of this engine's model, as if nothing were kept; see core.asking.answer for the
    rest.
    """
    video = name_of_frames(foreseen, reader, engine)
    reused = reuse_of(engine, request_of(foreseen, None, video))
    if reused.reading == "video" and is_kept(foreseen, reader=reader, frames_from=frames_from):
        reused = replace(reused, reading="store")
    found = reusing(foreseen.estimate, foreseen.card, reused)
    return replace(foreseen, estimate=found)


def learned(rates: Rates, foreseen: Foreseen, finished: Finished) -> Rates:
    """``rates`` with the measured ones in the place of those that were foretold.

    A part teaches only where all of it was done, and was to be: frames from a store say nothing of
    the decoder, and tokens that were kept nothing of the prompt. An answer that was stopped before
    its first word measured nothing but the stop.
    """
    if not finished.reply_tokens:
        return rates
    seconds, both = foreseen.estimate.seconds, (foreseen.estimate.reused, finished.reused)
    decoded = all(each.reading == "video" for each in both) and seconds.read
    whole = not any(each.tokens or each.seen for each in both)
    looking = finished.seconds_to_first_token - finished.read_seconds
    speed = finished.tokens_per_second
    return rates.corrected(
        read=finished.read_seconds / seconds.read if decoded else None,
        prompt=looking / (seconds.vision + seconds.prefill) if whole else None,
        per_token=1 / speed / seconds.per_token if speed else None,
    )
