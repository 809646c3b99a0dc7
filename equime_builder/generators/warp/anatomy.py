"""Where things are in a face: named landmark groups, their mirror images, and the face's own axes.

Landmark numbers are those of the 478-point MediaPipe face mesh. Groups name the subject's right side (the
left of the picture); `MIRROR` gives the partner of each point. Points on the midline are their own partner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LANDMARKS = 478
SIDES = ("left", "right")

# Right-side point -> left-side point. Every point a table names is here or on the midline.
_PAIRS = (
    "55:285 107:336 65:295 66:296 52:282 105:334 53:283 63:293 46:276 70:300 124:353 156:383 108:337 69:299 "
    "104:333 68:298 71:301 109:338 67:297 103:332 54:284 21:251 162:389 127:356 139:368 34:264 143:372 35:265 "
    "190:414 56:286 28:258 27:257 29:259 30:260 247:467 189:413 221:441 222:442 223:443 224:444 225:445 113:342 "
    "33:263 133:362 130:359 243:463 246:466 161:388 160:387 159:386 158:385 157:384 173:398 7:249 163:390 "
    "144:373 145:374 153:380 154:381 155:382 110:339 25:255 24:254 23:253 22:252 26:256 112:341 31:261 228:448 "
    "229:449 230:450 231:451 232:452 233:453 226:446 244:464 245:465 193:417 122:351 188:412 174:399 196:419 "
    "236:456 198:420 126:355 217:437 114:343 128:357 121:350 120:349 119:348 118:347 117:346 111:340 100:329 "
    "101:330 50:280 36:266 47:277 142:371 131:360 49:279 129:358 64:294 98:327 97:326 203:423 205:425 206:426 "
    "207:427 216:436 187:411 147:376 123:352 192:416 213:433 214:434 212:432 186:410 92:322 165:391 167:393 "
    "57:287 43:273 202:422 204:424 210:430 211:431 106:335 182:406 194:418 83:313 201:421 32:262 61:291 185:409 "
    "40:270 39:269 37:267 146:375 91:321 181:405 84:314 78:308 191:415 80:310 81:311 82:312 95:324 88:318 "
    "178:402 87:317 135:364 136:365 150:379 149:378 176:400 148:377 172:397 58:288 132:361 93:323 234:454 "
    "140:369 171:396 208:428 170:395 169:394 138:367"
)
MIRROR: dict[int, int] = {int(a): int(b) for a, b in (pair.split(":") for pair in _PAIRS.split())}

# The lips' three rows from the middle toward the corner, and how far along the way each point lies.
LIP_ROWS: dict[str, tuple[int, ...]] = {
    "upper": (0, 37, 39, 40, 185),
    "seam": (13, 82, 81, 80, 191),
    "lower": (17, 84, 181, 91, 146),
}
LIP_STATIONS = (0.0, 0.2, 0.4, 0.62, 0.85)

GROUPS: dict[str, tuple[int, ...]] = {
    "brow_inner": (55, 107),
    "brow_medial": (65, 66),
    "brow_mid": (52, 105),
    "brow_lateral": (53, 63),
    "brow_tail": (46, 70),
    "glabella": (9,),
    "glabella_low": (8,),
    "nasion": (168,),
    "bridge": (6, 197, 195, 5, 4),
    "nose_root_side": (193, 122),
    "nose_side": (174, 198),
    "nose_wing": (49, 129, 64),
    "nose_base": (98, 97, 2),
    "forehead_mid": (151,),
    "forehead_inner": (108,),
    "forehead_medial": (69,),
    "forehead_lateral": (104, 68),
    "forehead_temple": (71,),
    "hairline": (10, 109, 67, 103, 54, 21),
    "temple": (162, 139, 127, 34, 143),
    "eye_corners": (33, 133, 130, 243, 226, 244),
    "lid_upper": (246, 160, 158, 173),
    "lid_lower": (7, 144, 153, 155),
    "pouch": (25, 110, 24, 23, 22, 26),
    "pouch_low": (228, 229, 230, 231, 232),
    "crow": (35, 111),
    "cheek_top": (117, 118, 119),
    "cheek_top_inner": (100, 47),
    "cheek": (50, 101),
    "cheek_inner": (36,),
    "cheek_low": (205, 207),
    "cheek_outer": (123, 147, 187),
    "fold_top": (203,),
    "fold": (206, 216),
    "corner": (61,),
    "corner_outside": (57, 212),
    "corner_above": (186, 92),
    "corner_below": (43, 202),
    "upper_lip_side": (185, 40),
    "upper_lip": (39, 37, 0),
    "philtrum": (164, 167),
    "philtrum_side": (165,),
    "lower_lip": (84, 17),
    "under_lip": (18, 83),
    "under_lip_side": (182, 106),
    "under_corner": (204, 194),
    "chin": (200, 199, 201, 208),
    "chin_side": (32, 211),
    "chin_edge": (152, 148, 176, 149),
    "jaw": (150, 136, 172, 58, 132),
    "jaw_inside": (210, 214, 192, 135),
    **{f"{row}_{k}": (point,) for row, points in LIP_ROWS.items() for k, point in enumerate(points)},
}

MIDLINE = (10, 151, 9, 8, 168, 2, 164, 0, 17, 18, 200, 152)
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# Free edges of the two eyes and of the mouth, each from the right end to the left end of the picture.
EDGES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "right_eye": ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    "left_eye": (
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
    ),
    "mouth": (
        (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    ),
}


def partner(point: int) -> int:
    """The same point on the other side of the face; a midline point is its own partner."""
    return MIRROR.get(point, point)


@dataclass(frozen=True)
class FaceFrame:
    """The face's own axes: origin between the eyes, one axis along the eye line, `up` across it, unit the eye distance.

    origin, right_to_left, up: (2,) float32, pixels and unit vectors in the picture (y down).
    eye_distance: between the middles of the eye corners, in pixels; about 0.96 of the inter-ocular distance (IOD),
    which lies between the irises.
    """

    origin: Floats
    right_to_left: Floats
    up: Floats
    eye_distance: float

    @property
    def axes(self) -> Floats:
        """The unit vectors as columns (2, 2): picture = axes @ (lateral, up)."""
        return np.stack([self.right_to_left, self.up], axis=1)

    def coordinates(self, points: Floats) -> Floats:
        """Pixels in the picture (..., 2) as (lateral, up) in eye distances; lateral grows toward the subject's left."""
        return np.asarray((points - self.origin) @ (self.axes / np.float32(self.eye_distance)), np.float32)

    def vector(self, lateral: float, up: float) -> Floats:
        """The displacement in pixels of (lateral, up) given in eye distances."""
        return np.asarray((lateral * self.right_to_left + up * self.up) * self.eye_distance, np.float32)


def face_frame(landmarks: Floats) -> FaceFrame:
    """Axes and scale from the four eye corners of landmarks (478, 2+)."""
    right = landmarks[[33, 133], :2].mean(axis=0)
    left = landmarks[[362, 263], :2].mean(axis=0)
    eye_distance = float(np.linalg.norm(left - right))
    along = ((left - right) / max(eye_distance, 1e-6)).astype(np.float32)
    up = np.array([along[1], -along[0]], np.float32)
    return FaceFrame(((left + right) / 2).astype(np.float32), along, up, eye_distance)
