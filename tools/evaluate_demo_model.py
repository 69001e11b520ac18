"""Examines the demo model: fresh clips, questions in many wordings, answers through the app.

    python tools/evaluate_demo_model.py --clips 200 --show-wrong

Prints one line a kind of question and exits with 1 if a bar is missed. The same seed gives the
same clips and questions. `--clips 20` gives a first impression in a few minutes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.engine.base import Engine
from core.planning import DEMO_MODEL, load_card
from tools.demo_evaluation.asking import ask_model
from tools.demo_evaluation.filming import DRAWERS, Task, film_all
from tools.demo_evaluation.report import Answered, Score, mistakes, scores, table


def main() -> int:
    """The command line; 0 if every bar is reached."""
    options = _options()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clips-") as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        answers = []
        for answered in examine(options, folder):
            answers.append(answered)
            _progress(answers, options, seconds=time.monotonic() - begun)
    print(file=sys.stderr)
    found = scores(answers)
    if options.show_wrong and (wrong := mistakes(answers, most=options.show_wrong)):
        print(wrong, end="\n\n")
    print(table(found, markdown=options.markdown))
    if options.json:
        options.json.write_text(_as_json(found, answers, options), encoding="utf-8")
    return 0 if all(score.passed for score in found) else 1


def examine(options: argparse.Namespace, folder: Path) -> Iterator[Answered]:
    """Asks one question about each clip. Clips are filmed ahead in other processes."""
    engine = _engine(options)
    for task, case in film_all(_tasks(options, folder), jobs=options.jobs):
        answer = ask_model(engine, task.clip, case.question, case.settings)
        yield Answered(
            kind=task.kind,
            number=task.number,
            question=case.question,
            answer=answer,
            truth=str(case.expected),
            right=case.expected.is_met(answer),
        )
        if options.keep is None:
            task.clip.unlink()


def _tasks(options: argparse.Namespace, folder: Path) -> Iterator[Task]:
    """Every kind in turn, so that a run that is cut short has seen all of them."""
    for number in range(options.clips):
        for kind in options.kinds:
            yield Task(
                kind=kind,
                number=number,
                seed=options.seed,
                model=str(options.model),
                folder=folder,
                footage=options.footage,
            )


def _engine(options: argparse.Namespace) -> Engine:
    """The app's local engine, with the cores that filming leaves."""
    import torch

    from core.engine.loading import load_engine

    if options.device == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 2) - options.jobs))
    return load_engine(load_card(options.model), device=options.device)


def _progress(answers: list[Answered], options: argparse.Namespace, *, seconds: float) -> None:
    total = options.clips * len(options.kinds)
    right = sum(answer.right for answer in answers)
    left = seconds / len(answers) * (total - len(answers))
    line = f"\r{len(answers)}/{total} asked, {right} right, {left / 60:.0f} min left "
    print(line, end="", file=sys.stderr, flush=True)


def _as_json(found: list[Score], answers: list[Answered], options: argparse.Namespace) -> str:
    """Scores and every answer, for comparing two runs."""
    return json.dumps(
        {
            "seed": options.seed,
            "scores": [asdict(score) for score in found],
            "answers": [asdict(answer) for answer in answers],
        },
        indent=1,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    spare = max(1, (os.cpu_count() or 2) // 2)
    parser.add_argument("--model", type=Path, default=DEMO_MODEL, help="checkpoint folder")
    parser.add_argument("--clips", type=int, default=200, help="clips of each kind")
    parser.add_argument("--kinds", type=_kinds, default=list(DRAWERS), help="such as colour,shape")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other clips")
    parser.add_argument("--jobs", type=int, default=spare, help="processes that draw and encode")
    parser.add_argument("--device", default="cpu", help="where the model runs: cpu, cuda")
    parser.add_argument("--footage", type=Path, help="folder with more films for real-footage")
    parser.add_argument("--keep", type=Path, help="folder to leave the clips in")
    parser.add_argument("--json", type=Path, help="file for scores and all answers")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument(
        "--show-wrong", type=int, nargs="?", const=5, default=0, help="wrong answers a kind"
    )
    return parser.parse_args()


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    for kind in kinds:
        if kind not in DRAWERS:
            raise argparse.ArgumentTypeError(f"{kind!r}: choose from {', '.join(DRAWERS)}")
    return kinds


if __name__ == "__main__":
    sys.exit(main())
