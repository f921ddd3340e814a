"""Does the bound on the convergence of PSL and EPSL hold, and does it rank settings as real runs do?

    python -m experiments convergence_bound

With everybody in each round and plain SGD, PSL is SGD on one function of all weights, with a step p_s of the server and
p_i = eta_c / lambda_i of each client. If no step is longer than 1 / beta,

    (1/T) sum_t E || grad F ||_P^2  <=  2 (F_0 - F*) / T + beta sum_k p_k^2 sigma_k^2 + (1/T) sum_t || bias_t ||_P^2

where || g ||_P^2 = sum_k p_k || g_k ||^2, sigma_k^2 is the variance of a part of the gradient, and the bias is that of
aggregated rows, 0 for PSL. Everything is measured: beta by power iteration, sigma by sampling, the bias in closed form,
F* by a solver. Both sides are divided by the longest step.
"""

from collections.abc import Iterator
from itertools import product

import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from experiments.convergence_bound.runs import PROBLEMS, Setting, run
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.evaluation.look import COLOURS

ROUNDS = (25, 100, 200)
SETTING = ["problem", "clients", "batch", "ratio", "step", "same_rate"]


def cases(quick: bool) -> list[Case]:
    """All settings, each with both problems."""
    clients, batches, ratios = ((2, 5), (4,), (0.0, 1.0)) if quick else ((2, 5, 20), (4, 16, 64), (0.0, 0.5, 1.0))
    steps = ((1.0, False),) if quick else ((1.0, False), (0.2, False), (1.0, True))
    settings = product(PROBLEMS, clients, batches, ratios, steps)
    return [
        {"problem": problem, "clients": n, "batch": b, "ratio": phi, "step": step, "same_rate": same}
        for problem, n, b, phi, (step, same) in settings
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Both sides of the bound for each number of rounds."""
    curve = run(Setting(**case), ROUNDS[-1], seed)
    return [
        {
            "rounds": rounds,
            "measured": curve.measured(rounds),
            "bound": curve.bound(rounds),
            "first": curve.gradient[0],
            "applies": curve.applies,
        }
        for rounds in ROUNDS
    ]


def report(rows: pd.DataFrame) -> str:
    """How often the bound holds, how loose it is, and how it ranks."""
    seeds = rows["seed"].nunique()
    outside = rows[~rows["applies"]]
    inside = rows[rows["applies"]]
    parts = [
        f"{len(rows)} comparisons ({seeds} seeds; means over four runs each). Steps are short enough for the bound in "
        f"{len(inside)}; in these the mean squared gradient is below the bound in "
        f"{int((inside['measured'] <= inside['bound']).sum())}, in the other {len(outside)} in "
        f"{int((outside['measured'] <= outside['bound']).sum())}.",
        "Ranks: Spearman's correlation of bound and measurement over settings, means of the seeds. Vacuous: the bound "
        "is above the squared gradient with which training begins, and says nothing.",
        markdown(_lines(inside)),
        "### By clients, rows of a mini-batch and phi",
        "Equal steps, the longest of them half of the inverse curvature at the start; mean ± half width of the 95 % "
        f"interval over {seeds} seeds after {ROUNDS[-1]} rounds.",
        markdown(_settings(inside)),
    ]
    return "\n\n".join(parts)


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for (problem, rounds), own in rows.groupby(["problem", "rounds"], sort=False):
        means = own.groupby(SETTING)[["measured", "bound"]].mean()
        psl = means[means.index.get_level_values("ratio") == 0]
        yield {
            "problem": str(problem),
            "rounds": str(rounds),
            "holds": f"{(own['measured'] <= own['bound']).mean():.0%}",
            "bound / measured, median": f"{(own['bound'] / own['measured']).median():.1f}",
            "vacuous": f"{(own['bound'] > own['first']).mean():.0%}",
            "ranks": f"{spearmanr(means['measured'], means['bound']).statistic:.2f}",
            "ranks, PSL alone": f"{spearmanr(psl['measured'], psl['bound']).statistic:.2f}",
        }


def _settings(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    rows = rows[(rows["rounds"] == ROUNDS[-1]) & (rows["step"] == 1.0) & ~rows["same_rate"]]
    for (n, b, phi), own in rows.groupby(["clients", "batch", "ratio"]):
        yield {
            "clients": str(n),
            "rows": str(b),
            "phi": f"{phi:g}",
            **{
                f"{problem}, {name}": estimate(own[own["problem"] == problem][name], 3)
                for problem in PROBLEMS
                for name in ("measured", "bound")
            },
        }


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Bound over measurement, a panel for each problem; a point for each setting and number of rounds."""
    figure.set_size_inches(11, 5)
    panels = figure.subplots(1, len(PROBLEMS), squeeze=False)[0]
    means = rows[rows["applies"]].groupby([*SETTING, "rounds"])[["measured", "bound"]].mean().reset_index()
    for axes, problem in zip(panels, PROBLEMS, strict=True):
        own = means[means["problem"] == problem]
        for number, (phi, marker) in enumerate(zip(sorted(own["ratio"].unique()), "o^s", strict=False)):
            each = own[own["ratio"] == phi]
            axes.loglog(
                each["measured"], each["bound"], marker, color=COLOURS[number], alpha=0.6, label=f"phi = {phi:g}"
            )
        ends = [own["measured"].min(), own["bound"].max()]
        axes.plot(ends, ends, color="0.4", linewidth=1, label="equal")
        axes.set(title=problem, xlabel="measured mean squared gradient", ylabel="bound")
        axes.grid(alpha=0.3)
        axes.legend()


EXPERIMENT = Experiment(
    title="Does the bound on the convergence of PSL and EPSL hold, and does it rank settings?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"bound": plot},
)
