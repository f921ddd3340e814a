"""What smashed data of each class look like: running means and variances, of which later rows count more."""

from typing import Any

import torch
from torch import Tensor


class ClassGaussians:
    """A Gaussian with a diagonal covariance of the smashed data of each class, at each cut layer by itself.

    A row that comes in the u-th update has the weight u, as in GAS (arXiv 2409.01251): with weights w of all rows of a
    class so far its mean is sum w z / sum w, and its variance sum w (z - mean)^2 / sum w, entry by entry.

    Args:
        classes: K.

    Attributes:
        generated: Rows that were generated in the last update.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._updates = self.generated = 0
        self._at_cut: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def update(self, cut_layer: int, rows: Tensor, labels: Tensor) -> None:
        """Counts the smashed data of an update, [r, ...], with their labels, [r]; of half precision in single."""
        self._updates += 1
        rows = rows.float() if rows.dtype is torch.bfloat16 else rows
        if cut_layer not in self._at_cut:
            moments = torch.zeros(2, self._classes, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
            self._at_cut[cut_layer] = (torch.zeros(self._classes, dtype=torch.float64), *moments)
        weight, mean, variance = self._at_cut[cut_layer]
        for label in labels.unique().tolist():
            own = rows[labels == label]
            added = float(self._updates * len(own))
            weight[label] += added
            share = added / float(weight[label])
            apart = own.mean(0) - mean[label]
            mean[label] += share * apart
            within = (1 - share) * variance[label] + share * own.var(0, correction=0)
            variance[label] = within + share * (1 - share) * apart.square()

    def moments(self, cut_layer: int, label: int) -> tuple[Tensor, Tensor] | None:
        """Mean and variance of a class; None: no row of it has come."""
        if not self.known(cut_layer)[label]:
            return None
        _, mean, variance = self._at_cut[cut_layer]
        return mean[label], variance[label]

    def known(self, cut_layer: int) -> Tensor:
        """[K] bools: of which classes rows have come."""
        if cut_layer not in self._at_cut:
            return torch.zeros(self._classes, dtype=torch.bool)
        return self._at_cut[cut_layer][0] > 0

    def draw(self, cut_layer: int, labels: Tensor, chance: torch.Generator | None) -> Tensor:
        """[r, ...] generated smashed data of known classes, [r]."""
        _, mean, variance = self._at_cut[cut_layer]
        noise = torch.randn(len(labels), *mean.shape[1:], generator=chance, dtype=mean.dtype).to(mean.device)
        return torch.addcmul(mean[labels], variance[labels].sqrt(), noise)

    def state_dict(self) -> dict[str, Any]:
        """What `update` changes, as tensors and plain values."""
        moments = {cut: [each.clone() for each in own] for cut, own in self._at_cut.items()}
        return {"updates": self._updates, "generated": self.generated, "at_cut": moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self._updates, self.generated = state["updates"], state["generated"]
        self._at_cut = {cut: tuple(each.clone() for each in own) for cut, own in state["at_cut"].items()}
