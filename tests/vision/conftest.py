"""Fixtures of the tests of `vision`; `small_images` makes their images."""

import pytest
import torch
from small_images import gratings


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small():
    """150 images to fit."""
    return gratings(150)


@pytest.fixture(scope="session")
def fresh():
    """60 others to test."""
    return gratings(60, seed=1)
