"""Environment steps a second: one environment, many at once, under PPO; by part, memory, growth with clients and band.

python -m experiments benchmarks.throughput
"""

import inspect
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
import tyro
from matplotlib.figure import Figure
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm

from experiments.benchmarks.costless import Costless, Ends
from experiments.command_line import command_line
from experiments.running import provenance
from experiments.running.making import made_by_command
from experiments.running.options import results_folder
from splitgym.command_line import about, parsing
from splitgym.envs import SB3VecEnv, SplitLearningVectorEnv
from splitgym.envs.simulation import Settings, Simulation
from splitgym.evaluation.figures import number_log_axes, save
from splitgym.evaluation.look import COLOURS
from splitgym.inputs import InputError
from splitgym.outputs import write_text

SIZES = ((4, 4), (8, 8), (14, 14), (8, 32), (14, 50), (14, 100))
"""Clients, subchannels; as many clients as `iot` is calibrated for."""
ROLLOUT = 16384
"""Environment steps between two updates of PPO."""


@dataclass(frozen=True)
class Options:
    """Times environments with the surrogate; prints tables, saves them, the numbers and a plot."""

    scenario: str = "iot"
    """Preset."""
    actions: tuple[str, ...] = ("schedule", "continuous")
    """Encodings."""
    environments: tuple[int, ...] = (1, 8, 64, 256, 1024, 4096, 8192)
    """Numbers of environments at once."""
    seconds: float = 2.0
    """How long each number is measured, all repeats together, after a warm-up."""
    repeats: int = 5
    """Measurements of each number of environments; the median counts, and the range is shown."""
    ppo_environments: tuple[int, ...] = (64, 512, 4096)
    """Numbers of environments under PPO."""
    ppo_steps: int = 3 * ROLLOUT
    """Environment steps of each measured PPO run."""
    passes: int = 3
    """PPO runs on ours and on costless environments, in turns; the medians count."""
    sizes: tuple[tuple[int, int], ...] = SIZES
    """Clients and subchannels of the cells in which 256 environments are measured."""
    quick: bool = False
    """A short form: few numbers, each measured for a moment."""
    out: Path | None = None
    """Folder for throughput.csv, .md and .png; none: benchmarks/throughput in experiments/results or runs/quick."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        if not self.seconds > 0:
            raise InputError(f"--seconds {self.seconds}, allowed: more than 0")
        if self.ppo_steps < ROLLOUT:
            raise InputError(f"--ppo-steps {self.ppo_steps}, allowed: {ROLLOUT} or more")
        if self.repeats < 1:
            raise InputError(f"--repeats {self.repeats}, allowed: 1 or more")
        if self.passes < 1:
            raise InputError(f"--passes {self.passes}, allowed: 1 or more")
        for number in (*self.environments, *self.ppo_environments):
            if number < 1:
                raise InputError(f"--environments {number}, allowed: 1 or more")


SHORT = {
    "actions": ("schedule",),
    "environments": (1, 64),
    "seconds": 0.1,
    "repeats": 2,
    "ppo_environments": (512,),
    "ppo_steps": ROLLOUT,
    "passes": 1,
    "sizes": SIZES[:2],
}
"""Settings of the short form."""


class Speed(NamedTuple):
    """Steps a second of wall-clock time, and processor time, over several measurements."""

    value: float
    """Median."""
    lowest: float
    highest: float
    cpu_us: float
    """Least processor time of a step, us, all threads together."""


def rate(move: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Calls a second, over about so many seconds of wall-clock time, and processor seconds of a call."""
    calls, begin, cpu = 0, time.perf_counter(), time.process_time()
    spent = 0.0
    while spent < seconds:
        move()
        calls += 1
        spent = time.perf_counter() - begin
    return calls / spent, (time.process_time() - cpu) / calls


def speed(move: Callable[[], object], number: int, seconds: float, repeats: int) -> Speed:
    """Of a call that steps so many environments, after three calls to warm up."""
    for _ in range(3):
        move()
    rates, cpu_s = zip(*(rate(move, seconds / repeats) for _ in range(repeats)), strict=True)
    return Speed(number * float(np.median(rates)), number * min(rates), number * max(rates), 1e6 * min(cpu_s) / number)


