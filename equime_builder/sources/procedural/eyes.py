"""Eyes: ball, iris, lids, crease, lashes; painted at twice the picture's resolution and laid in."""

from __future__ import annotations

import cv2
import numpy as np

from equime_builder.sources.procedural.canvas import (
    Frame,
    Window,
    blend,
    fixed,
    shifted,
    softened,
    stroked,
    tint,
)
from equime_builder.sources.procedural.geometry import IRIS_RADIUS, SIDES, Array, Side, smooth_curve
from equime_builder.sources.procedural.parameters import FaceParameters
from equime_builder.sources.procedural.skin import tone_color

ZOOM = 2


def paint_eyes(picture: Array, params: FaceParameters, frame: Frame, rng: np.random.Generator) -> None:
    """Paint both eyes in place into `picture`, sRGB float32 (size, size, 3)."""
    fibres = rng.standard_normal(96).astype(np.float32)
    for side in SIDES:
        ring = frame.points(side.upper_lid + side.lower_lid + side.crease)
        window = Window.around(ring, 0.10 * frame.unit, size=frame.size)
        rows, columns = window.shape
        large = cv2.resize(window.of(picture), (columns * ZOOM, rows * ZOOM), interpolation=cv2.INTER_LINEAR)
        eye = _Eye(params, frame, side, window, large)
        eye.ball(fibres)
        eye.lids()
        eye.lashes(rng)
        window.of(picture)[:] = cv2.resize(large, (columns, rows), interpolation=cv2.INTER_AREA)


