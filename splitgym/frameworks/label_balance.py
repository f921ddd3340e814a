"""Updates whose labels are balanced by generated smashed data, GAS (Yang and Liu, arXiv 2409.01251).

The server learns from the rows of an update and from generated ones, so many that all classes of which it has ever had
rows are equally frequent. Clients get the gradients of their own rows, as without. So the server answers them first,
and works on generated rows while gradients are on their way; its next update waits for that.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks import parallel_round
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, server_pass


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One PSL round whose server balances labels, if it keeps Gaussians; see `parallel_round.train`."""
    if round_batch.gaussians is None:
        return parallel_round.train(nodes, round_batch)
    return parallel_round.train_with(balanced_pass, nodes, round_batch)


def balanced_pass(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> CutGradients:
    """`server_pass` with generated rows behind it, which count as much as an average row of the clients.

    Batch norm takes its running statistics for them, and these stay; so it does not matter that they pass in pieces of
    a client's mini-batch.
    """
    gradients, gaussians = server_pass(nodes, smashed, round_batch), round_batch.gaussians
    assert gaussians is not None
    gaussians.generated = 0
    if not (torch.isfinite(round_batch.losses).all() and gradients.finite):
        return gradients
    cut, labels = nodes.cut_of(round_batch.participants), round_batch.labels.flatten()
    gaussians.update(cut, smashed.flatten(0, 1), labels)
    missing = missing_labels(labels, gaussians.known(cut).to(labels.device))
    if not len(missing):
        return gradients
    gaussians.generated = len(missing)
    rows = gaussians.draw(cut, missing, round_batch.chance)
    of_generated = _mean_gradients(nodes, cut, rows, missing, round_batch.labels.shape[1])
    share = len(missing) / (len(missing) + len(labels))
    both = zip(gradients.of_server, of_generated, strict=True)
    return replace(gradients, of_server=[_between(real, generated, share) for real, generated in both])


def missing_labels(labels: Tensor, known: Tensor) -> Tensor:
    """[r] labels of rows with which all known classes, [K] bools, are as frequent as the most frequent one is."""
    counts = torch.bincount(labels, minlength=len(known))
    missing = torch.where(known, counts.max() - counts, 0)
    return torch.arange(len(known), device=labels.device).repeat_interleave(missing)


def _mean_gradients(nodes: Nodes, cut: int, rows: Tensor, labels: Tensor, at_once: int) -> list[Tensor | None]:
    """Of each weight that the server trains: gradient of the mean loss of generated rows, so many in a pass."""
    server = nodes.server
    sums: list[Tensor | None] = [None] * len(server.parameters)
    server.set_mode(False)
    for some, own in zip(rows.split(at_once), labels.split(at_once), strict=True):
        loss = F.cross_entropy(server.logits(some, cut), own, reduction="sum") / len(labels)
        gradients = torch.autograd.grad(loss, server.parameters, allow_unused=True)
        sums = [_sum(total, gradient) for total, gradient in zip(sums, gradients, strict=True)]
    server.set_mode(True)
    return sums


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other


def _between(real: Tensor | None, generated: Tensor | None, share: float) -> Tensor | None:
    """The mean of two gradients; of weights in front of the cut there is none."""
    return None if real is None or generated is None else (1 - share) * real + share * generated
