"""The C API from C and from Python: the pictures are those of txt2img, and what is wrong comes back
as a message.

Environment: EASEL_DRAW (draw.c compiled), EASEL_LIBRARY (libeasel_c.so), EASEL_TXT2IMG, EASEL_TINY_MODEL
(writes a small model into a folder), EASEL_DATA (share/easel).
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import draw  # noqa: E402

PROMPT = "a red circle"
OPTIONS = {"W": 32, "H": 48, "steps": 3, "seed": 7, "device": "cpu", "sampler": "euler_a"}


class Languages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        subprocess.run([os.environ["EASEL_TINY_MODEL"], cls.path], check=True)
        cls.model = str(cls.path / "tiny.safetensors")
        arguments = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
        subprocess.run([os.environ["EASEL_TXT2IMG"], "--ckpt", cls.model, "--prompt", PROMPT, "-o",
                        cls.path / "txt2img.png", "--no-metadata", "--quiet", *arguments], check=True)
        cls.expected = (cls.path / "txt2img.png").read_bytes()
        cls.library = draw.load(os.environ["EASEL_LIBRARY"])

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_c(self, *arguments):
        return subprocess.run([os.environ["EASEL_DRAW"], *map(str, arguments)], capture_output=True, text=True)

    def settings(self, **others):
        return {"model": self.model, "data": os.environ["EASEL_DATA"], "prompt": PROMPT, **OPTIONS, **others}

    def test_c_draws_what_txt2img_draws(self):
        words = [f"{name}={value}" for name, value in OPTIONS.items()]
        done = self.run_c(self.model, PROMPT, self.path / "c.png", f"data={os.environ['EASEL_DATA']}", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("step 3 of 3", done.stderr)
        self.assertEqual((self.path / "c.png").read_bytes(), self.expected)

    def test_c_gets_messages(self):
        done = self.run_c(self.model, PROMPT, self.path / "no.png", "stepz=3")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown option 'stepz'; did you mean 'steps'?", done.stderr)
        self.assertEqual(self.run_c(self.path / "none", PROMPT, "x.png").returncode, 1)
        self.assertIn("negative-prompt", self.run_c().stderr)

    def test_python_draws_what_txt2img_draws(self):
        steps = []
        pixels = draw.draw(self.library, str(self.path / "python.png"), self.settings(),
                           lambda step, num: steps.append((step, num)))
        self.assertEqual((self.path / "python.png").read_bytes(), self.expected)
        self.assertEqual(len(pixels), 3 * 32 * 48)
        self.assertEqual(steps, [(1, 3), (2, 3), (3, 3)])

    def test_python_gets_messages(self):
        out = str(self.path / "none.png")
        for others, message in [({"steps": "many"}, "takes a whole number"), ({"sampler": "eular"}, "did you mean"),
                                ({"model": "/nowhere"}, "nowhere"), ({"H": 33}, "multiple")]:
            with self.assertRaisesRegex(draw.EaselError, message):
                draw.draw(self.library, out, self.settings(**others))
        with self.assertRaisesRegex(draw.EaselError, "cancelled"):
            draw.draw(self.library, out, self.settings(), lambda step, steps: 1)
        self.assertFalse(Path(out).exists())


if __name__ == "__main__":
    unittest.main()
