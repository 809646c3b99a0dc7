"""From a clip's bytes to the frames that were asked for, and nothing more."""

from equime_loader.video.frames import VideoFault, View, read_frames
from equime_loader.video.whole import read_video

__all__ = ["VideoFault", "View", "read_frames", "read_video"]
