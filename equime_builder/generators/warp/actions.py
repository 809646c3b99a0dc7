"""What each Action Unit does to the face: one table, in the words of the face.

Lengths are fractions of the eye distance (`anatomy.FaceFrame`) at intensity 5; displacement is linear in intensity.
`Pull(group, out, up)`: the group's points move `out` from the midline and `up`. Points in `hold` stay exactly.
`Part(opening, upper, lower)`: the free edges of the lids or lips move up by `upper` and down by `lower`
(negative: toward each other). `Furrow`: a line or spot that darkens by `depth` at intensity 5.
Directions follow the muscles of the FACS manual (Ekman, Friesen & Hager 2002); lengths start from the action unit
vectors of Candide-3 (Ahlberg 2001).

Micro-expressions use intensities of 1.2 to 1.8, a quarter to a third of these lengths. With 60 pixels between
the eyes, points then move one to seven pixels. Candide's vectors are those of a coarse
mesh, and several are missing. Where an observer (a face landmark detector) could not tell the AU at such
intensities, the length was raised; each comment gives Candide's or the first estimate and the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from equime_builder.generators.warp.anatomy import LIP_STATIONS

BLINK = 45
FULL_INTENSITY = 5.0

# A spot between two landmarks: (a, b, share of b).
Spot = tuple[int, int, float]


@dataclass(frozen=True)
class Pull:
    """A landmark group and its displacement at intensity 5, in eye distances."""

    group: str
    out: float
    up: float


@dataclass(frozen=True)
class Part:
    """An opening ("eye" or "mouth") whose edges move at intensity 5.

    upper, lower: outward motion of the edges in eye distances, or in opening heights where `relative`.
    jaw: whether the chin follows the lower edge.
    """

    opening: str
    upper: float
    lower: float
    relative: bool = False
    jaw: bool = False


@dataclass(frozen=True)
class Furrow:
    """A skin fold along `path`; `width` (standard deviation) in eye distances, `depth`: how much it darkens at 5."""

    path: tuple[Spot, ...]
    width: float
    depth: float


@dataclass(frozen=True)
class Action:
    """One AU: what it pulls, what stays, what it parts, which folds it deepens.

    reach: radius in eye distances beyond which a point's motion is not felt.
    midline: half width in eye distances of the soft border between the two sides.
    outline: whether the face's outline may move (the jaw only).
    """

    pulls: tuple[Pull, ...] = ()
    hold: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    furrows: tuple[Furrow, ...] = ()
    reach: float = 0.8
    midline: float = 0.12
    outline: bool = False


EYES = ("eye_corners", "lid_upper", "lid_lower")
NOSE = ("nasion", "bridge")
TOP = ("hairline", "temple")


def _pulls(**moves: tuple[float, float]) -> tuple[Pull, ...]:
    return tuple(Pull(group, out, up) for group, (out, up) in moves.items())


def _lips(
    *,
    corner: tuple[float, float],
    upper: tuple[float, float] = (0, 0),
    seam: tuple[float, float] = (0, 0),
    lower: tuple[float, float] = (0, 0),
) -> tuple[Pull, ...]:
    """Pulls of the whole mouth: `corner` (out, up), and for each row `up` in the middle and half way.

    Along a row, `up` is the parabola through middle, half way and corner, and `out` grows evenly to the corner's:
    lips bend and stretch as one band.
    """
    pulls = [Pull("corner", *corner)]
    for row, (middle, half) in (("upper", upper), ("seam", seam), ("lower", lower)):
        for k, x in enumerate(LIP_STATIONS):
            up = 2 * middle * (x - 0.5) * (x - 1) + 4 * half * x * (1 - x) + 2 * corner[1] * x * (x - 0.5)
            pulls.append(Pull(f"{row}_{k}", corner[0] * x, up))
    return tuple(pulls)


def _line(*spots: Spot, width: float = 0.03, depth: float = 0.2) -> Furrow:
    return Furrow(spots, width, depth)


BROW_LINES = (
    _line((151, 9, 0.45), (108, 107, 0.45), (69, 66, 0.45), depth=0.13),
    _line((151, 9, -0.1), (108, 107, -0.1), (69, 66, -0.05), depth=0.09),
)
NASOLABIAL = ((129, 203, 0.3), (203, 206, 0.2), (206, 216, 0.1), (216, 206, 0.1), (216, 212, 0.4))

ACTIONS: dict[int, Action] = {
    # Estimate 0.20. Brows that lie low at rest, near the lids, need 0.07 eye distances before they read as raised.
    1: Action(
        pulls=_pulls(
            brow_inner=(0, 0.36), brow_medial=(0, 0.24), brow_mid=(0, 0.14), brow_lateral=(0, 0.06),
            brow_tail=(0, 0.01), glabella=(0, 0.13), glabella_low=(0, 0.04), forehead_mid=(0, 0.12),
            forehead_inner=(0, 0.16), forehead_medial=(0, 0.11),
        ),
        hold=(*EYES, *NOSE, *TOP, "nose_root_side"),
        furrows=BROW_LINES,
    ),
    # Candide: 0.29.
    2: Action(
        pulls=_pulls(
            brow_medial=(0, 0.08), brow_mid=(0.01, 0.22), brow_lateral=(0.02, 0.29), brow_tail=(0.03, 0.23),
            forehead_medial=(0, 0.06), forehead_lateral=(0, 0.13), forehead_temple=(0.01, 0.11),
        ),
        hold=(*EYES, *NOSE, *TOP, "nose_root_side", "brow_inner", "glabella"),
        furrows=(
            _line((69, 66, 0.35), (104, 105, 0.35), (68, 63, 0.35), depth=0.13, width=0.03),
            _line((69, 66, -0.1), (104, 105, -0.1), (68, 63, -0.1), depth=0.09, width=0.03),
        ),
    ),
    # Candide: 0.22 down and 0.22 inward. The whole brow comes down, its inner half also inward.
    4: Action(
        pulls=_pulls(
            brow_inner=(-0.20, -0.24), brow_medial=(-0.18, -0.25), brow_mid=(-0.12, -0.22),
            brow_lateral=(-0.07, -0.17), brow_tail=(-0.04, -0.09), glabella=(0, -0.15),
            glabella_low=(0, -0.08), forehead_mid=(0, -0.06), forehead_inner=(-0.05, -0.08),
            forehead_medial=(-0.04, -0.07), forehead_lateral=(-0.01, -0.05),
        ),
        hold=(*EYES, *NOSE, *TOP, "nose_root_side"),
        furrows=(
            _line((8, 55, 0.42), (9, 107, 0.48), depth=0.30, width=0.03),
            _line((168, 8, 0.75), (193, 55, 0.5), depth=0.14, width=0.03),
        ),
    ),
    # Candide: 0.05, which is under a pixel at 60 px between the eyes; here the lid's middle moves one to three.
    5: Action(parts=(Part("eye", 0.12, 0.0),)),
    # Estimate 0.08. The cheek's skin lifts the lower lid with it, which is what an observer can see.
    6: Action(
        pulls=_pulls(
            pouch=(0, 0.04), pouch_low=(-0.01, 0.08), cheek_top=(-0.02, 0.12), cheek_top_inner=(0, 0.06),
            cheek=(-0.02, 0.12), cheek_inner=(0, 0.05), cheek_low=(0, 0.04), crow=(-0.02, 0.03),
            cheek_outer=(-0.01, 0.03),
        ),
        hold=("eye_corners", "lid_upper", "brow_tail", "temple", "bridge", "nose_wing", "corner", "fold",
              "upper_lip", "upper_lip_side", "lower_lip", "jaw"),
        parts=(Part("eye", 0.0, -0.07),),
        furrows=(
            _line((33, 35, 0.25), (35, 143, 0.45), depth=0.12, width=0.02),
            _line((130, 226, 0.8), (156, 143, 0.6), depth=0.10, width=0.02),
            _line((228, 25, 0.5), (230, 23, 0.5), (232, 26, 0.5), depth=0.15, width=0.03),
        ),
    ),
    # Candide: 0.09 by the upper lid alone. Here both lids close, the lower one more.
    7: Action(
        pulls=_pulls(pouch=(0, 0.03), pouch_low=(0, 0.01)),
        hold=("eye_corners", "brow_tail", "cheek_top", "cheek", "bridge"),
        parts=(Part("eye", -0.04, -0.08),),
        furrows=(_line((25, 228, 0.2), (23, 230, 0.2), (26, 232, 0.2), depth=0.14, width=0.02),),
        reach=0.4,
    ),
    # Candide: 0.145. The nose wing is the leader, the lip's outer half follows, where the muscle inserts, and procerus
    # draws the inner brows down (FACS manual), which is what an observer sees best.
    9: Action(
        pulls=_pulls(
            brow_inner=(-0.09, -0.18), brow_medial=(-0.08, -0.17), brow_mid=(-0.05, -0.13),
            brow_lateral=(-0.02, -0.08), glabella=(0, -0.13), glabella_low=(0, -0.08), nose_side=(0, 0.07),
            nose_wing=(0.02, 0.16), cheek_inner=(0, 0.12), cheek_top_inner=(0, 0.06),
            fold_top=(0.02, 0.16), fold=(0.02, 0.12), philtrum_side=(0.01, 0.1), philtrum=(0, 0.05),
            corner_above=(0.01, 0.07),
        ) + _lips(corner=(0.02, 0), upper=(0.045, 0.09), seam=(0.04, 0.07)),
        hold=("eye_corners", "lid_upper", "lid_lower", "nasion", "bridge", "hairline"),
        parts=(Part("mouth", 0.02, 0.0),),
        furrows=(
            _line((168, 6, 0.1), (193, 122, 0.2), depth=0.18, width=0.02),
            _line((6, 168, 0.2), (122, 188, 0.2), (188, 245, 0.3), depth=0.18, width=0.02),
            _line((129, 203, 0.3), (203, 206, 0.2), (206, 216, 0.1), depth=0.22, width=0.035),
        ),
        reach=0.6,
    ),
    # Candide: 0.145. The muscle inserts beside the middle, so the lip rises most half way to the corner, and leaves the
    # lower lip: against closed lips a raise reads as a shrug.
    10: Action(
        pulls=_pulls(
            philtrum=(0, 0.10), philtrum_side=(0.02, 0.17), fold_top=(0.02, 0.13), fold=(0.02, 0.11),
            corner_above=(0.02, 0.12), nose_wing=(0.01, 0.05), cheek_inner=(0, 0.09), cheek=(0, 0.05),
        ) + _lips(corner=(0.06, 0.02), upper=(0.13, 0.18), seam=(0.09, 0.16), lower=(-0.03, -0.03)),
        hold=("lid_lower", "pouch", "bridge", "under_lip", "chin", "jaw"),
        furrows=(_line(*NASOLABIAL[:4], depth=0.25, width=0.035),),
        parts=(Part("mouth", 0.20, 0.0),),
        reach=0.6,
    ),
    # Candide: 0.23 up. The pull is up and back, so as much again to the side is seen from the front.
    12: Action(
        pulls=_pulls(
            corner_outside=(0.18, 0.23), corner_above=(0.13, 0.19), corner_below=(0.11, 0.15),
            fold=(0.09, 0.16), fold_top=(0.04, 0.08), cheek_low=(0.05, 0.13), cheek=(0.02, 0.09),
            cheek_inner=(0.02, 0.08), under_corner=(0.04, 0.05),
        ) + _lips(corner=(0.20, 0.27), upper=(-0.02, 0.08), seam=(-0.025, 0.06), lower=(-0.025, 0.05)),
        hold=(*EYES, "pouch", "bridge", "nose_base", "chin", "chin_edge", "jaw"),
        furrows=(_line(*NASOLABIAL, depth=0.28, width=0.035),),
    ),
    # Estimate 0.06. The corner tightens and the lips thin against the teeth; Candide has no such unit.
    14: Action(
        pulls=_pulls(
            corner_outside=(0.08, 0.01), corner_above=(0.07, -0.05), corner_below=(0.07, 0.06),
        ) + _lips(corner=(0.16, 0.03), upper=(-0.13, -0.12), lower=(0.10, 0.16)),
        hold=("nose_base", "bridge", "chin", "chin_edge", "jaw"),
        furrows=(_line((186, 57, 0.8), (57, 212, 0.1), (43, 57, 0.8), depth=0.35, width=0.03),),
        reach=0.6,
    ),
    # Candide: 0.23 down. The corner also goes outward, as the lower lip is stretched (FACS manual).
    15: Action(
        pulls=_pulls(
            corner_outside=(0.14, -0.2), corner_above=(0.08, -0.15), corner_below=(0.14, -0.2),
            under_corner=(0.05, -0.1), fold=(0, -0.05),
        ) + _lips(corner=(0.22, -0.28), upper=(-0.01, -0.07), seam=(-0.01, -0.09), lower=(0.02, -0.11)),
        hold=("nose_base", "bridge", "chin_edge", "jaw", "cheek_low"),
        furrows=(_line((57, 43, 0.3), (43, 202, 0.6), (202, 210, 0.4), depth=0.25, width=0.035),),
    ),
    # Estimate 0.12 for the chin boss. The lower lip rides on it and is pushed furthest.
    17: Action(
        pulls=_pulls(
            chin=(0, 0.15), chin_side=(0, 0.06), under_lip=(0, 0.18), under_lip_side=(0, 0.12),
        ) + _lips(corner=(0.10, -0.10), upper=(0.05, 0), seam=(0.18, 0.12), lower=(0.25, 0.18)),
        hold=("nose_base", "bridge", "chin_edge", "jaw", "fold", "jaw_inside"),
        furrows=(
            _line((18, 17, 0.0), (83, 84, 0.0), (182, 181, 0.1), depth=0.18, width=0.035),
            _line((200, 199, 0.2), (200, 199, 0.2), depth=0.10, width=0.025),
            _line((201, 200, 0.2), (201, 200, 0.2), depth=0.11, width=0.03),
            _line((201, 208, 0.6), (201, 208, 0.6), depth=0.11, width=0.03),
            _line((208, 199, 0.4), (208, 199, 0.4), depth=0.10, width=0.025),
        ),
        midline=0.2,
    ),
    # Candide: 0.15. A stretch only shows against a smile and a frown when the whole lip lengthens.
    20: Action(
        pulls=_pulls(
            corner_outside=(0.23, -0.03), corner_above=(0.18, -0.01), corner_below=(0.19, -0.02),
            cheek_low=(0.06, 0), under_corner=(0.07, -0.01),
        ) + _lips(corner=(0.30, -0.02), upper=(0.02, -0.03), seam=(0.01, -0.03), lower=(0, -0.03)),
        hold=("nose_base", "bridge", "chin_edge", "jaw", "chin", "fold_top"),
        furrows=(_line((57, 212, 0.3), (212, 57, 0.3), (43, 202, 0.3), depth=0.18, width=0.035),),
    ),
    # Candide: 0.054 of lip height. Both rims roll in, the mouth keeps its width.
    23: Action(
        pulls=_lips(corner=(0, 0), upper=(-0.13, -0.12), lower=(0.14, 0.12)),
        hold=("nose_base", "bridge", "chin", "chin_edge", "jaw", "philtrum"),
        furrows=(_line((17, 18, 0.4), (181, 182, 0.3), depth=0.14, width=0.03),),
        reach=0.4,
    ),
    # Candide: 0.054 of lip height. The rims are pressed toward the seam by up to half a lip.
    24: Action(
        pulls=_pulls(
            philtrum=(0, -0.04),
        ) + _lips(corner=(0.08, 0.03), upper=(-0.16, -0.13), lower=(0.12, 0.12)),
        hold=("nose_base", "bridge", "chin", "chin_edge", "jaw"),
        furrows=(_line((17, 18, 0.4), (181, 182, 0.3), depth=0.16, width=0.03),),
        reach=0.45,
    ),
    # Estimate 0.08. The lower lip does most of it.
    25: Action(parts=(Part("mouth", 0.06, 0.16),), midline=0.3),
    # Candide: 0.43, jaw at its lowest. The chin moves with the lip, so the outline does too.
    26: Action(parts=(Part("mouth", 0.02, 0.43, jaw=True),), midline=0.3, outline=True),
    # The upper lid meets the lower one a little above its rest. Together they pass the whole height, so that the lash
    # lines meet and not the eyeball's last row beside them.
    BLINK: Action(parts=(Part("eye", -1.04, -0.10, relative=True),)),
}  # fmt: skip
