"""Regions of a mask: connected components, holes, growing and shrinking."""

import numpy as np


def _runs(mask: np.ndarray) -> list:
    """Of every row the stretches of the mask, as (start, stop)."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges > 0)
    _, stops = np.nonzero(edges < 0)
    runs = [[] for _ in mask]
    for row, start, stop in zip(rows.tolist(), starts.tolist(), stops.tolist()):
        runs[row].append((start, stop))
    return runs


def components(mask: np.ndarray, diagonal: bool = True) -> tuple:
    """Labels, 0 outside the mask and 1 to n within, and n; with `diagonal`, pixels that meet at a corner touch."""
    parent = [0]

    def root(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    reach = 1 if diagonal else 0
    rows, above = [], []
    for runs in _runs(mask):
        current = []
        for start, stop in runs:
            label = 0
            for other_start, other_stop, other in above:
                if other_start < stop + reach and start < other_stop + reach:
                    other = root(other)
                    if label and other != label:
                        label, other = min(label, other), max(label, other)
                        parent[other] = label
                    else:
                        label = other
            if not label:
                label = len(parent)
                parent.append(label)
            current.append((start, stop, label))
        rows.append(current)
        above = current
    numbers = {}
    labels = np.zeros(mask.shape, np.int32)
    for y, current in enumerate(rows):
        for start, stop, label in current:
            labels[y, start:stop] = numbers.setdefault(root(label), len(numbers) + 1)
    return labels, len(numbers)


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """The mask and everything it encloses."""
    outside, _ = components(np.pad(~mask, 1, constant_values=True), diagonal=False)
    return (outside != outside[0, 0])[1:-1, 1:-1]


def grow(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """Adds a rim of `steps` pixels."""
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask


def shrink(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """Takes a rim of `steps` pixels away; the picture's own edge takes nothing."""
    return ~grow(~mask, steps)
