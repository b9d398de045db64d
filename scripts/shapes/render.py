"""Draws a scene with numpy.

Every shape is a signed distance (negative inside, in pixels) of the points of a grid at twice the
picture's size, whose coverage is then box filtered; the distance also gives outlines their width.
"""

import math

import numpy as np

from .scene import SIZE, Background, Object, Scene

SCALE = 2
OUTLINE_WIDTH = 4.0  # pixels


def _polygon_distance(x, y, corners):
    squared, inside = None, None
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        to_edge = (px - along * ex) ** 2 + (py - along * ey) ** 2
        squared = to_edge if squared is None else np.minimum(squared, to_edge)
        if ay != by:
            crosses = ((y >= ay) != (y >= by)) & ((px * ey - py * ex) * np.sign(ey) < 0)
            inside = crosses if inside is None else inside ^ crosses
    return np.where(inside, -1, 1) * np.sqrt(squared)


def _regular(points: int, inner: float = 1.0):
    """Corners on the unit circle, the first on top; with inner < 1 every second one lies that far out."""
    steps = points if inner == 1.0 else 2 * points
    corners = []
    for i in range(steps):
        radius = 1.0 if inner == 1.0 or i % 2 == 0 else inner
        angle = 2 * math.pi * i / steps
        corners.append((radius * math.sin(angle), -radius * math.cos(angle)))
    return corners


def _boxed(corners, width: float = 1.0):
    """Moved and scaled so that the middle of their box is the origin and its larger half side is `width`."""
    low = [min(corner[axis] for corner in corners) for axis in (0, 1)]
    high = [max(corner[axis] for corner in corners) for axis in (0, 1)]
    scale = 2 * width / max(high[0] - low[0], high[1] - low[1])
    return [tuple((corner[axis] - (low[axis] + high[axis]) / 2) * scale for axis in (0, 1)) for corner in corners]


_ARM = 0.34  # half the width of the cross's arms
POLYGONS = {
    "square": [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
    "triangle": _boxed([(-1, 0.87), (0, -0.87), (1, 0.87)]),
    "diamond": [(0, -1), (0.72, 0), (0, 1), (-0.72, 0)],
    "pentagon": _boxed(_regular(5)),
    "star": _boxed(_regular(5, 0.42), 1.05),
    "cross": [(-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM), (_ARM, 1), (-_ARM, 1),
              (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM)],
    "arrow": [(-1, -0.28), (0.05, -0.28), (0.05, -0.8), (1, 0), (0.05, 0.8), (0.05, 0.28), (-1, 0.28)],
}


def _heart(x, y):
    """A square on its corner with half a disc on each of its upper sides; symmetric, so for x >= 0 only."""
    side = 0.87
    half = side / math.sqrt(2)  # half the square's diagonal
    radius = side / 2
    x, y = np.abs(x), y - 0.18
    # The square's corners are (0, -half), the notch, (half, 0), where lobe and side meet, and (0, half), the tip.
    centre = half / 2
    beyond = x - y - half > 0
    from_centre = np.hypot(x - centre, y + centre)
    along = np.clip((x - y + half) / (2 * half), 0, 1)
    to_side = np.hypot(x - along * half, y - (1 - along) * half)
    to_notch = np.hypot(x, y + half)
    inside = beyond & (from_centre < radius) | ~beyond & (x + np.abs(y) < half)
    distance = np.where(beyond, np.minimum(np.abs(from_centre - radius), to_side), np.minimum(to_side, to_notch))
    return np.where(inside, -distance, distance)


def _crescent(x, y):
    x = x - 0.18
    return np.maximum(np.hypot(x, y) - 1, 0.86 - np.hypot(x - 0.5, y))


def _semicircle(x, y):
    y = y - 0.5
    return np.maximum(np.hypot(x, y) - 1, y)


_ROUND = {
    "circle": lambda x, y: np.hypot(x, y) - 0.97,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.74) - 0.26,
    "heart": _heart,
    "crescent": _crescent,
    "semicircle": _semicircle,
}


def shape_distance(shape: str, x, y) -> np.ndarray:
    """Signed distance to the unit shape, negative inside; y points down."""
    if shape in POLYGONS:
        return _polygon_distance(x, y, POLYGONS[shape])
    return _ROUND[shape](x, y)


def _box_filtered(values: np.ndarray, scale: int) -> np.ndarray:
    height, width = values.shape
    return values.reshape(height // scale, scale, width // scale, scale).mean(axis=(1, 3))


def _coverage(distance: np.ndarray) -> np.ndarray:
    """Share of every small pixel that lies inside; distances in small pixels."""
    return np.clip(0.5 - distance, 0, 1)


def object_coverage(thing: Object) -> tuple:
    """The object's coverage, 0 to 1, in the window (rows, columns) of the picture that holds it."""
    reach = thing.radius * 1.12 + 2
    left, right = max(0, math.floor(thing.x - reach)), min(SIZE, math.ceil(thing.x + reach))
    top, bottom = max(0, math.floor(thing.y - reach)), min(SIZE, math.ceil(thing.y + reach))
    x = (np.arange(left * SCALE, right * SCALE, dtype=np.float32) + 0.5) / SCALE - thing.x
    y = (np.arange(top * SCALE, bottom * SCALE, dtype=np.float32) + 0.5) / SCALE - thing.y
    x, y = x[None, :] / thing.radius, y[:, None] / thing.radius
    distance = shape_distance(thing.shape, x, y) * np.float32(thing.radius * SCALE)
    coverage = _coverage(distance)
    if thing.style == "outline":
        coverage = coverage - _coverage(distance + OUTLINE_WIDTH * SCALE)
    return (slice(top, bottom), slice(left, right)), _box_filtered(coverage, SCALE)


def pattern_coverage(pattern: str, direction: str = "") -> np.ndarray:
    """Where a background has its second tone, 0 to 1."""
    line = np.arange(SIZE * SCALE) / SCALE + 0.5 / SCALE
    x, y = line[None, :], line[:, None]
    if pattern == "stripes":
        odd = np.broadcast_to((x if direction == "vertical" else y) // 16 % 2, (len(line), len(line)))
    elif pattern == "checks":
        odd = (x // 16 + y // 16) % 2
    elif pattern == "dots":
        odd = np.zeros((len(line), len(line)))
        for shift in (0, 16):
            distance = np.hypot((x + shift) % 32 - 16, (y + shift) % 32 - 16) - 7
            odd = np.maximum(odd, _coverage(distance * SCALE))
    else:
        odd = np.zeros((len(line), len(line)))
    return _box_filtered(odd.astype(np.float32), SCALE)


_patterns = {}


def _draw_background(background: Background) -> np.ndarray:
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    picture[:] = background.rgb
    if background.pattern != "plain":
        key = background.pattern, background.direction
        if key not in _patterns:
            _patterns[key] = pattern_coverage(*key)[..., None]
        picture += _patterns[key] * (np.array(background.tone, np.float32) - np.array(background.rgb, np.float32))
    return picture


def render(scene: Scene) -> np.ndarray:
    """The picture, SIZE x SIZE x 3, uint8."""
    picture = _draw_background(scene.background)
    for thing in scene.objects:
        window, coverage = object_coverage(thing)
        part = picture[window]
        part += coverage[..., None] * (np.array(thing.rgb, np.float32) - part)
    return np.rint(picture).astype(np.uint8)
