"""Looks at a picture and says what of a requested scene it shows. No network: colours, regions, silhouettes.

The picture may be imperfect (a little blur, noise, colours slightly off), as networks draw.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Optional

import numpy as np

from .backdrop import distance_to_segment, find_backdrop
from .palette import COLOURS, lab
from .regions import components, shrink
from .scene import POSITIONS, RADII, SIZE, Scene, all_alike
from .silhouettes import fit

OBJECT_DISTANCE = 20.0  # Lab; objects differ from the background by 42 or more (palette.LEAST_CONTRAST)
LEAST_AREA = 60  # pixels; the smallest object drawn has about 190
LEAST_OVERLAP = 0.78  # below it a silhouette is no shape at all
LEAST_COLOUR_SHARE = 0.6  # of an object's inside must have its colour


@dataclass(frozen=True)
class Found:
    shape: str  # or "unknown"
    colour: str  # or "unknown"
    style: str
    size: str
    overlap: float
    x: float
    y: float
    radius: float
    area: int


@dataclass(frozen=True)
class Inspection:
    background: str
    pattern: str
    objects: tuple  # of Found, the largest first


@dataclass(frozen=True)
class Wanted:
    shape: str
    colour: str
    size: Optional[str] = None
    style: Optional[str] = None


@dataclass(frozen=True)
class Request:
    """What a prompt asks for; None where it leaves the choice."""

    objects: tuple  # of Wanted, from left to right or from top to bottom
    arrangement: Optional[str] = None  # row | column: where the objects are to one another
    position: Optional[str] = None
    background: Optional[str] = None
    pattern: Optional[str] = None


def request_of(scene: Scene, said) -> Request:
    """What a caption of the scene that mentions `said` asks for (captions.Caption)."""
    alike = all_alike(scene)
    objects = tuple(Wanted(thing.shape, thing.colour, thing.size if f"size{0 if alike else i}" in said else None,
                           thing.style if f"style{0 if alike else i}" in said else None)
                    for i, thing in enumerate(scene.objects))
    ordered = "relation" in said or len(scene.objects) == 3 and not alike
    return Request(objects, scene.arrangement if ordered else None, scene.position if "position" in said else None,
                   scene.background.colour if "background" in said else None,
                   # A caption that names the background without a pattern asks for a plain one.
                   scene.background.pattern if "background" in said else None)


def _smoothed(picture: np.ndarray) -> np.ndarray:
    """Less noise: every pixel mixed with its neighbours, by a quarter along each axis."""
    for axis in (0, 1):
        padding = [(1, 1) if axis == each else (0, 0) for each in range(3)]
        padded = np.pad(picture, padding, mode="edge")
        before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
        picture = 0.25 * before + 0.5 * picture + 0.25 * after
    return picture


_NAMES = tuple(COLOURS)
_PALETTE_LAB = lab([COLOURS[name][0] for name in _NAMES])


def _colour(picture: np.ndarray, core: np.ndarray) -> tuple:
    """Name (or "unknown" for a medley) and measured RGB of the pixels of the core."""
    pixels = picture[core]
    measured = np.median(pixels, axis=0)
    nearest = int(np.linalg.norm(_PALETTE_LAB - lab(measured), axis=-1).argmin())
    distances = np.linalg.norm(lab(pixels)[:, None] - _PALETTE_LAB, axis=-1)
    share = (distances.argmin(axis=1) == nearest).mean()
    return _NAMES[nearest] if share >= LEAST_COLOUR_SHARE else "unknown", measured


def _size(radius: float) -> str:
    small, medium, large = RADII["small"], RADII["medium"], RADII["large"]
    if radius < (small[1] + medium[0]) / 2:
        return "small"
    return "medium" if radius < (medium[1] + large[0]) / 2 else "large"


def _core(region: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The pixels that show an object's colour best: away from its edge, or at least away from the background."""
    inner = shrink(region, 2)
    if inner.sum() >= 30:
        return inner
    return region & (distance >= np.quantile(distance[region], 0.6))


