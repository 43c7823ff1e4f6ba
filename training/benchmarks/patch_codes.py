"""Speed of the patch code on a CPU: threshold by counting against numpy.partition.

    python -m training.benchmarks.patch_codes --patches 2048

Codes of the same products, pooled into 3 x 3 cells: by the compiled kernel, and by partition,
comparison and sums in numpy; and images per second from pixels to pooled codes.
"""

import argparse
import json
import time

import numpy as np
import torch
from numpy.typing import NDArray

from vision.knn import PatchCode, PatchDictionary
from vision.knn_kernels import pool_codes
from vision.pooling import Cells


def by_partition(
    products: NDArray[np.float32], bias: NDArray[np.float32], k: int, cells: Cells
) -> NDArray[np.float32]:
    """Sum codes over cells, as one would write it in numpy."""
    g = cells.side
    sums = np.empty((len(products), g, g, 2, products.shape[-1]), np.float32)
    for sign, turn in enumerate((1, -1)):
        scores = turn * products - bias
        tau = np.partition(scores, -k, axis=-1)[..., -k, None]
        codes = scores >= tau
        for a in range(g):
            for c in range(g):
                rows = slice(cells.starts[0, a], cells.stops[0, a])
                columns = slice(cells.starts[1, c], cells.stops[1, c])
                sums[:, a, c, sign] = codes[:, rows, columns].sum((1, 2))
    return sums


def main() -> None:
    """Time both on random images of CIFAR-10's size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=2048, help="size of the dictionary")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=0.0)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (args.images, 8, 8, 3), dtype=np.uint8)
    images = smooth.repeat(4, 1).repeat(4, 2) // 2 + rng.integers(0, 128, (1, 32, 32, 3)).astype(
        "u1"
    )
    dictionary = PatchDictionary.fit(images, 6, args.patches, rng)
    code = PatchCode(dictionary, int(0.4 * args.patches), args.temperature)
    cells = Cells.build((27, 27), 3)
    batch = torch.from_numpy(images[:16])
    products = code.products(batch).numpy()
    hard = (dictionary.bias, code.k, np.float32(0))
    times = {}
    for name in ("counting", "partition"):
        for _ in range(2):  # the first call compiles
            begun = time.perf_counter()
            if name == "counting":
                sums = np.zeros((16, 3, 3, 2, args.patches), np.float32)
                pool_codes(products, *hard, cells.starts, cells.stops, sums)
            else:
                expected = by_partition(products, dictionary.bias, code.k, cells)
            times[name] = (time.perf_counter() - begun) / 16
    assert np.array_equal(sums, expected)
    code.pooled(batch, cells)
    begun = time.perf_counter()
    code.pooled(torch.from_numpy(images), cells)
    rate = args.images / (time.perf_counter() - begun)
    print(
        json.dumps(
            {
                "counting_ms_per_image": 1e3 * times["counting"],
                "partition_ms_per_image": 1e3 * times["partition"],
                "ratio": times["partition"] / times["counting"],
                "images_per_second": rate,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
