"""Chinese captions; "|" stands for words.BREAK in the templates."""

from . import words
from .dice import Dice
from .english import usual
from .scene import Object, Scene, all_alike

_BARE, _COUNTED = "", "一个|"


def _noun_phrase(thing: Object, i: int, said, dice: Dice) -> str:
    """For example: large|red|circle."""
    shape = usual(words.SHAPES["zh"][thing.shape], dice)
    style = usual(words.STYLES["zh"][thing.style], dice) + "|" if f"style{i}" in said else ""
    phrase = usual(words.COLOURS["zh"][thing.colour], dice) + ("|的|" if dice.chance(0.3) else "|") + style
    if f"size{i}" not in said:
        return phrase + shape
    size = usual(words.SIZES["zh"][thing.size], dice)
    if thing.size == "medium":
        return f"{size}|{phrase}{shape}"
    return f"{phrase}{size}|{shape}" if dice.chance(0.5) else f"{size}|的|{phrase}{shape}"


def _background(scene: Scene, said, dice: Dice) -> str:
    colour = usual(words.COLOURS["zh"][scene.background.colour], dice)
    if "pattern" not in said:
        return f"{colour}|" + ("的|" if dice.chance(0.2) else "") + "背景"
    pattern = usual(words.PATTERNS["zh"][scene.background.pattern], dice)
    return f"{colour}|{pattern}|背景"


def _group(scene: Scene, said, dice: Dice, counted: str) -> tuple:
    """The objects as a noun phrase, and whether it is a whole sentence instead."""
    objects = scene.objects
    if all_alike(scene):
        return f"{words.NUMBERS['zh'][len(objects)]}|{_noun_phrase(objects[0], 0, said, dice)}", False
    phrases = [counted + _noun_phrase(thing, i, said, dice) for i, thing in enumerate(objects)]
    if len(objects) == 3:
        listed = f"{phrases[0]}|、|{phrases[1]}|和|{phrases[2]}"
        if counted == _BARE and dice.chance(0.25):
            return f"从左到右|是|{listed}", True
        return listed, False
    first, second = phrases
    if "relation" not in said:
        return f"{first}|和|{second}", False
    forward, backward = words.RELATIONS["zh"][scene.arrangement]
    if dice.chance(0.15):
        near, far = ("左边", "右边") if scene.arrangement == "row" else ("上方", "下方")
        return f"{near}|是|{first}|，|{far}|是|{second}", True
    if dice.chance(0.5):
        one, place, other = first, usual(forward, dice), second
    else:
        one, place, other = second, usual(backward, dice), first
    form = dice.integer(0, 2)
    if form == 0:
        return f"{other.removeprefix(_COUNTED)}|{place}|的|{one}", False
    if form == 1:
        return f"{other}|的|{place}|有|{one}", True
    return f"{one}|在|{other}|的|{place}", True


def _sentence(scene: Scene, said, dice: Dice) -> str:
    single = len(scene.objects) == 1
    counted = _COUNTED if dice.chance(0.4) else _BARE
    clause = False
    if single:
        subject = counted + _noun_phrase(scene.objects[0], 0, said, dice)
    else:
        subject, clause = _group(scene, said, dice, counted)
    position = usual(words.POSITIONS["zh"][scene.position], dice) if "position" in said else ""
    ask = dice.choose(("画|", "请画|", "一张图片|：|", "图片|：|")) if dice.chance(0.35) else ""
    if clause and ask in ("画|", "请画|"):
        ask = ""
    if "background" not in said:
        if not position:
            return ask + subject
        return ask + dice.choose((f"{position}|有|{subject}", f"{position}|的|{subject}") if ask.endswith("：|") or not ask
                                 else (f"{position}|的|{subject}",))
    background = _background(scene, said, dice)
    if "pattern" not in said and not position and dice.chance(0.1):
        colour = usual(words.COLOURS["zh"][scene.background.colour], dice)
        return f"{ask}{subject}|，|背景|是|{colour}" if ask or dice.chance(0.5) else f"背景|是|{colour}|，|{subject}"
    if clause:
        return ask + dice.choose((f"{background}|上|，|{subject}", f"{subject}|，|{background}"))
    if position:
        of = f"{background}|{position}|的|{subject}"
        if ask in ("画|", "请画|"):  # a thing is drawn, not that there is one
            return ask + of
        there_is = f"{background}|{position}|有|{subject}"
        return ask + dice.choose((there_is, of, f"{position}|有|{subject}|，|{background}"))
    of = f"{background}|上|的|{subject}"
    if ask in ("画|", "请画|"):
        return ask + dice.choose((of, f"{subject}|，|{background}"))
    return ask + dice.choose((of, of, f"{background}|上|有|{subject}", f"{subject}|，|{background}",
                              f"{subject}|在|{background}|上"))


def chinese(scene: Scene, said, dice: Dice) -> str:
    return _sentence(scene, said, dice).replace("|", words.BREAK)
