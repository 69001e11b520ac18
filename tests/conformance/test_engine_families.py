"""Small random models of other families' real classes in our engine: as long as was foretold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lively import asked
from real_processors import KINDS, real_processor
from small_models import IN_PART, MODELS, small_model

from asking_by_hand import NEVER, ending, said
from core.engine.base import Request
from core.engine.local import LocalEngine
from core.planning import Reused, Settings, Turn, make_plan
from core.planning.machine import processor as this_processor
from core.planning.prompt import writer_for
from core.planning.seconds import NOTHING
from core.planning.tokens import count_tokens
from core.video import Frames, describe_video


@pytest.mark.parametrize("kind", [*MODELS, *IN_PART])
def test_a_later_question_reuses_what_was_foretold(kind: str, tmp_path: Path) -> None:
    processor, card = real_processor(KINDS[kind], tmp_path / kind)
    engine = LocalEngine(
        card, small_model(kind, processor.tokenizer), processor, (this_processor(),)
    )
    turns = [Turn("user", "What happens?")]
    first = asked(card, turns)
    assert engine.reuse(first) == NOTHING
    events = list(engine.stream(first, stop=NEVER))
    for question in ("And then?", "7 of them, at 12.5 s?"):
        turns += [Turn("assistant", said(events)), Turn("user", question)]
        later = replace(asked(card, turns), frames=None)
        foretold = engine.reuse(later)
        assert foretold.tokens > later.plan.video_tokens
        assert foretold == Reused(tokens=foretold.tokens, seen=True, reading="none")
        events = list(engine.stream(later, stop=NEVER))
        assert ending(events).reused.tokens == foretold.tokens
    engine.close()


@pytest.mark.parametrize("kind", [*MODELS, *IN_PART])
def test_prompt_is_as_long_as_foretold(kind: str, tmp_path: Path) -> None:
    processor, card = real_processor(KINDS[kind], tmp_path / kind)
    engine = LocalEngine(
        card, small_model(kind, processor.tokenizer), processor, (this_processor(),)
    )
    info = describe_video(width=320, height=180, duration_seconds=6, frame_rate=25)
    turns = [Turn("user", "What happens?")]
    for route in card.routes:
        if route.name == "tiles":  # a way of other servers, not of transformers
            continue
        size = {} if card.frame_tokens else {"max_frame_tokens": 60}
        plan = make_plan(info, Settings(route=route.name, max_frames=8, **size), card)
        shape = (len(plan.indices), plan.height, plan.width, 3)
        frames = Frames(pixels=np.zeros(shape, np.uint8), seconds=plan.times, indices=plan.indices)
        prompt = writer_for(card, route.name).render(turns)
        request = Request(frames=frames, plan=plan, prompt=prompt, reply_tokens=4)
        finished = ending(list(engine.stream(request, stop=NEVER)))
        foretold = count_tokens(plan, card, turns, reply_tokens=4)
        assert finished.prompt_tokens == foretold.prompt
        assert finished.reply_tokens >= 1
    assert engine.execution.in_chunks == card.family.in_chunks
    engine.close()
