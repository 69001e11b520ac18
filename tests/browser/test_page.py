"""What a person does on the page, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import gradio
import pytest
from playwright.sync_api import Page, expect

from core.engine.base import Engine
from core.engine.loading import load_engine
from core.planning import DEMO_MODEL, ModelCard, load_card
from core.video import probe
from fake_engine import FakeEngine, wait_until

pytestmark = pytest.mark.browser
EXAMPLES = DEMO_MODEL.parent / "examples"
REAL_CLIP = next(Path(gradio.__file__).parent.rglob("*world*.mp4"))
Serve = Callable[[Engine], str]
Visit = Callable[..., Page]


def upload(page: Page, clip: Path) -> None:
    page.set_input_files("#player input[type=file]", clip)
    expect(page.locator("#line")).to_contain_text(clip.name)


def ask(page: Page, question: str) -> None:
    page.fill("#question textarea", question)
    page.click("#ask")


def planned_seconds(page: Page) -> list[float]:
    return [
        float(cell.get_attribute("data-seconds") or "nan")
        for cell in page.query_selector_all(".fw-strip a")
    ]


def test_a_real_clip_shows_its_frames_and_their_cost(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    page = visit(serve(FakeEngine(tiny_card)))
    upload(page, REAL_CLIP)
    info = probe(REAL_CLIP)
    expect(page.locator("#line")).to_contain_text(f"{info.width}×{info.height}")
    expect(page.locator(".fw-strip a img").first).to_be_visible()
    frames = int(re.match(r"(\d+) frames", page.inner_text(".fw-headline"))[1])  # type: ignore[index]
    expect(page.locator(".fw-strip a img")).to_have_count(frames)
    expect(page.locator(".fw-timeline i")).to_have_count(frames)
    expect(page.locator(".fw-meter")).to_have_attribute("data-verdict", "fits")


def test_the_meter_shows_the_last_of_thirty_fast_slider_moves(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    page = visit(serve(FakeEngine(tiny_card)))
    upload(page, EXAMPLES / "flash.mp4")  # 12 seconds
    expect(page.locator(".fw-headline")).to_contain_text("24 frames")
    page.evaluate(
        """async () => {
            const slider = document.querySelector("#fps input[type=range]");
            for (let move = 1; move <= 30; move++) {
                slider.value = (move * 0.1).toFixed(2);
                slider.dispatchEvent(new Event("input", {bubbles: true}));
                await new Promise((resume) => setTimeout(resume, 16));
            }
        }"""
    )
    expect(page.locator(".fw-headline")).to_contain_text("36 frames")  # 12 s at 3 fps
    expect(page.locator(".fw-strip a img")).to_have_count(36)
    assert planned_seconds(page) == sorted(set(planned_seconds(page)))
    page.wait_for_timeout(1000)
    expect(page.locator(".fw-headline")).to_contain_text("36 frames")


def test_the_demo_model_answers_and_does_what_was_foretold(serve: Serve, visit: Visit) -> None:
    page = visit(serve(load_engine(load_card(DEMO_MODEL), device="cpu")))
    expect(page.locator("#demo-notice")).to_contain_text("coloured shapes only")
    upload(page, EXAMPLES / "flash.mp4")
    ask(page, "When does the flash happen?")
    bubble = page.locator("#chat [data-testid=bot]").last
    expect(bubble).to_contain_text("tokens/s")
    expect(bubble).to_contain_text(re.compile(r"7\.\d seconds"))
    expect(bubble).to_contain_text("as foretold")
    bubble.locator("a[href^='#t=']").first.click()
    seconds = page.evaluate("document.querySelector('#player video').currentTime")
    assert 7 <= seconds < 8
    expect(page.locator(".fw-headline")).to_contain_text("tokens are kept")
    ask(page, "What colour is the star?")
    expect(page.locator("#chat [data-testid=bot]")).to_have_count(2)
    expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("orange")
    expect(bubble).to_contain_text(re.compile(r"as foretold \([\d,]+ kept\)"))


def test_stop_ends_a_long_answer_and_the_next_one_comes(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    engine = FakeEngine(tiny_card, words=["word "] * 5000, pause_seconds=0.02)
    page = visit(serve(engine))
    upload(page, EXAMPLES / "order.mp4")
    ask(page, "Tell me everything")
    expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("word word word")
    page.click("#stop")
    expect(page.locator("#ask")).to_be_visible()
    expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("stopped")
    assert wait_until(lambda: engine.answering == 0)
    said = engine.said
    page.wait_for_timeout(500)
    assert engine.said == said
    engine.words = ["Done."]
    ask(page, "And now?")
    expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("Done.")


def test_a_closed_tab_frees_the_engine(serve: Serve, visit: Visit, tiny_card: ModelCard) -> None:
    engine = FakeEngine(tiny_card, words=["word "] * 5000, pause_seconds=0.02)
    page = visit(serve(engine))
    upload(page, EXAMPLES / "order.mp4")
    ask(page, "Tell me everything")
    assert wait_until(lambda: engine.said > 3)
    page.close()
    assert wait_until(lambda: engine.answering == 0)


def test_a_second_person_waits_for_the_first(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    engine = FakeEngine(tiny_card, words=["word "] * 100, pause_seconds=0.02)
    url = serve(engine)
    first, second = visit(url), visit(url)
    for page in (first, second):
        upload(page, EXAMPLES / "order.mp4")
        ask(page, "Tell me everything")
    for page in (first, second):
        expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("tokens/s")
    assert engine.said == 200
    assert engine.answering == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("fake.mp4", b"This is not a video at all. " * 40, "is not a video that can be opened"),
        ("empty.mp4", b"", "is empty"),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/hostname\n", "is not a video"),
    ],
    ids=["text", "empty", "ffconcat"],
)
def test_a_file_that_is_no_video_is_refused_in_words(
    serve: Serve,
    visit: Visit,
    tiny_card: ModelCard,
    tmp_path: Path,
    name: str,
    content: bytes,
    message: str,
) -> None:
    page = visit(serve(FakeEngine(tiny_card)))
    (tmp_path / name).write_bytes(content)
    page.set_input_files("#player input[type=file]", tmp_path / name)
    expect(page.locator(".fw-notice")).to_contain_text(message)
    page.click("#examples button >> nth=0")
    expect(page.locator("#line")).to_contain_text("flash.mp4")
    expect(page.locator(".fw-notice")).to_have_count(0)


def test_a_plan_over_the_context_says_so_and_fit_mends_it(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    page = visit(serve(FakeEngine(tiny_card)))
    upload(page, EXAMPLES / "rare.mp4")  # two minutes
    page.fill("#fps input[type=number]", "8")
    page.keyboard.press("Tab")
    expect(page.locator(".fw-meter")).to_have_attribute("data-verdict", "over_context")
    ask(page, "What happens?")
    expect(page.locator("#notice .fw-notice")).to_contain_text("exceed the 32,768")
    expect(page.locator("#question textarea")).to_have_value("What happens?")
    page.click("#fit")
    expect(page.locator(".fw-meter")).to_have_attribute("data-verdict", "fits")


def choose(page: Page, control: str, words: str) -> None:
    page.fill(f"#{control} input", words)
    page.keyboard.press("Enter")


def test_another_model_is_planned_for_without_loading_it_and_back(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    engine = FakeEngine(tiny_card)
    page = visit(serve(engine))
    upload(page, EXAMPLES / "order.mp4")
    choose(page, "model", "InternVL3-8B")
    choose(page, "devices", "4xL4")
    expect(page.locator(".fw-as-if")).to_contain_text("InternVL3-8B")
    expect(page.locator(".fw-as-if")).to_contain_text("4xL4")
    expect(page.locator(".fw-headline")).to_contain_text("32 frames of 448×448")
    expect(page.locator(".fw-strip a img")).to_have_count(32)
    expect(page.locator(".fw-device")).to_have_count(4)
    expect(page.locator("#max-frame-tokens")).to_have_count(0)
    expect(page.locator("#ask")).to_be_disabled()
    page.click("#route label >> nth=1")
    page.fill("#max-tiles input[type=number]", "6")
    page.keyboard.press("Tab")
    expect(page.locator(".fw-headline")).to_contain_text("frames of 896×448")  # 16:9 in 2 x 1
    page.click("#back")
    expect(page.locator("#max-frame-tokens")).to_be_visible()
    expect(page.locator(".fw-as-if")).to_have_count(0)
    expect(page.locator("#ask")).to_be_enabled()
    ask(page, "What happens?")
    expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("Yes.")


def test_a_preset_moves_the_sliders_and_keyframes_are_offered(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    page = visit(serve(FakeEngine(tiny_card)))
    upload(page, EXAMPLES / "flash.mp4")  # 12 seconds
    expect(page.locator(".fw-headline")).to_contain_text("24 frames")
    page.click("#fast")
    expect(page.locator(".fw-headline")).to_contain_text("14 frames")
    expect(page.locator("#max-frames input[type=number]")).to_have_value("14")
    page.click("#strategy label >> nth=2")
    frames = len(probe(EXAMPLES / "flash.mp4").keyframes)
    expect(page.locator(".fw-headline")).to_contain_text(f"{min(frames, 14)} frame")
    expect(page.locator("#fps")).to_have_count(0)


def test_an_empty_question_and_a_missing_video_are_told(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    page = visit(serve(FakeEngine(tiny_card)))
    ask(page, "Is there anything?")
    expect(page.locator("#notice .fw-notice")).to_contain_text("There is no video yet")
    upload(page, EXAMPLES / "order.mp4")
    ask(page, "   ")
    expect(page.locator("#notice .fw-notice")).to_contain_text("The question is empty")


def test_a_failing_engine_leaves_question_and_page_alive(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    engine = FakeEngine(tiny_card)
    page = visit(serve(engine))
    upload(page, EXAMPLES / "order.mp4")
    engine.fail_with = ZeroDivisionError("secret detail")
    ask(page, "What happens?")
    notice = page.locator("#notice .fw-notice")
    expect(notice).to_contain_text("Something went wrong in Framewise itself")
    expect(notice).not_to_contain_text("secret detail")
    expect(page.locator("#question textarea")).to_have_value("What happens?")
    engine.fail_with = None
    page.click("#ask")
    expect(page.locator("#chat [data-testid=bot]").last).to_contain_text("Yes.")


def test_a_new_video_starts_a_new_conversation(
    serve: Serve, visit: Visit, tiny_card: ModelCard
) -> None:
    engine = FakeEngine(tiny_card)
    page = visit(serve(engine))
    upload(page, EXAMPLES / "order.mp4")
    answers = page.locator("#chat [data-testid=bot]")
    for count, question in enumerate(["First?", "Second?"], start=1):
        ask(page, question)
        expect(answers).to_have_count(count)
        expect(answers.last).to_contain_text("tokens/s")
    assert "First?" in engine.requests[-1].prompt
    page.click("#examples button >> nth=0")
    expect(page.locator("#line")).to_contain_text("flash.mp4")
    expect(answers).to_have_count(0)
    ask(page, "Third?")
    expect(answers.last).to_contain_text("tokens/s")
    assert "Third?" in engine.requests[-1].prompt
    assert "First?" not in engine.requests[-1].prompt


def test_the_page_fits_a_phone(serve: Serve, visit: Visit, tiny_card: ModelCard) -> None:
    page = visit(serve(FakeEngine(tiny_card)), width=390, height=844)
    upload(page, EXAMPLES / "flash.mp4")
    expect(page.locator(".fw-strip a img").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
