"""Random weights that keep activations lively, and safetensors files of them."""

import hashlib
import json
import struct

import numpy
import torch

from .architecture import architecture

# Gains that keep activations near unit variance. SiLU of a standard normal number has variance 0.36
# about zero: a layer behind one takes 1.68.
GAINS = [
    ("conv1.weight", 1.68), ("conv2.weight", 1.2), ("time_emb_proj.weight", 1.68),
    ("linear_2.weight", 1.68), ("conv_out.weight", 1.68), ("attn2.to_q.weight", 1.5),
    ("attn2.to_k.weight", 1.5), ("attn2.to_v.weight", 2.0), ("attn2.to_out.0.weight", 2.0),
    ("ff.net.2.weight", 1.4), ("mlp.fc2.weight", 1.4),
]


def random_weight(seed, part, name, shape):
    """The tensor's values depend on the seed and its own name alone."""
    digest = hashlib.sha256(f"{seed}/{part}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    values = torch.randn(shape, generator=generator)
    if "embedding.weight" in name:
        return values.mul_(0.5)
    if name.endswith(".bias"):
        return values.mul_(0.05)
    if len(shape) == 1:
        return values.mul_(0.1).add_(1)
    gain = next((gain for ending, gain in GAINS if name.endswith(ending)), 1.0)
    if part == "vae" and name == "decoder.conv_out.weight":
        gain = 0.9  # pictures within [-1, 1] for the most part
    return values.mul_(gain / numpy.prod(shape[1:]) ** 0.5)


class Model:
    def __init__(self, size, seed, dtype):
        self.size, self.seed, self.dtype = size, seed, dtype
        self.rows = architecture(size)

    def tensor(self, part, native, shape):
        return random_weight(self.seed, part, native, shape).to(self.dtype).reshape(shape)

    def diffusers(self, part):
        """{name: (shape, make)} of one part in diffusers' layout."""
        return {native: (shape, lambda native=native, shape=shape: self.tensor(part, native, shape))
                for row_part, native, _, shape, _ in self.rows if row_part == part}

    def compvis(self, ema=False):
        """{name: (shape, make)} of the whole state_dict in CompVis's layout."""
        prefixes = {"unet": "model.diffusion_model.", "vae": "first_stage_model.",
                    "text_encoder": "cond_stage_model.transformer."}
        entries = {}
        for part, native, name, shape, compvis_shape in self.rows:
            def make(part=part, native=native, shape=shape, compvis_shape=compvis_shape):
                return self.tensor(part, native, shape).reshape(compvis_shape)

            entries[prefixes[part] + name] = (compvis_shape, make)
            if ema and part == "unet":
                def make_ema(native=native, shape=shape, make=make):
                    # The average lags behind the weights: close to them, never equal.
                    other = random_weight(self.seed, "model_ema", native, shape)
                    return torch.lerp(make().float(), other, 0.1).to(self.dtype)

                entries["model_ema.diffusion_model" + name.replace(".", "")] = (compvis_shape, make_ema)
        return entries


SAFETENSORS_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def raw_bytes(tensor):
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return tensor.contiguous().numpy().tobytes()


def write_safetensors(path, entries, dtype, metadata):
    """Format of huggingface/safetensors; one tensor in memory at a time."""
    header, offset, item = {"__metadata__": metadata}, 0, torch.empty(0, dtype=dtype).element_size()
    for name in sorted(entries):
        end = offset + int(numpy.prod(entries[name][0], dtype=numpy.int64)) * item
        header[name] = {"dtype": SAFETENSORS_DTYPES[dtype], "shape": list(entries[name][0]),
                        "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in sorted(entries):
            file.write(raw_bytes(entries[name][1]()))
