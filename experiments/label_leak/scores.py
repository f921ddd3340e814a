"""How well the server tells labels from what it sees: scores of rows, and how good they are.

Norm and direction: Li et al., "Label leakage and protection in two-party split learning" (ICLR 2022). Spectral: Sun et
al., "Label leakage and protection from forward embedding in vertical federated learning" (2022).
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from splitgym.arrays import Bools, Floats, Ints

STARTS, STEPS = 8, 30
"""Of the search for clusters."""


def norm_score(gradients: Floats) -> Floats:
    """[n] ||g_j|| of [n, d] gradients: rows of the rare class, about which the network is wrong, have long ones."""
    return np.linalg.norm(gradients, axis=1)


def direction_score(gradients: Floats, known: Floats) -> Floats:
    """[n] cosine of each row's gradient, [n, d], with that of a row, [d], whose label is known."""
    lengths = np.linalg.norm(gradients, axis=1) * np.linalg.norm(known)
    return gradients @ known / np.maximum(lengths, np.finfo(float).tiny)


def spectral_score(activations: Floats) -> Floats:
    """[n] squares of the first principal component of [n, d] activations: rows of the rare class stick out."""
    centred = activations - activations.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    score: Floats = (centred @ directions[0]) ** 2
    return score


def auc(score: Floats, positive: Bools) -> float:
    """Area under the ROC curve: how often a positive row has the higher score than a negative one; ties count half.

    Raises:
        ValueError: all rows are of one class.
    """
    ones = int(positive.sum())
    if not 0 < ones < len(positive):
        raise ValueError(f"positive = {ones} of {len(positive)} rows, allowed: some but not all")
    above = rankdata(score)[positive].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(positive) - ones)))


def leak(score: Floats, positive: Bools) -> float:
    """`auc`, or one minus that if it is more: the server need not know which class has the higher scores."""
    area = auc(score, positive)
    return max(area, 1 - area)


def most_negative(gradients: Floats) -> Ints:
    """[n] index of the most negative entry: the label, where the gradient is softmax - one-hot."""
    return gradients.argmin(1)


def cluster_directions(gradients: Floats, clusters: int, rng: np.random.Generator) -> Ints:
    """[n] cluster of each row by the direction of its gradient, [n, d]: spherical k-means from several starts."""
    unit = gradients / np.maximum(np.linalg.norm(gradients, axis=1, keepdims=True), np.finfo(float).tiny)
    best, most = np.zeros(len(unit), np.int64), -np.inf
    for _ in range(STARTS):
        centres = _spread(unit, clusters, rng)
        for _ in range(STEPS):
            member = (unit @ centres.T).argmax(1)
            sums = np.stack([unit[member == k].sum(0) for k in range(clusters)])
            lengths = np.linalg.norm(sums, axis=1, keepdims=True)
            centres = np.where(lengths > 0, sums / np.maximum(lengths, np.finfo(float).tiny), centres)
        near = (unit @ centres.T).max(1).sum()
        if near > most:
            best, most = (unit @ centres.T).argmax(1), near
    return best


def _spread(unit: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    """[clusters, d] rows to start from, each drawn by how far it is from those before (k-means++)."""
    chosen = [int(rng.integers(len(unit)))]
    while len(chosen) < clusters:
        far = np.maximum(1 - (unit @ unit[chosen].T).max(1), 0) + 1e-12
        chosen.append(int(rng.choice(len(unit), p=far / far.sum())))
    return unit[chosen]


def recall_by_class(member: Ints, labels: Ints, classes: int) -> Floats:
    """[classes] share of each class's rows that are in the cluster matched to it; NaN for classes without rows.

    The matching is the one with the most rows right, as of a server that knows a row of each class.
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, member), 1)
    rows, columns = linear_sum_assignment(-counts)
    of_class = counts.sum(1)
    with np.errstate(invalid="ignore"):
        return np.where(of_class > 0, counts[rows, columns] / of_class, np.nan)
