"""The evaluation end to end: pictures that are right, pictures that are wrong in a known share, bad input."""

import json
import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from shapes.make import write_png
from shapes.palette import COLOURS, contrasts
from shapes.prompts import held_out_prompts
from shapes.render import render
from shapes.report import wilson
from shapes.scene import combination_held_out, pair_held_out

COUNT, SEED = 20, 4


def evaluate(*arguments: str):
    return subprocess.run([sys.executable, "-m", "shapes.evaluate", "--count", str(COUNT), "--seed", str(SEED),
                           *map(str, arguments)], capture_output=True, text=True)


def recoloured(scene):
    """The same with another colour for the first object."""
    used = {thing.colour for thing in scene.objects}
    colour = next(name for name in COLOURS if contrasts(name, scene.background.colour) and name not in used)
    first = replace(scene.objects[0], colour=colour, rgb=COLOURS[colour][0])
    return replace(scene, objects=(first, *scene.objects[1:]))


class PromptsTest(unittest.TestCase):
    def test_every_prompt_asks_for_what_training_never_showed(self):
        prompts = held_out_prompts(40, 1, ["en", "zh", "ja"])
        self.assertEqual(len(prompts), 120)
        for prompt in prompts:
            things = prompt.scene.objects
            if len(things) == 1:
                thing = things[0]
                self.assertTrue(combination_held_out(thing.shape, thing.colour, prompt.scene.background.colour))
            else:
                self.assertTrue(any(pair_held_out(first, second, prompt.scene.arrangement)
                                    for first, second in zip(things, things[1:])))
            self.assertEqual(prompt.request.background, prompt.scene.background.colour)

    def test_languages_ask_for_the_same_scenes(self):
        prompts = held_out_prompts(20, 1, ["en", "ja"])
        self.assertEqual([prompt.request for prompt in prompts[:20]], [prompt.request for prompt in prompts[20:]])

    def test_a_prompt_does_not_depend_on_their_number(self):
        self.assertEqual(held_out_prompts(10, 1, ["zh"]), held_out_prompts(25, 1, ["zh"])[:10])


class EvaluateTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.prompts = held_out_prompts(COUNT, SEED, ["en", "zh", "ja"])

    def report(self, scenes: list) -> dict:
        pictures = self.folder / "pictures"
        pictures.mkdir()
        for index, scene in enumerate(scenes):
            write_png(render(scene), pictures / f"{index:05}.png")
        done = evaluate("--pictures", pictures, "--json", self.folder / "out.json", "--grid", self.folder / "grid.png")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("one object", done.stdout)
        with Image.open(self.folder / "grid.png") as grid:
            self.assertGreater(grid.width, 800)
        return json.loads((self.folder / "out.json").read_text("utf-8"))

    def test_right_pictures(self):
        report = self.report([prompt.scene for prompt in self.prompts])
        self.assertEqual([result["prompt"] for result in report["results"]], [prompt.text for prompt in self.prompts])
        for language in ("en", "zh", "ja", "all"):
            for row in report["rates"][language].values():
                for cell in row.values():
                    self.assertEqual(cell["right"], cell["total"])
        self.assertEqual(report["rates"]["all"]["any"]["all"]["total"], 3 * COUNT)
        self.assertEqual(report["rates"]["zh"]["any"]["all"]["total"], COUNT)

    def test_wrong_pictures_are_counted(self):
        # Every second picture has a wrong colour; the Japanese ones are all upside down in their order.
        scenes = [recoloured(prompt.scene) if index % 2 else prompt.scene
                  for index, prompt in enumerate(self.prompts[:2 * COUNT])]
        scenes += [prompt.scene for prompt in self.prompts[2 * COUNT:][::-1]]
        rates = self.report(scenes)["rates"]
        for language in ("en", "zh"):
            row = rates[language]["any"]
            self.assertEqual(row["colour"]["right"], COUNT // 2)
            self.assertEqual(row["all"]["right"], COUNT // 2)
            self.assertEqual(row["colour+shape+background"]["right"], COUNT // 2)
            self.assertEqual(row["shape"]["right"], COUNT)
            self.assertEqual(row["background"]["right"], COUNT)
            self.assertEqual(row["count"]["right"], COUNT)
        self.assertLess(rates["ja"]["any"]["all"]["right"], 3)

    def test_pictures_that_do_not_fit_are_errors(self):
        pictures = self.folder / "few"
        pictures.mkdir()
        write_png(render(self.prompts[0].scene), pictures / "00000.png")
        done = evaluate("--pictures", pictures)
        self.assertEqual(done.returncode, 1)
        self.assertIn("1 PNG files", done.stderr)
        write_png(np.zeros((64, 64, 3), np.uint8), pictures / "00000.png")
        done = evaluate("--pictures", pictures, "--count", "1", "--languages", "en")
        self.assertEqual(done.returncode, 1)
        self.assertIn("64x64", done.stderr)

    def test_usage_errors(self):
        for arguments, said in ((("--pictures", self.folder / "none"), "no folder"), (("--model", "none"), "no model"),
                                (("--self-test", "--languages", "de"), "'de'"), ((), "required"),
                                (("--self-test", "--count", "0"), "at least 1")):
            done = evaluate(*arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)

    def test_txt2img_is_run_once_with_the_prompts(self):
        program, model = self.folder / "txt2img", self.folder / "model"
        model.mkdir()
        # In txt2img's place: notes its arguments and writes a black picture for every prompt.
        program.write_text(f"""#!{sys.executable}
import sys
from pathlib import Path
from PIL import Image
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
prompts = Path(arguments["--from-file"]).read_text("utf-8").splitlines()
with open({str(self.folder / 'calls')!r}, "a") as calls:
    calls.write(f"{{len(prompts)}} {{prompts[0]}} {{arguments['--sampler']}} {{arguments['--steps']}}\\n")
samples = Path(arguments["--outdir"]) / "samples"
samples.mkdir(parents=True)
for i, prompt in enumerate(prompts):
    Image.new("RGB", (128, 128)).save(samples / f"{{i:05}}.png")
""", encoding="utf-8")
        program.chmod(0o755)
        done = evaluate("--model", model, "--txt2img", program, "--languages", "zh", "--steps", "7",
                        "--sampler", "euler")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("7 steps", done.stdout)
        self.assertEqual((self.folder / "calls").read_text("utf-8"),
                         f"{COUNT} {self.prompts[COUNT].text} euler 7\n")

    def test_a_failing_txt2img_is_an_error(self):
        model = self.folder / "model"
        model.mkdir()
        done = evaluate("--model", model, "--txt2img", "/bin/false")
        self.assertEqual(done.returncode, 1)
        self.assertIn("txt2img ended with 1", done.stderr)


class WilsonTest(unittest.TestCase):
    def test_known_intervals(self):
        # Wilson's score interval: 15 of 20, and the ends.
        for right, total, low, high in ((15, 20, 0.5313, 0.8881), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)):
            self.assertAlmostEqual(wilson(right, total)[0], low, places=3)
            self.assertAlmostEqual(wilson(right, total)[1], high, places=3)


if __name__ == "__main__":
    unittest.main()
