"""How much of the inputs can be reconstructed from smashed data, by cut layer, with the clients' part and without it?

    python -m experiments privacy

A decoder learns to reconstruct images from their smashed data, as a curious server could that has images of the same
kind; it is judged on other images, the test set, whose smashed data and labels it is sent. If the edge server colludes
with the fed server it has the clients' part, and its decoder learns from what that makes of its own images; if not,
from what a stand-in makes of them (`experiments.privacy.stand_in`). Higher PSNR and SSIM: less privacy. The floor is
what predicting the mean image reaches, without a look at any smashed data. The network is trained first, by the
framework `centralised`: all cuts go through the same one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS
from experiments.privacy.decoder import fit_decoder
from experiments.privacy.pictures import Scale, opened, quality, strip
from experiments.privacy.stand_in import fit_encoder
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym import data, models
from splitgym.frameworks.node import Node
from splitgym.learning import Learner
from splitgym.scenario import build

CUTS = {"digits": (1, 2, 3), "ham10000": (1, 3, 5, 7, 9)}
"""Cut layers by data set."""
FULL = {
    "digits": {"rounds": 150, "pairs": 1400, "judged": 200, "steps": 400, "encoder_steps": 400},
    "ham10000": {"rounds": 25, "pairs": 2000, "judged": 200, "steps": 150, "encoder_steps": 150},
}
QUICK = {
    "digits": {"rounds": 20, "pairs": 400, "judged": 50, "steps": 60, "encoder_steps": 60},
    "ham10000": {"rounds": 2, "pairs": 200, "judged": 20, "steps": 5, "encoder_steps": 2},
}
"""Rounds of the network's training; images and steps that decoders learn from, and steps of stand-ins; images that
attacks are judged on."""
EXAMPLES = 8
"""Images that are shown, of the first seed."""
COLLUDES, APART, FLOOR = "colludes", "apart", "mean image"
"""The edge server has the clients' part, or it has not; nobody has anything."""
LABELS = {
    COLLUDES: "servers collude: with the clients' part",
    APART: "they do not: with a stand-in for it",
    FLOOR: f"{FLOOR}: nothing is known",
}


@dataclass(frozen=True)
class Cases:
    """Data sets."""

    datasets: tuple[Literal["digits", "ham10000"], ...] = ("digits",)
    """What is reconstructed; ham10000 (ResNet-18) needs SPLITGYM_DATA."""
    shown: tuple[Literal["digits", "ham10000"], ...] = ("digits",)
    """Of which data sets examples are shown; results with images of HAM10000 may not be passed on to everybody."""

    def __call__(self, quick: bool) -> list[Case]:
        """Data sets, with rounds of the network's training, and images and steps that decoders learn from."""
        sizes = QUICK if quick else FULL
        return [
            {"dataset": name, **sizes[name], "examples": EXAMPLES if name in self.shown else 0}
            for name in self.datasets
        ]


def measure(case: Case, seed: int) -> list[Row]:
    """PSNR and SSIM of the reconstructions at each cut layer by each attacker, and of the floor."""
    dataset, shown = case["dataset"], case["examples"] if seed == 0 else 0
    network, accuracy = _trained(dataset, case["rounds"], seed)
    # The learner of this seed has split the data in the same way: it has seen none of the images to be judged.
    images = data.load(dataset, np.random.default_rng(seed))
    known = torch.from_numpy(images.train_images[: case["pairs"]])
    secret = torch.from_numpy(images.test_images[: case["judged"]])
    scale = Scale(known)
    originals = scale.pictures(secret)
    mean_image = np.broadcast_to(scale.pictures(known.mean(0, keepdim=True)), originals.shape)
    floor = {f"floor_{name}": value for name, value in quality(originals, mean_image).items()}
    rows = []
    for cut_layer in CUTS[dataset]:
        sent = _smash(network, secret, cut_layer)
        for attacker in (COLLUDES, APART):
            chance = torch.Generator().manual_seed(1000 * seed + cut_layer)
            if attacker == COLLUDES:
                smashed = _smash(network, known, cut_layer)
            else:
                smashed = _stand_in(network, images, cut_layer, case, sent, chance)
            decoder = fit_decoder(smashed, known, case["steps"], chance)
            with torch.no_grad():
                found = scale.pictures(decoder(sent))
            strips = {"pictures": found, "originals": originals, "mean_image": mean_image}
            rows.append(
                {
                    "cut_layer": cut_layer,
                    "attacker": attacker,
                    "accuracy": accuracy,
                    "numbers_sent": sent[0].numel(),
                    "numbers_of_image": known[0].numel(),
                    **quality(originals, found),
                    **floor,
                    **{name: strip(pictures[:shown]) for name, pictures in strips.items()},
                }
            )
    return rows


