"""Trains the embedded demo model and writes assets/demo_model. Run it on one large GPU.

python tools/train_demo_model.py prepare              tokenizer, processor, untrained weights
python tools/train_demo_model.py check                prompt tokens, pixels and logits agree
python tools/train_demo_model.py train --seconds 840  a full run
python tools/train_demo_model.py train --resume DIR   a further stage on saved weights
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))

from demo_training import checking, outlines, pictures
from demo_training.drawing import Atlases
from demo_training.feeding import Workers, make_packer
from demo_training.inventing import SceneMaker
from demo_training.language import Language
from demo_training.loop import Trainer, train
from demo_training.network import build_config
from demo_training.offtopic import OffTopic
from demo_training.plan import Plan
from demo_training.scenes import stock_of
from demo_training.truths import truth_of
from demo_training.vocabulary import SPECIAL, save_processor, train_tokenizer

MODEL_FOLDER = Path(__file__).parent.parent / "assets" / "demo_model"


def sample_texts(number: int) -> list[str]:
    """Questions, answers and plain English for the tokenizer to learn from."""
    maker, language = SceneMaker(stock_of(outlines.variants(2, 1), 2, 4)), Language()
    off_topic, rng = OffTopic(), Random(7)
    texts: list[str] = []
    for _ in range(number):
        truth = truth_of(maker.draw(frames=16, height=192, width=256, rng=rng))
        for talk in language.conversations(truth, 6, rng):
            texts += [part for turn in talk for part in (turn.question, turn.answer)]
        texts.append(off_topic.draw(rng))
    return texts


def save_model(model, tokenizer: Tokenizer, folder: Path) -> None:
    """bf16 weights and every file that transformers needs to load them."""
    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    stop, pad = (tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>"))
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=[stop, pad], pad_token_id=pad, max_new_tokens=160
    )
    halved = type(model)(model.config).to(torch.bfloat16)
    halved.load_state_dict(model.state_dict())
    halved.generation_config = model.generation_config
    halved.save_pretrained(folder)
    save_processor(tokenizer, folder)


def fresh_model(tokenizer: Tokenizer):
    from transformers import Qwen3VLForConditionalGeneration

    ids = {name: tokenizer.token_to_id(name) for name in SPECIAL}
    torch.manual_seed(0)
    return Qwen3VLForConditionalGeneration(build_config(tokenizer.get_vocab_size(), ids))


def prepare(folder: Path) -> None:
    tokenizer = train_tokenizer(sample_texts(6000))
    save_model(fresh_model(tokenizer), tokenizer, folder)


def load_model(folder: Path):
    from transformers import Qwen3VLForConditionalGeneration

    return Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)


def build_atlases(plan: Plan, device: torch.device) -> Atlases:
    """Outlines of every form, and pictures painted in parallel."""
    paint = partial(pictures.paint, plain=plan.plain_pictures, photos=pictures.photographs())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        painted = np.stack(list(pool.map(paint, range(plan.pictures), chunksize=16)))
    return Atlases(
        outlines=outlines.build_atlas(plan.variants(), device).reshape(-1),
        pictures=torch.from_numpy(painted).reshape(-1, 3).to(device),
    )


def run_training(plan: Plan, source: Path, out: Path, *, resume: bool) -> None:
    """Trains from fresh or saved weights and leaves model, log and figures under `out`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    tokenizer_file = source / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    out.mkdir(parents=True, exist_ok=True)
    with Workers(plan, tokenizer_file) as workers, (out / "log.txt").open("a") as file:
        model = load_model(source) if resume else fresh_model(tokenizer)
        trainer = Trainer(model, plan, build_atlases(plan, device), device)

        def log(line: str) -> None:
            print(line, flush=True)
            print(line, file=file, flush=True)

        def save() -> None:
            save_model(model, tokenizer, out / "model")

        steps = train(trainer, workers, log, fresh=not resume, save=save)
        save()
        log(f"done after {steps} steps")
    figures = {
        name: measure(trainer, tokenizer_file, held_out=held)
        for name, held in (("known wordings", False), ("held-out wordings", True))
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1))
    for name, table in figures.items():
        print(
            name,
            {kind: f"{100 * good / asked:.1f} of {asked}" for kind, (good, asked) in table.items()},
        )


def measure(trainer: Trainer, tokenizer_file: Path, *, held_out: bool, rows: int = 8) -> dict:
    packer, rng = make_packer(trainer.plan, tokenizer_file, held_out=held_out), Random(99)
    return trainer.measure([packer.row(rng, most_pairs=128, most_tokens=100) for _ in range(rows)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("prepare", "check", "train"))
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER, help="the model's folder")
    parser.add_argument("--out", type=Path, default=Path("build/demo_model"))
    parser.add_argument("--resume", type=Path, help="start from the weights in this folder")
    parser.add_argument("--seconds", type=float, default=840.0)
    parser.add_argument("--look-seconds", type=float, default=110.0)
    parser.add_argument("--words-only", action="store_true", help="leave the tower as it is")
    parser.add_argument("--stress", help="a kind of question to practise, such as describe")
    parser.add_argument("--warm-up-steps", type=int, default=150)
    parser.add_argument("--peak-rate", type=float, default=1.6e-3)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=98_304, help="tokens of a batch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="few shapes and pictures, for trials")
    options = parser.parse_args()
    sizes = (
        {"known_variants": 12, "unknown_variants": 6, "plain_pictures": 10, "pictures": 40}
        if options.small
        else {}
    )
    plan = Plan(
        seconds=options.seconds,
        workers=options.workers,
        tokens=options.tokens,
        peak_rate=options.peak_rate,
        warm_up_steps=options.warm_up_steps,
        look_seconds=options.look_seconds,
        words_only=options.words_only,
        stress=options.stress,
        seed=options.seed,
        **sizes,
    )
    if options.action == "prepare":
        prepare(options.folder)
    elif options.action == "check":
        checking.check(options.folder)
    else:
        run_training(
            plan, options.resume or options.folder, options.out, resume=options.resume is not None
        )


if __name__ == "__main__":
    main()
