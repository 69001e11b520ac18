"""What answers cost on a GPU: plain transformers and the engine, side by side, and foretold peaks.

    python tools/bench_engine.py                          7B on one GPU: speed
    python tools/bench_engine.py --peaks --models 3B,7B   peaks, foretold and measured
    python tools/bench_engine.py --write                  into BENCHMARKS.md

Models have the published shapes of Qwen2.5-VL and random weights: speed and memory do not depend on
the values. A prompt is a video of 252x448 frames, 72 tokens a frame, and a few words; time to the
first token begins with the patches on the GPU, as reading and patching depend on other parts.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from bench_report import machine, write_section  # noqa: E402

GRID = (18, 32)  # patches of a frame
VIDEO, START, END = 151656, 151652, 151653
TEXTS: dict[str, dict[str, Any]] = {
    "3B": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
           "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936},
    "7B": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
    "32B": {"hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64,
            "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152064},
    "72B": {"hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
            "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 152064},
}  # fmt: skip
TOWER_WIDTHS = {"3B": 3420, "7B": 3420, "32B": 3456, "72B": 3456}
ROTATION = {"type": "mrope", "rope_type": "default", "mrope_section": [16, 24, 24]}


class Clock:
    """A streamer: when each token came."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.times: list[float] = []

    def put(self, ids: torch.Tensor) -> None:
        if ids.dim() == 1:
            self.tokens += ids.tolist()
            self.times.append(time.perf_counter())

    def end(self) -> None:
        pass

    @property
    def speed(self) -> float:
        """Tokens a second over the second half, when all is set up."""
        half = len(self.times) // 2
        return (len(self.times) - 1 - half) / (self.times[-1] - self.times[half])


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    say("## Answering on a GPU\n")
    say(f"{' and '.join(gpus)}. {machine('torch', 'transformers', 'accelerate')}.\n")
    work = _peaks if options.peaks else _speeds
    for line in work(options):
        say(line)
    if options.write:
        write_section("engine peaks" if options.peaks else "engine", "\n".join(lines))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="7B", help=f"by commas: {', '.join(TEXTS)}")
    parser.add_argument("--frames", default="64,256,768", help="by commas")
    parser.add_argument("--tokens", type=int, default=200, help="of each reply")
    parser.add_argument("--no-plain", action="store_true", help="leave transformers' own way out")
    parser.add_argument("--peaks", action="store_true", help="peaks instead of speed")
    parser.add_argument("--write", action="store_true", help="put the table into BENCHMARKS.md")
    return parser.parse_args()


