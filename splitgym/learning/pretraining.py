"""The base model that adapters are fine-tuned on: trained once, kept in the user's cache folder, then frozen.

It learns the Old Testament of `splitgym.data.text`, with AdamW at a rate that rises and then falls to nothing; clients
have the New Testament. Its seed is always the same, so all learners of a machine have the same base.
"""

import os
import sys
from collections.abc import Mapping
from hashlib import sha256
from math import cos, pi
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from platformdirs import user_cache_path
from torch import Tensor

from splitgym.data.text import base_text
from splitgym.files import read_arrays
from splitgym.kernels.cache import FOLDER_VARIABLE
from splitgym.models import CuttableNetwork
from splitgym.models.frozen import Frozen

NOTICE = "splitgym: training the base model on this machine, once; it takes a few minutes"
"""What somebody who waits wants to know."""


class Recipe(NamedTuple):
    """How the base model is trained."""

    steps: int = 2000
    batch_size: int = 32
    """Windows of a mini-batch."""
    learning_rate: float = 3e-3
    """The highest; it is reached after a tenth of the steps."""
    weight_decay: float = 0.01
    seed: int = 0

    def rate(self, step: int) -> float:
        """Of a step, counted from 0."""
        rise = self.steps / 10
        if step < rise:
            return self.learning_rate * (step + 1) / (rise + 1)
        return self.learning_rate * (1 + cos(pi * (step - rise) / (self.steps - rise))) / 2


def take_base_weights(network: CuttableNetwork, recipe: Recipe = Recipe()) -> None:  # noqa: B008 - it is frozen
    """Gives the frozen layers of a network their weights: those that are kept, or new ones, which are kept then.

    Raises:
        DataError: the text is not to be found.
    """
    frozen, codes = frozen_tensors(network), base_text()
    path = kept_at(recipe, codes, frozen)
    if not path.is_file():
        print(NOTICE, file=sys.stderr)
        with torch.random.fork_rng(devices=()):
            _train(network, recipe, codes)
        _keep(frozen, path)
    # What was kept counts, also where another process was quicker.
    for name, values in read_arrays(path).items():
        frozen[name].copy_(torch.tensor(values))


def frozen_tensors(network: CuttableNetwork) -> dict[str, Tensor]:
    """All frozen tensors by name."""
    layers = ((name, layer) for name, layer in network.named_modules() if isinstance(layer, Frozen))
    return {f"{name}.{own}": tensor for name, layer in layers for own, tensor in layer.named_buffers(recurse=False)}


def kept_at(recipe: Recipe, codes: NDArray[np.uint8], frozen: Mapping[str, Tensor]) -> Path:
    """Where the weights of that training are kept: in the folder that SPLITGYM_CACHE names, or in the user's."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    folder = Path(chosen).absolute() if chosen else user_cache_path("splitgym", appauthor=False)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in frozen.items()]
    what = sha256(repr((recipe, shapes)).encode() + codes.tobytes())
    return folder / "base-models" / f"{what.hexdigest()[:16]}.npz"


def _train(network: CuttableNetwork, recipe: Recipe, codes: NDArray[np.uint8]) -> None:
    """Trains the frozen tensors on windows at random places; adapters add nothing, as B = 0."""
    window = network.units[0][0].places.shape[0]  # type: ignore[index]
    text, chance = torch.from_numpy(codes.astype(np.int64)), torch.Generator().manual_seed(recipe.seed)
    for layer in network.modules():
        if isinstance(layer, Frozen):
            layer.draw(chance)
    tensors = list(frozen_tensors(network).values())
    for tensor in tensors:
        tensor.requires_grad_()
    optimizer = torch.optim.AdamW(tensors, weight_decay=recipe.weight_decay, fused=True)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        begins = torch.randint(len(text) - window, (recipe.batch_size, 1), generator=chance)
        rows = text[begins + torch.arange(window + 1)]
        loss = F.cross_entropy(network(rows[:, None, None, :-1]).flatten(0, -2), rows[:, 1:].flatten())
        gradients = torch.autograd.grad(loss, tensors)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient
        optimizer.step()
    for tensor in tensors:
        tensor.requires_grad_(False).grad = None


def _keep(frozen: Mapping[str, Tensor], path: Path) -> None:
    """Writes a file as a whole, so that nobody reads half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{uuid4().hex}.npz")
    np.savez(draft, **{name: tensor.numpy() for name, tensor in frozen.items()})  # type: ignore[arg-type]
    if path.is_file():
        draft.unlink()
    else:
        draft.replace(path)