def _stand_in(
    network: Node, images: data.Dataset, cut_layer: int, case: Case, sent: Tensor, chance: torch.Generator
) -> Tensor:
    """What an encoder that stands in for the clients' part makes of the images that a server has, [n, ...].

    Args:
        network: With the server's part, which stays as it is.
        images: Those that the server has, and the labels of what was sent.
        cut_layer: Units of the encoder.
        case: Of the experiment.
        sent: [m, ...] smashed data of clients.
        chance: Draws weights and mini-batches.
    """
    task, classes = TASKS[case["dataset"]]["task"], len(images.classes)
    made = models.build(task["model"], images.input_shape, classes, chance, stem=task.get("stem", "7x7"))
    encoder = torch.nn.Sequential(*made.units[:cut_layer])
    known = torch.from_numpy(images.train_images[: case["pairs"]])
    labels, labels_of_sent = (torch.from_numpy(own) for own in (images.train_labels, images.test_labels))
    fit_encoder(
        encoder,
        lambda smashed: network.logits(smashed, cut_layer),
        known,
        labels[: len(known)],
        sent,
        labels_of_sent[: len(sent)],
        case["encoder_steps"],
        chance,
    )
    with torch.no_grad():
        return torch.cat([encoder(some) for some in known.split(500)])


def _trained(dataset: str, rounds: int, seed: int) -> tuple[Node, float]:
    """A trained network, ready to be evaluated, and its test accuracy."""
    task = TASKS[dataset]
    fields = {"task": {**task["task"], "evaluate_every": rounds}, "training": task["training"]}
    scenario = build("edge6g", fields)
    learner = Learner(scenario, "centralised", seed)
    for _ in range(rounds):
        outcome = learner.round(everybody(scenario, 1, 0.0))
    learner.nodes.server.set_mode(False)
    return learner.nodes.server, outcome.accuracy


@torch.no_grad()
def _smash(network: Node, images: Tensor, cut_layer: int) -> Tensor:
    """Activations at the cut, [n, ...]."""
    return torch.cat([network.forward(some, 0, cut_layer) for some in images.split(500)])


def report(rows: pd.DataFrame) -> str:
    """A table for each data set, and how near the deepest cut comes to the floor."""
    seeds = rows["seed"].nunique()
    parts = [
        f"Mean ± half width of the 95 % interval over {seeds} seeds; higher PSNR and SSIM: a better reconstruction, "
        "less privacy. The attacker has the smashed data, their labels, the server's part of the network, and images "
        "of the same kind; one that colludes has the clients' part, too. Floor: the mean image, which needs no smashed "
        "data."
    ]
    for dataset, own in rows.groupby("dataset", sort=False):
        parts += [f"### {dataset}", *(finding(each) for _, each in own.groupby("attacker", sort=False))]
        parts.append(markdown(_lines(own)))
    return "\n\n".join(parts)


