"""Numbers and model output become text: truth tables."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import pytest

from core.asking import Foreseen, foresee
from core.engine.base import Finished
from core.errors import FramewiseError
from core.planning import Device, ModelCard, Reused, Settings, Turn, load_card, parse_devices
from core.planning.forecast import reusing
from core.video import VideoInfo, describe_video
from tiny_checkpoint import write_tiny_checkpoint
from ui import meter, render, texts


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return load_card(str(write_tiny_checkpoint(tmp_path_factory.mktemp("render") / "tiny")))


def foreseen(card: ModelCard, *, devices: str = "24GiB", **settings: object) -> Foreseen:
    info = describe_video(width=1280, height=720, duration_seconds=60, frame_rate=30)
    return foresee(
        info,
        Settings(**settings),  # type: ignore[arg-type]
        card,
        [Turn("user", "What happens?")],
        devices=parse_devices(devices),
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (6.25, "0:06.2"), (65.96, "1:05.9"), (3725.4, "1:02:05")],
)
def test_clock(seconds: float, text: str) -> None:
    assert render.clock(seconds) == text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("It appears at 6.2 seconds.", "It appears at [6.2](#t=6.2) seconds."),
        ("At 1 second.", "At [1](#t=1) second."),
        (
            "At 2.2, 6.2 and 9.8 seconds.",
            "At [2.2](#t=2.2), [6.2](#t=6.2) and [9.8](#t=9.8) seconds.",
        ),
        ("From 01:05 to 1:02:03.", "From [01:05](#t=65) to [1:02:03](#t=3723)."),
        ("Three shapes, 5 stars, 16:9.", "Three shapes, 5 stars, 16:9."),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("![a](http://example.org/b)", "!\\[a](http://example.org/b)"),
    ],
    ids=["seconds", "one-second", "list", "clock", "no-times", "html", "picture"],
)
def test_answer_links_times_and_fetches_nothing(said: str, shown: str) -> None:
    assert render.answer(said) == shown


@pytest.mark.parametrize(
    ("settings", "verdict", "words"),
    [
        ({"fps": 1}, "fits", "fits, "),
        ({"fps": 20, "max_frames": 768, "video_token_budget": 90000}, "over_context", "too much"),
    ],
    ids=["fits", "over"],
)
def test_meter_says_the_verdict_in_words(
    card: ModelCard, settings: dict[str, object], verdict: str, words: str
) -> None:
    found = foreseen(card, **settings)
    page = meter.meter(found)
    assert f'data-verdict="{verdict}"' in page
    assert words in page
    assert f"{found.estimate.tokens.prompt:,} tokens" in page
    assert ("“Patches per frame” to " in page) == (verdict != "fits")


def test_meter_shows_one_bar_for_each_device(card: ModelCard) -> None:
    page = meter.meter(foreseen(card, devices="2x24GiB"))
    assert re.findall(r"<span>(cuda:\d)<", page) == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("devices", "words", "layers"),
    [
        ("24GiB", "", []),
        ("2x24GiB", "A replica on each of 2 devices", []),
        ("2x12GiB", "split over 2 devices", ["tower, layers 0–", "–27"]),
    ],
    ids=["one", "replicas", "split"],
)
def test_meter_says_where_the_model_is(devices: str, words: str, layers: list[str]) -> None:
    card = load_card("Qwen/Qwen2.5-VL-7B-Instruct")
    page = meter.meter(foreseen(card, devices=devices, max_frames=8))
    assert words in page
    assert all(part in page for part in layers)
    assert ("<small>tower, layers" in page) == bool(layers)


def test_meter_shows_what_earlier_questions_may_leave() -> None:
    kept = texts.MEMORY["earlier"]
    page = meter.meter(foreseen(load_card("Qwen/Qwen2.5-VL-7B-Instruct"), devices="H200"))
    (part,) = re.findall(r'class="fw-earlier" style="width:([\d.]+)%"', page)
    assert 0 < float(part) < 100
    assert f"</i>{kept}</span>" in page
    plain = meter.meter(foreseen(load_card("allenai/Molmo2-4B"), devices="H200"))
    assert f"</i>{kept}</span>" not in plain


def test_meter_calls_one_layer_by_its_number() -> None:
    split = foreseen(load_card("Qwen/Qwen2.5-VL-7B-Instruct"), devices="2x12GiB", max_frames=8)
    first, last = split.estimate.memory
    memory = replace(first, layers=range(27)), replace(last, layers=range(27, 28))
    page = meter.meter(replace(split, estimate=replace(split.estimate, memory=memory)))
    assert "<small>tower, layers 0–26</small>" in page
    assert "<small>layer 27</small>" in page


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("tiny", ": video"),
        ("Qwen/Qwen3-VL-8B-Instruct", "approximately"),
        ("DAMO-NLP-SG/VideoLLaMA3-7B", "at most"),
    ],
    ids=["exact", "approximate", "bound"],
)
def test_meter_says_how_sure_the_count_is(card: ModelCard, model: str, words: str) -> None:
    page = meter.meter(foreseen(card if model == "tiny" else load_card(model), devices="H200"))
    assert words in page
    assert ("approximately" in page, "at most" in page) == (
        words == "approximately",
        words == "at most",
    )


def test_meter_names_a_few_devices_that_lack_memory_and_counts_the_rest() -> None:
    found = foreseen(load_card("Qwen/Qwen2.5-VL-72B-Instruct"), devices="6xL4")
    page = meter.meter(found)
    assert f"{render.size(found.estimate.over[0].missing)} more on cuda:0" in page
    assert "and 3 other devices" in page


def test_meter_gives_the_shares_of_the_context(card: ModelCard) -> None:
    found = foreseen(card, fps=1)
    tokens = found.estimate.tokens
    numbers = re.findall(r"([\d.]+)%", meter.meter(found).split("tokens: ")[1])[:3]
    assert sum(map(float, numbers)) == pytest.approx(100 * tokens.total / 32_768, abs=0.2)


def test_strip_has_each_planned_frame_once_with_its_time(card: ModelCard) -> None:
    found = foreseen(card, fps=1)
    page = render.strip(found.plan, found.info, {found.plan.indices[3]: "data:image/jpeg;base64,x"})
    assert re.findall(r'data-index="(\d+)"', page) == [str(i) for i in found.plan.indices]
    assert page.count("<img") == 1


def test_video_line_escapes_the_name_and_tells_a_varying_rate() -> None:
    info = VideoInfo(
        width=640,
        height=360,
        duration_seconds=12.0,
        frame_rate=Fraction(30000, 1001),
        frame_count=360,
        variable_rate=True,
        codec="h264",
    )
    line = render.video_line(info, "<b>.mp4")
    assert "&lt;b&gt;.mp4" in line
    assert "29.97 fps (varies)" in line


def test_notice_gives_message_and_remedy_and_escapes_both() -> None:
    page = render.notice(FramewiseError("a < b", remedy="Try <c>."))
    assert "a &lt; b" in page
    assert "Try &lt;c&gt;." in page
    assert render.notice(None) == ""


@pytest.mark.parametrize(
    ("more", "reason", "words"),
    [
        (0, "end", "as foretold"),
        (3, "end", "3 more than"),
        (0, "length", "cut at"),
        (-2, "stopped", "2 fewer"),
    ],
    ids=["equal", "more", "length", "stopped"],
)
def test_actual_text_compares_with_the_forecast(
    card: ModelCard, more: int, reason: str, words: str
) -> None:
    found = foreseen(card, fps=1)
    finished = Finished(
        prompt_tokens=found.estimate.tokens.prompt + more,
        reply_tokens=12,
        seconds_to_first_token=0.5,
        tokens_per_second=40.0,
        peak_bytes=(2**30,),
        reason=reason,  # type: ignore[arg-type]
    )
    text = render.actual_text(found, finished)
    assert words in text
    assert "40 tokens/s" in text
    assert "peak 1.0 GiB" in text


@pytest.mark.parametrize(
    ("foretold", "happened", "words"),
    [
        (0, 0, "as foretold · "),
        (840, 840, "as foretold (840 kept) · "),
        (1840, 0, "as foretold (0 kept, foretold 1,840) · "),
        (0, 840, "as foretold (840 kept, foretold 0) · "),
    ],
    ids=["nothing", "as foretold", "forgotten", "kept meanwhile"],
)
def test_actual_text_compares_what_was_kept(
    card: ModelCard, foretold: int, happened: int, words: str
) -> None:
    found = foreseen(card, fps=1)
    whole = found.estimate.seconds.first_token
    estimate = reusing(found.estimate, card, Reused(tokens=foretold, seen=foretold > 0))
    finished = Finished(
        prompt_tokens=estimate.tokens.prompt,
        reply_tokens=12,
        seconds_to_first_token=0.5,
        tokens_per_second=40.0,
        reused=Reused(tokens=happened),
        peak_bytes=(2**30,),
        reason="end",
    )
    text = render.actual_text(replace(found, estimate=estimate), finished)
    assert words in text
    (seconds,) = re.findall(r"first word 0.50 s \(foretold ([\d.]+)\)", text)
    assert float(seconds) == pytest.approx(estimate.seconds.first_token, abs=0.006)
    assert (estimate.seconds.first_token < whole) == (foretold > 0)


@pytest.mark.parametrize(
    ("stage", "done", "words"),
    [
        ("waiting", 2, "Waiting: 2 before you"),
        ("waiting", 0, "Waiting for the model to be free …"),
        ("reading", 3, "Reading frames, 3 of 8 …"),
    ],
    ids=["in line", "no place known", "reading"],
)
def test_what_the_wait_is_for(stage: str, done: int, words: str) -> None:
    assert render.stage(stage, done, 8 if stage == "reading" else 0) == words


def test_meter_says_what_waits_in_the_machine_and_what_it_costs() -> None:
    card = load_card("Qwen/Qwen2.5-VL-72B-Instruct")
    host = Device(name="cpu", kind="cpu", model="", capacity_bytes=256 * 2**30)
    found = foresee(
        describe_video(width=1280, height=720, duration_seconds=5, frame_rate=25),
        Settings(max_frames=8),
        card,
        [Turn("user", "What happens?")],
        devices=(*parse_devices("2xL40S"), host),
    )
    page = meter.meter(found)
    assert found.estimate.verdict == "fits"
    assert re.findall(r"<span>([\w:]+)<", page)[-3:] == ["cuda:0", "cuda:1", "cpu"]
    assert re.search(r"layers \d+–79 wait in the machine", page)
    assert found.estimate.seconds.per_token > found.estimate.memory[-1].weights / 1e10
