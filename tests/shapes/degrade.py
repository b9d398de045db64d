"""Makes pictures worse in the way of a small autoencoder: blurred, and noisy at about 28 dB."""

import numpy as np


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-np.arange(-reach, reach + 1) ** 2 / (2 * sigma**2))
    kernel /= kernel.sum()
    picture = picture.astype(float)
    for axis in (0, 1):
        padding = [(reach, reach) if axis == each else (0, 0) for each in range(3)]
        padded = np.pad(picture, padding, mode="edge")
        size = picture.shape[axis]
        picture = sum(weight * np.take(padded, np.arange(i, i + size), axis) for i, weight in enumerate(kernel))
    return picture


def degraded(picture: np.ndarray, seed: int, sigma: float = 1.0, noise: float = 10.0) -> np.ndarray:
    noisy = blurred(picture, sigma) + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