def inspect(picture: np.ndarray) -> Inspection:
    """What a picture of SIZE x SIZE x 3 (uint8) shows."""
    if picture.shape != (SIZE, SIZE, 3):
        raise ValueError(f"the checker takes pictures of {SIZE}x{SIZE} RGB, not of shape {picture.shape}")
    picture = _smoothed(picture.astype(np.float64))
    picture_lab = lab(picture)
    backdrop = find_backdrop(picture, picture_lab, OBJECT_DISTANCE)
    labels, count = components(backdrop.distance > OBJECT_DISTANCE)
    objects = []
    from_backdrop = distance_to_segment(picture, *backdrop.tones)
    for label in range(1, count + 1):
        rough = labels == label
        if rough.sum() < LEAST_AREA:
            continue
        colour, measured = _colour(picture, _core(rough, backdrop.distance))
        # The edge lies where object and background mix half and half, which is linear in RGB.
        region = rough & (np.linalg.norm(picture - measured, axis=-1) < from_backdrop)
        pieces, number = components(region)
        areas = np.bincount(pieces.ravel(), minlength=2)[1:]
        if number == 0 or areas.max() < LEAST_AREA:
            continue
        region = pieces == areas.argmax() + 1
        found = fit(region)
        objects.append(Found(found.shape if found.overlap >= LEAST_OVERLAP else "unknown", colour, found.style,
                             _size(found.radius), found.overlap, found.x, found.y, found.radius, int(areas.max())))
    objects.sort(key=lambda each: -each.area)
    return Inspection(backdrop.colour, backdrop.pattern, tuple(objects))


def _in_order(first: Found, second: Found, arrangement: str) -> bool:
    right, down = second.x - first.x, second.y - first.y
    along, across = (right, down) if arrangement == "row" else (down, right)
    return along > 0 and along > abs(across)


def _at(found: Found, position: str) -> bool:
    """Whether it is nearer to that place than to any other."""
    def distance(name: str) -> float:
        return (found.x - POSITIONS[name][0]) ** 2 + (found.y - POSITIONS[name][1]) ** 2

    return min(POSITIONS, key=distance) == position


def _verdict(objects: tuple, request: Request) -> dict:
    """For found objects in the order of the wanted ones, None where there is none."""
    pairs = list(zip(objects, request.objects))
    verdict = {"colour": all(found and found.colour == wanted.colour for found, wanted in pairs),
               "shape": all(found and found.shape == wanted.shape for found, wanted in pairs)}
    if any(wanted.size for wanted in request.objects):
        verdict["size"] = all(found and wanted.size in (None, found.size) for found, wanted in pairs)
    if any(wanted.style for wanted in request.objects):
        verdict["style"] = all(found and wanted.style in (None, found.style) for found, wanted in pairs)
    if request.arrangement:
        verdict["relation"] = all(objects) and all(
            _in_order(first, second, request.arrangement) for first, second in zip(objects, objects[1:]))
    if request.position:
        verdict["position"] = bool(objects[0]) and _at(objects[0], request.position)
    return verdict


def judge(inspection: Inspection, request: Request) -> dict:
    """Which of the requested things are right, by name; "all" is whether everything is, the count too.

    With more objects than asked for the largest are taken; they are matched with the wanted ones as well
    as they can be.
    """
    wanted = len(request.objects)
    found = inspection.objects[:wanted] + (None,) * (wanted - len(inspection.objects))

    def matches(order: tuple) -> tuple:
        pairs = [(each, want) for each, want in zip(order, request.objects) if each]
        same = sum((each.colour == want.colour) + (each.shape == want.shape) for each, want in pairs)
        return same, sum(_verdict(order, request).values())

    verdict = _verdict(max(permutations(found), key=matches), request)
    verdict["count"] = len(inspection.objects) == wanted
    if request.background:
        verdict["background"] = inspection.background == request.background
    if request.pattern:
        verdict["pattern"] = inspection.pattern == request.pattern
    return verdict | {"all": all(verdict.values())}
