"""Random choices that stay the same from one Python version to the next."""

import random


class Dice:
    """Draws from the stream of Random.random(), the only one whose values Python guarantees for a seed."""

    def __init__(self, *seed):
        self._random = random.Random("/".join(map(str, seed))).random

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return low + int(self._random() * (high - low + 1))

    def choose(self, items):
        return items[int(self._random() * len(items))]

    def weighted(self, weights: dict):
        """A key of weights, each as probable as its weight."""
        left = self._random() * sum(weights.values())
        for key, weight in weights.items():
            left -= weight
            if left < 0:
                return key
        return key
