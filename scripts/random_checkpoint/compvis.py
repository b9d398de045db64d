"""Checkpoints as CompVis's training leaves them, and their config."""

import sys
import types

import numpy
import torch

from .architecture import (BETA_END, BETA_START, CONTEXT_LENGTH, LATENT_CHANNELS, SCALE_FACTOR, SIZES, TIMESTEPS,
                           VOCABULARY_SIZE)


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
