"""What a picture shows, and how a scene is drawn by lot.

A scene has one to three objects on a background. Places and radii are in pixels of a picture of
SIZE x SIZE, x to the right and y down. Objects are listed from left to right, or from top to bottom.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Optional

from .dice import Dice
from .palette import COLOURS, contrasts

SIZE = 128
SHAPES = ("circle", "square", "triangle", "diamond", "pentagon", "star", "heart", "cross", "ring", "crescent",
          "arrow", "semicircle")
PATTERNS = ("plain", "stripes", "checks", "dots")
# Half the larger side of an object's box. The gaps between the classes keep the words true.
RADII = {"small": (13.5, 16), "medium": (22, 26), "large": (36, 45)}
POSITIONS = {"centre": (64, 64), "left": (32, 64), "right": (96, 64), "top": (64, 32), "bottom": (64, 96)}
OUTLINE_LEAST_RADIUS = 22
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Object:
    shape: str
    colour: str
    size: str
    style: str  # filled | outline
    x: float
    y: float
    radius: float
    rgb: tuple


@dataclass(frozen=True)
class Background:
    colour: str
    pattern: str
    direction: str  # of stripes: horizontal | vertical; "" for the others
    rgb: tuple
    tone: tuple  # the pattern's second colour


@dataclass(frozen=True)
class Scene:
    objects: tuple
    background: Background
    arrangement: str  # single | row | column; crowd (crowd.py), which has no captions
    position: Optional[str] = None  # of a single object

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(values: dict) -> "Scene":
        def tuples(fields: dict) -> dict:
            return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}

        return Scene(tuple(Object(**tuples(fields)) for fields in values["objects"]),
                     Background(**tuples(values["background"])), values["arrangement"], values["position"])


def _set_aside(*words: str) -> bool:
    digest = hashlib.sha256("|".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 10 == 0


def combination_held_out(shape: str, colour: str, background: str) -> bool:
    """Whether an object of this shape and colour on this background is kept from training (a tenth are)."""
    return _set_aside(shape, colour, background)


def pair_held_out(first: Object, second: Object, arrangement: str) -> bool:
    """Whether `first` left of (row) or above (column) `second` is kept from training (a tenth are)."""
    return _set_aside(first.shape, first.colour, arrangement, second.shape, second.colour)


def held_out(scene: Scene) -> bool:
    """Whether any part of the scene is kept from training."""
    return any(combination_held_out(thing.shape, thing.colour, scene.background.colour)
               for thing in scene.objects) or any(
                   pair_held_out(first, second, scene.arrangement)
                   for first, second in zip(scene.objects, scene.objects[1:]))


def tests_held_out(scene: Scene) -> bool:
    """What validation draws: a single object whose combination, or a group with a pair, never seen in training."""
    if len(scene.objects) == 1:
        return held_out(scene)
    return any(pair_held_out(first, second, scene.arrangement)
               for first, second in zip(scene.objects, scene.objects[1:]))


def _jittered(rgb: tuple, dice: Dice) -> tuple:
    return tuple(min(255, max(0, channel + dice.integer(-4, 4))) for channel in rgb)


def drawn_background(dice: Dice, plain: float) -> Background:
    colour = dice.choose(tuple(COLOURS))
    pattern = "plain" if dice.chance(plain) else dice.choose(PATTERNS[1:])
    direction = dice.choose(("horizontal", "vertical")) if pattern == "stripes" else ""
    rgb, tone = COLOURS[colour]
    return Background(colour, pattern, direction, _jittered(rgb, dice), _jittered(tone, dice))


def _object(dice: Dice, background: str, size: str, x: float, y: float) -> Object:
    colour = dice.choose([name for name in COLOURS if contrasts(name, background)])
    shape = dice.choose(SHAPES)
    radius = round(dice.uniform(*RADII[size]), 2)
    # A ring already is a line; two thin rings in one another would be no ring.
    can_be_outline = radius >= OUTLINE_LEAST_RADIUS and shape != "ring"
    style = "outline" if can_be_outline and dice.chance(0.22) else "filled"
    return Object(shape, colour, size, style, round(x, 2), round(y, 2), radius, _jittered(COLOURS[colour][0], dice))


def _alike(thing: Object, x: float, y: float) -> Object:
    return Object(thing.shape, thing.colour, thing.size, thing.style, round(x, 2), round(y, 2), thing.radius, thing.rgb)


def _single(dice: Dice, background: Background) -> Scene:
    position = dice.weighted({"centre": 0.6, "left": 0.1, "right": 0.1, "top": 0.1, "bottom": 0.1})
    sizes = {"small": 0.15, "medium": 0.4, "large": 0.45}
    if position != "centre":
        del sizes["large"]
    x, y = POSITIONS[position]
    thing = _object(dice, background.colour, dice.weighted(sizes), x + dice.uniform(-4, 4), y + dice.uniform(-4, 4))
    return Scene((thing,), background, "single", position)


def _group(dice: Dice, background: Background, count: int) -> Scene:
    if count == 2:
        arrangement, places, shift, alike = dice.choose(("row", "column")), (33, 95), 8, 0.12
        sizes = {"small": 0.2, "medium": 0.8}
    else:
        arrangement, places, shift, alike = "row", (23, 64, 105), 8, 0.3
        sizes = {"small": 1}
    same = dice.chance(alike)
    if same:
        arrangement = "row"
    along = [place + dice.uniform(-2, 2) for place in places]
    middle = 64 + dice.uniform(-shift, shift)
    across = [middle + dice.uniform(-2, 2) for _ in places]
    objects = []
    for a, b in zip(along, across):
        x, y = (a, b) if arrangement == "row" else (b, a)
        if same and objects:
            objects.append(_alike(objects[0], x, y))
        else:
            objects.append(_object(dice, background.colour, dice.weighted(sizes), x, y))
    return Scene(tuple(objects), background, arrangement)


def all_alike(scene: Scene) -> bool:
    return len(scene.objects) > 1 and len({(thing.shape, thing.colour) for thing in scene.objects}) == 1


def some_alike(scene: Scene) -> bool:
    """Whether two objects, but not all, have one shape and colour: such a scene would be hard to tell in words."""
    kinds = {(thing.shape, thing.colour) for thing in scene.objects}
    return 1 < len(kinds) < len(scene.objects)


def random_scene(dice: Dice, count: Optional[int] = None, plain: float = 0.75) -> Scene:
    """Any scene; `count` objects, by default one (55%), two (35%) or three (10%)."""
    if count is None:
        count = dice.weighted({1: 0.55, 2: 0.35, 3: 0.1})
    while True:
        background = drawn_background(dice, plain)
        scene = _single(dice, background) if count == 1 else _group(dice, background, count)
        # Two of one kind that differ in style only would be neither "two circles" nor two kinds.
        alike = all_alike(scene) and len({(thing.style, thing.size) for thing in scene.objects}) > 1
        if not alike and not some_alike(scene):
            return scene


def simple_scene(dice: Dice) -> Scene:
    """A scene that training begins with: one filled object, medium or large, on a plain background."""
    while True:
        scene = split_scene(dice, "train", 1, plain=1)
        thing = scene.objects[0]
        if thing.style == "filled" and thing.size != "small":
            return scene


def split_scene(dice: Dice, split: str, count: Optional[int] = None, plain: float = 0.75) -> Scene:
    """A scene for training (nothing in it is held out) or for validation (it shows what is held out)."""
    if count is None:
        count = dice.weighted({1: 0.55, 2: 0.35, 3: 0.1})
    while True:
        scene = random_scene(dice, count, plain)
        if split == "train" and not held_out(scene) or split == "validation" and tests_held_out(scene):
            return scene
