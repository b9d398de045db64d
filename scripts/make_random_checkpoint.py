#!/usr/bin/env python3
"""Writes a checkpoint of Stable Diffusion v1's shape with random weights: something to load, draw
and compare with where no trained model is at hand. Its pictures mean nothing, but every weight
matters to them.

    scripts/make_random_checkpoint.py --size tiny --format ckpt --output tiny.ckpt
    scripts/make_random_checkpoint.py --size full --format diffusers --output random-sd-v1/

The same --size and --seed give the same weights in every format. Needs torch and numpy only.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import struct
import sys
import types
from pathlib import Path

import numpy
import torch

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = ROOT / ".venv" / "share" / "easel" / "clip" / "bpe_simple_vocab_16e6.txt.gz"

# One description of each size; every file that is written derives from it.
SIZES = {
    "full": dict(
        unet=dict(channels=320, mult=[1, 2, 4, 4], blocks=2, attention=[4, 2, 1], heads=8, context=768),
        vae=dict(channels=128, mult=[1, 2, 4, 4], blocks=2),
        clip=dict(hidden=768, intermediate=3072, layers=12, heads=12),
        image_size=64,
    ),
    "tiny": dict(
        unet=dict(channels=32, mult=[1, 2, 4, 4], blocks=2, attention=[4, 2, 1], heads=4, context=64),
        vae=dict(channels=32, mult=[1, 2, 4, 4], blocks=2),
        clip=dict(hidden=64, intermediate=256, layers=2, heads=4),
        image_size=16,
    ),
}
VOCABULARY_SIZE, CONTEXT_LENGTH, LATENT_CHANNELS, SCALE_FACTOR = 49408, 77, 4, 0.18215
BETA_START, BETA_END, TIMESTEPS = 0.00085, 0.0120, 1000


# ---- The architecture: one row per tensor --------------------------------------------------------


class Rows:
    """Collects (part, diffusers' name, CompVis's name, diffusers' shape, CompVis's shape)."""

    def __init__(self):
        self.rows = []

    def add(self, part, native, compvis, shape, compvis_shape=None):
        self.rows.append((part, native, compvis, tuple(shape), tuple(compvis_shape or shape)))

    def layer(self, part, native, compvis, shape, bias=True, compvis_shape=None):
        self.add(part, native + ".weight", compvis + ".weight", shape, compvis_shape)
        if bias:
            self.add(part, native + ".bias", compvis + ".bias", shape[:1])

    def norm(self, part, native, compvis, channels):
        self.layer(part, native, compvis, (channels,))


def unet_rows(rows, unet):
    part, channels, mult = "unet", unet["channels"], unet["mult"]
    time = 4 * channels

    def resnet(native, compvis, inputs, outputs):
        rows.norm(part, native + ".norm1", compvis + ".in_layers.0", inputs)
        rows.layer(part, native + ".conv1", compvis + ".in_layers.2", (outputs, inputs, 3, 3))
        rows.layer(part, native + ".time_emb_proj", compvis + ".emb_layers.1", (outputs, time))
        rows.norm(part, native + ".norm2", compvis + ".out_layers.0", outputs)
        rows.layer(part, native + ".conv2", compvis + ".out_layers.3", (outputs, outputs, 3, 3))
        if inputs != outputs:
            rows.layer(part, native + ".conv_shortcut", compvis + ".skip_connection", (outputs, inputs, 1, 1))

    def transformer(native, compvis, width):
        rows.norm(part, native + ".norm", compvis + ".norm", width)
        rows.layer(part, native + ".proj_in", compvis + ".proj_in", (width, width, 1, 1))
        inner, inner_compvis = native + ".transformer_blocks.0", compvis + ".transformer_blocks.0"
        for name, keys in (("attn1", width), ("attn2", unet["context"])):
            for projection, inputs in (("to_q", width), ("to_k", keys), ("to_v", keys)):
                rows.layer(part, f"{inner}.{name}.{projection}", f"{inner_compvis}.{name}.{projection}",
                           (width, inputs), bias=False)
            rows.layer(part, f"{inner}.{name}.to_out.0", f"{inner_compvis}.{name}.to_out.0", (width, width))
        rows.layer(part, inner + ".ff.net.0.proj", inner_compvis + ".ff.net.0.proj", (8 * width, width))
        rows.layer(part, inner + ".ff.net.2", inner_compvis + ".ff.net.2", (width, 4 * width))
        for name in ("norm1", "norm2", "norm3"):
            rows.norm(part, f"{inner}.{name}", f"{inner_compvis}.{name}", width)
        rows.layer(part, native + ".proj_out", compvis + ".proj_out", (width, width, 1, 1))

    rows.layer(part, "time_embedding.linear_1", "time_embed.0", (time, channels))
    rows.layer(part, "time_embedding.linear_2", "time_embed.2", (time, time))
    rows.layer(part, "conv_in", "input_blocks.0.0", (channels, LATENT_CHANNELS, 3, 3))
    width, skips, block, factor = channels, [channels], 1, 1
    for level, times in enumerate(mult):
        for index in range(unet["blocks"]):
            resnet(f"down_blocks.{level}.resnets.{index}", f"input_blocks.{block}.0", width, channels * times)
            width = channels * times
            if factor in unet["attention"]:
                transformer(f"down_blocks.{level}.attentions.{index}", f"input_blocks.{block}.1", width)
            skips.append(width)
            block += 1
        if level != len(mult) - 1:
            rows.layer(part, f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{block}.0.op",
                       (width, width, 3, 3))
            skips.append(width)
            block, factor = block + 1, 2 * factor
    resnet("mid_block.resnets.0", "middle_block.0", width, width)
    transformer("mid_block.attentions.0", "middle_block.1", width)
    resnet("mid_block.resnets.1", "middle_block.2", width, width)
    block = 0
    for up, times in enumerate(reversed(mult)):
        for index in range(unet["blocks"] + 1):
            resnet(f"up_blocks.{up}.resnets.{index}", f"output_blocks.{block}.0", width + skips.pop(),
                   channels * times)
            width, place = channels * times, 1
            if factor in unet["attention"]:
                transformer(f"up_blocks.{up}.attentions.{index}", f"output_blocks.{block}.{place}", width)
                place += 1
            if up != len(mult) - 1 and index == unet["blocks"]:
                rows.layer(part, f"up_blocks.{up}.upsamplers.0.conv", f"output_blocks.{block}.{place}.conv",
                           (width, width, 3, 3))
                factor //= 2
            block += 1
    rows.norm(part, "conv_norm_out", "out.0", width)
    rows.layer(part, "conv_out", "out.2", (LATENT_CHANNELS, width, 3, 3))


def vae_rows(rows, vae):
    part, channels, mult = "vae", vae["channels"], vae["mult"]
    levels = len(mult)

    def resnet(native, compvis, inputs, outputs):
        rows.norm(part, native + ".norm1", compvis + ".norm1", inputs)
        rows.layer(part, native + ".conv1", compvis + ".conv1", (outputs, inputs, 3, 3))
        rows.norm(part, native + ".norm2", compvis + ".norm2", outputs)
        rows.layer(part, native + ".conv2", compvis + ".conv2", (outputs, outputs, 3, 3))
        if inputs != outputs:
            rows.layer(part, native + ".conv_shortcut", compvis + ".nin_shortcut", (outputs, inputs, 1, 1))

    def middle(side, width):
        resnet(f"{side}.mid_block.resnets.0", f"{side}.mid.block_1", width, width)
        native, compvis = f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1"
        rows.norm(part, native + ".group_norm", compvis + ".norm", width)
        for name, compvis_name in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            rows.layer(part, f"{native}.{name}", f"{compvis}.{compvis_name}", (width, width),
                       compvis_shape=(width, width, 1, 1))
        resnet(f"{side}.mid_block.resnets.1", f"{side}.mid.block_2", width, width)

    rows.layer(part, "encoder.conv_in", "encoder.conv_in", (channels, 3, 3, 3))
    width = channels
    for level, times in enumerate(mult):
        for index in range(vae["blocks"]):
            resnet(f"encoder.down_blocks.{level}.resnets.{index}", f"encoder.down.{level}.block.{index}",
                   width, channels * times)
            width = channels * times
        if level != levels - 1:
            rows.layer(part, f"encoder.down_blocks.{level}.downsamplers.0.conv",
                       f"encoder.down.{level}.downsample.conv", (width, width, 3, 3))
    middle("encoder", width)
    rows.norm(part, "encoder.conv_norm_out", "encoder.norm_out", width)
    rows.layer(part, "encoder.conv_out", "encoder.conv_out", (2 * LATENT_CHANNELS, width, 3, 3))
    rows.layer(part, "quant_conv", "quant_conv", (2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1, 1))
    rows.layer(part, "post_quant_conv", "post_quant_conv", (LATENT_CHANNELS, LATENT_CHANNELS, 1, 1))
    rows.layer(part, "decoder.conv_in", "decoder.conv_in", (width, LATENT_CHANNELS, 3, 3))
    middle("decoder", width)
    for up, times in enumerate(reversed(mult)):
        level = levels - 1 - up
        for index in range(vae["blocks"] + 1):
            resnet(f"decoder.up_blocks.{up}.resnets.{index}", f"decoder.up.{level}.block.{index}", width,
                   channels * times)
            width = channels * times
        if level != 0:
            rows.layer(part, f"decoder.up_blocks.{up}.upsamplers.0.conv", f"decoder.up.{level}.upsample.conv",
                       (width, width, 3, 3))
    rows.norm(part, "decoder.conv_norm_out", "decoder.norm_out", width)
    rows.layer(part, "decoder.conv_out", "decoder.conv_out", (3, width, 3, 3))


def clip_rows(rows, clip):
    part, hidden = "text_encoder", clip["hidden"]

    def same(name, shape):
        rows.layer(part, name, name, shape)

    def table(name, shape):
        rows.layer(part, name, name, shape, bias=False)

    table("text_model.embeddings.token_embedding", (VOCABULARY_SIZE, hidden))
    table("text_model.embeddings.position_embedding", (CONTEXT_LENGTH, hidden))
    for index in range(clip["layers"]):
        layer = f"text_model.encoder.layers.{index}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            same(f"{layer}.self_attn.{name}", (hidden, hidden))
        same(layer + ".layer_norm1", (hidden,))
        same(layer + ".mlp.fc1", (clip["intermediate"], hidden))
        same(layer + ".mlp.fc2", (hidden, clip["intermediate"]))
        same(layer + ".layer_norm2", (hidden,))
    same("text_model.final_layer_norm", (hidden,))


def architecture(size):
    rows = Rows()
    unet_rows(rows, SIZES[size]["unet"])
    vae_rows(rows, SIZES[size]["vae"])
    clip_rows(rows, SIZES[size]["clip"])
    return rows.rows


# ---- The weights ---------------------------------------------------------------------------------

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


# ---- Files -----------------------------------------------------------------------------------------

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


def schedule_buffers():
    """What CompVis's LatentDiffusion.register_schedule keeps in its state_dict."""
    betas = numpy.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS) ** 2
    alphas = 1 - betas
    cumprod = numpy.cumprod(alphas)
    previous = numpy.append(1.0, cumprod[:-1])
    variance = betas * (1 - previous) / (1 - cumprod)
    buffers = {
        "betas": betas,
        "alphas_cumprod": cumprod,
        "alphas_cumprod_prev": previous,
        "sqrt_alphas_cumprod": numpy.sqrt(cumprod),
        "sqrt_one_minus_alphas_cumprod": numpy.sqrt(1 - cumprod),
        "log_one_minus_alphas_cumprod": numpy.log(1 - cumprod),
        "sqrt_recip_alphas_cumprod": numpy.sqrt(1 / cumprod),
        "sqrt_recipm1_alphas_cumprod": numpy.sqrt(1 / cumprod - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": numpy.log(numpy.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * numpy.sqrt(previous) / (1 - cumprod),
        "posterior_mean_coef2": (1 - previous) * numpy.sqrt(alphas) / (1 - cumprod),
    }
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in buffers.items()}


