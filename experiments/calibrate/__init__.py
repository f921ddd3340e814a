"""Calibrates the surrogate learner on logs of real runs, and compares it with runs that it was not fitted to.

    python -m experiments calibrate --scenario iot --framework epsl

Logs lie in one file per run; what is there is not run again. Decisions come from many patterns (`patterns.py`); three
of them, and every fifth run of the others, are held out of the fit whose errors are reported. What is shipped is fitted
once more with these patterns, and only the fifth runs held out. Some runs are trained twice, with other initial
weights: such a twin shows how much of a run is chance, which no model can foretell.
"""

import inspect
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
import tyro

from experiments.calibrate.fit import fit, spread
from experiments.calibrate.jobs import jobs, of_group
from experiments.calibrate.logs import Log, finish, finished
from experiments.calibrate.network import compact, network_section
from experiments.calibrate.replays import Replay
from experiments.calibrate.report import EARLY, Comparison, errors, plot, table, twins, where
from experiments.command_line import command_line
from experiments.running import provenance
from experiments.running.making import made_by_command
from experiments.running.options import results_folder
from splitgym import data, models
from splitgym.command_line import about, parsing
from splitgym.evaluation.processes import check_workers
from splitgym.inputs import InputError
from splitgym.learning.surrogate.calibration import FOLDER_VARIABLE, FRAMEWORKS
from splitgym.learning.surrogate.calibration_file import key
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.outputs import write_text
from splitgym.scenario import Scenario, build, file_name

HELD_OUT = ("held-out seeds", "held-out patterns")
GROUPS = ("fitted", *HELD_OUT)
ALLOWED = {
    "runs": (15, 10_000),
    "steady_runs": (0, 10_000),
    "rounds": (1, 100_000),
    "evaluate_every": (1, 100_000),
    "evaluation_samples": (1, 10**9),
}
"""Least and most of an option."""
RANGES = {"clients": (1, 100_000), "dirichlet_alpha": (1e-3, 1e6)}
"""Least and most of both ends of a range."""
DIGITS = 4
"""Significant, of the numbers in a calibration."""


