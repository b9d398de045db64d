"""Scenes and data sets: the same for the same seed, what is held out kept from training, objects apart."""

import hashlib
import itertools
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from shapes.dice import Dice
from shapes.make import example, write_dataset
from shapes.palette import COLOURS, contrasts
from shapes.render import object_coverage, render
from shapes.scene import (PATTERNS, SHAPES, SIZE, Scene, combination_held_out, held_out, random_scene, split_scene,
                          tests_held_out)


def folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


class SceneTest(unittest.TestCase):
    def test_the_stream_of_choices_never_changes(self):
        scenes = [split_scene(Dice("scene", "train", 1, index), "train") for index in range(300)]
        text = json.dumps([scene.to_json() for scene in scenes])
        self.assertEqual(hashlib.sha256(text.encode()).hexdigest(),
                         "16c6d2a0162948b52d126234ac65373b97e1f6d9e33205e4c8be8c3be06e75d9")

    def test_the_same_seed_gives_the_same_files(self):
        with tempfile.TemporaryDirectory() as folder:
            one, two, other = (Path(folder) / name for name in ("one", "two", "other"))
            write_dataset(one, 300, 5, "train", workers=1)
            write_dataset(two, 300, 5, "train", workers=2)
            write_dataset(other, 300, 6, "train", workers=2)
            self.assertEqual(folder_hash(one), folder_hash(two))
            self.assertNotEqual(folder_hash(one), folder_hash(other))

    def test_a_data_set_is_an_image_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            write_dataset(Path(folder) / "set", 7, 3, "train")
            lines = (Path(folder) / "set/metadata.jsonl").read_text("utf-8").splitlines()
            records = [json.loads(line) for line in lines]
            self.assertEqual(len(records), 7)
            for record in records:
                scene = Scene.from_json(record["scene"])
                picture = np.asarray(Image.open(Path(folder) / "set" / record["file_name"]))
                np.testing.assert_array_equal(picture, render(scene))
                self.assertEqual(len(record["text"]), 3)

    def test_a_shorter_set_is_the_start_of_a_longer_one(self):
        with tempfile.TemporaryDirectory() as folder:
            write_dataset(Path(folder) / "short", 3, 1, "train")
            write_dataset(Path(folder) / "long", 6, 1, "train")
            for index in range(3):
                name = f"{index:06}.png"
                self.assertEqual((Path(folder) / "short" / name).read_bytes(),
                                 (Path(folder) / "long" / name).read_bytes())

    def test_training_shows_nothing_that_is_held_out(self):
        for index in range(4000):
            scene = split_scene(Dice("scene", "train", 1, index), "train")
            self.assertFalse(held_out(scene))

    def test_validation_shows_only_what_is_held_out(self):
        for index in range(400):
            self.assertTrue(tests_held_out(split_scene(Dice("scene", "validation", 1, index), "validation")))

    def test_a_tenth_is_held_out_but_not_the_readme(self):
        triples = list(itertools.product(SHAPES, COLOURS, COLOURS))
        share = sum(combination_held_out(*triple) for triple in triples) / len(triples)
        self.assertAlmostEqual(share, 0.1, delta=0.02)
        self.assertFalse(combination_held_out("circle", "red", "blue"))

    def test_the_mix_of_scenes(self):
        scenes = [example(1, "train", index)[0] for index in range(3000)]
        counts = [len(scene.objects) for scene in scenes]
        for count, share in ((1, 0.55), (2, 0.35), (3, 0.1)):
            self.assertAlmostEqual(counts.count(count) / len(scenes), share, delta=0.03)
        plain = sum(scene.background.pattern == "plain" for scene in scenes) / len(scenes)
        self.assertAlmostEqual(plain, 0.75, delta=0.03)
        things = [thing for scene in scenes for thing in scene.objects]
        self.assertAlmostEqual(sum(thing.style == "filled" for thing in things) / len(things), 0.87, delta=0.05)
        self.assertEqual({thing.shape for thing in things}, set(SHAPES))
        self.assertEqual({thing.colour for thing in things}, set(COLOURS))
        self.assertEqual({scene.background.pattern for scene in scenes}, set(PATTERNS))

    def test_objects_lie_apart_and_off_the_edge(self):
        for index in range(600):
            scene = random_scene(Dice("apart", index))
            total = np.zeros((SIZE, SIZE), int)
            for thing in scene.objects:
                window, coverage = object_coverage(thing)
                total[window] += coverage > 0
            self.assertLessEqual(total.max(), 1, scene)
            self.assertEqual(total[0].sum() + total[-1].sum() + total[:, 0].sum() + total[:, -1].sum(), 0, scene)

    def test_simple_scenes_are_of_training_and_show_one_plain_object(self):
        for index in range(60):
            scene, captions = example(3, "simple", index)
            self.assertEqual([thing.style for thing in scene.objects], ["filled"])
            self.assertIn(scene.objects[0].size, ("medium", "large"))
            self.assertEqual(scene.background.pattern, "plain")
            self.assertFalse(held_out(scene))
            self.assertEqual(len(captions), 3)

    def test_a_crowd_has_many_objects_and_no_captions(self):
        counts = set()
        for index in range(200):
            scene, captions = example(3, "crowd", index)
            self.assertEqual(captions, [])
            self.assertEqual((scene, captions), example(3, "crowd", index))
            counts.add(len(scene.objects))
            for thing in scene.objects:
                self.assertTrue(contrasts(thing.colour, scene.background.colour), scene)
            self.assertEqual(render(scene).shape, (SIZE, SIZE, 3))
        self.assertEqual(counts, set(range(2, 10)))


if __name__ == "__main__":
    unittest.main()