def random_model(name: str) -> Any:
    """The real class with random weights; over all GPUs where one is too small."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = TEXTS[name] | {"max_position_embeddings": 128000, "rope_theta": 1e6,
                          "rope_scaling": ROTATION,
                          "tie_word_embeddings": name == "3B"}  # fmt: skip
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": TOWER_WIDTHS[name],
              "num_heads": 16, "out_hidden_size": text["hidden_size"], "window_size": 112,
              "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2}  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=151655, video_token_id=VIDEO,
        vision_start_token_id=START, vision_end_token_id=END,
        tie_word_embeddings=name == "3B",
    )  # fmt: skip
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    _place(model)
    model.generation_config.eos_token_id = [-1]
    model.generation_config.pad_token_id = 0
    return model.eval()


def _place(model: Any) -> None:
    """Fill with random weights on the devices that the planner chooses."""
    from accelerate import dispatch_model

    places = _device_map(model)
    for name, module in model.named_modules():
        for key, parameter in list(module._parameters.items()):
            if parameter is not None:
                full = f"{name}.{key}"
                place = _placed(full, places)
                made = torch.empty(parameter.shape, dtype=parameter.dtype, device=place)
                flat = "norm" in full or "ln_q" in full
                _ = (
                    made.fill_(1)
                    if flat
                    else made.zero_()
                    if key == "bias"
                    else made.normal_(0, 0.02)
                )
                module._parameters[key] = torch.nn.Parameter(made, requires_grad=False)
        for key, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.is_meta:
                place = _placed(name, places)
                again = type(module)(*_arguments(module)).to(place)
                module._buffers[key] = again._buffers[key]
    model.tie_weights()
    if len(set(places.values())) > 1:
        dispatch_model(model, device_map=places)


def _placed(name: str, places: dict[str, int]) -> int:
    return next(
        p for prefix, p in places.items() if f"{name}.".startswith(f"{prefix}.".lstrip("."))
    )


def _arguments(module: Any) -> tuple[Any, ...]:
    """What a rotary embedding is made from, before and after transformers 5.20."""
    return (module.config,) if hasattr(module, "config") else (40,)


def _device_map(model: Any) -> dict[str, int]:
    """All on the first GPU where it fits with room to spare, else layers in two halves."""
    size = sum(each.numel() * 2 for each in model.parameters())
    text = "model.language_model"
    if size < 0.8 * torch.cuda.get_device_properties(0).total_memory:
        return {"": 0}
    layers = len(model.model.language_model.layers)
    count = torch.cuda.device_count()
    return {
        "model.visual": 0,
        f"{text}.embed_tokens": 0,
        f"{text}.rotary_emb": 0,
        **{f"{text}.layers.{n}": min(n * count // layers, count - 1) for n in range(layers)},
        f"{text}.norm": count - 1,
        "lm_head": count - 1,
    }


def prompt(frames: int, *, words: int = 20) -> dict[str, Any]:
    """A video of so many frames and some words, as a processor gives them."""
    steps, (high, wide) = frames // 2, GRID
    generator = torch.Generator(device="cuda:0").manual_seed(1)
    patches = torch.randn(
        steps * high * wide, 1176, device="cuda:0", generator=generator, dtype=torch.bfloat16
    )
    video = [VIDEO] * (steps * high * wide // 4)
    ids = torch.tensor([[*range(100, 115), START, *video, END, *range(200, 200 + words)]])
    return _told(ids.to("cuda:0"), patches, steps)


def _told(ids: torch.Tensor, patches: torch.Tensor, steps: int) -> dict[str, Any]:
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values_videos": patches,
        "video_grid_thw": torch.tensor([[steps, *GRID]], device=ids.device),
        "second_per_grid_ts": [1.0],
        "mm_token_type_ids": (ids == VIDEO).int() * 2,
    }


def _run(generate: Callable[..., Any], inputs: dict[str, Any], tokens: int) -> tuple[Clock, float]:
    """The reply's clock, and the seconds to its first token."""
    clock = Clock()
    _settle()
    begun = time.perf_counter()
    with torch.inference_mode():
        generate(inputs, tokens, clock)
    return clock, clock.times[0] - begun


def _settle() -> None:
    gc.collect()
    for device in range(torch.cuda.device_count()):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def _peak() -> list[int]:
    return [torch.cuda.max_memory_allocated(n) for n in range(torch.cuda.device_count())]


def _speeds(options: argparse.Namespace) -> Iterator[str]:
    from core.engine.fast import Fast

    for name in options.models.split(","):
        model = random_model(name)
        yield (
            f"### Qwen2.5-VL-{name} shapes, random weights, frames of 252x448; "
            "from patches on the GPU\n"
        )
        yield "| frames | prompt | how | first token | tokens/s | peak over the weights |"
        yield "|---|---|---|---|---|---|"
        counts = [int(text) for text in options.frames.split(",")]
        if not options.no_plain:
            yield from _rows(model, counts, "plain transformers", _plain(model), tokens=40)
        fast = Fast.of(model, kept_bytes=40 * 10**9, away_bytes=0)
        if fast is None or fast.decoder is None:
            yield f"The fast path does not serve this model here (decoder: {fast}).\n"
            continue
        begun = time.perf_counter()
        fast.warm_up()
        warm = time.perf_counter() - begun
        yield from _rows(model, counts, "the engine", _ours(fast), tokens=options.tokens)
        yield from _second(fast, max(counts))
        yield f"\nSetting up (compiling, in the background of a start): {warm:.0f} s.\n"
        del fast, model
        _settle()
        torch.cuda.empty_cache()


