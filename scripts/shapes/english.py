"""English captions."""

from . import words
from .dice import Dice
from .scene import Object, Scene, all_alike

_WORDS = {"shape": words.SHAPES["en"], "colour": words.COLOURS["en"], "size": words.SIZES["en"],
          "style": words.STYLES["en"]}


def usual(names: tuple, dice: Dice) -> str:
    """A name, most often the usual one."""
    return names[0] if len(names) == 1 or dice.chance(0.75) else dice.choose(names[1:])


def _article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _plural(noun: str) -> str:
    return {"rhombus": "rhombuses", "cross": "crosses"}.get(noun, noun + "s")


def _noun_phrase(thing: Object, i: int, said, dice: Dice, plural: bool = False) -> str:
    shape = usual(_WORDS["shape"][thing.shape], dice)
    parts = []
    if f"size{i}" in said:
        parts.append(usual(_WORDS["size"][thing.size], dice))
    if f"style{i}" in said:
        parts.append(usual(_WORDS["style"][thing.style], dice))
    parts.append(usual(_WORDS["colour"][thing.colour], dice))
    parts.append(_plural(shape) if plural else shape)
    return " ".join(parts)


def _background(scene: Scene, said, dice: Dice) -> str:
    """What stands after "on"."""
    colour = usual(_WORDS["colour"][scene.background.colour], dice)
    if "pattern" not in said:
        return _article(f"{colour} background")
    pattern = scene.background.pattern
    if dice.chance(0.25):
        return f"a background with {colour} {usual(words.ENGLISH_PATTERN_NOUNS[pattern], dice)}"
    return _article(f"{colour} {usual(words.PATTERNS['en'][pattern], dice)} background")


def _group(scene: Scene, said, dice: Dice) -> str:
    objects = scene.objects
    if all_alike(scene):
        number = words.NUMBERS["en"][len(objects)]
        row = dice.choose((" side by side", " next to each other")) if len(objects) == 2 else " in a row"
        return f"{number} {_noun_phrase(objects[0], 0, said, dice, plural=True)}" + (row if dice.chance(0.4) else "")
    phrases = [_article(_noun_phrase(thing, i, said, dice)) for i, thing in enumerate(objects)]
    if len(objects) == 3:
        listed = f"{phrases[0]}, {phrases[1]} and {phrases[2]}"
        return dice.choose((listed, listed, f"{listed} in a row", f"{listed} from left to right"))
    first, second = phrases
    if "relation" not in said:
        return f"{first} and {second}" if dice.chance(0.7) else f"{first} next to {second}"
    forward, backward = words.RELATIONS["en"][scene.arrangement]
    if dice.chance(0.15):
        near, far = ("on the left", "on the right") if scene.arrangement == "row" else ("at the top", "at the bottom")
        return f"{first} {near} and {second} {far}"
    if dice.chance(0.5):
        return f"{first} {usual(forward, dice)} {second}"
    return f"{second} {usual(backward, dice)} {first}"


def english(scene: Scene, said, dice: Dice) -> str:
    single = len(scene.objects) == 1
    subject = _article(_noun_phrase(scene.objects[0], 0, said, dice)) if single else _group(scene, said, dice)
    if "position" in said:
        subject += " " + usual(words.POSITIONS["en"][scene.position], dice)
    opening = "" if dice.chance(0.55) else dice.choose(
        ("a picture of ", "an image of ", "a drawing of ", "draw ", "please draw ", "paint ", "show me ",
         "a simple picture of "))
    if "background" not in said:
        return opening + subject
    background = _background(scene, said, dice)
    template = dice.weighted({"on": 6, "with": 0.8, "first": 0.6, "comma": 0.8})
    if template == "with":
        return f"{opening}{subject} with {background}"
    if template == "first" and not opening:
        return f"on {background}, {subject}"
    if template == "comma":
        return f"{opening}{subject}, {background.split(' ', 1)[1]}"
    return f"{opening}{subject} on {background}"
