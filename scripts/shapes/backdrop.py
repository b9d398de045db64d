"""Finds the background of a picture: its colour, its pattern, and how far every pixel is from both tones."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .palette import COLOURS, lab
from .render import pattern_coverage

BORDER = 3  # pixels along the picture's edge, that hardly ever belong to an object
LEAST_TONE_SPREAD = 0.22  # standard deviation between the tones 0 and 1; dots have 0.46, noise below 0.2
LEAST_PATTERN_MATCH = 0.6  # correlation


@dataclass
class Backdrop:
    colour: str
    pattern: str
    distance: np.ndarray  # Lab distance of every pixel to the nearest mixture of the tones
    tones: tuple  # the two tones in RGB, as measured, or the same twice where it is plain


def _along(pixels: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """How far from start (0) to stop (1) each pixel lies."""
    line = stop - start
    return np.clip((pixels - start) @ line / (line @ line), 0, 1)


def distance_to_segment(pixels: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest mixture of two colours."""
    if np.allclose(start, stop):
        return np.linalg.norm(pixels - start, axis=-1)
    return np.linalg.norm(pixels - start - _along(pixels, start, stop)[..., None] * (stop - start), axis=-1)


@cache
def _spectra() -> dict:
    """Transformed templates of the patterns, of mean 0 and norm 1."""
    spectra = {}
    for name, direction in (("stripes", "vertical"), ("stripes", "horizontal"), ("checks", ""), ("dots", "")):
        template = pattern_coverage(name, direction)
        template = template - template.mean()
        spectra[name, direction] = np.conj(np.fft.rfft2(template / np.linalg.norm(template)))
    return spectra


def _pattern(tone: np.ndarray, seen: np.ndarray) -> str:
    """Which pattern the tones (0 to 1) make where the background is seen; shifted patterns count too."""
    values = tone[seen]
    if values.std() < LEAST_TONE_SPREAD:
        return "plain"
    centred = np.where(seen, tone - values.mean(), 0)
    spectrum = np.fft.rfft2(centred)
    norm = np.linalg.norm(centred)
    share = np.sqrt(seen.mean())  # a template's norm where the background is seen
    best = {}
    for (name, _), template in _spectra().items():
        peak = np.fft.irfft2(spectrum * template, tone.shape).max() / (norm * share)
        best[name] = max(best.get(name, 0), peak)
    name = max(best, key=best.get)
    return name if best[name] >= LEAST_PATTERN_MATCH else "unknown"


def find_backdrop(picture: np.ndarray, picture_lab: np.ndarray, object_distance: float) -> Backdrop:
    """Of an RGB picture (float, 0 to 255) and its Lab; pixels beyond `object_distance` are no background."""
    edge = np.ones(picture.shape[:2], bool)
    edge[BORDER:-BORDER, BORDER:-BORDER] = False
    border = picture_lab[edge]
    errors = {}
    for name, tones in COLOURS.items():
        start, stop = lab(tones[0]), lab(tones[1])
        errors[name] = np.minimum(distance_to_segment(border, start, stop), 40).mean()
    colour = min(errors, key=errors.get)
    base, tone = (np.array(rgb, float) for rgb in COLOURS[colour])
    # Measured from here on: a network's colours may be a little off.
    along_edge = _along(picture[edge], base, tone) > 0.5
    seen = distance_to_segment(picture_lab, lab(base), lab(tone)) < object_distance
    pattern = _pattern(_along(picture, base, tone), seen)
    if pattern == "plain":
        tones = (np.median(picture[edge], axis=0),) * 2
    else:
        tones = tuple(np.median(picture[edge][part], axis=0) if part.any() else rgb
                      for part, rgb in ((~along_edge, base), (along_edge, tone)))
    return Backdrop(colour, pattern, distance_to_segment(picture_lab, lab(tones[0]), lab(tones[1])), tones)
