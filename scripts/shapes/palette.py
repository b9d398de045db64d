"""The colours: name, RGB, and the second tone of a patterned background; distances in CIE Lab."""

from functools import cache

import numpy as np

# The second tone is darker for light colours and lighter for dark ones.
COLOURS = {
    "red": ((220, 38, 38), (165, 20, 28)),
    "orange": ((246, 138, 30), (222, 108, 5)),
    "yellow": ((250, 220, 50), (226, 188, 18)),
    "green": ((46, 160, 67), (92, 190, 106)),
    "cyan": ((70, 208, 220), (36, 174, 190)),
    "blue": ((42, 84, 214), (86, 128, 238)),
    "purple": ((134, 58, 178), (166, 98, 208)),
    "pink": ((246, 150, 192), (232, 116, 168)),
    "brown": ((126, 76, 40), (156, 104, 66)),
    "black": ((24, 24, 26), (62, 62, 66)),
    "white": ((246, 246, 244), (214, 214, 214)),
    "gray": ((134, 134, 136), (160, 160, 162)),
}

# Pairs of object and background nearer than this are not drawn (CIE Lab, Delta E 1976).
LEAST_CONTRAST = 42.0

_LINEAR_RGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                               [0.0193339, 0.1191920, 0.9503041]])
_D65_WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(rgb) -> np.ndarray:
    """CIE Lab (D65) of sRGB values 0 to 255; the last axis holds the channels."""
    srgb = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _LINEAR_RGB_TO_XYZ.T / _D65_WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


@cache
def contrasts(colour: str, background: str) -> bool:
    """Whether an object of the one colour stands out from a background of the other, in both its tones."""
    object_lab = lab(COLOURS[colour][0])
    return colour != background and min(
        np.linalg.norm(object_lab - lab(tone)) for tone in COLOURS[background]) >= LEAST_CONTRAST