def lightning_callback_class():
    """A class of the name that Lightning checkpoints are keyed by, without Lightning."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    for parent in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        sys.modules.setdefault(parent, types.ModuleType(parent))
    callback = type("ModelCheckpoint", (), {"__module__": name})
    sys.modules[name].ModelCheckpoint = callback
    return callback


def write_ckpt(path, model, ema, legacy):
    """A file such as CompVis's training leaves: a Lightning checkpoint."""
    state = schedule_buffers()
    if ema:
        state["model_ema.decay"] = torch.tensor(0.9999)
        state["model_ema.num_updates"] = torch.tensor(470000, dtype=torch.int32)
    for name, (_, make) in model.compvis(ema).items():
        state[name] = make()
    position_ids = torch.arange(CONTEXT_LENGTH).reshape(1, CONTEXT_LENGTH)
    state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = position_ids
    checkpoint = {
        "epoch": 0,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {lightning_callback_class(): {
            "monitor": "val/loss_simple_ema", "best_model_score": torch.tensor(0.25),
            "best_model_path": "checkpoints/epoch=000.ckpt", "current_score": numpy.float64(0.25),
            "dirpath": None}},
        "lr_schedulers": [{"base_lrs": [1e-4], "last_epoch": 470000, "_step_count": numpy.int64(470001)}],
    }
    with open(path, "wb") as file:  # a file, not its name: the name would be written into the zip
        torch.save(checkpoint, file, pickle_protocol=2, _use_new_zipfile_serialization=not legacy)


