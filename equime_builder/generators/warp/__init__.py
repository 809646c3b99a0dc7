"""The warp generator: a portrait's landmarks are displaced by AU-specific fields and the picture follows.

`build_rig` prepares a portrait once; `render_clip` turns AU intensities over time into video frames.
"""

from equime_builder.facs import AUS
from equime_builder.generators.warp.actions import ACTIONS, BLINK
from equime_builder.generators.warp.anatomy import SIDES
from equime_builder.generators.warp.render import render_clip
from equime_builder.generators.warp.rig import WarpRig, build_rig, displacement, moved_mask

__all__ = ["ACTIONS", "AUS", "BLINK", "SIDES", "WarpRig", "build_rig", "displacement", "moved_mask", "render_clip"]
