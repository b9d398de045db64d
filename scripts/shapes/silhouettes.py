"""Which shape a region has: its silhouette beside those of all shapes, moved and scaled to fit."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .regions import fill_holes, grow, shrink
from .render import shape_distance
from .scene import SHAPES

RING_LEAST_FILL = 0.55  # share of its silhouette that a ring covers; a circle's outline covers less
FILLED_LEAST_FILL = 0.85


@dataclass(frozen=True)
class Fit:
    shape: str
    style: str
    overlap: float  # intersection over union of the silhouettes, 0 to 1
    x: float
    y: float
    radius: float


@cache
def _moments(shape: str) -> tuple:
    """Area, and centre of mass, of the unit shape's silhouette."""
    axis = (np.arange(480) + 0.5) / 200 - 1.2
    inside = fill_holes(shape_distance(shape, axis[None, :], axis[:, None]) <= 0)
    rows, columns = np.nonzero(inside)
    return inside.sum() / 200**2, axis[columns].mean(), axis[rows].mean()


def silhouette(region: np.ndarray) -> np.ndarray:
    """The region with its holes filled, also those of an outline with a small gap."""
    filled = fill_holes(region)
    closed = shrink(fill_holes(grow(np.pad(region, 4), 2)), 2)[4:-4, 4:-4]
    return closed if closed.sum() > 1.3 * filled.sum() else filled


def fit(region: np.ndarray) -> Fit:
    """The shape whose silhouette overlaps the region's most when it has the same area and centre of mass."""
    whole = silhouette(region)
    rows, columns = np.nonzero(whole)
    margin = 12  # a badly fitting template reaches beyond the region
    top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
    window = slice(top, rows.max() + margin), slice(left, columns.max() + margin)
    whole = whole[window]
    area, x, y = len(rows), columns.mean() + 0.5, rows.mean() + 0.5
    grid_x = np.arange(whole.shape[1]) + left + 0.5
    grid_y = np.arange(whole.shape[0]) + top + 0.5
    best = None
    for shape in SHAPES:
        if shape == "ring":
            continue  # it has the circle's silhouette
        unit_area, unit_x, unit_y = _moments(shape)
        radius = np.sqrt(area / unit_area)
        centre_x, centre_y = x - radius * unit_x, y - radius * unit_y
        unit_grid = (grid_x[None, :] - centre_x) / radius, (grid_y[:, None] - centre_y) / radius
        inside = shape_distance(shape, *unit_grid) <= 0
        overlap = (inside & whole).sum() / (inside | whole).sum()
        if best is None or overlap > best.overlap:
            best = Fit(shape, "", float(overlap), float(centre_x), float(centre_y), float(radius))
    fill = region.sum() / area
    shape, style = best.shape, "filled" if fill >= FILLED_LEAST_FILL else "outline"
    if shape == "circle" and RING_LEAST_FILL <= fill < FILLED_LEAST_FILL + 0.05:
        shape, style = "ring", "filled"
    return Fit(shape, style, best.overlap, best.x, best.y, best.radius)
