"""One prompt through every sampler at several numbers of steps.

Writes grid.png (a row a sampler, a column a number of steps), errors.csv and errors.png: for the
deterministic samplers, how far the final latents are from a reference run, as a part of the reference's
size, over the evaluations of the network. All runs take the same noise levels, so that they start and
end alike; --schedule own leaves each sampler its own. What follows "--" goes to txt2img: the model, the
size, the scale.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .draw import draw_grid, draw_plot

REFERENCE = "heun"


@dataclass
class Sampler:
    name: str
    evaluations: int  # a step; 0: as many as it needs
    stochastic: bool

    def solves_the_same_equation(self):
        """CFG++ steps along another path than guidance does."""
        return not self.stochastic and not self.name.endswith("_cfg_pp")


def read_table(program):
    """The samplers that `txt2img --list-samplers` prints."""
    text = subprocess.run([program, "--list-samplers"], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^  (\S+) +[\d-]+ +(any|\d+) +(yes|no) +\d+ +\S+ +\S", text, re.MULTILINE)
    if not rows:
        sys.exit("compare_samplers: txt2img --list-samplers prints no table")
    return [Sampler(name, 0 if evaluations == "any" else int(evaluations), noise == "yes")
            for name, evaluations, noise in rows]


class Runs:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder

    def draw(self, sampler, steps, schedule):
        """The picture and the latents, or what txt2img says where it refuses."""
        stem = self.folder / f"{sampler}-{steps}"
        command = [self.options.program, "--prompt", self.options.prompt, "--seed", str(self.options.seed),
                   *self.options.txt2img, "--sampler", sampler, "--steps", str(steps), "-o", f"{stem}.png",
                   "--save-latents", f"{stem}.npy", "--overwrite", "--quiet"]
        if schedule != "own":
            command += ["--schedule", schedule]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 2:  # this sampler does not take it: too few steps
            return None, done.stderr.strip().removeprefix("txt2img: error: ")
        if done.returncode != 0:
            sys.exit(f"compare_samplers: {' '.join(command)}\n{done.stderr.strip()}")
        with Image.open(f"{stem}.png") as image:
            return image.convert("RGB"), np.load(f"{stem}.npy").astype(np.float64)


def compare(options):
    known = read_table(options.program)
    chosen = known
    if options.samplers:
        names = options.samplers.split(",")
        unknown = set(names) - {sampler.name for sampler in known}
        if unknown:
            sys.exit(f"compare_samplers: no sampler {', '.join(sorted(unknown))}; txt2img --list-samplers lists them")
        chosen = [sampler for sampler in known if sampler.name in names]
    steps = [int(text) for text in options.steps.split(",")]
    options.outdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(options, Path(folder))
        print(f"reference: {REFERENCE}, {options.reference_steps} steps", file=sys.stderr)
        schedule = "default" if options.schedule == "own" else options.schedule
        _, reference = runs.draw(REFERENCE, options.reference_steps, schedule)
        if isinstance(reference, str):
            sys.exit(f"compare_samplers: {reference}")
        rows, curves = [], {}
        for sampler in chosen:
            print(sampler.name, file=sys.stderr)
            pictures = []
            for count in steps:
                picture, latents = runs.draw(sampler.name, count, options.schedule)
                pictures.append(picture)
                if picture is None:
                    print(f"  {count} steps: {latents}", file=sys.stderr)
                elif sampler.solves_the_same_equation() and sampler.evaluations > 0:
                    error = np.linalg.norm(latents - reference) / np.linalg.norm(reference)
                    curves.setdefault(sampler.name, []).append((count * sampler.evaluations, float(error)))
            rows.append((sampler.name, pictures))
    draw_grid(rows, steps, options.cell).save(options.outdir / "grid.png")
    if curves:
        draw_plot(curves).save(options.outdir / "errors.png")
    with open(options.outdir / "errors.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sampler", "evaluations", "error"])
        for name, points in curves.items():
            table.writerows([name, evaluations, f"{error:.6g}"] for evaluations, error in points)


def main():
    parser = argparse.ArgumentParser(prog="compare_samplers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--prompt", default="a red circle on a blue background")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--steps", default="5,10,20,30,50", help="numbers of steps, comma-separated [%(default)s]")
    parser.add_argument("--samplers", help="names, comma-separated; by default all")
    parser.add_argument("--schedule", default="default", help="the noise levels of all runs, or own [%(default)s]")
    parser.add_argument("--reference-steps", type=int, default=1000)
    parser.add_argument("--cell", type=int, default=128, help="pixels of a picture in the grid [%(default)s]")
    parser.add_argument("--outdir", type=Path, default=Path("outputs/samplers"))
    parser.add_argument("txt2img", nargs="*", help="options of txt2img, after --")
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
