"""What a video file is, and its frames; knows nothing of models or pages."""

from core.video.activity import profile_of, profiled
from core.video.info import VideoInfo, describe_video
from core.video.reading import Frames, iter_frames, probe, read_frames

__all__ = [
    "Frames",
    "VideoInfo",
    "describe_video",
    "iter_frames",
    "probe",
    "profile_of",
    "profiled",
    "read_frames",
]
