"""Writes a data set of scenes: PNG files and metadata.jsonl, as Hugging Face's imagefolder has it."""

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

from PIL import Image

from .captions import caption
from .crowd import crowded_scene
from .dice import Dice
from .render import render
from .scene import SPLITS, Scene, simple_scene, split_scene
from .words import LANGUAGES

CHUNK = 250
CROWD = "crowd"
SIMPLE = "simple"


def example(seed: int, split: str, index: int) -> tuple:
    """Scene and captions number `index` of a set; they do not depend on how many the set has. A crowd has none."""
    dice = Dice("scene", split, seed, index)
    if split == CROWD:
        return crowded_scene(dice), []
    scene = simple_scene(dice) if split == SIMPLE else split_scene(dice, split)
    return scene, [caption(scene, language, Dice(language, split, seed, index)) for language in LANGUAGES]


def file_name(index: int) -> str:
    return f"{index:06}.png"


def write_png(pixels, path: Path) -> None:
    Image.fromarray(pixels).save(path, "PNG", compress_level=1)


def _write_chunk(job: tuple) -> list:
    output, seed, split, start, stop, pictures = job
    records = []
    for index in range(start, stop):
        scene, captions = example(seed, split, index)
        if pictures:
            write_png(render(scene), output / file_name(index))
        records.append({"file_name": file_name(index), "text": [each.text for each in captions],
                        "scene": scene.to_json()})
    return records


def records(seed: int, split: str, count: int, output: Path = None, workers: int = 1):
    """The records of metadata.jsonl in order; with an output folder the pictures are written there too."""
    jobs = [(output, seed, split, start, min(start + CHUNK, count), output is not None)
            for start in range(0, count, CHUNK)]
    if workers == 1 or len(jobs) == 1:
        for job in jobs:
            yield from _write_chunk(job)
        return
    with multiprocessing.Pool(workers) as pool:
        for chunk in pool.imap(_write_chunk, jobs):
            yield from chunk


def write_lines(path: Path, lines) -> None:
    """Under its name only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line + "\n")
    os.replace(partial, path)


def write_dataset(output: Path, count: int, seed: int, split: str, workers: int = 1, progress=None) -> None:
    output.mkdir(parents=True, exist_ok=True)

    def lines():
        for done, record in enumerate(records(seed, split, count, output, workers), 1):
            if progress:
                progress(done)
            yield json.dumps(record, ensure_ascii=False, separators=(",", ":"))

    write_lines(output / "metadata.jsonl", lines())


def _usage_error(message: str) -> None:
    print(f"make_shapes: error: {message}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make_shapes", description=__doc__)
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the pictures and metadata.jsonl")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="write the captions too, one a line")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="number of pictures")
    parser.add_argument("--seed", type=int, required=True, metavar="S")
    parser.add_argument("--split", choices=(*SPLITS, SIMPLE, CROWD), default="train",
                        help="train leaves out the combinations that validation shows; simple are those of train "
                             "with one plain object, to begin with; crowd has many objects and no captions, for "
                             "autoencoders [train]")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N", help="processes [one a core]")
    options = parser.parse_args()
    if not options.output and not options.captions:
        _usage_error("nothing to write; give --output DIR, --captions FILE or both")
    if options.count < 1 or options.workers < 1:
        _usage_error("--count and --workers must be at least 1")
    if options.output and options.output.exists() and (
            not options.output.is_dir() or any(options.output.iterdir())):
        _usage_error(f"'{options.output}' exists and is not an empty folder; remove it or name another")
    if options.captions and options.captions.exists():
        _usage_error(f"'{options.captions}' exists; remove it or name another")

    start = time.perf_counter()
    if options.output:
        def progress(done: int) -> None:
            if done % 5000 == 0:
                print(f"make_shapes: {done} of {options.count}", file=sys.stderr)

        write_dataset(options.output, options.count, options.seed, options.split, options.workers, progress)
        seconds = time.perf_counter() - start
        print(f"make_shapes: {options.count} pictures in {seconds:.1f} s ({options.count / seconds:.0f} a second)",
              file=sys.stderr)
    if options.captions:
        write_lines(options.captions, (text for record in records(options.seed, options.split, options.count,
                                                                  workers=options.workers) for text in record["text"]))


if __name__ == "__main__":
    main()
