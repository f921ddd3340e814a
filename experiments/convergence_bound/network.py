"""Does the bound's order hold for a real network, the small CNN on digits?

    python -m experiments convergence_bound.network

What stands in the bound (`experiments.convergence_bound`) is measured on real training of PSL and EPSL with plain SGD:
gradients of the whole loss, variance and bias of those of mini-batches, the largest curvature, and the loss at the
start, of which F* = 0 is the lower end. The network is not smooth and steps may be longer than 1 / beta: the bound is
not valid here, and only its order is looked at, against the gradients and the training loss that the runs have.
"""

from collections.abc import Iterator
from itertools import product

import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor

from experiments.convergence_bound.descent import largest_curvature
from experiments.everybody import everybody
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from experiments.watched import watched
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import server_pass
from splitgym.learning import Learner
from splitgym.learning.start import start
from splitgym.scenario import Scenario, build

CUT, RATE, LOOKS, DRAWS = 1, 0.05, 8, 16
ROWS = 128
"""Of each client, for the whole loss: as many as the client with the fewest has among ten."""


def cases(quick: bool) -> list[Case]:
    """Clients by rows of a mini-batch and phi."""
    clients, batches, ratios = ((2,), (4,), (0.0, 1.0)) if quick else ((2, 5, 10), (4, 32), (0.0, 0.5, 1.0))
    rounds = 16 if quick else 160
    return [
        {"clients": n, "batch": b, "ratio": phi, "rounds": rounds} for n, b, phi in product(clients, batches, ratios)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row: means over the looks of everything in the bound, and where training ends."""
    of_task = {"partition": "iid", "evaluation_samples": None, "evaluate_every": case["rounds"]}
    training = {"batch_size": case["batch"], "optimizer": "sgd"}
    rates = {"client_learning_rate": RATE, "server_learning_rate": RATE}
    scenario = build(
        "edge6g",
        {
            "task": {"dataset": "digits", "model": "cnn", **of_task},
            "training": {**training, **rates},
            "clients": {"count": case["clients"]},
        },
    )
    images, labels = whole_data(scenario, seed)
    generator, looks = torch.Generator().manual_seed(seed), list[dict[str, float]]()

    def look(nodes: Nodes, round_batch: RoundBatch) -> dict[str, float]:
        looks.append(terms(nodes, images, labels, case["batch"], round_batch.aggregated_rows, generator))
        return {}

    every = case["rounds"] // LOOKS
    learner = Learner(scenario, watched(get("epsl"), look, {}, every), seed)
    decision = everybody(scenario, CUT, case["ratio"])
    first = float(loss_of(learner.nodes, images, labels).detach())
    for _ in range(case["rounds"]):
        outcome = learner.round(decision)
    last = float(loss_of(learner.nodes, images, labels).detach())
    means = pd.DataFrame(looks).mean()
    longest = RATE * case["clients"]
    bound = 2 * first / (longest * case["rounds"]) + means["beta"] * means["variance"] + means["bias"]
    return [{**means.to_dict(), "bound": float(bound), "last_loss": last, "accuracy": outcome.accuracy}]


def whole_data(scenario: Scenario, seed: int) -> tuple[Tensor, Tensor]:
    """[n, rows, ...] images and [n, rows] labels of each client, of whose data the runs draw mini-batches."""
    begun = start(scenario, seed)
    own = [part[:ROWS] for part in begun.parts]
    images = torch.stack([torch.from_numpy(begun.dataset.train_images[part]) for part in own])
    return images, torch.stack([torch.from_numpy(begun.dataset.train_labels[part]) for part in own])


def terms(
    nodes: Nodes, images: Tensor, labels: Tensor, batch: int, aggregated: int, generator: torch.Generator
) -> dict[str, float]:
    """Squared gradient, variance and bias, weighted with the steps and divided by the longest; and the curvature."""
    n = len(images)
    exact = gradients(nodes, images, labels, 0)
    draws = []
    for _ in range(DRAWS):
        rows = torch.randint(images.shape[1], (n, batch), generator=generator)
        each = torch.arange(n)[:, None]
        draws.append(gradients(nodes, images[each, rows], labels[each, rows], aggregated))
    mean = [torch.stack(parts).mean(0) for parts in zip(*draws, strict=True)]
    variance = [torch.stack(parts).var(0) for parts in zip(*draws, strict=True)]
    # Steps: p_s = rate, p_i = n rate; divided by the longest, n rate.
    share, longest = (1 / n, 1.0), n * RATE
    # Of DRAWS mini-batches the mean is itself off by a DRAWS-th of the variance.
    bias = [float((m - e).square().sum() - v.sum() / DRAWS) for m, e, v in zip(mean, exact, variance, strict=True)]
    return {
        "gradient": sum(w * float(e.square().sum()) for w, e in zip(share, exact, strict=True)),
        "variance": longest * sum(w**2 * float(v.sum()) for w, v in zip(share, variance, strict=True)),
        "bias": max(sum(w * b for w, b in zip(share, bias, strict=True)), 0.0) if aggregated else 0.0,
        "beta": curvature(nodes, images, labels),
    }


def gradients(nodes: Nodes, images: Tensor, labels: Tensor, aggregated: int) -> tuple[Tensor, Tensor]:
    """With which a round trains the server and the clients, as gradients of F: each in one row."""
    n = len(images)
    weights = torch.full((n,), 1 / n)
    own = RoundBatch(tuple(range(n)), weights, images, labels, aggregated, torch.zeros(n))
    forward = run_clients(nodes.clients, images)
    found = server_pass(nodes, forward.smashed, own)
    clients = torch.cat([each.flatten() for part in forward.backward(found.of_clients()) for each in part])
    server = torch.cat([each.flatten() for each in found.of_server if each is not None])
    return server, clients / n


def loss_of(nodes: Nodes, images: Tensor, labels: Tensor) -> Tensor:
    """F: the mean loss over all clients' data."""
    logits = [
        nodes.server.logits(client.forward(own), nodes.cut_of([i]) if nodes.own_units and client.units else 0)
        for i, (client, own) in enumerate(zip(nodes.clients, images, strict=True))
    ]
    return torch.stack([F.cross_entropy(each, own) for each, own in zip(logits, labels, strict=True)]).mean()


def curvature(nodes: Nodes, images: Tensor, labels: Tensor, steps: int = 15) -> float:
    """The largest absolute eigenvalue of the Hessian of F over all weights, by power iteration, on 32 rows a client."""
    weights = [*nodes.server.parameters, *(each for client in nodes.clients for each in client.parameters)]
    return largest_curvature(loss_of(nodes, images[:, :32], labels[:, :32]), weights, steps)


def report(rows: pd.DataFrame) -> str:
    """Ranks, and every setting."""
    means = rows.groupby(["clients", "batch", "ratio"])[["bound", "gradient", "last_loss", "accuracy"]].mean()
    psl = means[means.index.get_level_values("ratio") == 0]
    told = {
        "squared gradient": ("gradient", 1),
        "training loss at the end": ("last_loss", 1),
        "test accuracy": ("accuracy", -1),
    }
    seeds, rounds = rows["seed"].nunique(), rows["rounds"].max()
    ranks = (
        {
            "the bound against": name,
            "all settings": f"{sign * spearmanr(means['bound'], means[column]).statistic:.2f}",
            "PSL alone": f"{sign * spearmanr(psl['bound'], psl[column]).statistic:.2f}",
        }
        for name, (column, sign) in told.items()
    )
    return "\n\n".join(
        [
            f"Digits, small CNN, cut {CUT}, plain SGD with rate {RATE:g} everywhere, {rounds} rounds, {seeds} seeds. "
            "Spearman's correlation over the settings' means, positive where a higher bound goes with less learnt.",
            markdown(ranks),
            markdown(_lines(rows)),
        ]
    )


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for (n, b, phi), own in rows.groupby(["clients", "batch", "ratio"]):
        yield {
            "clients": str(n),
            "rows": str(b),
            "phi": f"{phi:g}",
            "bound": estimate(own["bound"], 2),
            "of it variance": estimate(own["beta"] * own["variance"], 2),
            "of it bias": estimate(own["bias"], 2),
            "squared gradient": estimate(own["gradient"], 3),
            "loss at the end": estimate(own["last_loss"], 2),
            "accuracy %": estimate(100 * own["accuracy"]),
        }


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Squared gradient and loss at the end over the bound; a point for each run."""
    figure.set_size_inches(11, 4.8)
    panels = figure.subplots(1, 2)
    for axes, column, label in zip(
        panels, ("gradient", "last_loss"), ("measured mean squared gradient", "training loss at the end"), strict=True
    ):
        for number, (phi, own) in enumerate(rows.groupby("ratio")):
            axes.loglog(
                own["bound"], own[column], "o^s"[number % 3], color=COLOURS[number], alpha=0.6, label=f"phi = {phi:g}"
            )
        axes.set(xlabel="bound's terms as measured", ylabel=label)
        axes.grid(alpha=0.3)
    panels[0].legend()


EXPERIMENT = Experiment(
    title="Does the order that the bound predicts hold for the CNN?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"order": plot},
    seeds=3,
)
