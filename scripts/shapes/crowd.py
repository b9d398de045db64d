"""Crowded scenes: what an autoencoder is trained on.

It need not know what a scene means, only its colours and edges, and an ordinary scene is mostly plain
background: a crop of a crowd teaches several times as much.
"""

from .dice import Dice
from .palette import COLOURS, contrasts
from .scene import OUTLINE_LEAST_RADIUS, RADII, SHAPES, SIZE, Background, Object, Scene, drawn_background

_CELLS = 3  # a side
_PLAIN = 0.6


def _thing(dice: Dice, background: Background, x: float, y: float) -> Object:
    size = dice.weighted({"small": 0.55, "medium": 0.35, "large": 0.1})
    radius = round(dice.uniform(*RADII[size]), 2)
    shape = dice.choose(SHAPES)
    colour = dice.choose([name for name in COLOURS if contrasts(name, background.colour)])
    outlined = radius >= OUTLINE_LEAST_RADIUS and shape != "ring" and dice.chance(0.4)
    return Object(shape, colour, size, "outline" if outlined else "filled", round(x, 2), round(y, 2), radius,
                  COLOURS[colour][0])


def crowded_scene(dice: Dice) -> Scene:
    """Two to nine objects anywhere, over one another and over the edge too."""
    background = drawn_background(dice, _PLAIN)
    cells = [(column, row) for row in range(_CELLS) for column in range(_CELLS)]
    side = SIZE / _CELLS
    things = []
    for _ in range(dice.integer(2, len(cells))):
        column, row = cells.pop(dice.integer(0, len(cells) - 1))
        things.append(_thing(dice, background, (column + dice.uniform(0.2, 0.8)) * side,
                             (row + dice.uniform(0.2, 0.8)) * side))
    return Scene(tuple(things), background, "crowd")
