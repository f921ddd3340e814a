"""How close does split fine-tuning come to fine-tuning in one place, and what does it send?

    python -m experiments lora

Rounds of `lora` with real training, the band in equal shares: adapters of a frozen decoder learn the New Testament, of
which each client has neighbouring books. Frameworks with the cut behind the first block; then PSL with a deeper cut,
with adapters of other ranks, and with four bits for each number of smashed data. Needs the extra "text"; the base
model is trained first, once, where it is not there.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.curves import draw_curves
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, if_reached, markdown
from splitgym import models, schedulers
from splitgym.data import dimensions
from splitgym.evaluation import HELD_OUT

FRAMEWORKS = {"centralised": 0.0, "fl": 0.0, "sl": 0.0, "sfl-v1": 0.0, "psl": 0.0, "epsl": 0.5}
"""With phi."""
PLAIN: Case = {"framework": "psl", "cut": 1, "rank": 4, "codec": "none"}
VARIANTS: tuple[Case, ...] = (
    {**PLAIN, "cut": 3},
    {**PLAIN, "rank": 1},
    {**PLAIN, "rank": 16},
    {**PLAIN, "codec": "uniform-4"},
)
SAVED = 0.03
"""Target: so much less than the bits per character of the base model, on the test windows of the same seed."""
ROUNDS, EVERY = 150, 25
"""Of a run, and from one measurement to the next."""


def cases(quick: bool) -> list[Case]:
    """Frameworks, then variants of PSL."""
    frameworks = [{**PLAIN, "framework": name} for name in FRAMEWORKS]
    chosen = frameworks[::4] if quick else [*frameworks, *VARIANTS]
    return [{**case, "rounds": 2 if quick else ROUNDS, "every": 1 if quick else EVERY} for case in chosen]


def measure(case: Case, seed: int) -> list[Row]:
    """A row before the first round, and one for each measurement."""
    torch.set_num_threads(1)
    env: Any = gym.make("splitgym:SplitLearning-v0", **_settings(case)).unwrapped
    ratio = FRAMEWORKS[case["framework"]]
    rule = schedulers.make("equal-shares", env, cut_layer=case["cut"], aggregation_ratio=ratio)
    env.action_space.seed(seed)
    _, info = env.reset(seed=HELD_OUT + seed)
    found, sent = [_row(info, 0.0)], 0.0
    for _ in range(case["rounds"]):
        *_, info = env.play(rule.decide(env.state))
        sent += info["traffic_bits"]
        if info["evaluated"]:
            found.append(_row(info, sent))
    return found


def _row(info: dict[str, Any], sent_bits: float) -> Row:
    return {
        "round": info["round"],
        "elapsed_s": info["elapsed_s"],
        "bits": info["bits_per_character"],
        "accuracy": info["accuracy"],
        "sent_bits": sent_bits,
    }


def _settings(case: Case) -> dict[str, Any]:
    """Of the environment."""
    return {
        "scenario": "lora",
        "framework": case["framework"],
        "disable_env_checker": True,
        "task": {"adapter_rank": case["rank"], "evaluate_every": case["every"]},
        "plan": {"codecs": [case["codec"]]},
        "episode": {"max_rounds": case["rounds"] + 1, "time_budget_s": 1e9, "stop_at_target": False},
    }


def trainable(rank: int) -> int:
    """Numbers of all adapters of this rank."""
    shape, classes = dimensions("kjv")
    network = models.build("transformer", shape, classes, rank=rank)
    return sum(weight.numel() for weight in network.parameters())


def seconds_to_target(run: pd.DataFrame, target: float) -> float:
    """Simulated seconds until a run has at most so many bits per character, on lines between measurements; inf: never.

    Args:
        run: Rows of one run, in the order of rounds.
        target: Bits per character.
    """
    bits, elapsed_s = run["bits"].to_numpy(), run["elapsed_s"].to_numpy()
    below = np.flatnonzero(bits <= target)
    if not len(below):
        return float("inf")
    last = int(below[0])
    if last == 0:
        return float(elapsed_s[0])
    part = (bits[last - 1] - target) / (bits[last - 1] - bits[last])
    return float(elapsed_s[last - 1] + part * (elapsed_s[last] - elapsed_s[last - 1]))


def report(rows: pd.DataFrame) -> str:
    """Bits per character, what is sent, time to the target, and the distance from training in one place."""
    before = rows[rows["round"] == 0].drop_duplicates("seed")
    rounds = int(rows["round"].max())
    lines = [_line(name, own, _central(rows)) for name, own in rows.groupby(_names(rows), sort=False)]
    return "\n\n".join(
        [
            f"Before fine-tuning the base model has {estimate(before['bits'], 3)} bits per character on held-out "
            f"windows of the New Testament and says {estimate(100 * before['accuracy'])} % of the next characters. "
            f"After {rounds} rounds, mean and 95 % interval over {rows['seed'].nunique()} seeds; over central: bits "
            "per character over those of `centralised` with the same seed and rank 4; seconds: simulated, until a "
            f"character takes {100 * SAVED:g} % fewer bits than at first, or how many runs come so far.",
            markdown(lines),
        ]
    )


def _line(name: str, rows: pd.DataFrame, central: "pd.Series[float]") -> dict[str, str]:
    last = rows[rows["round"] == rows["round"].max()].set_index("seed")
    seconds = pd.Series([seconds_to_target(run, (1 - SAVED) * run["bits"].iloc[0]) for _, run in rows.groupby("seed")])
    over = 100 * (last["bits"] / central.reindex(last.index) - 1)
    return {
        "": name,
        "trainable": f"{trainable(int(rows['rank'].iloc[0])):,}",
        "bits per character": estimate(last["bits"], 3),
        "over central (%)": "" if over.isna().any() else estimate(over, 2),
        "accuracy (%)": estimate(100 * last["accuracy"]),
        "Mbit a round": estimate(last["sent_bits"] / last["round"] / 1e6, 2),
        "seconds": if_reached(seconds),
    }


def _central(rows: pd.DataFrame) -> "pd.Series[float]":
    """Bits per character at the end by seed."""
    own = rows[(rows["framework"] == "centralised") & (rows["round"] == rows["round"].max())]
    return own.set_index("seed")["bits"]


def _names(rows: pd.DataFrame) -> "pd.Series[str]":
    """What a table calls each row's case."""

    def name(row: "pd.Series[Any]") -> str:
        other = [f"{key} {row[key]}" for key in ("cut", "rank", "codec") if row[key] != PLAIN[key]]
        phi = FRAMEWORKS[row["framework"]]
        return ", ".join([row["framework"], *([f"phi = {phi:g}"] if phi else []), *other])

    return rows.apply(name, axis=1).rename("case")


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Bits per character over rounds, and over what was sent: by the frameworks, and by variants of one."""
    figure.set_size_inches(14, 4.2)
    left, *others = figure.subplots(1, 3, sharey=True)
    plain = rows[(rows["cut"] == PLAIN["cut"]) & (rows["rank"] == PLAIN["rank"]) & (rows["codec"] == PLAIN["codec"])]
    labels = {name: name for name in FRAMEWORKS}
    draw_curves(left, plain, "round", "bits", "framework", labels, interval=False)
    left.set(xlabel="round", ylabel="bits per character, held-out text")
    left.legend()
    shown = rows[rows["round"] > 0].assign(case=_names, megabits=lambda own: own["sent_bits"] / 1e6)
    means = shown.groupby(["case", "round"], sort=False)[["megabits", "bits"]].mean().reset_index()
    sent = means[means["megabits"] > 0]
    compared = shown[shown.index.isin(plain.index)]["case"].unique()
    of_variants = shown[~shown["case"].isin(compared)]["framework"].unique()
    varied = shown[shown["framework"].isin(of_variants)]["case"].unique()
    for axes, cases_shown in zip(others, (compared, varied), strict=True):
        draw_curves(axes, sent, "megabits", "bits", "case", {name: name for name in cases_shown})
        axes.set(xlabel="traffic of all (Mbit)", xscale="log")
        axes.legend(fontsize="small")
    figure.suptitle(f"mean over {rows['seed'].nunique()} seeds")


EXPERIMENT = Experiment(
    title="How close does split fine-tuning of a decoder come to fine-tuning in one place, and what does it send?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"lora": plot},
    seeds=3,
)