class _Eye:
    """One eye in its enlarged window."""

    def __init__(self, params: FaceParameters, frame: Frame, side: Side, window: Window, image: Array) -> None:
        self.params, self.side, self.image = params, side, image
        self.unit = frame.unit * ZOOM

        def local(numbers: tuple[int, ...]) -> Array:
            return np.asarray((frame.points(numbers) - window.origin) * ZOOM)

        self.upper = smooth_curve(local(side.upper_lid), samples=36)
        self.lower = smooth_curve(local(side.lower_lid), samples=36)
        self.crease = smooth_curve(local(side.crease), samples=36)
        gaze = np.array(params.features.gaze) * IRIS_RADIUS * self.unit
        self.iris = local(side.iris[:1])[0] + gaze
        self.inner, self.outer = self.upper[-1], self.upper[0]
        self.size = image.shape[0], image.shape[1]
        opening = self._filled(np.concatenate([self.upper, self.lower[::-1]]))
        self.opening = softened(opening, 0.5)
        self.skin = np.sqrt(tone_color(params.skin))

    def _blank(self) -> np.ndarray:
        return np.zeros(self.size, np.uint8)

    def _filled(self, polygon: Array) -> np.ndarray:
        mask = self._blank()
        cv2.fillPoly(mask, [fixed(polygon)], 255, cv2.LINE_AA, 4)
        return mask

    def ball(self, fibres: Array) -> None:
        """Paint sclera, iris, pupil and catchlight inside the opening."""
        y, x = np.mgrid[0 : self.size[0], 0 : self.size[1]].astype(np.float32)
        x, y = x + 0.5, y + 0.5
        dx, dy = x - self.iris[0], y - self.iris[1]
        width = np.linalg.norm(self.inner - self.outer)
        away = np.abs(dx) / (0.5 * width)
        white = np.empty((*self.size, 3), np.float32)
        bright = 0.70 - 0.24 * away**2 - 0.014 * self.params.skin.tone
        for channel, warm in enumerate((1.0, 0.955, 0.93)):
            white[..., channel] = bright * (warm - 0.03 * away)
        reach = np.sqrt((x - self.inner[0]) ** 2 + (y - self.inner[1]) ** 2) / width
        blend(white, np.clip(1.1 - reach / 0.11, 0, 1) * 0.8, (0.66, 0.42, 0.38))
        reach = IRIS_RADIUS * self.unit
        near = Window.around(self.iris[None], 1.1 * reach + 2, size=max(self.size))
        dx, dy = near.of(dx), near.of(dy)
        radius = np.sqrt(dx * dx + dy * dy) / np.float32(reach)
        inside = np.clip((1.045 - radius) * 0.5 * reach, 0, 1)
        blend(near.of(white), inside, self._iris(radius, dx, dy, fibres))
        lid = softened(self._band(self.upper, 0.075), 0.030 * self.unit)
        tint(white, np.minimum(lid * 1.1, 1), (0.36, 0.32, 0.33))
        tint(white, softened(self._band(self.lower, 0.02), 0.016 * self.unit) * 0.6, (0.7, 0.55, 0.52))
        self._catchlight(white)
        blend(self.image, self.opening, white)

    def _band(self, curve: Array, width: float) -> np.ndarray:
        mask = self._blank()
        stroked(mask, [curve], value=255, width=max(1, round(width * self.unit)))
        return mask

    def _iris(self, radius: Array, dx: Array, dy: Array, fibres: Array) -> Array:
        angle = (np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * (len(fibres) - 1)
        texture = np.interp(angle.ravel(), np.arange(len(fibres)), fibres).reshape(angle.shape).astype(np.float32)
        light = self.params.scene
        glow = np.clip(-dx * np.sin(np.radians(light.azimuth)) + dy * 0.8, -99, 99) / (IRIS_RADIUS * self.unit)
        value = 0.84 + 0.10 * texture * np.clip(radius * 1.6 - 0.3, 0, 1) + 0.13 * glow * (radius < 1)
        value += 0.10 * np.exp(-(((radius - 0.52) / 0.13) ** 2))
        value *= 1 - 0.72 * np.clip((radius - 0.76) / 0.24, 0, 1) ** 1.5
        color = np.array(self.params.features.iris, np.float32) * np.clip(value, 0.15, 1.7)[..., None]
        pupil = np.clip((0.40 - radius) * 0.9 * IRIS_RADIUS * self.unit + 0.5, 0, 1)
        blend(color, pupil, (0.025, 0.02, 0.02))
        return np.asarray(color)

    def _catchlight(self, ball: Array) -> None:
        azimuth = np.radians(self.params.scene.azimuth)
        spot = self._blank()
        at = self.iris + np.array([0.40 * np.sin(azimuth) / 0.8, -0.36]) * IRIS_RADIUS * self.unit
        axes = fixed(np.array([0.17, 0.20]) * IRIS_RADIUS * self.unit + 0.5)
        cv2.ellipse(spot, tuple(fixed(at).tolist()), tuple(axes.tolist()), 12.0, 0.0, 360.0, 255, -1, cv2.LINE_AA, 4)
        blend(ball, softened(spot, 0.010 * self.unit), (0.98, 0.98, 0.97))
        spot[:] = 0
        low = self.iris + np.array([-0.35 * np.sign(azimuth), 0.45]) * IRIS_RADIUS * self.unit
        cv2.circle(
            spot,
            tuple(fixed(low).tolist()),
            int(0.22 * IRIS_RADIUS * self.unit * 16),
            255,
            -1,
            cv2.LINE_AA,
            4,
        )
        blend(ball, softened(spot, 0.02 * self.unit) * 0.16, (0.9, 0.93, 1.0))

    def lids(self) -> None:
        """Paint crease, lid bulge, waterline and the soft line under the lower lid."""
        outside = 1 - self.opening
        features, unit = self.params.features, self.unit
        share = 0.30 + 0.28 * features.crease
        fold = self.upper + (self.crease - self.upper) * share
        line = softened(self._band(fold[2:-1], 0.012), 0.010 * unit)
        depth = 0.30 + 0.62 * features.crease
        tint(self.image, np.clip(line * depth, 0, 1) * outside, (0.52, 0.44, 0.42))
        shadow = softened(self._band(fold[3:-2] - (0, 0.03 * unit), 0.04), 0.03 * unit)
        tint(self.image, shadow * (0.16 + 0.22 * features.crease) * outside, (0.62, 0.54, 0.52))
        waterline = softened(self._band(shifted(self.lower[3:-2], 0, 0.006 * unit), 0.014), 0.004 * unit)
        pink = np.clip(self.skin * (1.04, 0.86, 0.84) + 0.03, 0, 1)
        blend(self.image, waterline * 0.55 * outside, pink)
        under = softened(self._band(shifted(self.lower[4:-4], 0, 0.045 * unit), 0.02), 0.02 * unit)
        tint(self.image, under * (0.22 + 0.25 * self.params.skin.bags) * outside, (0.68, 0.58, 0.56))

    def lashes(self, rng: np.random.Generator) -> None:
        """Paint the lash lines and lashes."""
        unit, amount, sign = self.unit, self.params.features.lashes, self.side.sign
        thick, thin = self._blank(), self._blank()
        stroked(thick, [self.upper[:-2]], value=255, width=max(1, round((0.010 + 0.008 * amount) * unit)))
        stroked(thick, [self.upper[2:20]], value=255, width=max(1, round((0.013 + 0.012 * amount) * unit)))
        stroked(thin, [self.lower[3:-4]], value=150, width=max(1, round(0.007 * unit)))
        upper, lower = [], []
        for k in range(1, 32, 2):
            out = 1 - k / 32
            lean = sign * (0.9 * out - 0.25) + rng.normal(0, 0.08)
            length = unit * (0.026 + 0.034 * amount) * (0.65 + 0.5 * out) * rng.uniform(0.8, 1.15)
            root = self.upper[k]
            tip = root + np.array([lean * length, -length * 0.62])
            upper.append(np.stack([root, root + (tip - root) * 0.5 + (0, 0.12 * length), tip]))
            if k > 3 and k < 28:
                base = self.lower[k]
                lower.append(np.stack([base, base + np.array([lean * 0.5, 0.55]) * length * 0.42]))
        stroked(thick, upper, value=int(150 + 80 * amount))
        stroked(thin, lower, value=int(60 + 80 * amount))
        dark = np.array([0.075, 0.055, 0.05]) + 0.04 * (1 - self.params.skin.tone / 9)
        blend(self.image, softened(thick, 0.006 * unit) * min(0.95, 0.66 + 0.36 * amount), dark)
        blend(self.image, softened(thin, 0.007 * unit) * 0.62, dark * 1.6)
