#!/usr/bin/env python3
"""Lays out what the fuzz targets (tests/fuzz) start from, of the small real files in tests/data.

    scripts/make_fuzz_seeds.py OUT      makes OUT/<target>/...
"""

import json
import re
import shlex
import struct
import sys
import zipfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests/data"
MAX_BYTES = 1 << 16


def small(pattern: str) -> list:
    files = [path for path in sorted(DATA.glob(pattern)) if path.stat().st_size <= MAX_BYTES]
    if not files:
        sys.exit(f"make_fuzz_seeds: there is no small tests/data/{pattern}")
    return files


def named(paths: list) -> dict:
    return {"_".join(path.relative_to(DATA).parts): path.read_bytes() for path in paths}


def torch_files() -> dict:
    return named(small("torch_files/*.*t") + small("prompts/embeddings/*.pt") + small("adapters/*.pt"))


def pickles() -> dict:
    found = {}
    for name, data in torch_files().items():
        path = DATA / "torch_files" / name.removeprefix("torch_files_")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    if member.endswith(".pkl"):
                        found[f"{name}_{Path(member).name}"] = archive.read(member)
        elif data.startswith(b"\x80"):
            found[name] = data  # the legacy stream is one pickle behind the other
    return found


def tokenizers() -> dict:
    parts = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]
    found = {}
    for folder in sorted((DATA / "tokenizer").iterdir()):
        if folder.is_dir():
            texts = [(folder / part).read_bytes() if (folder / part).exists() else b"{}" for part in parts]
            found[folder.name] = b"\0".join(texts)
    return found


def configs() -> dict:
    found = named(small("checkpoint/*.yaml"))
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        found["_".join(path.relative_to(ROOT).parts)] = path.read_bytes()
    return found


def texts(pattern: str) -> dict:
    """The field "text" of every case in the JSON files."""
    found = {}
    for path in small(pattern):
        cases = json.loads(path.read_text())
        for number, case in enumerate(cases if isinstance(cases, list) else []):
            if isinstance(case, dict) and case.get("text"):
                found[f"{path.stem}_{number:03}"] = case["text"].encode()
    return found


def command_lines(program: str) -> dict:
    """Those in README.md."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    found = {}
    for number, line in enumerate(re.findall(rf"scripts/run {program} (.*)", text)):
        found[f"readme_{number}"] = "\n".join(shlex.split(line)).encode()
    return found


def jpegs() -> dict:
    """As they are, and with an EXIF user comment as A1111 writes it (TIFF, big-endian)."""
    found = named(small("io/*.jpg"))
    comment = b"UNICODE\0" + "a red cube\nSteps: 20, Seed: 42".encode("utf-16-be")
    main = struct.pack(">2sHIHHHIII", b"MM", 42, 8, 1, 0x8769, 4, 1, 26, 0)
    exif = struct.pack(">HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    segment = b"Exif\0\0" + main + exif + comment
    for name, data in list(found.items()):
        found[f"commented_{name}"] = data[:2] + struct.pack(">HH", 0xFFE1, len(segment) + 2) + segment + data[2:]
    return found


def settled_pictures() -> dict:
    """A small PNG with each of the `parameters` texts."""
    png, found = (DATA / "io/grey.png").read_bytes(), jpegs()
    header = 8 + 25  # the signature and IHDR
    for name, text in texts("infotext/*.json").items():
        body = b"iTXtparameters\0\0\0\0\0" + text
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        found[f"{name}.png"] = png[:header] + chunk + png[header:]
    return found


PROMPT_LINES = {
    "plain": b"a red fox\na blue cat, oil on canvas\n",
    "trailing": b"a red fox -n 2 --steps 30 -S 7\na fox -s 20 -W 512 -H 768 -C 5 -A euler\n",
    "json": b'{"prompt": "a red fox", "sampler": "euler", "n": 2}\n{"steps": 30, "scale": 5.5}\n',
}
SHEETS = {
    "samplers": b"x:sampler=ddim,plms\ny:scale=5,7.5\n",
    "words": b'x:prompt:cat=dog,"fox, red"\n',
    "seeds": b"x:seed=1,2,3\n",
}

SEEDS = {
    "pickle": pickles,
    "torch": torch_files,
    "safetensors": lambda: named(small("*/*.safetensors") + small("prompts/embeddings/*.safetensors")),
    "npy": lambda: named(small("io/*.npy")),
    "picture": lambda: named(small("io/*.png") + small("io/*.jpg") + small("io/*.bmp")),
    "png_text": lambda: named(small("io/*.png")),
    "jpeg_text": jpegs,
    "tokenizer": tokenizers,
    "sentencepiece": lambda: named(small("sentencepiece/*.model")),
    "prompt": lambda: texts("prompts/*.json"),
    "config": configs,
    "txt2img_arguments": lambda: command_lines("txt2img"),
    "img2img_arguments": lambda: command_lines("img2img"),
    "prompt_lines": lambda: PROMPT_LINES,
    "parameters": lambda: texts("infotext/*.json"),
    "saved_settings": settled_pictures,
    "sheet": lambda: SHEETS,
}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for target, make in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
