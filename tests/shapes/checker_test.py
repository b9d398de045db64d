"""The checker: right about the generator's own pictures, worse ones too, and not fooled by wrong ones."""

import collections
import unittest
from dataclasses import replace

import numpy as np

from degrade import degraded
from shapes.check import inspect, judge, request_of
from shapes.dice import Dice
from shapes.palette import COLOURS, contrasts
from shapes.regions import components, fill_holes, grow, shrink
from shapes.render import render
from shapes.scene import SHAPES, SIZE, random_scene

EVERYTHING = frozenset({"background", "pattern", "position", "relation"} |
                       {f"{name}{i}" for name in ("size", "style") for i in range(3)})


def share_right(pictures: int, change) -> dict:
    right, total = collections.Counter(), collections.Counter()
    for index in range(pictures):
        scene = random_scene(Dice("checker", index))
        verdict = judge(inspect(change(render(scene), index)), request_of(scene, EVERYTHING))
        right.update({name: int(value) for name, value in verdict.items()})
        total.update(verdict.keys())
    return {name: right[name] / total[name] for name in total}


def some_scene(seed: str, count: int, accept=lambda scene: True):
    dice = Dice(seed, count)
    while True:
        scene = random_scene(dice, count)
        if accept(scene):
            return scene


def with_objects(scene, change):
    return replace(scene, objects=tuple(change(thing) for thing in scene.objects))


class AccuracyTest(unittest.TestCase):
    def check(self, shares: dict, least: float):
        self.assertEqual(set(shares), {"colour", "shape", "background", "pattern", "count", "relation", "position",
                                       "size", "style", "all"})
        for name, share in shares.items():
            self.assertGreaterEqual(share, least, f"{name} of {shares}")

    def test_clean_pictures(self):
        self.check(share_right(200, lambda picture, _: picture), 0.99)

    def test_blurred_noisy_pictures(self):
        self.check(share_right(200, degraded), 0.97)

    def test_any_size_of_every_shape(self):
        for shape in SHAPES:
            for radius in (12, 16, 24, 40):
                scene = some_scene("sizes", 1, lambda scene: scene.objects[0].style == "filled")
                scene = with_objects(scene, lambda thing: replace(thing, shape=shape, radius=radius, x=64.3, y=63.1))
                found = inspect(render(scene)).objects
                self.assertEqual([each.shape for each in found], [shape])
                self.assertAlmostEqual(found[0].radius, radius, delta=1.5)
                self.assertAlmostEqual(found[0].x, 64.3, delta=1)
                self.assertAlmostEqual(found[0].y, 63.1, delta=1)

    def test_every_pair_of_colours(self):
        scene = some_scene("colours", 1)
        for background, tones in COLOURS.items():
            for colour, (rgb, _) in COLOURS.items():
                if not contrasts(colour, background):
                    continue
                painted = with_objects(scene, lambda thing: replace(thing, colour=colour, rgb=rgb))
                painted = replace(painted, background=replace(painted.background, colour=background, rgb=tones[0],
                                                              tone=tones[1]))
                self.assertTrue(judge(inspect(render(painted)), request_of(painted, EVERYTHING))["all"])


