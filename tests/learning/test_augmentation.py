"""Random symmetries of training images, against all eight made by hand."""

import numpy as np
import torch

from splitgym.learning import Learner
from splitgym.learning.augmentation import random_symmetries
from splitgym.scenario import build
from splitgym.types import Decision


def symmetries(image: np.ndarray) -> list[np.ndarray]:
    """All eight of a square image [c, h, w], the identity first."""
    turned = [np.rot90(image, quarter, axes=(1, 2)) for quarter in range(4)]
    return [*turned, *(each[:, :, ::-1] for each in turned)]


def test_every_image_becomes_one_of_its_eight_symmetries_and_all_of_them_occur() -> None:
    images = torch.arange(4 * 50 * 2 * 3 * 3, dtype=torch.float32).view(4, 50, 2, 3, 3)
    changed = random_symmetries(images, torch.Generator().manual_seed(0))
    seen = np.zeros(8, int)
    for before, after in zip(images.flatten(0, 1).numpy(), changed.flatten(0, 1).numpy(), strict=True):
        equal = [np.array_equal(each, after) for each in symmetries(before)]
        assert sum(equal) == 1
        seen[equal.index(True)] += 1
    assert seen.min() > 200 / 8 / 2


def test_an_image_that_is_not_square_is_only_mirrored() -> None:
    images = torch.arange(60 * 6, dtype=torch.float32).view(3, 20, 1, 2, 3)
    changed = random_symmetries(images, torch.Generator().manual_seed(0))
    kinds = set()
    for before, after in zip(images.flatten(0, 1), changed.flatten(0, 1), strict=True):
        options = [before, before.flip(-1), before.flip(-2), before.flip((-1, -2))]
        kinds.add([torch.equal(each, after) for each in options].index(True))
    assert kinds == {0, 1, 2, 3}


def test_rows_stay_channels_last_and_the_input_as_it_was() -> None:
    images = torch.randn(2, 5, 3, 4, 4)
    kept = images.clone()
    changed = random_symmetries(images, torch.Generator().manual_seed(1))
    assert changed.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, kept)


def test_a_learner_augments_if_told_so_and_repeats_itself() -> None:
    decision = Decision(1, np.zeros(8, np.int64), np.zeros(8), np.ones(3, bool), 0.0)
    losses = []
    for augmentation in ("none", "symmetries", "symmetries"):
        task = {"augmentation": augmentation, "train_samples": 200, "evaluation_samples": 20}
        learner = Learner(build("iot", {"task": task, "clients": {"count": 3}}), "psl", 1, "cpu")
        losses.append([learner.round(decision).loss for _ in range(3)])
    assert losses[0] != losses[1]
    assert losses[1] == losses[2]
