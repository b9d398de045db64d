"""Whitened latents: uncorrelated, of variance 1, and the same pictures."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from shapes import tensors
from shapes.whiten import whitened, whitening

CHANNELS, SIDE, COUNT = 5, 4, 200


def moments(small: float) -> np.ndarray:
    """Correlated latents whose last direction has the deviation `small`, and their log-variances."""
    dice = np.random.default_rng(1)
    mixing = dice.normal(size=(CHANNELS, CHANNELS))
    sources = dice.normal(size=(COUNT, CHANNELS, SIDE, SIDE)) * np.array([9, 3, 1, 0.5, small])[:, None, None]
    mean = np.einsum("oc,nchw->nohw", mixing, sources) + np.arange(CHANNELS)[:, None, None]
    return np.concatenate([mean, np.full_like(mean, np.log(1e-4))], axis=1)


def weights() -> dict:
    dice = np.random.default_rng(2)
    shapes = {"quant_conv.weight": (2 * CHANNELS, 7, 1, 1), "quant_conv.bias": (2 * CHANNELS,),
              "post_quant_conv.weight": (6, CHANNELS, 1, 1), "post_quant_conv.bias": (6,), "encoder.x": (3,)}
    return {name: dice.normal(size=shape) for name, shape in shapes.items()}


def conv(x: np.ndarray, layer: dict, name: str) -> np.ndarray:
    """A 1x1 convolution of x [N, C]."""
    return x @ layer[f"{name}.weight"][:, :, 0, 0].T + layer[f"{name}.bias"]


class WhitenTest(unittest.TestCase):
    def test_channels_are_uncorrelated_and_of_variance_1(self):
        given = moments(0.5)
        to, centre, logvar = whitening(given, CHANNELS)
        rows = (given[:, :CHANNELS].transpose(0, 2, 3, 1).reshape(-1, CHANNELS) - centre) @ to.T
        np.testing.assert_allclose(np.cov(rows.T), np.eye(CHANNELS), atol=1e-9)
        np.testing.assert_allclose(rows.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(logvar, np.log(1e-4 * (to**2).sum(1)))

    def test_the_autoencoder_stays_what_it_was(self):
        old = weights()
        new = whitened(old, *whitening(moments(0.5), CHANNELS))
        hidden = np.random.default_rng(3).normal(size=(50, 7))
        latents = conv(hidden, old, "quant_conv")[:, :CHANNELS]
        np.testing.assert_allclose(conv(conv(hidden, new, "quant_conv")[:, :CHANNELS], new, "post_quant_conv"),
                                   conv(latents, old, "post_quant_conv"), atol=1e-9)
        np.testing.assert_array_equal(new["encoder.x"], old["encoder.x"])

    def test_the_smallest_components_go(self):
        given = moments(1e-6)
        to, centre, logvar = whitening(given, CHANNELS - 1)
        new = whitened(weights(), to, centre, logvar)
        self.assertEqual(new["quant_conv.weight"].shape, (2 * (CHANNELS - 1), 7, 1, 1))
        self.assertEqual(new["post_quant_conv.weight"].shape, (6, CHANNELS - 1, 1, 1))
        rows = given[:, :CHANNELS].transpose(0, 2, 3, 1).reshape(-1, CHANNELS)
        back = (rows - centre) @ to.T @ np.linalg.pinv(to).T + centre
        np.testing.assert_allclose(back, rows, atol=1e-4)


class TensorsTest(unittest.TestCase):
    def test_files_come_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.safetensors"
            given = {"b": np.arange(6, dtype=np.float16).reshape(2, 3), "a": np.array(2.5, dtype=np.float32),
                     "c": np.arange(3, dtype=np.int64)}
            tensors.write(path, given, {"k": "v"})
            found, metadata = tensors.read(path)
            self.assertEqual(metadata, {"k": "v"})
            self.assertEqual(sorted(found), sorted(given))
            for name, values in given.items():
                self.assertEqual(found[name].dtype, values.dtype)
                np.testing.assert_array_equal(found[name], values)


if __name__ == "__main__":
    unittest.main()
