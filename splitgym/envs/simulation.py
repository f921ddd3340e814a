"""What an environment does, for N worlds at once: decode, play, reward, observe, report.

The single environment is N = 1, the vector environment N; both only translate to and from Gymnasium.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym import data
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions import ActionCodec, Masked, codec
from splitgym.envs.costs import Costs
from splitgym.envs.features import STANDARD, Feature
from splitgym.envs.info import Columns, Info, Layout, Table
from splitgym.envs.observation import ObservationCodec
from splitgym.envs.rewards import ENERGY, reward_of
from splitgym.envs.world import Round, World
from splitgym.frameworks import get
from splitgym.frameworks.exchange import ends_with_mean
from splitgym.learning import LEARNERS
from splitgym.parts import suggest
from splitgym.random import Generators
from splitgym.scenario import Scenario, ScenarioError, UnknownArgumentError, build
from splitgym.types import Decision
from splitgym.types.memory import deepest_cut


class Settings(NamedTuple):
    """What an environment is made of, as a user says it; see the environment's Arguments."""

    scenario: str | Path | Mapping[str, Any] | Scenario = "iot"
    framework: str = "epsl"
    learner: str = "train"
    action: str | type[ActionCodec] = "discrete"
    reward: str | Mapping[str, float] | Callable[[Round], Floats] = "gain-latency"
    render_mode: str | None = None
    device: str | None = None
    observation: str | Sequence[str | Feature] = STANDARD

    def build(self, overrides: Mapping[str, Any], render_modes: Sequence[str] = ()) -> Scenario:
        """The scenario with its overrides.

        Args:
            overrides: Sections of the scenario, or fields of them.
            render_modes: What the environment can render.

        Raises:
            ScenarioError: an argument has a value that is not allowed.
            UnknownArgumentError: an override is no section of the scenario.
        """
        check_learner(self.learner)
        check_render_mode(self.render_mode, render_modes)
        if "max_episode_steps" in overrides:
            steps = overrides["max_episode_steps"]
            raise ScenarioError(f'max_episode_steps = {steps!r} is no argument, allowed: episode={{"max_rounds": ...}}')
        unknown = set(overrides) - set(Scenario.model_fields)
        if unknown:
            name = min(unknown)
            allowed = (*self._fields, *Scenario.model_fields)
            raise UnknownArgumentError(f"got an unexpected keyword argument {name!r}, {suggest(name, allowed)}")
        return build(self.scenario, overrides)


def check_learner(learner: Any) -> None:
    """Raises a ScenarioError if there is no such learner."""
    if not isinstance(learner, str) or learner not in LEARNERS:
        raise ScenarioError(f"learner = {learner!r} is unknown, {suggest(str(learner), LEARNERS)}")


def check_render_mode(render_mode: Any, modes: Sequence[str]) -> None:
    """Raises a ScenarioError if an environment that can render in these modes cannot in this one; None: it need not."""
    if not isinstance(render_mode, str | None) or render_mode not in (None, *modes):
        raise ScenarioError(f"render_mode = {render_mode!r}, allowed: {', '.join(['None', *modes])}")


class Step(NamedTuple):
    """What a step gave in N worlds."""

    played: Round
    reward: Floats
    """[N]."""
    terminated: Bools
    """[N]."""
    truncated: Bools
    """[N]."""
    reward_terms: Table
    """Unweighted, of N worlds."""
    cost: Floats
    """[N]."""