def finding(rows: pd.DataFrame) -> str:
    """What an attacker reconstructs at the shallowest and at the deepest cut, beside the floor."""
    who = {COLLUDES: "With the clients' part", APART: "Without it"}[rows["attacker"].iloc[0]]
    ends = []
    for cut in (rows["cut_layer"].min(), rows["cut_layer"].max()):
        own = rows[rows["cut_layer"] == cut]
        ends.append(f"{own['psnr_db'].mean():.1f} dB and SSIM {own['ssim'].mean():.2f} at cut {cut}")
    floor = f"{rows['floor_psnr_db'].mean():.1f} dB and {rows['floor_ssim'].mean():.2f}"
    return f"{who} the reconstruction has {' and '.join(ends)}; the mean image has {floor}."


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for cut, own in rows.groupby("cut_layer"):
        line = {
            "cut layer": str(cut),
            "numbers sent / of the image": f"{own['numbers_sent'].iloc[0]} / {own['numbers_of_image'].iloc[0]}",
        }
        for attacker in (COLLUDES, APART):
            found = own[own["attacker"] == attacker]
            line |= {
                f"PSNR, {attacker} (dB)": estimate(found["psnr_db"]),
                f"SSIM, {attacker}": estimate(found["ssim"], 3),
            }
        yield line
    psnr, ssim = estimate(found["floor_psnr_db"]), estimate(found["floor_ssim"], 3)
    yield dict(zip(line, (FLOOR, "", psnr, ssim, psnr, ssim), strict=True))


def plot_quality(rows: pd.DataFrame, figure: Figure) -> None:
    """PSNR and SSIM over the cut layer, a row of panels for each data set, with the floor."""
    sets = list(dict.fromkeys(rows["dataset"]))
    figure.set_size_inches(9, 3.2 * len(sets) + 1)
    panels = figure.subplots(len(sets), 2, squeeze=False)
    for line, dataset in zip(panels, sets, strict=True):
        own = rows[rows["dataset"] == dataset]
        floor = own[own["attacker"] == COLLUDES]
        for axes, name, label in zip(line, ("psnr_db", "ssim"), ("PSNR (dB)", "SSIM"), strict=True):
            curves = [
                own.assign(curve=own["attacker"], value=own[name]),
                floor.assign(curve=FLOOR, value=floor[f"floor_{name}"]),
            ]
            draw_curves(axes, pd.concat(curves), "cut_layer", "value", "curve", LABELS)
            axes.set(xlabel="cut layer", ylabel=label, title=dataset, xticks=CUTS[dataset], ylim=(0, None))
    figure.suptitle("How well images are reconstructed from smashed data, by cut layer")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds", 3)


def plot_pictures(rows: pd.DataFrame, figure: Figure) -> None:
    """Originals, and what each attacker reconstructs of them at each cut layer."""
    shown = rows[rows["pictures"].fillna("") != ""]
    sets = list(dict.fromkeys(shown["dataset"]))
    lines = [line for dataset in sets for line in _pictures(shown[shown["dataset"] == dataset])]
    figure.set_size_inches(9, 1.05 * len(lines) + 0.6)
    for axes, (label, text) in zip(figure.subplots(len(lines), 1, squeeze=False)[:, 0], lines, strict=True):
        axes.imshow(opened(text), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
    figure.suptitle(
        "Images, and what attackers make of their smashed data: servers that collude, and an edge server apart"
    )


def _pictures(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    yield f"{rows['dataset'].iloc[0]}: original", rows["originals"].iloc[0]
    for row in rows.itertuples():
        yield f"cut {row.cut_layer}, {row.attacker}: {row.psnr_db:.1f} dB", row.pictures
    yield f"{FLOOR}: {rows['floor_psnr_db'].iloc[0]:.1f} dB", rows["mean_image"].iloc[0]


EXPERIMENT = Experiment(
    title="How much of the inputs can be reconstructed from smashed data, with the clients' part and without it?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"quality": plot_quality, "pictures": plot_pictures},
    seeds=3,
    quick_seeds=1,
)
