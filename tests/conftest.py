"""What every test may ask for: clips, checkpoints, and an engine that is loaded once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

import clips
from command_line import Command, Done
from tiny_checkpoint import write_tiny_checkpoint

if TYPE_CHECKING:
    from asking_many import Maker
    from core.engine.local import LocalEngine

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client
os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder's greeting

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent
DEMO_MODEL = ROOT / "assets" / "demo_model"


@pytest.fixture(scope="session", autouse=True)
def kept_frames(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Frames that the tests read are kept in a folder of theirs, not in that of the user."""
    os.environ["FRAMEWISE_CACHE"] = str(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a clip of clips.CLIPS, encoded when it is first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def file(name: str) -> Path:
        path = folder / name
        return path if path.exists() else clips.write(clips.CLIPS[name], folder)

    return file


@pytest.fixture
def own_clip(clip_file: Callable[[str], Path], tmp_path: Path) -> Path:
    """A clip that a test may change, long enough untouched to be known again by its times."""
    path = tmp_path / "video.mp4"
    shutil.copy(clip_file("h264.mp4"), path)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint with the published pixel limits."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Path:
    """The demo model where it has been trained, the small random one elsewhere."""
    return DEMO_MODEL if (DEMO_MODEL / "model.safetensors").is_file() else tiny_model


@pytest.fixture(scope="session")
def network(tiny_model: Path) -> Any:
    """The tiny checkpoint's model, for tests to listen to."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(1)
    return AutoModelForImageTextToText.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="session")
def untouched(tiny_model: Path) -> Any:
    """The same model, to be copied: no engine has it, which would change it."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(1)
    return AutoModelForImageTextToText.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="session")
def processor(tiny_model: Path) -> Any:
    """The processor of the tiny checkpoint."""
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_model)


@pytest.fixture(scope="session")
def engine(tiny_model: Path, network: Any, processor: Any) -> LocalEngine:
    """An engine on the tiny checkpoint, put together from the two above."""
    from core.engine.loading import choose_devices
    from core.engine.local import LocalEngine
    from core.planning import load_card

    return LocalEngine(load_card(tiny_model), network, processor, choose_devices("cpu"))


@pytest.fixture(scope="session")
def lively(tiny_model: Path, processor: Any) -> Any:
    """The model with weights so wide that its replies vary and never end; not to be changed."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(1)
    network = AutoModelForImageTextToText.from_pretrained(tiny_model).eval()
    torch.manual_seed(3)
    for each in network.parameters():
        if each.dim() > 1:
            each.data.copy_(torch.randn_like(each) * 2 / each[0].numel() ** 0.5)
    head = torch.randn_like(network.lm_head.weight)  # tied, it would say the last word again
    network.lm_head.weight = torch.nn.Parameter(head)
    settings = network.generation_config
    settings.eos_token_id = None
    settings.suppress_tokens = [*range(min(processor.tokenizer.all_special_ids), len(head))]
    return network


@pytest.fixture(scope="session")
def maker(tiny_model: Path, lively: Any, processor: Any) -> Maker:
    """Makes engines whose replies vary."""
    from asking_many import Maker
    from core.planning import load_card

    return Maker(card=load_card(tiny_model), network=lively, processor=processor)


@pytest.fixture(scope="session")
def alone(maker: Maker) -> list[str]:
    """What each of Maker.asked is answered by itself."""
    from asking_by_hand import NEVER, said

    found = []
    for each in maker.asked():
        engine, _ = maker.engine()
        found.append(said(list(engine.stream(each, stop=NEVER))))
    assert len(set(found)) == len(found)
    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A file of requests: objects, or lines as they are."""

    def file(*lines: Any) -> Path:
        path = tmp_path / "requests.jsonl"
        coded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        path.write_bytes(b"\n".join(coded) + b"\n")
        return path

    return file


@pytest.fixture
def framewise(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """``python app.py ARGUMENTS`` in this process, which spares seconds of imports."""
    import app

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["app.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        written = capfd.readouterr()
        return Done(code=int(ended.value.code or 0), out=written.out, err=written.err)

    return run
