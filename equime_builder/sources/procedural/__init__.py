"""Seeded parametric faces: portraits without photographs, with exact landmarks and apparent attributes."""

from equime_builder.sources.procedural.parameters import (
    GENDERS,
    MAX_AGE,
    MIN_AGE,
    RACES,
    FaceParameters,
    draw_face,
)
from equime_builder.sources.procedural.render import render_face

__all__ = ["GENDERS", "MAX_AGE", "MIN_AGE", "RACES", "FaceParameters", "draw_face", "render_face"]
