"""How much of the inputs can be reconstructed from smashed data, by cut layer?

    python -m experiments privacy --datasets digits ham10000

A decoder learns to reconstruct images from their smashed data, as a curious server could that has images of the same
kind and the clients' units; it is judged on other images, the test set. Higher PSNR and SSIM: less privacy. The floor
is what predicting the mean image reaches, without a look at any smashed data. The network is trained first, by the
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
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym import data
from splitgym.frameworks.node import Node
from splitgym.learning import Learner
from splitgym.scenario import build

CUTS = {"digits": (1, 2, 3), "ham10000": (1, 3, 5, 7, 9)}
"""Cut layers by data set."""
FULL = {
    "digits": {"rounds": 150, "pairs": 1400, "judged": 200, "steps": 400},
    "ham10000": {"rounds": 25, "pairs": 2000, "judged": 200, "steps": 150},
}
QUICK = {
    "digits": {"rounds": 20, "pairs": 400, "judged": 50, "steps": 60},
    "ham10000": {"rounds": 2, "pairs": 200, "judged": 20, "steps": 5},
}
"""Rounds of the network's training; images and steps that decoders learn from; images that they are judged on."""
EXAMPLES = 8
"""Images that are shown, of the first seed."""
FLOOR = "mean image"


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
    """PSNR and SSIM of the reconstructions at each cut layer, and of the floor."""
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
        chance = torch.Generator().manual_seed(1000 * seed + cut_layer)
        smashed = _smash(network, known, cut_layer)
        decoder = fit_decoder(smashed, known, case["steps"], chance)
        with torch.no_grad():
            found = scale.pictures(decoder(_smash(network, secret, cut_layer)))
        strips = {"pictures": found, "originals": originals, "mean_image": mean_image}
        rows.append(
            {
                "cut_layer": cut_layer,
                "accuracy": accuracy,
                "numbers_sent": smashed[0].numel(),
                "numbers_of_image": known[0].numel(),
                **quality(originals, found),
                **floor,
                **{name: strip(pictures[:shown]) for name, pictures in strips.items()},
            }
        )
    return rows


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
        "less privacy. Floor: the mean image, which needs no smashed data."
    ]
    for dataset, own in rows.groupby("dataset", sort=False):
        parts += [f"### {dataset}", finding(own), markdown(_lines(own))]
    return "\n\n".join(parts)


def finding(rows: pd.DataFrame) -> str:
    """How much of what the shallowest cut gives away the deepest still does, above the floor."""
    first, last = (rows[rows["cut_layer"] == cut] for cut in (rows["cut_layer"].min(), rows["cut_layer"].max()))
    above = [each["ssim"].mean() - each["floor_ssim"].mean() for each in (first, last)]
    return (
        f"From cut {first['cut_layer'].iloc[0]} to {last['cut_layer'].iloc[0]} the reconstruction falls from "
        f"{first['psnr_db'].mean():.1f} to {last['psnr_db'].mean():.1f} dB and from SSIM {first['ssim'].mean():.2f} to "
        f"{last['ssim'].mean():.2f}; the mean image has {last['floor_psnr_db'].mean():.1f} dB and "
        f"{last['floor_ssim'].mean():.2f}. Above this floor the deepest cut still gives away "
        f"{100 * above[1] / above[0]:.0f} % of the SSIM that the shallowest does."
    )


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for cut, own in rows.groupby("cut_layer"):
        yield {
            "cut layer": str(cut),
            "numbers sent / of the image": f"{own['numbers_sent'].iloc[0]} / {own['numbers_of_image'].iloc[0]}",
            "PSNR (dB)": estimate(own["psnr_db"]),
            "SSIM": estimate(own["ssim"], 3),
        }
    yield {
        "cut layer": FLOOR,
        "numbers sent / of the image": "",
        "PSNR (dB)": estimate(own["floor_psnr_db"]),
        "SSIM": estimate(own["floor_ssim"], 3),
    }


def plot_quality(rows: pd.DataFrame, figure: Figure) -> None:
    """PSNR and SSIM over the cut layer, a row of panels for each data set, with the floor."""
    sets = list(dict.fromkeys(rows["dataset"]))
    figure.set_size_inches(9, 3.2 * len(sets) + 1)
    panels = figure.subplots(len(sets), 2, squeeze=False)
    for line, dataset in zip(panels, sets, strict=True):
        own = rows[rows["dataset"] == dataset]
        for axes, name, label in zip(line, ("psnr_db", "ssim"), ("PSNR (dB)", "SSIM"), strict=True):
            both = pd.concat(
                [own.assign(curve="decoder", value=own[name]), own.assign(curve=FLOOR, value=own[f"floor_{name}"])]
            )
            labels = {"decoder": "reconstructed by the decoder", FLOOR: f"{FLOOR}: nothing is known"}
            draw_curves(axes, both, "cut_layer", "value", "curve", labels)
            axes.set(xlabel="cut layer", ylabel=label, title=dataset, xticks=CUTS[dataset], ylim=(0, None))
    figure.suptitle("How well images are reconstructed from smashed data, by cut layer")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds")


def plot_pictures(rows: pd.DataFrame, figure: Figure) -> None:
    """Originals, and what is reconstructed of them at each cut layer."""
    shown = rows[rows["pictures"].fillna("") != ""]
    sets = list(dict.fromkeys(shown["dataset"]))
    lines = [line for dataset in sets for line in _pictures(shown[shown["dataset"] == dataset])]
    figure.set_size_inches(9, 1.05 * len(lines) + 0.6)
    for axes, (label, text) in zip(figure.subplots(len(lines), 1, squeeze=False)[:, 0], lines, strict=True):
        axes.imshow(opened(text), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
    figure.suptitle("Images, and what a decoder makes of their smashed data")


def _pictures(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    yield f"{rows['dataset'].iloc[0]}: original", rows["originals"].iloc[0]
    for row in rows.itertuples():
        yield f"cut {row.cut_layer}: {row.psnr_db:.1f} dB", row.pictures
    yield f"{FLOOR}: {rows['floor_psnr_db'].iloc[0]:.1f} dB", rows["mean_image"].iloc[0]


EXPERIMENT = Experiment(
    title="How much of the inputs can be reconstructed from smashed data, by cut layer?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"quality": plot_quality, "pictures": plot_pictures},
    seeds=3,
    quick_seeds=1,
)