def _plain(model: Any) -> Callable[..., Any]:
    def generate(inputs: dict[str, Any], tokens: int, clock: Clock) -> None:
        model.generate(**inputs, max_new_tokens=tokens, streamer=clock, do_sample=False)

    return generate


def _ours(fast: Any, video: object = None) -> Callable[..., Any]:
    def generate(inputs: dict[str, Any], tokens: int, clock: Clock) -> None:
        fast.generate(inputs, video=video, max_new_tokens=tokens, streamer=clock)

    return generate


def _rows(
    model: Any, counts: list[int], how: str, generate: Callable[..., Any], *, tokens: int
) -> Iterator[str]:
    weights = [torch.cuda.memory_allocated(n) for n in range(torch.cuda.device_count())]
    for frames in counts:
        _run(generate, prompt(frames), 3)
        clock, first = _run(generate, prompt(frames), tokens)
        over = sum(_peak()) - sum(weights)
        length = prompt(frames)["input_ids"].shape[1]
        yield (
            f"| {frames} | {length:,} | {how} | {first:.2f} s | {clock.speed:.0f} "
            f"| {over / 1e9:.1f} GB |"
        )


def _second(fast: Any, frames: int) -> Iterator[str]:
    inputs = prompt(frames)
    ids, patches = inputs["input_ids"], inputs["pixel_values_videos"]
    clock, _ = _run(_ours(fast, "video"), inputs, 20)
    for _ in range(2):
        more = [*clock.tokens, *range(300, 340)]
        ids = torch.cat((ids, torch.tensor([more], device=ids.device)), dim=1)
        again = _told(ids, patches[:1].expand(len(patches), -1), frames // 2)
        clock, first = _run(_ours(fast, "video"), again, 20)
    yield f"| {frames} | {ids.shape[1]:,} | the engine, a later question | {first:.2f} s | | |"


def _peaks(options: argparse.Namespace) -> Iterator[str]:
    """Peaks of whole requests against core.planning's forecast, device by device."""
    from core.engine.fast import Fast, execution_of
    from core.planning import Settings, Turn, estimate, load_card, make_plan, parse_devices
    from core.video import describe_video

    yield "| model | frames | device | foretold | measured | off |"
    yield "|---|---|---|---|---|---|"
    info = describe_video(width=448, height=252, duration_seconds=768, frame_rate=30)
    devices = parse_devices(f"{torch.cuda.device_count()}x139GiB")
    for name in options.models.split(","):
        card = load_card(f"Qwen/Qwen2.5-VL-{name}-Instruct")
        model = random_model(name)
        fast = Fast.of(model, kept_bytes=0, away_bytes=0)
        if fast is not None:
            fast.warm_up()
        for frames in [int(text) for text in options.frames.split(",")]:
            settings = Settings(
                strategy="uniform", max_frames=frames, max_frame_tokens=144, reply_tokens=64
            )
            plan = make_plan(info, settings, card)
            found = estimate(plan, info, settings, card, [Turn("user", "x " * 18)],
                             devices=devices, execution=execution_of(fast))  # fmt: skip
            _run(_ours(fast), prompt(frames), 3)
            _run(_ours(fast), prompt(frames), 64)
            for each, measured in zip(found.memory, _peak(), strict=True):
                if each.weights:
                    told = each.peak - each.reserve
                    yield (
                        f"| {name} | {frames} | {each.device.name} | {told / 1e9:.2f} GB "
                        f"| {measured / 1e9:.2f} GB | {told / measured - 1:+.1%} |"
                    )
        del fast, model
        _settle()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
