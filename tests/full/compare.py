"""Holds txt2img's pictures against the reference programs', sampler by sampler.

    compare.py --size full|tiny [--H 256 --W 256 --steps 20] [--cases ddim,plms,...] [--json FILE]

Makes a random checkpoint (scripts/make_random_checkpoint.py), draws each case with Easel and with
CompVis's code (EASEL_COMPVIS; cases that need it are skipped, and said so, without) or diffusers, and
fails where a picture is under 50 dB PSNR or any pixel is further than 3/255 (float32). Runs in the
reference environment.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent

# name: (peer, sampler, Easel's options, reference's options)
CASES = {
    "ddim": ("compvis", "ddim", [], []),
    "ddim eta 1": ("compvis", "ddim", ["--ddim_eta", "1"], ["--eta", "1"]),
    "ddim unguided": ("compvis", "ddim", ["--scale", "1"], ["--scale", "1"]),
    "ddim two batches": ("compvis", "ddim", ["--n_samples", "2", "--n_iter", "2"],
                         ["--n_samples", "2", "--n_iter", "2"]),
    "plms": ("compvis", "plms", ["--plms"], []),
    "dpm_solver": ("compvis", "dpm_solver", ["--dpm_solver"], []),
    "euler": ("compvis", "euler", ["--sampler", "euler"], []),
    "euler_a": ("compvis", "euler_a", ["--sampler", "euler_a"], []),
    "dpmpp_2m": ("compvis", "dpmpp_2m", ["--sampler", "dpmpp_2m"], []),
    "dpmpp_2m karras": ("compvis", "dpmpp_2m_karras", ["--sampler", "dpmpp_2m", "--schedule", "karras"], []),
    "diffusers ddpm": ("diffusers", "ddpm", ["--sampler", "ddpm"], []),
    # CompVis's code takes multiples of 64 only. 20 steps: where they do not divide 1000 diffusers has
    # other timesteps than CompVis.
    "diffusers ddim": ("diffusers", "ddim", ["--ddim_steps", "20"], ["--steps", "20"]),
    "diffusers ddim odd size": ("diffusers", "ddim", ["--ddim_steps", "20", "--H", "136", "--W", "200"],
                                 ["--steps", "20", "--H", "136", "--W", "200"]),
}


def run(command, **keywords) -> float:
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, **keywords)
    return time.perf_counter() - start


def make_models(folder: Path, size: str, need_diffusers: bool) -> None:
    script = ROOT / "scripts" / "make_random_checkpoint.py"
    formats = {"ckpt": "model.ckpt", **({"diffusers": "diffusers"} if need_diffusers else {})}
    for kind, name in formats.items():
        if not (folder / name).exists():
            run([sys.executable, script, "--size", size, "--format", kind, "--output", folder / name])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def compare(name: str, folder: Path, options) -> dict:
    peer, sampler, ours, theirs = CASES[name]
    common = ["--prompt", options.prompt, "--seed", options.seed, "--H", options.H, "--W", options.W]
    config = folder / "model.yaml"
    if not config.exists():
        config = ROOT / "configs" / "stable-diffusion" / "v1-inference.yaml"
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        single = ["--n_samples", 1, "--n_iter", 1] if "--n_samples" not in ours else []
        model = ["--model", folder / "diffusers"] if peer == "diffusers" else [
            "--ckpt", folder / "model.ckpt", "--config", config]
        our_seconds = run([options.txt2img, *common, *model, *single, "--ddim_steps", options.steps, *ours,
                           "--rng", "cpu", "--seeding", "batch", "--precision", "full", "--device", "cpu",
                           "--quiet", "--outdir", scratch / "easel"])
        source = ["--model", folder / "diffusers"] if peer == "diffusers" else model
        run([sys.executable, HERE / "reference.py", peer, *common, "--steps", options.steps, *source,
             "--sampler", sampler, *theirs,
             "--output", scratch / "reference.npz"], stdout=subprocess.DEVNULL)
        reference = np.load(scratch / "reference.npz")
        expected = (255.0 * reference["pictures"]).astype(np.uint8)
        files = sorted((scratch / "easel" / "samples").glob("*.png"))
        got = np.stack([np.asarray(Image.open(file)) for file in files])
    if got.shape != expected.shape:
        sys.exit(f"{name}: {got.shape} pictures, expected {expected.shape}")
    difference = int(np.abs(got.astype(int) - expected.astype(int)).max())
    return {"case": name, "peer": peer, "psnr_db": psnr(got, expected), "max_pixel_difference": difference,
            "picture_std": float(expected.std()), "txt2img_seconds": our_seconds,
            "reference_sampling_seconds": float(reference["seconds"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=["full", "tiny"], default="full")
    parser.add_argument("--H", type=int, default=256)
    parser.add_argument("--W", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--prompt", default="a photograph of an astronaut riding a horse")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--txt2img", type=Path, default=ROOT / "build" / "bin" / "txt2img")
    parser.add_argument("--models", type=Path, default=ROOT / ".cache" / "random-models")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("EASEL_CLIP_VOCABULARY",
                          str(ROOT / ".venv/share/easel/clip/bpe_simple_vocab_16e6.txt.gz"))
    names = options.cases.split(",")
    for name in names:
        if name not in CASES:
            sys.exit(f"compare: no case '{name}'. Known: {', '.join(CASES)}")
    folder = options.models / options.size
    make_models(folder, options.size, any(CASES[name][0] == "diffusers" for name in names))
    results, failed = [], 0
    for name in names:
        if CASES[name][0] == "compvis" and "EASEL_COMPVIS" not in os.environ:
            print(f"skipped {name}: EASEL_COMPVIS names no checkout of CompVis/stable-diffusion")
            continue
        result = compare(name, folder, options)
        good = result["psnr_db"] >= 50 and result["max_pixel_difference"] <= 3
        failed += not good
        results.append(result)
        print(f"{'ok  ' if good else 'FAIL'} {name}: PSNR {result['psnr_db']:.1f} dB, furthest pixel "
              f"{result['max_pixel_difference']}/255, picture std {result['picture_std']:.1f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({
            "size": options.size, "height": options.H, "width": options.W, "steps": options.steps,
            "seed": options.seed, "results": results}, indent=1) + "\n")
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not results else 0)


if __name__ == "__main__":
    main()
