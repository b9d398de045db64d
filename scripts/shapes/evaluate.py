"""Measures how often a model draws what prompts ask for that training never showed it."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from .check import inspect, judge
from .make import write_lines
from .prompts import held_out_prompts
from .render import render
from .report import format_table, picture_grid, rates
from .scene import SIZE
from .words import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]


def stop(message: str, code: int = 1) -> None:
    print(f"evaluate_shapes: error: {message}", file=sys.stderr)
    sys.exit(code)


def draw_pictures(prompts: list, options, folder: Path) -> None:
    """Runs txt2img once for all prompts; picture k is of prompt k."""
    prompt_file = folder / "prompts.txt"
    prompt_file.write_text("".join(prompt.text + "\n" for prompt in prompts), encoding="utf-8")
    command = [str(options.txt2img), "--model", str(options.model.resolve()), "--from-file", str(prompt_file),
               "--outdir", str(folder), "--seed", str(options.seed), "--n_samples", str(options.batch), "--n_iter", "1",
               "--H", str(SIZE), "--W", str(SIZE), "--steps", str(options.steps), "--skip_grid", "--quiet"]
    for name in ("sampler", "scale", "device", "dtype"):
        value = getattr(options, name)
        if value is not None:
            command += [f"--{name}", str(value)]
    print(f"evaluate_shapes: drawing {len(prompts)} pictures", file=sys.stderr)
    done = subprocess.run(command, stdin=subprocess.DEVNULL)
    if done.returncode:
        stop(f"txt2img ended with {done.returncode}: {' '.join(command)}")


def read_pictures(folder: Path, count: int) -> list:
    files = sorted(folder.glob("*.png"))
    if len(files) != count:
        stop(f"'{folder}' has {len(files)} PNG files, and there are {count} prompts; "
             "were they drawn with the same --count and --languages?")
    pictures = []
    for file in files:
        picture = np.asarray(Image.open(file).convert("RGB"))
        if picture.shape != (SIZE, SIZE, 3):
            stop(f"'{file}' is {picture.shape[1]}x{picture.shape[0]}; the checker takes {SIZE}x{SIZE}")
        pictures.append(picture)
    return pictures


def verdict_of(picture: np.ndarray, prompt) -> tuple:
    inspection = inspect(picture)
    verdict = judge(inspection, prompt.request)
    verdict["colour+shape+background"] = verdict["colour"] and verdict["shape"] and verdict["background"]
    return inspection, verdict


def evaluate(prompts: list, pictures: list) -> list:
    results = []
    for prompt, picture in zip(prompts, pictures):
        inspection, verdict = verdict_of(picture, prompt)
        results.append({"language": prompt.language, "kind": prompt.kind, "prompt": prompt.text, "verdict": verdict,
                        "request": asdict(prompt.request), "found": asdict(inspection)})
    return results


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluate_shapes", description=__doc__)
    what = parser.add_argument_group("what is evaluated (one of these)")
    what = what.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, help="model folder or checkpoint, drawn with txt2img")
    what.add_argument("--pictures", type=Path, metavar="DIR", help="pictures of the prompts, in their order")
    what.add_argument("--prompts", type=Path, metavar="FILE", help="write the prompts, one a line, and end")
    what.add_argument("--self-test", action="store_true",
                      help="judge the generator's own pictures: everything should be right")
    parser.add_argument("--count", type=int, default=100, metavar="N", help="prompts in each language [100]")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the prompts and of the pictures [1]")
    parser.add_argument("--languages", default=",".join(LANGUAGES), help="[en,zh,ja]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rates and every verdict")
    parser.add_argument("--grid", type=Path, metavar="FILE", help="write a PNG grid of judged pictures")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the drawn pictures in this new folder")
    drawing = parser.add_argument_group("drawing")
    drawing.add_argument("--txt2img", type=Path, default=ROOT / "build/bin/txt2img")
    drawing.add_argument("--sampler", help="by default the model's")
    drawing.add_argument("--steps", type=int, default=20, metavar="N", help="[20]")
    drawing.add_argument("--scale", type=float, help="classifier-free guidance, by default the model's")
    drawing.add_argument("--batch", type=int, default=16, metavar="N", help="pictures drawn at once [16]")
    drawing.add_argument("--device")
    drawing.add_argument("--dtype")
    options = parser.parse_args()
    options.languages = [name for name in options.languages.split(",") if name]
    unknown = [name for name in options.languages if name not in LANGUAGES]
    if unknown or not options.languages:
        stop(f"unknown language '{','.join(unknown)}'; expected some of {','.join(LANGUAGES)}", 2)
    if options.count < 1 or options.batch < 1 or options.steps < 1:
        stop("--count, --batch and --steps must be at least 1", 2)
    if options.model and not options.model.exists():
        stop(f"there is no model '{options.model}'", 2)
    if options.model and not options.txt2img.exists():
        stop(f"there is no '{options.txt2img}'; build it (scripts/run txt2img --version) or give --txt2img", 2)
    if options.pictures and not options.pictures.is_dir():
        stop(f"there is no folder '{options.pictures}'", 2)
    for file in (options.keep, options.prompts):
        if file and file.exists():
            stop(f"'{file}' exists; remove it or name another", 2)
    return options


def obtain_pictures(prompts: list, options) -> tuple:
    """The pictures, and the seconds that each took to draw, loading included (None where they were not drawn)."""
    if options.self_test:
        return [render(prompt.scene) for prompt in prompts], None
    if options.pictures:
        return read_pictures(options.pictures, len(prompts)), None
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        draw_pictures(prompts, options, folder)
        seconds = (time.perf_counter() - start) / len(prompts)
        return read_pictures(folder / "samples", len(prompts)), seconds


def main() -> None:
    options = parse_options()
    prompts = held_out_prompts(options.count, options.seed, options.languages)
    if options.prompts:
        write_lines(options.prompts, (prompt.text for prompt in prompts))
        return
    pictures, seconds = obtain_pictures(prompts, options)
    results = evaluate(prompts, pictures)
    tables = rates(results)
    print(f"Rates in per cent with 95% intervals; {len(prompts)} prompts, none of whose combinations was trained on")
    print(format_table(tables))
    if seconds:
        print(f"\n{seconds:.2f} s a picture, {options.steps} steps, loading included")
    if options.json:
        settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()
                    if name not in ("json", "grid", "keep", "prompts", "txt2img")}
        report = {"settings": settings, "seconds_a_picture": seconds, "rates": tables, "results": results}
        write_lines(options.json, [json.dumps(report, ensure_ascii=False, indent=1)])
    if options.grid:
        options.grid.parent.mkdir(parents=True, exist_ok=True)
        picture_grid(prompts, pictures, [result["verdict"] for result in results]).save(options.grid, "PNG")


if __name__ == "__main__":
    main()
