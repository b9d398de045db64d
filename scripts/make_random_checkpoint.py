#!/usr/bin/env python3
"""Writes a checkpoint of Stable Diffusion v1's shape with random weights: something to load, draw
and compare with where no trained model is at hand. Its pictures mean nothing, but every weight
matters to them.

    scripts/make_random_checkpoint.py --size tiny --format ckpt --output tiny.ckpt
    scripts/make_random_checkpoint.py --size full --format diffusers --output random-sd-v1/

The same --size and --seed give the same weights in every format. Needs torch and numpy only.
"""

import argparse
import os
import shutil
from pathlib import Path

import torch

from random_checkpoint.architecture import SIZES
from random_checkpoint.compvis import compvis_yaml, write_ckpt
from random_checkpoint.diffusers import write_diffusers
from random_checkpoint.weights import Model, write_safetensors

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = ROOT / ".venv" / "share" / "easel" / "clip" / "bpe_simple_vocab_16e6.txt.gz"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=["ckpt", "safetensors", "diffusers"], required=True)
    parser.add_argument("--output", type=Path, required=True, help="file, or folder with --format diffusers")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--ema", action="store_true", help="model_ema.* as well (.ckpt and .safetensors)")
    parser.add_argument("--legacy", action="store_true", help="torch's format before 1.6 (.ckpt)")
    parser.add_argument("--vocabulary", type=Path, default=VOCABULARY,
                        help="CLIP's bpe_simple_vocab_16e6.txt.gz, for --format diffusers")
    parser.add_argument("--force", action="store_true", help="replace what is at --output")
    options = parser.parse_args()
    if options.ema and options.format == "diffusers":
        parser.error("--ema: a diffusers folder holds no EMA weights")
    if options.legacy and options.format != "ckpt":
        parser.error("--legacy: only for --format ckpt")
    output = options.output
    config = output.with_suffix(".yaml") if options.size == "tiny" and options.format != "diffusers" else None
    for path in filter(None, (output, config)):
        if path.exists() and not options.force:
            parser.error(f"{path} exists; --force replaces it")

    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    model = Model(options.size, options.seed, getattr(torch, options.dtype))
    try:
        if options.format == "ckpt":
            write_ckpt(temporary, model, options.ema, options.legacy)
        elif options.format == "safetensors":
            write_safetensors(temporary, model.compvis(options.ema), model.dtype, {"format": "pt"})
        else:
            write_diffusers(temporary, model, options.vocabulary)
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(temporary, output)
        if config:
            config.write_text(compvis_yaml(options.size))
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():
            temporary.unlink()


if __name__ == "__main__":
    main()
