"""Small labelled images for the tests: gratings of three directions, with noise."""

import numpy as np

from vision.data import ImageSet


def gratings(count, size=14, channels=3, seed=0):
    """`count` images of `size` x `size` pixels, classes 0, 1, 2 in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    y, x = np.mgrid[:size, :size]
    direction = np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]])[labels]
    phase = rng.uniform(0, 2 * np.pi, count)[:, None, None]
    wave = direction[:, 0, None, None] * x + direction[:, 1, None, None] * y
    grey = 128 + 60 * np.cos(1.3 * wave + phase)
    colour = grey[..., None] + rng.uniform(-20, 20, (count, 1, 1, channels))
    noisy = colour + rng.normal(0, 25, (count, size, size, channels))
    return ImageSet(
        np.clip(noisy, 0, 255).astype(np.uint8),
        labels.astype(np.int64),
        ("flat", "steep", "oblique"),
    )
