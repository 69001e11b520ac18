"""The model families that are planned by rules: a file of data each, or for a few akin.

core/planning/README.md shows how to add one. The numbers are what each family's own library
publishes; a checkpoint's JSON files override them (card.py).
"""

from __future__ import annotations

from core.errors import CheckpointError
from core.planning.families.gemma4 import GEMMA4
from core.planning.families.glm import GLM4V, GLM46V
from core.planning.families.internvl import INTERNVL
from core.planning.families.llava_onevision import LLAVA_ONEVISION
from core.planning.families.molmo2 import MOLMO2
from core.planning.families.qwen_omni import QWEN2_5_OMNI, QWEN3_OMNI
from core.planning.families.qwen_vl import QWEN2_5_VL, QWEN2_VL, QWEN3_5, QWEN3_VL
from core.planning.families.smolvlm import SMOLVLM
from core.planning.families.video_llama_3 import VIDEO_LLAMA_3
from core.planning.family import Family

FAMILIES: dict[str, Family] = {
    "qwen2_vl": QWEN2_VL,
    "qwen2_5_vl": QWEN2_5_VL,
    "qwen3_vl": QWEN3_VL,
    "qwen3_5": QWEN3_5,
    "qwen2_5_omni": QWEN2_5_OMNI,
    "qwen3_omni": QWEN3_OMNI,
    "internvl": INTERNVL,
    "llava_onevision": LLAVA_ONEVISION,
    "smolvlm": SMOLVLM,
    "glm4v": GLM4V,
    "glm46v": GLM46V,
    "gemma4": GEMMA4,
    "molmo2": MOLMO2,
    "video_llama_3": VIDEO_LLAMA_3,
}


def family_of(model_type: str, video_processor: str | None = None) -> Family:
    """The family of checkpoints of ``model_type``, or of those with a certain video processor.

    Raises:
        CheckpointError: no rules for it.
    """
    for family in FAMILIES.values():
        if video_processor in family.video_processors:
            return family
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family
    known = sorted(kind for family in FAMILIES.values() for kind in family.model_types)
    raise CheckpointError(
        f"There are no planning rules for models of type {model_type!r}.",
        remedy=f"Choose a checkpoint of type {', '.join(known)}.",
    )
