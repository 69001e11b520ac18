"""Every sentence of the page that is not computed."""

from __future__ import annotations

TITLE = "Framewise"
TAGLINE = "Ask your video. See the cost first."
EMPTY_METER = "Upload a video, or pick an example: the frames and their cost appear here."
EMPTY_CHAT = "Upload a video and ask about it."
ASK_PLACEHOLDER = "Ask about the video…"
DEMO_NOTICE = (
    "This is a small demo model that knows coloured shapes only. For real videos start Framewise "
    "with a real checkpoint: <code>python app.py --model Qwen/Qwen3-VL-8B-Instruct</code>"
)
LABELS = {
    "video": "Video",
    "fps": "FPS",
    "min_frames": "Frames, at least",
    "max_frames": "Frames, at most",
    "max_frame_tokens": "Patches per frame",
    "max_tiles": "Tiles per frame",
    "strategy": "Sampling",
    "route": "Frames sized by",
    "model": "Plan for",
    "devices": "on",
    "start": "Start, in seconds",
    "end": "End (0: the end)",
    "min_frame_tokens": "Patches, at least",
    "reply_tokens": "Reply tokens",
    "reader": "Decoded by",
    "ask": "Ask",
    "stop": "Stop",
    "clear": "Clear",
    "fit": "Fit",
    "advanced": "Advanced",
}
PRESETS = {"fast": "Fast", "balanced": "Balanced", "detailed": "Detailed"}
ROUTES = {
    "qwen-vl-utils": "qwen-vl-utils",
    "processor": "its own processor",
    "tiles": "tiles",
}
LOADED = "loaded"
THIS_MACHINE = "this machine"
AS_IF = "An estimate as if <b>{0}</b> ran on <b>{1}</b>."
NOT_LOADED = "Ask is off while you plan for {0} on {1}: {2} is what is loaded."
AS_IF_ASKED = "You are planning for a model or devices that are not loaded."
AS_IF_ASKED_REMEDY = "Go back to the loaded model to ask, or start Framewise with that one."
BACK = "Back to {0}"
ROUGH = "Rough: from published rates. Measured ones take their place after the first answer."
MEASURED = "From the rates measured in the answers so far."
APPROXIMATE = "Approximate: its tokenizer is not here, so text is counted by a rule."
AT_MOST = "At most: the model drops tokens by what it sees."
KEPT_TOKENS = "{0:,} of {1:,} tokens are kept"
KEPT_FRAMES = "What it saw of the frames is kept"
STORED_FRAMES = "The frames are on disk"
MEASURING = "Asking the model's own processor what this costs …"
WATCHING = "looking for scenes, {0:.0%}"
SCENES = "{0} scenes"
STAND_IN = "; until it is decoded, the nearest keyframe: frame {0} at {1:.2f} s"
STAGES = {
    "reading": "Reading frames",
    "waiting": "Waiting for the model to be free",
    "thinking": "The model is looking at the frames",
}
MEMORY = {
    "tower": "tower, embeddings, head",
    "weights": "layers",
    "earlier": "room for earlier questions",
}
IN_USE = "In use now"
NOW_AND_FORETOLD = "{0}, foretold at most {1}"
AND_KEPT = " and {0} of earlier questions"
WAITING = "Waiting: {0:,} before you"
NO_VIDEO = "There is no video yet."
NO_VIDEO_REMEDY = "Upload one, or pick an example."
DEFECT = "Something went wrong in Framewise itself"
DEFECT_REMEDY = (
    "Your video and conversation are still here. Please report it with the server's log."
)
