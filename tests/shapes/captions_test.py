"""Captions, read back: whatever one says about its scene is true, and it says what it claims to say."""

import re
import unittest

from shapes import words
from shapes.captions import caption
from shapes.dice import Dice
from shapes.make import example
from shapes.scene import all_alike, random_scene


def any_of(names) -> str:
    """A group that takes the longest name that fits."""
    flat = {name.replace(words.BREAK, "") for name in names}
    return "(?:" + "|".join(sorted(map(re.escape, flat), key=len, reverse=True)) + ")"


def names_of(table: dict) -> list:
    return [name for names in table.values() for name in names]


def key_of(table: dict, name: str) -> str:
    (key,) = {key for key, names in table.items() if name in [each.replace(words.BREAK, "") for each in names]}
    return key


def said_key(table: dict, extras: list):
    """What the first of the words that the table has stands for, or None."""
    known = {name.replace(words.BREAK, "") for name in names_of(table)}
    return next((key_of(table, each) for each in extras if each in known), None)


class Reader:
    """Finds the background and the objects in a caption, by the tables of words alone."""

    def __init__(self, language: str):
        self.language = language
        self.shapes, self.colours, self.sizes, self.styles, self.patterns = (
            table[language] for table in (words.SHAPES, words.COLOURS, words.SIZES, words.STYLES, words.PATTERNS))
        colour, pattern = any_of(names_of(self.colours)), any_of(names_of(self.patterns))
        extra = any_of(names_of(self.sizes) + names_of(self.styles))
        self.extra = re.compile(extra)
        if language == "en":
            plural = "|".join(("crosses", "rhombuses", any_of(names_of(self.shapes)) + "s?"))
            self.thing = re.compile(rf"((?:{extra} )*)({colour}) ({plural})\b")
            noun = any_of(names_of(words.ENGLISH_PATTERN_NOUNS))
            self.backgrounds = [rf"({colour}) (?:({pattern}) )?background", rf"background with ({colour}) ({noun})"]
        elif language == "zh":
            self.thing = re.compile(rf"((?:{extra}的?)*)({colour})((?:{extra}|的)*)({any_of(names_of(self.shapes))})")
            self.backgrounds = [rf"({colour})的?({pattern})?背景", rf"背景是({colour})()"]
        else:
            self.thing = re.compile(rf"((?:{extra})*)({colour})({any_of(names_of(self.shapes))})")
            self.backgrounds = [rf"({colour})({pattern})?背景",
                                rf"背景は({any_of(words.JAPANESE_COLOUR_NOUNS.values())})()"]

    def background(self, text: str) -> tuple:
        """The text with B for the background, its colour and pattern (None where there is none)."""
        for expression in self.backgrounds:
            found = re.search(expression, text)
            if found:
                rest = text[:found.start()] + "B" + text[found.end():]
                colour, pattern = found.groups()
                if self.language == "ja" and "は" in found.group(0):
                    colour = next(key for key, noun in words.JAPANESE_COLOUR_NOUNS.items() if noun == colour)
                else:
                    colour = key_of(self.colours, colour)
                if pattern:
                    nouns = words.ENGLISH_PATTERN_NOUNS if "with" in found.group(0) else self.patterns
                    pattern = key_of(nouns, pattern)
                return rest, colour, pattern or None
        return text, None, None

    def things(self, text: str) -> tuple:
        """The text with 0, 1, 2 for the objects in the order of mention, and what is said of each."""
        things = []

        def take(found) -> str:
            parts = [part or "" for part in found.groups()]
            extras = self.extra.findall("".join(parts[:1] + parts[2:-1]))
            shape = parts[-1]
            if shape not in names_of(self.shapes):
                shape = shape[:-2] if shape in ("crosses", "rhombuses") else shape[:-1]
            things.append({
                "shape": key_of(self.shapes, shape), "colour": key_of(self.colours, parts[1]),
                "size": said_key(self.sizes, extras), "style": said_key(self.styles, extras)})
            return str(len(things) - 1)

        return self.thing.sub(take, text), things


READERS = {language: Reader(language) for language in words.LANGUAGES}

# (expression, arrangement, which group comes first): what a text with 0 and 1 says of two objects.
RELATIONS = {
    "en": [(r"(\d) (?:to the )?left of an? (\d)", "row", 1), (r"(\d) (?:to the )?right of an? (\d)", "row", 2),
           (r"(\d) above an? (\d)", "column", 1), (r"(\d) (?:below|under) an? (\d)", "column", 2),
           (r"(\d) on the left and an? (\d) on the right", "row", 1),
           (r"(\d) at the top and an? (\d) at the bottom", "column", 1)],
    "zh": [(r"(\d)在(?:一个)?(\d)的左[边侧]", "row", 1), (r"(\d)在(?:一个)?(\d)的右[边侧]", "row", 2),
           (r"(\d)在(?:一个)?(\d)的上[方面]", "column", 1), (r"(\d)在(?:一个)?(\d)的下[方面]", "column", 2),
           (r"(\d)(?:的左[边侧]有|左[边侧]的)(?:一个)?(\d)", "row", 2), (r"(\d)(?:的右[边侧]有|右[边侧]的)(?:一个)?(\d)", "row", 1),
           (r"(\d)(?:的上[方面]有|上[方面]的)(?:一个)?(\d)", "column", 2),
           (r"(\d)(?:的下[方面]有|下[方面]的)(?:一个)?(\d)", "column", 1),
           (r"左边是(?:一个)?(\d)，右边是(?:一个)?(\d)", "row", 1), (r"上方是(?:一个)?(\d)，下方是(?:一个)?(\d)", "column", 1)],
    "ja": [(r"(\d)が(\d)の左側?に", "row", 1), (r"(\d)が(\d)の右側?に", "row", 2), (r"(\d)が(\d)の上に", "column", 1),
           (r"(\d)が(\d)の下に", "column", 2), (r"(\d)の左側?に(\d)", "row", 2), (r"(\d)の右側?に(\d)", "row", 1),
           (r"(\d)の上に(\d)", "column", 2), (r"(\d)の下に(\d)", "column", 1), (r"左に(\d)、右に(\d)", "row", 1),
           (r"上に(\d)、下に(\d)", "column", 1)],
}


