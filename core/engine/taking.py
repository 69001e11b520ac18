"""What a model takes of its vision tower, and how: single states, projected in chunks of frames.

LLaVA-OneVision takes a hidden state that its configuration names, and projects it at the tower's
full resolution before it is pooled to a quarter. The states of all layers, or a whole video
projected, would be many times what the tower itself needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PROJECTED_PATCHES = 8192  # with 3584 values each, and a few copies, in bf16: a quarter of a GB


def states_of(wrapper: Any) -> tuple[int, ...] | None:
    """Which hidden states of its tower a class takes; none where it takes what comes out of it.

    None of other kinds, which get all that they ask for.
    """
    kind = wrapper.config.model_type
    if kind not in ("internvl", "llava_onevision"):
        return None
    wanted = wrapper.config.vision_feature_layer
    if kind == "internvl" and wanted == -1:
        return ()
    return (wanted,) if isinstance(wanted, int) else tuple(wanted)


class Taking:
    """The ``forward`` of a tower that hands over the wanted hidden states and nothing else.

    transformers 5.20 collects those of every layer, and later versions one that nobody reads.
    """

    def __init__(self, module: Any, wanted: Sequence[int]) -> None:
        """``wanted``: their numbers; 0 is what goes into the first layer, -1 the last's output."""
        self._forward: Callable[..., Any] = module.forward
        self._layers = _layers(module)
        self._wanted = {number % (len(self._layers) + 1) for number in wanted}

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """The tower's own output; of ``hidden_states``, all but the wanted are None."""
        if not self._layers or 0 in self._wanted:
            return self._forward(*args, **inputs)
        states: list[Any] = [None] * (len(self._layers) + 1)

        def hear(number: int) -> Callable[..., None]:
            def hook(_layer: Any, _args: Any, found: Any) -> None:
                states[number] = found[0] if isinstance(found, tuple) else found

            return hook

        with ExitStack() as hooks:
            for number in self._wanted:
                handle = self._layers[number - 1].register_forward_hook(hear(number))
                hooks.callback(handle.remove)
            found = self._forward(*args, **{**inputs, "output_hidden_states": False})
        if not self._wanted:
            return found
        kept = {name: found[name] for name in list(found) if name != "last_hidden_state"}
        return type(found)(**{**kept, "hidden_states": tuple(states)})


def _layers(module: Any) -> Sequence[Any]:
    import torch

    count = getattr(module.config, "num_hidden_layers", None)
    lists = [each for each in module.modules() if isinstance(each, torch.nn.ModuleList)]
    return next((list(each) for each in lists if len(each) == count), [])


def project_in_chunks(wrapper: Any) -> None:
    """Let a class that pools what it has projected do both for some frames at a time.

    Of videos only, the one thing shown here: a picture is projected and not pooled.
    """
    import torch

    if not hasattr(wrapper, "apply_pooling"):
        return
    projector, pool = wrapper.multi_modal_projector, wrapper.apply_pooling
    project = projector.forward

    def pooled(states: torch.Tensor) -> torch.Tensor:
        step = max(1, PROJECTED_PATCHES // states.shape[1])
        return torch.cat([pool(project(some)) for some in torch.split(states, step)])

    projector.forward = lambda states: states
    wrapper.apply_pooling = pooled
