"""Safetensors files with nothing but numpy: the format is a JSON header and the values behind it."""

import json
import struct
from pathlib import Path

import numpy as np

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def read(path: Path) -> tuple:
    """(tensors by name, metadata)."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    size = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8:8 + size].tobytes())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"'{path}': {name} is {entry['dtype']}; expected one of {', '.join(DTYPES)}")
        begin, end = entry["data_offsets"]
        values = data[8 + size + begin:8 + size + end]
        tensors[name] = values.view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def write(path: Path, tensors: dict, metadata: dict) -> None:
    header, offset = ({"__metadata__": metadata} if metadata else {}), 0
    for name, values in sorted(tensors.items()):
        header[name] = dict(dtype=NAMES[values.dtype], shape=list(values.shape),
                            data_offsets=[offset, offset + values.nbytes])
        offset += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(np.ascontiguousarray(tensors[name]).tobytes())
    partial.replace(path)