def single(scenario: str, action: str, seconds: float, repeats: int) -> tuple[Speed, float]:
    """One environment, resets included, with random actions; and the mean length of its episodes, rounds."""
    env = gym.make("SplitLearning-v0", scenario=scenario, action=action, learner="surrogate")
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    taken, ended = 0, 0

    def move() -> None:
        nonlocal taken, ended
        *_, terminated, truncated, _ = env.step(actions[taken % len(actions)])
        taken += 1
        if terminated or truncated:
            ended += 1
            env.reset()

    found = speed(move, 1, seconds, repeats)
    return found, taken / max(ended, 1)


def vector(number: int, seconds: float, repeats: int, **settings: Any) -> Speed:
    """So many environments at once, with autoreset, observations, rewards and `info`, and random actions."""
    envs = SplitLearningVectorEnv(number, learner="surrogate", **settings)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(4)]
    taken = iter(range(10**9))
    found = speed(lambda: envs.step(actions[next(taken) % 4]), number, seconds, repeats)
    envs.close()
    return found


def memory_bytes(number: int, **settings: Any) -> int:
    """What so many environments hold after a step."""
    tracemalloc.start()
    envs = SplitLearningVectorEnv(number, learner="surrogate", **settings)
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    envs.close()
    return held


def parts(scenario: str, action: str, number: int, seconds: float) -> dict[str, float]:
    """Microseconds of one thread for each environment and step, by part; `reset` is for each episode."""
    settings = Settings(scenario, learner="surrogate", action=action)
    simulation = Simulation(settings, settings.build({}), number)
    rngs = [np.random.default_rng(seed) for seed in range(number)]
    simulation.reset(rngs, range(number))
    simulation.actions.space.seed(0)
    actions = np.stack([simulation.actions.space.sample() for _ in range(number)])
    decision = simulation.actions.decode(actions, simulation.world.state)
    step = simulation.play(decision)
    some = range(max(1, number // 32))

    def cpu_us(move: Callable[[], object], count: int = number) -> float:
        return speed(move, count, seconds, 3).cpu_us

    return {
        "decode": cpu_us(lambda: simulation.actions.decode(actions, simulation.world.state)),
        "play (budgets, timing, cell, learner, reward)": cpu_us(lambda: simulation.play(decision)),
        "observe": cpu_us(simulation.observe),
        "information": cpu_us(lambda: (simulation.progress_columns(), simulation.account_columns(step))),
        "reset (an episode)": cpu_us(lambda: simulation.reset(rngs, some), len(some)),
    }


def ppo_rate(envs: VecEnv, steps: int) -> tuple[float, Ends]:
    """Environment steps a second of PPO, its updates included; and how often episodes ended."""
    settings = {"n_steps": max(1, ROLLOUT // envs.num_envs), "batch_size": ROLLOUT // 4, "n_epochs": 4, "device": "cpu"}
    model = PPO("MlpPolicy", envs, seed=0, **settings)
    model.learn(ROLLOUT)
    ends, begin = Ends(), time.perf_counter()
    model.learn(steps, callback=ends, reset_num_timesteps=False)
    return (model.num_timesteps - ROLLOUT) / (time.perf_counter() - begin), ends


def measure(options: Options) -> Iterator[dict[str, object]]:
    """A row for each number."""
    scenario, seconds = options.scenario, options.seconds
    for action in options.actions:
        key = {"scenario": scenario, "action": action}
        one, length = single(scenario, action, seconds, options.repeats)
        yield {**key, "what": "single", "environments": 1, **one._asdict(), "rounds": length}
        for number in options.environments:
            many = vector(number, seconds, options.repeats, scenario=scenario, action=action)
            yield {**key, "what": "vector", "environments": number, **many._asdict(), "baseline": one.value}
        for number in options.ppo_environments:
            with_ours, without = [], []
            # In turns, so that both see the same neighbours on the machine.
            for _ in range(options.passes):
                envs = SB3VecEnv(number, scenario=scenario, action=action, learner="surrogate")
                ours, ends = ppo_rate(envs, options.ppo_steps)
                with_ours.append(ours)
                without.append(ppo_rate(Costless(envs, ends.truncated, ends.terminated), options.ppo_steps)[0])
                envs.close()
            value, costless = float(np.median(with_ours)), float(np.median(without))
            yield {**key, "what": "ppo", "environments": number, "value": value, "baseline": costless}
        for part, value in parts(scenario, action, 1024, seconds / 2).items():
            yield {**key, "what": "part", "environments": 1024, "part": part, "value": value}
        for number in (1024, 8192):
            value = memory_bytes(number, scenario=scenario, action=action) / number
            yield {**key, "what": "memory", "environments": number, "value": value}
        for clients, subchannels in options.sizes:
            sizes = {"clients": {"count": clients}, "radio": {"subchannels": subchannels}}
            of_size = vector(256, seconds, options.repeats, scenario=scenario, action=action, **sizes)
            yield {
                **key,
                "what": "size",
                "environments": 256,
                "clients": clients,
                "subchannels": subchannels,
                **of_size._asdict(),
            }


def tables(runs: pd.DataFrame) -> str:
    """Markdown of all numbers."""
    text = []
    for action, own in runs.groupby("action", sort=False):
        of = dict(list(own.groupby("what")))
        one = next(of["single"].itertuples())
        text += [f"## `{action}`", "", f"Random actions; episodes have {one.rounds:.1f} rounds on average.", ""]
        text += ["| environments at once | steps/s | range | times one | us of processor time |"]
        text += ["|---:|---:|---:|---:|---:|"]
        text += [
            f"| {name} | {r.value:,.0f} | {r.lowest:,.0f} to {r.highest:,.0f} "
            f"| {r.value / one.value:.1f} | {r.cpu_us:.2f} |"
            for name, r in [("one alone", one), *((r.environments, r) for r in of["vector"].itertuples())]
        ]
        text += ["", "| PPO with environments | steps/s | on costless ones | share kept |", "|---:|---:|---:|---:|"]
        text += [
            f"| {r.environments} | {r.value:,.0f} | {r.baseline:,.0f} | {100 * r.value / r.baseline:.0f} % |"
            for r in of["ppo"].itertuples()
        ]
        text += ["", "Episodes end as often on the costless ones, by chance: that, too, is work for PPO."]
        text += ["", "| part of a step, one thread, 1024 at once | us of processor time |", "|---|---:|"]
        text += [f"| {r.part} | {r.value:.2f} |" for r in of["part"].itertuples()]
        text += ["", "| clients | subchannels | steps/s, 256 at once |", "|---:|---:|---:|"]
        text += [f"| {int(r.clients)} | {int(r.subchannels)} | {r.value:,.0f} |" for r in of["size"].itertuples()]
        held = ", ".join(f"{r.value / 1e3:.1f} kB each for {r.environments}" for r in of["memory"].itertuples())
        text += ["", f"Memory: {held}.", ""]
    return "\n".join(text)


def plot(runs: pd.DataFrame, path: Path) -> None:
    """Steps a second over environments at once, and over clients x subchannels."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    by_number, by_size = figure.subplots(1, 2)
    for colour, (action, own) in zip(COLOURS, runs.groupby("action", sort=False), strict=False):
        many, sizes = own[own["what"] == "vector"], own[own["what"] == "size"]
        by_number.plot(many["environments"], many["value"], "o-", color=colour, label=action)
        links = sizes["clients"] * sizes["subchannels"]
        by_size.plot(links, sizes["value"], "o-", color=colour, label=action)
    by_number.axhline(300_000, color="black", linestyle=":", label="300,000")
    by_number.set(xlabel="environments at once", title="Steps a second with the surrogate")
    by_size.set(xlabel="clients x subchannels", title="256 environments of other sizes")
    for axes in (by_number, by_size):
        axes.set(xscale="log", yscale="log", ylabel="environment steps/s")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    number_log_axes(figure)
    save(figure, path)


def main() -> None:
    """Measures everything, prints and saves."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    options.check()
    if options.quick:
        options = replace(options, **SHORT)
    made_by = made_by_command("benchmarks.throughput", options, main)
    torch.set_num_threads(2)
    runs = pd.DataFrame(list(tqdm(measure(options), desc="numbers")))
    command = command_line("benchmarks.throughput")
    text = f"`{command}`: scenario `{options.scenario}`, learner `surrogate`, wall-clock time.\n\n{tables(runs)}"
    folder = results_folder("benchmarks.throughput", options.quick, options.out)
    provenance.save(folder, made_by)
    write_text(folder / "throughput.csv", runs.to_csv(index=False, float_format="%.6g"))
    write_text(folder / "throughput.md", text)
    plot(runs, folder / "throughput.png")
    print(text)
    print(f"Saved throughput.csv, throughput.md and throughput.png in {folder}")
