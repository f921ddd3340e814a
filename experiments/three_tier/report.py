"""What the rounds and the trainings say: tables, and sentences that follow from them."""

import numpy as np
import pandas as pd

from experiments.tables import half_width
from experiments.three_tier.architectures import ARCHITECTURES, THREE_TIERS, USER_CLOUD, USER_EDGE
from experiments.three_tier.rounds import BUSY
from experiments.three_tier.training import TARGET
from splitgym.scenario import load

PRESET = load("three-tier")
BATCHES = PRESET.clients.count * PRESET.training.batch_size
"""Samples of a round."""
SIZES = (1000, 2000, 4000, 6000, 8012)
"""Training samples of HAM10000; the last are all of them."""
OWN = {"link": 0.05, "cycles": 1 / 32}
"""The preset's own values of what is varied."""
LABELS = {
    "link": "capacity of the edge-cloud link / that of the user-edge link",
    "cycles": "cycles per FLOP of edge server and cloud",
}


def rounds_at_preset(rows: pd.DataFrame) -> pd.DataFrame:
    """Rounds in the preset as it is."""
    return rows[(rows["part"] == "round") & (rows["varied"] == "link") & np.isclose(rows["value"], OWN["link"])]


def passes(samples: int) -> int:
    """Rounds of one pass over so many training samples."""
    return -(-samples // BATCHES)


def seconds_to_target(rows: pd.DataFrame) -> pd.DataFrame:
    """Simulated seconds at the first measurement on the target, NaN: missed; a row for each training."""
    training = rows[rows["part"] == "training"]
    keys = ["samples", "architecture", "seed"]
    reached = training[training["accuracy"] >= TARGET].groupby(keys)[["elapsed_s", "round"]].min()
    return reached.reindex(pd.MultiIndex.from_frame(training[keys].drop_duplicates())).reset_index()


def report(rows: pd.DataFrame) -> str:
    """Tables in Markdown, each with what it says."""
    return "\n\n".join([*_rounds(rows_of(rows, "round")), *_varied(rows), *_trainings(rows)]) + "\n"


def rows_of(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of rounds or of trainings."""
    return rows[rows["part"] == part]


def _rounds(rows: pd.DataFrame) -> list[str]:
    own = rounds_at_preset(rows)
    by_name = own.groupby("architecture")["latency_s"]
    mean = by_name.mean()
    lines = [
        "| architecture | "
        + " | ".join(f"{n} samples (s)" for n in SIZES)
        + " | a round (s) | cut layer | second cut |",
        "|---" + "|---:" * (len(SIZES) + 3) + "|",
    ]
    for name in ARCHITECTURES:
        mine = own[own["architecture"] == name]
        second = {USER_EDGE: "-", USER_CLOUD: "the first"}.get(name, f"{mine['second_cut'].iloc[0]:.0f}")
        seconds = [f"{passes(n) * mean[name]:.1f}" for n in SIZES]
        interval = f"{mean[name]:.2f} ± {half_width(mine['latency_s']):.2f}"
        cut = int(mine["cut_layer"].mode().iloc[0])
        lines.append(f"| {name} | " + " | ".join([*seconds, interval, str(cut), second]) + " |")
    busy = [
        "| architecture | " + " | ".join(f"{who} (s)" for who in BUSY) + " |",
        "|---" + "|---:" * len(BUSY) + "|",
        *(
            f"| {name} | "
            + " | ".join(f"{own.loc[own['architecture'] == name, f'{who} (s)'].mean():.3f}" for who in BUSY)
            + " |"
            for name in ARCHITECTURES
        ),
    ]
    fastest = min(ARCHITECTURES, key=lambda name: float(mean[name]))
    edge, tiers, cloud = (mean[name] for name in (USER_EDGE, THREE_TIERS, USER_CLOUD))
    verdict = "is confirmed" if fastest == THREE_TIERS else "is **not** confirmed at the preset's values"
    return [
        "## A pass over the training set of HAM10000",
        f"ResNet-18, {BATCHES} samples a round, {own['cell'].nunique()} random cells, the same for all: rounds of a "
        "pass times the mean latency of a round with everybody; cut layer and allocation are the descent's (the most "
        "frequent cut layer is shown), the second cut is the best of all. All three train the same weights at the same "
        "cut layer, so to a target accuracy they take the same number of rounds, and their times are to each other as "
        "those of a round.",
        "\n".join(lines),
        "Who is busy on the critical path of a round:",
        "\n".join(busy),
        "The seed (arXiv 2306.12194, Fig. 6) says that user-edge-cloud is faster than both. That it is faster than "
        f"user-cloud holds ({tiers / cloud:.2f} of its time: activations at the second cut are narrower). That it is "
        f"faster than user-edge {verdict}: it takes {tiers / edge:.2f} of its time.",
    ]


def _varied(rows: pd.DataFrame) -> list[str]:
    found = ["## Where the third tier pays"]
    for varied, label in LABELS.items():
        own = rows[rows["varied"] == varied]
        table = own.pivot_table(index="value", columns="architecture", values="latency_s")[list(ARCHITECTURES)]
        second = own[own["architecture"] == THREE_TIERS].groupby("value")["second_cut"].first()
        lines = [
            f"| {label} | " + " | ".join(f"{name} (s)" for name in ARCHITECTURES) + " | second cut |",
            "|" + "---:|" * (2 + len(ARCHITECTURES)),
        ]
        lines += [
            f"| {value:.4g}{' (preset)' if np.isclose(value, OWN[varied]) else ''} | "
            + " | ".join(f"{seconds:.3g}" for seconds in row)
            + f" | {second[value]:.0f} |"
            for value, row in table.iterrows()
        ]
        # What it saves against the better of the others; negative: it loses.
        saved = 1 - table[THREE_TIERS] / table[[USER_EDGE, USER_CLOUD]].min(axis=1)
        pays = ", ".join(f"{value:.4g} (by {100 * saved[value]:.1f} %)" for value in saved.index[saved > 0])
        found += ["\n".join(lines), f"User-edge-cloud is the fastest at {pays or 'none of these values'}."]
    found.append(
        "Between the values at which user-edge and user-cloud win there is a narrow range in which three tiers do. The "
        "seed does not say how many cycles a FLOP takes, which decides where the preset lies."
    )
    return found


def _trainings(rows: pd.DataFrame) -> list[str]:
    times = seconds_to_target(rows)
    lines = [
        "| training samples | " + " | ".join(f"{name} (s)" for name in ARCHITECTURES) + " | rounds |",
        "|" + "---:|" * (2 + len(ARCHITECTURES)),
    ]
    for samples, own in times.groupby("samples"):
        cells = [_time(own.loc[own["architecture"] == name, "elapsed_s"]) for name in ARCHITECTURES]
        lines.append(f"| {samples:.0f} | " + " | ".join([*cells, _time(own["round"])]) + " |")
    training = rows_of(rows, "training")
    same = (training.groupby(["samples", "seed", "round"])["accuracy"].nunique() == 1).mean()
    runs = times["seed"].nunique()
    return [
        "## Real training",
        f"Digits, small CNN, {runs} seeds: simulated time and rounds to {100 * TARGET:g} % test accuracy, mean (of "
        "those that reached it; in parentheses how many, if not all). All are cut behind the first convolution.",
        "\n".join(lines),
        f"The three train the same weights: in {100 * same:.0f} % of the measurements their accuracies are the same "
        "number, so that time to the target is rounds to the target times the latency of a round.",
    ]


def _time(values: pd.Series) -> str:
    reached = values.dropna()
    if reached.empty:
        return "never"
    return f"{reached.mean():.3g}" + ("" if len(reached) == len(values) else f" ({len(reached)} of {len(values)})")