@dataclass(frozen=True)
class Options:
    """A calibration of the surrogate learner, with its error on held-out real runs."""

    scenario: str = "iot"
    """Preset, or path of a TOML file; only its task and training matter."""
    framework: str = "epsl"
    """A calibration of epsl holds for psl as well."""
    clients: tuple[int, int] | None = None
    """Fewest and most clients that it shall hold for; default: half to 1.75 times the scenario's."""
    dirichlet_alpha: tuple[float, float] = (0.1, 1.0)
    """Its range, where the data are shared by partition="dirichlet"."""
    runs: int = 208
    """Real runs to log, whose cut layers and phi are as various as those of untrained policies."""
    steady_runs: int = 104
    """Further runs with phi 0 and one cut layer, mostly the first: where good schedulers end up."""
    rounds: int = 200
    """Of each run."""
    evaluate_every: int = 8
    """Rounds from one measurement to the next."""
    evaluation_samples: int | None = None
    """Test samples of a measurement; absent: all."""
    workers: int = 1
    """Processes that train."""
    logs: Path = Path("runs/calibrate")
    """Folder for the logs."""
    calibrations: Path = Path("runs/calibrations")
    """Folder for the calibration."""
    out: Path | None = None
    """Folder for the report: table, rows and plot; none: calibrate/SCENARIO-FRAMEWORK in
    experiments/results or runs/quick."""
    quick: bool = False
    """A short form: 28 runs of 16 rounds, a few steps of the fit."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        for name, (least, most) in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"--{name.replace('_', '-')} {value}, allowed: {least} to {most}")
        check_workers(self.workers)
        for name, (least, most) in RANGES.items():
            low, high = getattr(self, name) or (least, most)
            if not least <= low <= high <= most:
                raise InputError(
                    f"--{name.replace('_', '-')} {low} {high}, allowed: the least, then the most, of {least} to {most}"
                )
        if self.evaluate_every > self.rounds:
            raise InputError(f"--evaluate-every {self.evaluate_every}, allowed: 1 to {self.rounds}, the rounds")
        if self.framework not in FRAMEWORKS:
            raise InputError(f"--framework {self.framework!r}, allowed: {', '.join(FRAMEWORKS)}")


def main() -> None:
    """Logs what is not logged yet, fits, writes calibration and report."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    options.check()
    scenario = build(options.scenario)
    name = file_name(f"{scenario.name}-{options.framework}")
    count = scenario.clients.count
    clients = options.clients or (max(2, count // 2), max(6, int(1.75 * count)))
    for number, alpha in zip(clients, options.dirichlet_alpha, strict=True):
        task = {"dirichlet_alpha": alpha, "evaluation_samples": options.evaluation_samples}
        build(options.scenario, {"clients": {"count": number}, "family": {"clients": None}, "task": task})
    runs, steady_runs = (15, 13) if options.quick else (options.runs, options.steady_runs)
    rounds, every = (16, 4) if options.quick else (options.rounds, options.evaluate_every)
    folder = options.logs / (f"{name}-quick" if options.quick else name)
    # Runs that were logged before may be of other code.
    made_by = {**made_by_command("calibrate", options, main), "runs_kept": len(list(folder.glob("*.npz")))}
    finish(
        jobs(
            options.scenario,
            scenario,
            options.framework,
            runs=runs,
            steady_runs=steady_runs,
            clients=clients,
            dirichlet_alpha=options.dirichlet_alpha,
            rounds=rounds,
            evaluate_every=every,
            evaluation_samples=options.evaluation_samples,
        ),
        folder,
        options.workers,
    )
    logs, again = finished(folder), finished(folder, again=True)
    cuts = cut_layers(scenario)
    fitted = Replay(of_group(logs, "fitted"), cuts, scenario.training.batch_size)
    pairs = pair(logs, again, cuts, scenario.training.batch_size)
    iterations = 3 if options.quick else 30
    parameters = spread(fit(fitted, iterations), fitted, pairs)
    of_all_patterns = Replay(of_group(logs, "fitted", "held-out patterns"), cuts, scenario.training.batch_size)
    shipped = spread(fit(of_all_patterns, iterations), of_all_patterns, pairs)
    report = Report(scenario, name, logs, pairs, parameters, shipped, cuts)
    results = results_folder(f"calibrate.{name}", options.quick, options.out)
    provenance.save(results, made_by)
    text = report.write(results)
    options.calibrations.mkdir(parents=True, exist_ok=True)
    path = options.calibrations / f"{name}.toml"
    write_text(path, calibration(options, scenario, clients, cuts, report))
    print(text)
    print(f"{path}: found by learner='surrogate' when {FOLDER_VARIABLE}={options.calibrations}")


def cut_layers(scenario: Scenario) -> int:
    """Cut layers of its network, L - 1."""
    task, (shape, classes) = scenario.task, data.dimensions(scenario.task.dataset)
    return len(models.build(task.model, shape, classes, torch.Generator(), stem=task.stem)) - 1


def pair(once: list[Log], again: list[Log], cuts: int, batch_size: int) -> tuple[Replay, Replay] | None:
    """Runs that were trained twice, first and second time; None if there are none."""
    if not again:
        return None
    first = {log.job["number"]: log for log in once}
    known = [log for log in again if log.job["number"] in first]
    return Replay([first[log.job["number"]] for log in known], cuts, batch_size), Replay(known, cuts, batch_size)


class Report:
    """The errors of a calibration, as rows, tables and plot."""

    def __init__(
        self,
        scenario: Scenario,
        name: str,
        logs: list[Log],
        pairs: tuple[Replay, Replay] | None,
        parameters: Parameters,
        shipped: Parameters,
        cuts: int,
    ) -> None:
        self.name, self.logs, self.shipped = name, logs, shipped
        replays = {group: Replay(of_group(logs, group), cuts, scenario.training.batch_size) for group in GROUPS}
        held_out = of_group(logs, *HELD_OUT)
        replays["held out"] = Replay(held_out, cuts, scenario.training.batch_size)
        if steady := [log for log in held_out if log.job.get("steady")]:
            replays["steady, held out"] = Replay(steady, cuts, scenario.training.batch_size)
        compared = {group: Comparison.of(replay, parameters) for group, replay in replays.items()}
        compared["as shipped: held-out seeds"] = Comparison.of(replays["held-out seeds"], shipped)
        if pairs is not None:
            compared["first twins"] = Comparison.of(pairs[0], parameters)
        self.held_out = compared["held out"]
        goal = scenario.episode.target_accuracy
        self.rows = self.held_out.rows(goal)
        self.errors = {f"target {target:g}": errors_at(compared, pairs, target) for target in (goal, EARLY * goal)}

    def write(self, folder: Path) -> str:
        """Writes rows, plot and tables; returns the tables."""
        write_text(folder / f"{self.name}.csv", self.rows.to_csv(index=False, float_format="%.5g"))
        plot(self.held_out, folder / f"{self.name}.png")
        text = "\n\n".join(
            [
                f"`{command_line('calibrate')}`",
                f"{len(self.logs)} real runs of {self.held_out.rounds} rounds, each trained once. Accuracy: beside "
                "the surrogate's expectation. Rounds to the target: beside the median of nine draws of the surrogate; "
                "error where both reach it, rank correlation over all runs. Twins are runs trained twice, with other "
                "initial weights; the second as the forecast of the first shows how much is chance.",
                *(f"### {target}\n\n{table(parts)}" for target, parts in self.errors.items()),
                "### Where, on all held-out runs",
                where(self.rows),
                "",
            ]
        )
        write_text(folder / f"{self.name}.md", text)
        return text


def errors_at(
    compared: dict[str, Comparison], pairs: tuple[Replay, Replay] | None, target: float
) -> dict[str, dict[str, float]]:
    """Errors of all groups of runs, and of second trainings as forecasts of first ones."""
    found = {group: errors(each.rows(target), each.rounds) for group, each in compared.items()}
    held_out = compared["held out"]
    found["held out, one draw"] = errors(held_out.drawn().rows(target), held_out.rounds)
    return found if pairs is None else {**found, "second twins for first": twins(*pairs, target)}


def calibration(options: Options, scenario: Scenario, clients: tuple[int, int], cuts: int, report: Report) -> str:
    """The calibration as TOML."""
    logs, (task, training) = report.logs, key(scenario)
    alpha = options.dirichlet_alpha if scenario.task.partition == "dirichlet" else (scenario.task.dirichlet_alpha,) * 2
    numbers = [log.job["number"] for log in logs]
    own_data = data.digest(scenario.task.dataset)
    values: dict[str, Any] = {
        "frameworks": ["epsl", "psl"] if options.framework == "epsl" else [options.framework],
        "clients": list(clients),
        "dirichlet_alpha": list(alpha),
        "cut_layers": cuts,
        **({} if own_data is None else {"data_digest": own_data}),
        "train_samples": np.rint(np.mean([log.class_counts.sum(0) for log in logs], axis=0)).astype(int).tolist(),
        "test_samples": np.rint(np.mean([log.test_counts for log in logs], axis=0)).astype(int).tolist(),
        "task": task,
        "training": training,
        **network_section(scenario.task),
        "parameters": {name: rounded(value) for name, value in report.shipped._asdict().items()},
        "provenance": {
            "command": command_line("calibrate"),
            "splitgym": version("splitgym"),
            "torch": str(torch.__version__),
            "runs": len(logs),
            "rounds": len(logs[0].cut_layer),
            "seeds": [min(numbers), max(numbers)],
            "patterns": sorted({log.job["pattern"] for log in logs}),
        },
        "error": {
            target: {group: {n: rounded(v) for n, v in own.items() if np.isfinite(v)} for group, own in parts.items()}
            for target, parts in report.errors.items()
        },
    }
    return compact(tomli_w.dumps(values))


def rounded(value: Any) -> Any:
    """Plain numbers with few digits."""
    if np.ndim(value):
        return [rounded(each) for each in value]
    return value if isinstance(value, int) else float(f"{float(value):.{DIGITS}g}")