def compvis_yaml(size):
    """The model's config in CompVis's schema; the text encoder's sizes are Easel's extension."""
    unet, vae, clip = SIZES[size]["unet"], SIZES[size]["vae"], SIZES[size]["clip"]
    return f"""# A random model of Stable Diffusion v1's architecture ({size}); scripts/make_random_checkpoint.py.
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: {BETA_START}
    linear_end: {BETA_END}
    timesteps: {TIMESTEPS}
    first_stage_key: jpg
    cond_stage_key: txt
    image_size: {SIZES[size]["image_size"]}
    channels: {LATENT_CHANNELS}
    conditioning_key: crossattn
    scale_factor: {SCALE_FACTOR}
    use_ema: false

    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: {SIZES[size]["image_size"]}
        in_channels: {LATENT_CHANNELS}
        out_channels: {LATENT_CHANNELS}
        model_channels: {unet["channels"]}
        attention_resolutions: {unet["attention"]}
        num_res_blocks: {unet["blocks"]}
        channel_mult: {unet["mult"]}
        num_heads: {unet["heads"]}
        use_spatial_transformer: true
        transformer_depth: 1
        context_dim: {unet["context"]}
        use_checkpoint: false
        legacy: false

    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: {LATENT_CHANNELS}
        ddconfig:
          double_z: true
          z_channels: {LATENT_CHANNELS}
          resolution: 256
          in_channels: 3
          out_ch: 3
          ch: {vae["channels"]}
          ch_mult: {vae["mult"]}
          num_res_blocks: {vae["blocks"]}
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity

    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params:
        vocab_size: {VOCABULARY_SIZE}
        hidden_size: {clip["hidden"]}
        intermediate_size: {clip["intermediate"]}
        num_hidden_layers: {clip["layers"]}
        num_attention_heads: {clip["heads"]}
        max_position_embeddings: {CONTEXT_LENGTH}
"""