def relations(language: str, text: str) -> set:
    """Every (arrangement, first, second) that the text says."""
    said = set()
    for expression, arrangement, first in RELATIONS[language]:
        found = re.search(expression, text)
        if found:
            said.add((arrangement, int(found.group(first)), int(found.group(3 - first))))
    return said


class CaptionsTest(unittest.TestCase):
    def check(self, scene, language: str, made) -> None:
        reader = READERS[language]
        text, colour, pattern = reader.background(made.text)
        self.assertEqual(colour, scene.background.colour if "background" in made.said else None)
        self.assertEqual(pattern, scene.background.pattern if "pattern" in made.said else None)
        text, things = reader.things(text)
        alike = all_alike(scene)
        expected = scene.objects[:1] if alike else scene.objects
        self.assertEqual(len(things), len(expected))
        # Each mentioned thing is one of the scene's, with no more and no less than what is said of it.
        order = []
        for thing in things:
            (index,) = [i for i, each in enumerate(expected)
                        if (each.shape, each.colour) == (thing["shape"], thing["colour"])]
            order.append(index)
            self.assertEqual(thing["size"], expected[index].size if f"size{index}" in made.said else None)
            self.assertEqual(thing["style"], expected[index].style if f"style{index}" in made.said else None)
        self.assertEqual(sorted(order), list(range(len(expected))))
        number = words.NUMBERS[language].get(len(scene.objects))
        self.assertEqual(alike, bool(number) and number in text)
        if "relation" in made.said:
            ((arrangement, first, second),) = relations(language, text)
            self.assertEqual((arrangement, order[first], order[second]), (scene.arrangement, 0, 1))
        else:
            # A list is in the order of the picture.
            self.assertEqual(order, sorted(order))
        positions = words.POSITIONS[language]
        mentioned = [key for key, names in positions.items()
                     if any(name.replace(words.BREAK, "") in text for name in names)]
        if len(scene.objects) == 1:
            self.assertEqual(mentioned, [scene.position] if "position" in made.said else [])

    def test_what_captions_say_is_true(self):
        for index in range(2500):
            scene = random_scene(Dice("captions", index))
            for language in words.LANGUAGES:
                made = caption(scene, language, Dice("captions", language, index))
                with self.subTest(text=made.text, scene=scene):
                    self.check(scene, language, made)

    def test_the_reader_notices_false_captions(self):
        scene = next(scene for scene in (random_scene(Dice("false", i), 2) for i in range(99))
                     if not all_alike(scene) and len({thing.shape for thing in scene.objects}) == 2)
        swapped = type(scene)(scene.objects[::-1], scene.background, scene.arrangement)
        for language in words.LANGUAGES:
            made = caption(scene, language, Dice(language), frozenset({"background", "relation"}))
            self.check(scene, language, made)
            with self.assertRaises(AssertionError):
                self.check(swapped, language, made)

    def test_every_word_means_one_thing(self):
        for table in (words.SHAPES, words.COLOURS, words.SIZES, words.STYLES, words.PATTERNS, words.POSITIONS):
            for language in words.LANGUAGES:
                flat = names_of(table[language])
                self.assertEqual(len(flat), len(set(flat)))

    def test_no_separators_and_no_doubled_words(self):
        for index in range(500):
            for made in example(1, "train", index)[1]:
                self.assertNotIn(words.BREAK, made.text)
                self.assertNotRegex(made.text, r"\||  |^\s|\s$|的的|のの|、、|，，|\ba [aeiou]|\ban [^aeiou]")

    def test_the_sentences_of_the_readme(self):
        dice = Dice("readme")
        while True:
            scene = random_scene(dice, 1)
            thing = scene.objects[0]
            if (thing.shape, thing.colour, scene.background.colour) == ("circle", "red", "blue"):
                break
        for language, text in (("en", "a red circle on a blue background"), ("zh", "蓝色背景上的红色圆形"),
                               ("ja", "青い背景の赤い円")):
            made = {caption(scene, language, Dice(i), frozenset({"background"})).text for i in range(200)}
            self.assertIn(text, made)
            self.assertGreater(len(made), 15)


if __name__ == "__main__":
    unittest.main()