class WrongPictureTest(unittest.TestCase):
    """One thing is changed in a scene: the original's request must find that thing wrong, and the rest right."""

    def judged(self, wanted, drawn):
        for change in (lambda picture: picture, lambda picture: degraded(picture, 1)):
            yield judge(inspect(change(render(drawn))), request_of(wanted, EVERYTHING))

    def expect_wrong(self, wanted, drawn, *names):
        for verdict in self.judged(wanted, drawn):
            self.assertEqual({name for name, right in verdict.items() if not right}, {*names, "all"})

    def test_colour(self):
        for count in (1, 2, 3):
            wanted = some_scene("colour", count)
            thing = wanted.objects[-1]
            colour = next(name for name in COLOURS if contrasts(name, wanted.background.colour) and
                          name not in {each.colour for each in wanted.objects})
            drawn = replace(wanted, objects=(*wanted.objects[:-1],
                                             replace(thing, colour=colour, rgb=COLOURS[colour][0])))
            self.expect_wrong(wanted, drawn, "colour")

    def test_shape(self):
        for shape in SHAPES:
            wanted = some_scene(shape, 1, lambda scene: scene.objects[0].style == "filled" and
                                scene.objects[0].shape == shape and scene.objects[0].size == "medium")
            for other in SHAPES:
                if other != shape:
                    drawn = with_objects(wanted, lambda thing: replace(thing, shape=other))
                    for verdict in self.judged(wanted, drawn):
                        self.assertFalse(verdict["shape"], (shape, other))
                        self.assertTrue(verdict["colour"] and verdict["count"] and verdict["background"])

    def test_background(self):
        wanted = some_scene("background", 2)
        colour = next(name for name in COLOURS if name != wanted.background.colour and
                      all(contrasts(thing.colour, name) for thing in wanted.objects))
        rgb, tone = COLOURS[colour]
        self.expect_wrong(wanted, replace(wanted, background=replace(wanted.background, colour=colour, rgb=rgb,
                                                                     tone=tone)), "background")

    def test_pattern(self):
        wanted = some_scene("pattern", 1)
        for pattern in ("plain", "stripes", "checks", "dots"):
            for other in ("plain", "stripes", "checks", "dots"):
                if other != pattern:
                    one, two = (replace(wanted, background=replace(wanted.background, pattern=each,
                                                                   direction="vertical" if each == "stripes" else ""))
                                for each in (pattern, other))
                    self.expect_wrong(one, two, "pattern")

    def test_count(self):
        wanted = some_scene("count", 3)
        fewer = replace(wanted, objects=wanted.objects[:2])
        for verdict in self.judged(wanted, fewer):
            self.assertFalse(verdict["count"] or verdict["colour"] or verdict["shape"])
        single = replace(wanted, objects=wanted.objects[:1], arrangement="single", position=None)
        for verdict in self.judged(single, fewer):
            self.assertFalse(verdict["count"])

    def test_relation(self):
        def clear(scene):
            first, second = scene.objects
            return first.shape != second.shape and first.colour != second.colour

        for arrangement in ("row", "column"):
            wanted = some_scene("relation", 2, lambda scene: scene.arrangement == arrangement and clear(scene))
            first, second = wanted.objects
            swapped = replace(wanted, objects=(replace(first, x=second.x, y=second.y),
                                               replace(second, x=first.x, y=first.y)))
            self.expect_wrong(wanted, swapped, "relation")
            turned = with_objects(wanted, lambda thing: replace(thing, x=thing.y, y=thing.x))
            self.expect_wrong(wanted, turned, "relation")

    def test_position_size_and_style(self):
        wanted = some_scene("position", 1, lambda scene: scene.position == "left" and scene.objects[0].size == "medium"
                            and scene.objects[0].style == "filled" and scene.objects[0].shape == "square")
        for place in ((96, 64), (64, 32), (64, 96), (64, 64)):
            self.expect_wrong(wanted, with_objects(wanted, lambda thing: replace(thing, x=place[0], y=place[1])),
                              "position")
        self.expect_wrong(wanted, with_objects(wanted, lambda thing: replace(thing, radius=13)), "size")
        self.expect_wrong(wanted, with_objects(wanted, lambda thing: replace(thing, style="outline")), "style")

    def test_noise_shows_nothing(self):
        noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
        for index in range(20):
            scene = random_scene(Dice("noise", index))
            self.assertFalse(judge(inspect(noise), request_of(scene, EVERYTHING))["shape"])

    def test_an_empty_picture_has_no_objects(self):
        scene = some_scene("empty", 1)
        empty = replace(scene, objects=())
        self.assertEqual(inspect(render(empty)).objects, ())
        verdict = judge(inspect(render(empty)), request_of(scene, EVERYTHING))
        self.assertFalse(verdict["count"] or verdict["colour"] or verdict["shape"])
        self.assertTrue(verdict["background"])

    def test_a_shapeless_blob_is_no_shape(self):
        picture = np.full((SIZE, SIZE, 3), 246, np.uint8)
        picture[40:44, 30:100] = picture[40:100, 30:34] = (220, 38, 38)
        found = inspect(picture).objects
        self.assertEqual([(each.colour, each.shape) for each in found], [("red", "unknown")])

    def test_other_sizes_are_refused(self):
        with self.assertRaisesRegex(ValueError, "128x128"):
            inspect(np.zeros((64, 64, 3), np.uint8))


class RegionsTest(unittest.TestCase):
    def test_components(self):
        mask = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], bool)
        self.assertEqual(components(mask)[1], 1)
        labels, count = components(mask, diagonal=False)
        self.assertEqual(count, 2)
        np.testing.assert_array_equal(labels, [[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 2]])
        self.assertEqual(components(np.zeros((3, 3), bool))[1], 0)

    def test_components_agree_with_flooding(self):
        for seed in range(20):
            mask = np.random.default_rng(seed).random((24, 31)) < 0.5
            for diagonal in (True, False):
                labels, count = components(mask, diagonal)
                self.assertEqual(set(np.unique(labels[mask])), set(range(1, count + 1)))
                self.assertFalse(labels[~mask].any())
                unseen, regions = {tuple(place) for place in np.argwhere(mask)}, 0
                while unseen:
                    regions += 1
                    stack = [unseen.pop()]
                    label = labels[stack[0]]
                    while stack:
                        y, x = stack.pop()
                        self.assertEqual(labels[y, x], label)
                        for dy in (-1, 0, 1):
                            for dx in (-1, 0, 1):
                                place = y + dy, x + dx
                                if (diagonal or not dy or not dx) and place in unseen:
                                    unseen.remove(place)
                                    stack.append(place)
                self.assertEqual(regions, count)

    def test_holes_and_rims(self):
        ring = np.zeros((9, 9), bool)
        ring[2:7, 2:7] = True
        full = ring.copy()
        ring[4, 4] = False
        np.testing.assert_array_equal(fill_holes(ring), full)
        np.testing.assert_array_equal(shrink(grow(full)), full)
        self.assertEqual(shrink(full).sum(), 9)


if __name__ == "__main__":
    unittest.main()