def diffusers_configs(size):
    """The JSON files of a diffusers folder, with the values of sd-v1's published ones."""
    unet, vae, clip = SIZES[size]["unet"], SIZES[size]["vae"], SIZES[size]["clip"]
    levels, vae_levels = len(unet["mult"]), len(vae["mult"])
    cross = [2**level in unet["attention"] for level in range(levels)]
    latent = SIZES[size]["image_size"]
    version = "0.6.0"
    return {
        "model_index.json": {
            "_class_name": "StableDiffusionPipeline", "_diffusers_version": version,
            "feature_extractor": [None, None], "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        },
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel", "_diffusers_version": version, "act_fn": "silu",
            "attention_head_dim": unet["heads"],
            "block_out_channels": [unet["channels"] * times for times in unet["mult"]],
            "center_input_sample": False, "cross_attention_dim": unet["context"],
            "down_block_types": ["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross],
            "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0,
            "in_channels": LATENT_CHANNELS, "layers_per_block": unet["blocks"],
            "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32,
            "out_channels": LATENT_CHANNELS, "sample_size": latent,
            "up_block_types": ["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)],
        },
        "vae/config.json": {
            "_class_name": "AutoencoderKL", "_diffusers_version": version, "act_fn": "silu",
            "block_out_channels": [vae["channels"] * times for times in vae["mult"]],
            "down_block_types": ["DownEncoderBlock2D"] * vae_levels, "in_channels": 3,
            "latent_channels": LATENT_CHANNELS, "layers_per_block": vae["blocks"],
            "norm_num_groups": 32, "out_channels": 3, "sample_size": 8 * latent,
            "scaling_factor": SCALE_FACTOR, "up_block_types": ["UpDecoderBlock2D"] * vae_levels,
        },
        "text_encoder/config.json": {
            "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0,
            "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": clip["hidden"],
            "initializer_factor": 1.0, "initializer_range": 0.02,
            "intermediate_size": clip["intermediate"], "layer_norm_eps": 1e-05,
            "max_position_embeddings": CONTEXT_LENGTH, "model_type": "clip_text_model",
            "num_attention_heads": clip["heads"], "num_hidden_layers": clip["layers"],
            "pad_token_id": 1, "torch_dtype": "float32", "vocab_size": VOCABULARY_SIZE,
        },
        "scheduler/scheduler_config.json": {
            "_class_name": "PNDMScheduler", "_diffusers_version": version, "beta_end": BETA_END,
            "beta_schedule": "scaled_linear", "beta_start": BETA_START, "clip_sample": False,
            "num_train_timesteps": TIMESTEPS, "set_alpha_to_one": False, "skip_prk_steps": True,
            "steps_offset": 1, "trained_betas": None,
        },
    }


def tokenizer_files(vocabulary):
    """transformers' files for CLIP's tokenizer, from OpenAI's BPE vocabulary."""
    if not vocabulary.is_file():
        sys.exit(f"make_random_checkpoint: no CLIP vocabulary at {vocabulary}; give bpe_simple_vocab_16e6.txt.gz "
                 "with --vocabulary")
    data = vocabulary.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    merges = text.split("\n")[1:VOCABULARY_SIZE - 512 - 2 + 1]
    # Bytes as printable characters: those that are printable stand for themselves.
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1),
                 *range(ord("\u00ae"), ord("\u00ff") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    entries = characters + [c + "</w>" for c in characters] + [m.replace(" ", "") for m in merges]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    assert len(entries) == VOCABULARY_SIZE, len(entries)

    def special(content, typed=True):
        token = {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        return {"__type": "AddedToken", **token} if typed else token

    begin, end = "<|startoftext|>", "<|endoftext|>"
    return {
        "tokenizer/vocab.json": json.dumps({entry: i for i, entry in enumerate(entries)}, ensure_ascii=False),
        "tokenizer/merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n",
        "tokenizer/special_tokens_map.json": json.dumps(
            {"bos_token": special(begin, False), "eos_token": special(end, False), "pad_token": end,
             "unk_token": special(end, False)}, indent=2),
        "tokenizer/tokenizer_config.json": json.dumps(
            {"add_prefix_space": False, "bos_token": special(begin), "do_lower_case": True,
             "eos_token": special(end), "errors": "replace", "model_max_length": CONTEXT_LENGTH,
             "pad_token": end, "tokenizer_class": "CLIPTokenizer", "unk_token": special(end)}, indent=2),
    }


def write_diffusers(folder, model, vocabulary):
    folder.mkdir(parents=True)
    texts = {name: json.dumps(config, indent=2) for name, config in diffusers_configs(model.size).items()}
    texts |= tokenizer_files(vocabulary)
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + ("" if text.endswith("\n") else "\n"), encoding="utf-8")
    files = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    for part, file in files.items():
        write_safetensors(folder / part / (file + ".safetensors"), model.diffusers(part), model.dtype,
                          {"format": "pt"})


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
