"""Draws with the reference programs on a CPU, so that Easel's pictures can be held against theirs.

    reference.py compvis   --ckpt model.ckpt --config v1-inference.yaml ...   CompVis's own code, with
                           its samplers or, for euler, euler_a, dpmpp_2m (and _karras), k-diffusion's
    reference.py diffusers --model folder ...                                 diffusers: DDIM, DDPM

Noise comes from torch.manual_seed(seed) directly before sampling, drawn as the reference draws it:
what Easel calls --rng cpu --seeding batch. Writes latents, float pictures and timings to --output (npz).

Environment: EASEL_COMPVIS is a checkout of CompVis/stable-diffusion, EASEL_CLIP_VOCABULARY the BPE file.
"""

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import torch


def clip_tokenizer_folder(vocabulary: Path, folder: Path) -> Path:
    """vocab.json and merges.txt as the hub's clip-vit-large-patch14 has them, from the BPE file."""
    merges = gzip.open(vocabulary).read().decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    entries = letters + [letter + "</w>" for letter in letters]
    entries += ["".join(merge.split()) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(entries)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return folder


def load_compvis(ckpt: Path, config: Path):
    """CompVis's LatentDiffusion with its text encoder made locally instead of from the hub."""
    sys.path.insert(0, os.environ["EASEL_COMPVIS"])
    # taming-transformers is only needed by the VQ first stages.
    for name in ["taming", "taming.modules", "taming.modules.vqvae", "taming.modules.vqvae.quantize"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["taming.modules.vqvae.quantize"].VectorQuantizer2 = object
    for name in ["clip", "kornia"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    import transformers
    from omegaconf import OmegaConf

    yaml = OmegaConf.load(config)
    cond = yaml.model.params.cond_stage_config
    sizes = {key: value for key, value in (cond.get("params") or {}).items()
             if key in transformers.CLIPTextConfig().to_dict()}
    text_config = transformers.CLIPTextConfig(
        **{**dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                  num_attention_heads=12, vocab_size=49408), **sizes})
    if "params" in cond:
        del cond["params"]
    scratch = tempfile.TemporaryDirectory()
    folder = clip_tokenizer_folder(Path(os.environ["EASEL_CLIP_VOCABULARY"]), Path(scratch.name))
    transformers.CLIPTextModel.from_pretrained = classmethod(lambda cls, *a, **k: cls(text_config))
    original = transformers.CLIPTokenizer.from_pretrained.__func__
    transformers.CLIPTokenizer.from_pretrained = classmethod(
        lambda cls, *a, **k: original(cls, str(folder), pad_token="<|endoftext|>", model_max_length=77))

    from ldm.util import instantiate_from_config
    import ldm.modules.encoders.modules as encoders

    encoders.FrozenCLIPEmbedder.__init__.__defaults__ = tuple(
        "cpu" if default == "cuda" else default
        for default in encoders.FrozenCLIPEmbedder.__init__.__defaults__)
    model = instantiate_from_config(yaml.model)
    state = torch.load(ckpt, map_location="cpu", weights_only=False)["state_dict"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [key for key in missing if "position_ids" not in key]
    unexpected = [key for key in unexpected if "position_ids" not in key and "model_ema" not in key]
    if missing or unexpected:
        sys.exit(f"reference: missing {missing[:5]}, unexpected {unexpected[:5]}")
    return model.eval()


def compvis_sampling(model, options):
    """CompVis's own sampler as a function of the two conditionings."""
    from ldm.models.diffusion.ddim import DDIMSampler
    from ldm.models.diffusion.dpm_solver import DPMSolverSampler
    from ldm.models.diffusion.plms import PLMSSampler

    kind = {"ddim": DDIMSampler, "plms": PLMSSampler, "dpm_solver": DPMSolverSampler}[options.sampler]
    kind.register_buffer = lambda self, name, attr: setattr(self, name, attr)  # theirs moves it to CUDA
    sampler = kind(model)

    def sample(c, uc):
        latents, _ = sampler.sample(
            S=options.steps, conditioning=c, batch_size=options.n_samples,
            shape=[4, options.H // 8, options.W // 8], verbose=False,
            unconditional_guidance_scale=options.scale, unconditional_conditioning=uc,
            eta=options.eta, x_T=None)
        return latents

    return sample


def k_diffusion_sampling(model, options):
    """k-diffusion's samplers around CompVis's model, put together as AUTOMATIC1111's webui does."""
    import k_diffusion

    denoiser = k_diffusion.external.CompVisDenoiser(model)
    name = options.sampler.removesuffix("_karras")
    function = {"euler": k_diffusion.sampling.sample_euler,
                "euler_a": k_diffusion.sampling.sample_euler_ancestral,
                "dpmpp_2m": k_diffusion.sampling.sample_dpmpp_2m}[name]
    if options.sampler.endswith("_karras"):
        sigmas = k_diffusion.sampling.get_sigmas_karras(
            options.steps, denoiser.sigmas[0].item(), denoiser.sigmas[-1].item())
    else:
        sigmas = denoiser.get_sigmas(options.steps)

    def sample(c, uc):
        def guided(x, sigma):
            if uc is None:
                return denoiser(x, sigma, cond=c)
            u, g = denoiser(torch.cat([x, x]), torch.cat([sigma, sigma]), cond=torch.cat([uc, c])).chunk(2)
            return u + options.scale * (g - u)

        x = torch.randn([options.n_samples, 4, options.H // 8, options.W // 8]) * sigmas[0]
        return function(guided, x, sigmas, disable=True)

    return sample


def draw_compvis(options) -> dict:
    model = load_compvis(options.ckpt, options.config)
    compvis = options.sampler in ("ddim", "plms", "dpm_solver")
    sample = (compvis_sampling if compvis else k_diffusion_sampling)(model, options)
    batch = options.n_samples
    results = []
    with torch.no_grad():
        torch.manual_seed(options.seed)
        for _ in range(options.n_iter):
            uc = model.get_learned_conditioning(batch * [""]) if options.scale != 1 else None
            c = model.get_learned_conditioning(batch * [options.prompt])
            start = time.perf_counter()
            latents = sample(c, uc)
            seconds = time.perf_counter() - start
            pictures = torch.clamp((model.decode_first_stage(latents) + 1) / 2, 0, 1)
            results.append((latents, pictures, c, seconds))
    return {
        "latents": torch.cat([r[0] for r in results]).numpy(),
        "pictures": torch.cat([r[1] for r in results]).permute(0, 2, 3, 1).numpy(),
        "context": results[0][2].numpy(), "seconds": sum(r[3] for r in results)}


def draw_diffusers(options) -> dict:
    import diffusers

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        options.model, safety_checker=None, local_files_only=True)
    schedulers = {
        "ddim": (diffusers.DDIMScheduler, {}),
        "ddpm": (diffusers.DDPMScheduler, {"timestep_spacing": "linspace", "variance_type": "fixed_small",
                                           "clip_sample": False}),
    }
    scheduler, settings = schedulers[options.sampler]
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **settings)
    generator = torch.Generator("cpu").manual_seed(options.seed)
    noise = torch.randn([options.n_samples, 4, options.H // 8, options.W // 8], generator=generator)
    start = time.perf_counter()
    latents = pipe(options.prompt, height=options.H, width=options.W, guidance_scale=options.scale,
                   num_inference_steps=options.steps, num_images_per_prompt=options.n_samples,
                   latents=noise, generator=generator, eta=options.eta, output_type="latent").images
    seconds = time.perf_counter() - start
    with torch.no_grad():
        decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    pictures = torch.clamp((decoded + 1) / 2, 0, 1)
    return {"latents": latents.numpy(), "pictures": pictures.permute(0, 2, 3, 1).numpy(),
            "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["compvis", "diffusers"])
    parser.add_argument("--ckpt", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--prompt", default="a photograph of an astronaut riding a horse")
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--H", type=int, default=256)
    parser.add_argument("--W", type=int, default=256)
    parser.add_argument("--n_samples", type=int, default=1)
    parser.add_argument("--n_iter", type=int, default=1)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--scale", type=float, default=7.5)
    parser.add_argument("--eta", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    np.savez(options.output, **{"compvis": draw_compvis, "diffusers": draw_diffusers}[options.peer](options))


if __name__ == "__main__":
    main()