class Simulation:
    """N environments as arrays; environment i depends on its own generator and actions only, to the bit.

    Args:
        settings: What they are made of.
        scenario: `settings.build(...)`.
        worlds: N.

    Attributes:
        actions: The encoding of decisions.
        observations: The encoding of states.
    """

    def __init__(self, settings: Settings, scenario: Scenario, worlds: int) -> None:
        self.scenario = scenario
        self.framework = get(settings.framework)
        self.world = World(scenario, self.framework, settings.learner, worlds, settings.device)
        self.actions = codec(settings.action, scenario, self.world.system, self.framework)
        _, classes = data.dimensions(scenario.task.dataset)
        self.observations = ObservationCodec(
            scenario, self.world.system, classes, self.actions.decides_subchannels, settings.observation
        )
        self._reward = reward_of(settings.reward)
        self._costs = Costs(scenario.budgets, self.world.system.units - 1, worlds)
        # Rewards of one's own may look at the timeline, as frames do.
        self._timeline = settings.render_mode is not None or self._reward.is_own
        self._all = np.arange(worlds)
        self._of_progress: Layout | None = None
        self._of_account: Layout | None = None

    def reset(self, rngs: Generators, which: Sequence[int] | Ints) -> None:
        """Starts episodes in the worlds with these indices (all of them at first), drawn from their generators."""
        self.world.reset(rngs, which)
        self._costs.forget(which)

    def play(self, decision: Decision, idle: Bools | None = None) -> Step:
        """Plays the decisions of N worlds, which must fit; idle ones, [N], play none and are to be reset."""
        played = self.world.play_unchecked(decision, idle, self._timeline)
        reward, terms = self._reward.of(played)
        self._costs.charge(played)
        # Episodes that start in the same step write into the arrays of the round.
        ends = played.terminated.copy(), played.truncated.copy()
        step = Step(played, reward, *ends, terms, self._costs.total.copy())
        self.world.advance()
        return step

    def observe(self, which: Ints | None = None) -> NDArray[np.float32]:
        """[N, observation]; of the worlds with these indices only, if given."""
        return self.observations.encode(self.world.state, self._all if which is None else which)

    def masks(self) -> Bools:
        """[N, values] flat masks over the values of the action in whole numbers; see `Masked`.

        Raises:
            AttributeError: the encoding has no masks.
        """
        if isinstance(self.actions, Masked):
            state = self.world.state
            return self.actions.masks(state.available, deepest_cut(state))
        raise AttributeError("the encoding of the actions has no masks, allowed: action='discrete', 'schedule', 'rule'")

    def progress(self) -> Info:
        """How far the episodes are, for `info`."""
        state, outcome = self.world.state, self.world.outcome
        return {
            "round": state.round,
            "elapsed_s": state.elapsed_s,
            "accuracy": outcome.accuracy,
            "worst_accuracy": outcome.worst_accuracy,
            "balanced_accuracy": outcome.balanced_accuracy,
            "loss": outcome.loss,
            "evaluated": outcome.evaluated,
            "evaluation_samples": outcome.evaluation_samples,
            **({"bits_per_character": outcome.bits_per_character} if self.scenario.task.is_text else {}),
            "cost": self._costs.total,
            "costs": self._costs.table,
            **({"station": state.station, "handovers": self.world.handovers} if len(state.system.stations) > 1 else {}),
        }

    def progress_columns(self) -> Columns:
        """`progress` as it is now."""
        info = self.progress()
        if self._of_progress is None:
            self._of_progress = Layout(info)
        return Columns.of(info, self._of_progress)

    def account_columns(self, step: Step) -> Columns:
        """`account` of the last step as it is now."""
        info = account(step)
        if self._of_account is None:
            self._of_account = Layout(info)
        return Columns.of(info, self._of_account)


def account(step: Step) -> Info:
    """What a round did and cost, for `info`."""
    decision, cost, outcome = step.played.decision, step.played.cost, step.played.outcome
    system, flights = step.played.truth.system, cost.flights
    worlds = len(decision.selected)
    decided: Info = {name: _of_worlds(getattr(decision, name), worlds) for name in system.open_lists}
    memory = {} if system.memory is None else {"without_memory": cost.without_memory}
    if flights is not None and system.asynchrony is not None:
        if system.asynchrony.row_cycles is not None:
            decided |= {"generated_rows": outcome.generated_rows}
        decided |= {"quorum": np.asarray(decision.quorum), "in_flight": flights.in_flight(system.asynchrony)}
    if system.program.plans.second_cuts > 1:
        deepest = np.max(decision.cut_layer, axis=-1) if decision.cut_by_client else decision.cut_layer
        decided["second_cut"] = system.program.plans.second_of(deepest, decision.second_cut)
    if system.averaging_decided:
        decided["averaging"] = ends_with_mean(decision.averaging, step.played.truth.round, system.averaging_interval)
    return {
        "round_latency_s": cost.latency_s,
        "stages": Table(*cost.stage_totals()),
        "cut_layer": np.asarray(decision.cut_layer, np.int64),
        "aggregation_ratio": np.asarray(decision.aggregation_ratio, np.float64),
        **decided,
        **({"clock": _of_worlds(decision.clock, worlds)} if system.clock_decided else {}),
        "selected": decision.selected,
        "participants": cost.participants,
        "without_subchannel": cost.without_subchannel,
        "unavailable": cost.unavailable,
        "timed_out": cost.timed_out,
        **memory,
        "energy_j": -step.reward_terms.values[ENERGY],
        "client_energy_j": cost.client_energy_j,
        "server_energy_j": cost.server_energy_j,
        "traffic_bits": cost.traffic_bits,
        "migration_bits": cost.migration_bits,
        "projected": step.played.projected,
        "finite": outcome.finite,
        "trained": outcome.trained,
        "reward_terms": step.reward_terms,
    }


def _of_worlds(value: Any, worlds: int) -> NDArray[Any]:
    """What was decided in each world, also where one number holds for all."""
    return np.asarray(value) if np.ndim(value) else np.full(worlds, value)
