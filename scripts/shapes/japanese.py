"""Japanese captions; "|" stands for words.BREAK in the templates."""

from . import words
from .dice import Dice
from .english import usual
from .scene import Object, Scene, all_alike


def _noun_phrase(thing: Object, i: int, said, dice: Dice) -> str:
    parts = []
    if f"size{i}" in said:
        parts.append(usual(words.SIZES["ja"][thing.size], dice))
    if f"style{i}" in said:
        parts.append(usual(words.STYLES["ja"][thing.style], dice))
    parts.append(usual(words.COLOURS["ja"][thing.colour], dice))
    parts.append(usual(words.SHAPES["ja"][thing.shape], dice))
    return "|".join(parts)


def _background(scene: Scene, said, dice: Dice) -> str:
    colour = usual(words.COLOURS["ja"][scene.background.colour], dice)
    if "pattern" not in said:
        return f"{colour}|背景"
    return f"{colour}|{usual(words.PATTERNS['ja'][scene.background.pattern], dice)}|背景"


def _group(scene: Scene, said, dice: Dice) -> tuple:
    """The objects, where they are (or nothing), and how many (or nothing), for "... is there"."""
    objects = scene.objects
    if all_alike(scene):
        return _noun_phrase(objects[0], 0, said, dice), "", words.NUMBERS["ja"][len(objects)]
    phrases = [_noun_phrase(thing, i, said, dice) for i, thing in enumerate(objects)]
    if len(objects) == 3:
        listed = "|と|".join(phrases) if dice.chance(0.6) else f"{phrases[0]}|、|{phrases[1]}|、|{phrases[2]}"
        return listed, "左から|" if dice.chance(0.3) else "", ""
    first, second = phrases
    if "relation" not in said:
        return f"{first}|と|{second}", "", ""
    forward, backward = words.RELATIONS["ja"][scene.arrangement]
    if dice.chance(0.5):
        one, place, other = first, usual(forward, dice), second
    else:
        one, place, other = second, usual(backward, dice), first
    return one, f"{other}|の|{place}|に|", ""


def _apart(scene: Scene, said, dice: Dice) -> str:
    """Two objects by their halves of the picture."""
    near, far = ("左", "右") if scene.arrangement == "row" else ("上", "下")
    first, second = (_noun_phrase(thing, i, said, dice) for i, thing in enumerate(scene.objects))
    return f"{near}|に|{first}|、|{far}|に|{second}"


def _polite_end(dice: Dice) -> str:
    return dice.choose(("|が|ある", "|が|あります"))


def _clause(scene: Scene, said, dice: Dice) -> str:
    """Everything but the background."""
    if "relation" in said and dice.chance(0.15):
        return _apart(scene, said, dice)
    if len(scene.objects) == 1:
        thing, where, number = _noun_phrase(scene.objects[0], 0, said, dice), "", ""
        if "position" in said:
            where = f"{usual(words.POSITIONS['ja'][scene.position], dice)}|に|"
    else:
        thing, where, number = _group(scene, said, dice)
    if number:
        thing = dice.choose((f"{number}|の|{thing}", f"{thing}|が|{number}"))
        return thing
    if where.endswith("|に|") and dice.chance(0.3):
        return f"{thing}|が|{where[:-1]}" + dice.choose(("|ある", "|あります"))
    return where + thing


def _ends_in_noun(clause: str) -> bool:
    return not clause.endswith(("ある", "あります"))


def _sentence(scene: Scene, said, dice: Dice) -> str:
    clause = _clause(scene, said, dice)
    noun = _ends_in_noun(clause)
    counted = clause.endswith(("二つ", "三つ"))
    if "background" not in said:
        if noun and not counted and dice.chance(0.35):
            ends = ("|の|絵", "|を|描いて", "|を|描いて|ください") if "|に|" not in clause else ("|を|描いて", "|を|描いて|ください")
            return clause + dice.choose((*ends, _polite_end(dice)))
        return clause
    background = _background(scene, said, dice)
    if "pattern" not in said and dice.chance(0.15):
        colour = words.JAPANESE_COLOUR_NOUNS[scene.background.colour]
        return dice.choose((f"{clause}|、|背景|は|{colour}", f"背景|は|{colour}|で|、|{clause}"))
    if not noun:
        return dice.choose((f"{background}|で|、|{clause}", f"{clause}|、|{background}"))
    if counted:
        return dice.choose((f"{background}|に|{clause}", f"{background}|に|{clause}" + dice.choose(("|ある", "|あります"))))
    placed, together = "|に|" in clause, len(scene.objects) > 1
    template = dice.weighted({"ni": 3, "no": 0 if placed or together else 2, "exists": 1.5, "ga": 0 if placed else 1.2,
                              "draw": 1, "comma": 1})
    joined = f"{background}|に|{clause}"
    if placed:
        joined = f"{background}|で|、|{clause}" if together else f"{background}|の|{clause}"
    if template == "no":
        return f"{background}|の|{clause}"
    if template == "exists":
        return joined + _polite_end(dice)
    if template == "ga":
        return f"{clause}|が|{background}|に" + dice.choose(("|ある", "|あります"))
    if template == "draw":
        return joined + dice.choose(("|を|描いて", "|を|描いて|ください"))
    if template == "comma":
        return f"{clause}|、|{background}"
    return joined


def japanese(scene: Scene, said, dice: Dice) -> str:
    return _sentence(scene, said, dice).replace("|", words.BREAK)
