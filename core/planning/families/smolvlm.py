"""SmolVLM2: small squares, one a second, with a sentence about the video before them."""

from __future__ import annotations

from core.planning.family import Family, Limits, PatchGrid, Route, VideoText

TEMPLATE = (
    "<|im_start|>{% for message in messages %}"
    "{{ message.role | capitalize }}"
    "{{ ':' if message.content[0].type == 'image' else ': ' }}"
    "{% for part in message.content %}"
    "{{ '<video>' if part.type == 'video' else part.text }}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)

SMOLVLM = Family(
    name="SmolVLM2",
    model_types=("smolvlm",),
    patches=PatchGrid(patch_size=16, merge_size=4),
    routes=(
        Route(
            name="processor",
            sampler="smolvlm",
            sizer="square",
            limits=Limits(fps=1.0, max_frames=64, min_frame_tokens=64, max_frame_tokens=64),
            text=VideoText(
                marker="<video>",
                head="You are provided the following series of {count} frames from a "
                "{duration} [H:MM:SS] video.\n",
                label="\nFrame from {minutes:02d}:{rest:02d}:",
                tail="\n\n",
                step_wrapper_tokens=3,
                template=TEMPLATE,
            ),
        ),
    ),
    chat_format="smolvlm",
    frame_tokens=64,
    frame_side=512,
)
