"""Gives an autoencoder latents whose channels are uncorrelated and of variance 1.

With a weak KL term an autoencoder puts most of its variance into one direction, the picture's brightness, and what
makes edges sharp into directions a hundred times smaller. Diffusion sees those only below the last levels of noise,
and draws blobs. Here the principal components of the latents, each divided by its deviation, become the channels;
the smallest, which hold nothing but the posterior's own noise, are left out. That is a linear map of the latents and
its inverse, so it goes into the 1x1 convolutions on either side of them, quant_conv and post_quant_conv, and the
autoencoder stays what it was. The log-variances become constants, one a channel.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from . import tensors


def whitening(moments: np.ndarray, channels: int) -> tuple:
    """(to [K, C], mean [C], log-variance [K]) of latents z' = to (z - mean); moments are [N, 2 C, h, w]."""
    mean, logvar = np.split(moments.astype(np.float64), 2, axis=1)
    rows = mean.transpose(0, 2, 3, 1).reshape(-1, mean.shape[1])
    centre = rows.mean(0)
    variances, directions = np.linalg.eigh(np.cov(rows.T))
    order = np.argsort(variances)[::-1][:channels]
    to = (directions[:, order] / np.sqrt(variances[order])).T
    noise = np.exp(logvar).mean((0, 2, 3))
    return to, centre, np.log((to**2) @ noise)


def whitened(weights: dict, to: np.ndarray, centre: np.ndarray, logvar: np.ndarray) -> dict:
    """The autoencoder's weights with quant_conv and post_quant_conv as they should be."""
    channels, old = to.shape
    back = np.linalg.pinv(to)  # [C, K]
    conv, bias = weights["quant_conv.weight"].astype(np.float64), weights["quant_conv.bias"].astype(np.float64)
    post, post_bias = (weights[f"post_quant_conv.{name}"].astype(np.float64) for name in ("weight", "bias"))
    mean_rows = np.tensordot(to, conv[:old], 1)
    changed = {
        "quant_conv.weight": np.concatenate([mean_rows, np.zeros_like(mean_rows)]),
        "quant_conv.bias": np.concatenate([to @ (bias[:old] - centre), logvar]),
        "post_quant_conv.weight": np.einsum("oixy,ik->okxy", post, back),
        "post_quant_conv.bias": post_bias + post[:, :, 0, 0] @ centre,
    }
    return {name: changed.get(name, values).astype(values.dtype) for name, values in weights.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="whiten_shapes", description=__doc__)
    parser.add_argument("autoencoder", type=Path, help="its weights, .safetensors")
    parser.add_argument("latents", type=Path, help="a cache of its latents, as cache_latents names it")
    parser.add_argument("output", type=Path, help="the new weights")
    parser.add_argument("--channels", type=int, default=6, metavar="N", help="of the new latents [6]")
    parser.add_argument("--count", type=int, default=4000, metavar="N", help="pictures looked at [4000]")
    options = parser.parse_args()
    weights, metadata = tensors.read(options.autoencoder)
    moments = tensors.read(options.latents)[0]["moments"][:options.count]
    if not 1 <= options.channels <= moments.shape[1] // 2:
        sys.exit(f"whiten_shapes: error: --channels is 1 to {moments.shape[1] // 2}")
    to, centre, logvar = whitening(moments, options.channels)
    tensors.write(options.output, whitened(weights, to, centre, logvar), metadata)
    print("deviations of the channels before:", (1 / np.linalg.norm(to, axis=1)).round(3).tolist(), file=sys.stderr)


if __name__ == "__main__":
    main()
