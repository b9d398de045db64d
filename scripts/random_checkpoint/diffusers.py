"""A diffusers folder: configs, tokenizer, weights."""

import gzip
import json
import sys

from .architecture import BETA_END, BETA_START, CONTEXT_LENGTH, LATENT_CHANNELS, SCALE_FACTOR, SIZES, TIMESTEPS, VOCABULARY_SIZE
from .weights import write_safetensors


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
