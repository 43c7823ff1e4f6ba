"""Training of heads by stochastic gradient descent, on images that are shifted and mirrored.

Momentum 0.9, a learning rate divided by ten at given epochs, cross entropy; each batch of images is
cropped from a border of `pad` zeros and mirrored at random, then encoded and pooled (Thiry et al.,
ICLR 2021, appendix). Epochs end with a checkpoint from which training goes on bit for bit
(on one device); a run may be told to stop, checkpointed, after some wall time.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from thiry_calc.linear import store
from thiry_calc.linear.suggestion import suggestion
from vision.code_cache import code_key
from vision.knn import PatchCode
from vision.pooling import Cells

__all__ = ["Schedule", "TrainingStopped", "train"]

KIND = "training checkpoint"


@dataclass(frozen=True)
class Schedule:
    """How to descend.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate, momentum : float
    milestones : tuple of int
        Epochs after which the learning rate is divided by ten.
    pad : int
        Pixels by which images are shifted at most.
    flip : bool
        Mirror half of the images, left to right.
    mixed_precision : bool
        Products of the head in bfloat16.
    """

    epochs: int = 80
    batch_size: int = 128
    learning_rate: float = 3e-3
    momentum: float = 0.9
    milestones: tuple[int, ...] = (50, 75)
    pad: int = 4
    flip: bool = True
    mixed_precision: bool = False

    @classmethod
    def of(cls, changes: Mapping[str, Any] | None) -> "Schedule":
        """Build from a mapping of some of the attributes.

        Raises
        ------
        ValueError
            An unknown name, a value of another type, or a number out of range.
        """
        names = [f.name for f in fields(cls)]
        for name in changes or {}:
            if name not in names:
                raise ValueError(f"schedule has no {name!r}; {suggestion(name, names, 'it has')}")
        schedule = cls(**{**(changes or {})})
        for f in fields(cls):
            _check_kind(f.name, getattr(schedule, f.name), f.default)
        if (
            schedule.epochs < 1
            or schedule.batch_size < 2
            or schedule.pad < 0
            or not 0 < schedule.learning_rate < np.inf
            or not 0 <= schedule.momentum < 1
        ):
            raise ValueError(
                f"epochs {schedule.epochs}, batch_size {schedule.batch_size}, pad {schedule.pad}, "
                f"learning_rate {schedule.learning_rate}, momentum {schedule.momentum} given; "
                "expected at least 1, 2 and 0, above 0, and 0 to below 1"
            )
        return schedule


def _check_kind(name: str, value: Any, default: Any) -> None:
    """Refuse a value of a schedule that is not of the type of its default."""
    if isinstance(default, tuple):
        fits = isinstance(value, (tuple, list)) and all(type(v) is int for v in value)
    else:
        fits = type(value) is type(default) or (type(default) is float and type(value) is int)
    if not fits:
        raise ValueError(f"schedule {name}={value!r} given; expected a value like {default!r}")


class TrainingStopped(RuntimeError):
    """The wall time given was over; the checkpoint holds what was done."""


def train(
    code: PatchCode,
    cells: Cells,
    head: nn.Module,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    schedule: Schedule,
    device: str = "cpu",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    max_seconds: float | None = None,
    progress: bool = False,
) -> list[float]:
    """Train a head in place.

    Parameters
    ----------
    code : PatchCode
    cells : Cells
    head : nn.Module
        Pooled codes (B, g, g, 2, N) to scores (B, T).
    images : (n, H, W, C) uint8 array
    classes : (n,) int64 array
    schedule : Schedule
    device : str
        Of torch: "cpu", "cuda", ...
    seed : int
    checkpoint : path, optional
        File that is written after each epoch, and read first where it exists.
    max_seconds : float, optional
        Wall time after which no further epoch is begun.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    list of float
        Mean loss of each epoch.

    Raises
    ------
    TrainingStopped
        When time was over before the last epoch.
    RuntimeError
        When the loss diverges.
    ValueError
        A device that torch lacks; a checkpoint of other images, parameters or code; wall time
        without a checkpoint.
    """
    if max_seconds is not None and checkpoint is None:
        raise ValueError("max_seconds given without a checkpoint; name a file to resume from")
    _check_device(device)
    begun = time.monotonic()
    code, head = code.to(device), head.to(device)
    optimizer = torch.optim.SGD(head.parameters(), schedule.learning_rate, schedule.momentum)
    key = _fingerprint(code, cells, head, images, classes, schedule, seed)
    losses = [] if checkpoint is None else _resume(Path(checkpoint), key, head, optimizer)
    data = torch.from_numpy(images).to(device), torch.from_numpy(classes).to(device)
    with tqdm(
        total=schedule.epochs, initial=len(losses), unit="epoch", disable=not progress
    ) as bar:
        for epoch in range(len(losses), schedule.epochs):
            if max_seconds is not None and time.monotonic() - begun > max_seconds:
                raise TrainingStopped(
                    f"stopped after {epoch} of {schedule.epochs} epochs and {max_seconds:g} s; run "
                    f"it again to go on from {str(checkpoint)!r}"
                )
            for group in optimizer.param_groups:
                passed = sum(epoch >= m for m in schedule.milestones)
                group["lr"] = schedule.learning_rate * 0.1**passed
            rng = np.random.default_rng((seed, epoch))
            losses.append(_epoch(code, cells, head, *data, schedule, optimizer, rng))
            if not np.isfinite(losses[-1]):
                raise RuntimeError(
                    f"the loss is not finite in epoch {epoch + 1}; lower learning_rate, now "
                    f"{schedule.learning_rate:g}"
                )
            if checkpoint is not None:
                _keep(Path(checkpoint), key, losses, head, optimizer)
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.4f}")
    head.eval()
    return losses


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {device!r} cannot be used ({reason}); give device='cpu', or "
            "install torch for it"
        ) from error


def _epoch(
    code: PatchCode,
    cells: Cells,
    head: nn.Module,
    images: Tensor,
    classes: Tensor,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
) -> float:
    head.train()
    order = rng.permutation(len(images))
    total, seen = torch.zeros((), device=images.device), 0
    for start in range(0, len(order), schedule.batch_size):
        rows = torch.from_numpy(order[start : start + schedule.batch_size]).to(images.device)
        if len(rows) < 2:
            continue  # batch normalisation needs two
        batch = augment(images[rows], schedule.pad, schedule.flip, rng)
        with torch.no_grad():
            pooled = code.pooled(batch, cells)
        kind = images.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=schedule.mixed_precision):
            scores = head(pooled)
        loss = nn.functional.cross_entropy(scores.float(), classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
        seen += len(rows)
    return float(total) / max(seen, 1)


def augment(images: Tensor, pad: int, flip: bool, rng: np.random.Generator) -> Tensor:
    """Shift each image by up to `pad` pixels into a border of zeros, and mirror it or not.

    Parameters
    ----------
    images : (B, H, W, C) tensor
    pad : int
    flip : bool
    rng : Generator

    Returns
    -------
    (B, H, W, C) tensor
    """
    B, H, W, _ = images.shape
    shift = torch.from_numpy(rng.integers(0, 2 * pad + 1, (2, B))).to(images.device)
    mirror = torch.from_numpy(rng.integers(0, 2, B)).to(images.device).bool() & flip
    padded = nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    y = torch.arange(H, device=images.device) + shift[0][:, None]
    x = torch.arange(W, device=images.device).expand(B, W)
    x = torch.where(mirror[:, None], W - 1 - x, x) + shift[1][:, None]
    rows = torch.arange(B, device=images.device)[:, None, None]
    return padded[rows, y[:, :, None], x[:, None, :]]


def _fingerprint(
    code: PatchCode,
    cells: Cells,
    head: nn.Module,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    schedule: Schedule,
    seed: int,
) -> str:
    digest = hashlib.sha256(code_key(images, code, cells).encode())
    digest.update(np.ascontiguousarray(classes).data)
    shapes = {k: list(v.shape) for k, v in head.state_dict().items()}
    told = [asdict(schedule), seed, shapes]
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()


def _keep(
    path: Path, key: str, losses: list[float], head: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    arrays = {f"head.{k}": v.cpu().numpy() for k, v in head.state_dict().items()}
    for number, parameter in enumerate(head.parameters()):
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            arrays[f"momentum.{number}"] = momentum.cpu().numpy()
    store.save(path, {"key": key, "losses": losses}, arrays, KIND, schema=1)


def _resume(path: Path, key: str, head: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    if not path.exists():
        return []
    header, arrays = store.load(path, KIND)
    if header["key"] != key:
        raise ValueError(
            f"the checkpoint {str(path)!r} is of other images or parameters; delete it or name "
            "another"
        )
    state = {k[5:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("head.")}
    head.load_state_dict(state)
    for number, parameter in enumerate(head.parameters()):
        momentum = arrays.get(f"momentum.{number}")
        if momentum is not None:
            buffer = torch.from_numpy(momentum).to(parameter.device)
            optimizer.state[parameter]["momentum_buffer"] = buffer
    return [float(v) for v in header["losses"]]
