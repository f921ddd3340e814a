"""`SplitLearningSlices-v0`: the environment of a controller. The class docstring is the manual."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.envs.episode_order import EpisodeOrder
from splitgym.envs.reset_arguments import check_options, seed_of
from splitgym.envs.rewards import REWARDS
from splitgym.envs.simulation import check_learner, check_render_mode
from splitgym.envs.spec import JsonableSpec
from splitgym.inputs import InputError
from splitgym.parts import suggest
from splitgym.rendering import RENDER_MODES
from splitgym.scenario import ScenarioError
from splitgym.slices import frames
from splitgym.slices.cell import SharedCell
from splitgym.slices.observation import names_of, observe, space_of
from splitgym.slices.setup import COMMON, SlicedCell, load
from splitgym.slices.shares import BASE, Shares, shares_of, weights_of
from splitgym.slices.slice import Slice

WEIGHTS = REWARDS["gain-latency"]
"""Of the terms of the reward."""


class SplitLearningSlicesEnv(EpisodeOrder, JsonableSpec, gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Shares a cell and an edge server among several split-learning tasks: the controller of a sliced network.

    ## Description
    S slices, each an ordinary task of `SplitLearning-v0` with clients, data, framework and learner of its own, share
    the M subchannels of a cell and the speed of its edge server. A step is a period of `period_s` seconds: the
    controller says how many whole subchannels and which share of the server each slice gets, and in each slice a
    scheduler of its own decides the rounds on what the slice has.

    A slice plays one round after the other. A round is seen, and learnt from, when it ends; the controller is
    asked at fixed times, when rounds are mostly on their way. A round keeps the shares with which it began. The next
    one begins as it ends, with what is free then of what the slice has got: what rounds of others still use comes in
    the round after they have ended. So nothing is used twice at a time and nobody waits. As long as shares stay as
    they are, what one slice does changes no number of another.

    At first slices have blocks of subchannels by index. Then each keeps as many as it can, first those that its round
    uses; slices that get more have the first of those that nobody keeps, the first slice first. Budgets of transmit
    power are each slice's own.

    A slice is `"best-effort"`, or `"latency-critical"` with a deadline for every round and the share of rounds that
    may break it.

    ## Action Space
    Box(-1, 1), 2 S entries: weights for subchannels, then weights for the server; entry a is the weight 8^a. The
    subchannels go to the slices in proportion, as whole numbers from 1, by the largest remainder; shares of the
    server are the weights over their sum. A slice whose episode has ended gets nothing.

    `env.unwrapped.play(shares)` takes `splitgym.slices.Shares` as they are.

    ## Observation Space
    Box(0, 1), float32, 15 numbers of each slice, slice by slice; `observation_names` names every index. They are what
    the controller may know: beliefs, and what has ended. "squashed at r" is x / (x + r).

    | feature | what |
    |---|---|
    | `subchannels` | share of the subchannels that it has |
    | `server` | share of the server that it has |
    | `in_use` | share of the subchannels that its round on its way uses |
    | `channel` | believed spectral efficiency with p_max over the whole band, squashed at 4 bit/s/Hz; mean |
    | `compute` | believed speed of the clients, squashed at the geometric mean of the slowest and the fastest; mean |
    | `available` | clients that are believed to be there, over all |
    | `accuracy` | test accuracy after its last round |
    | `latency` | latency of its last round, squashed at its deadline, or at time budget / round budget |
    | `on_its_way` | seconds since its round began, squashed likewise; 0: it has none |
    | `latency_critical` | 1 if it has a deadline |
    | `deadline` | its deadline, squashed at time budget / round budget; 0: none |
    | `allowed` | share of its rounds that may be late; 0: none |
    | `violations` | share of its rounds that were late |
    | `time_left` | time budget that is left, over all of it |
    | `ended` | 1 if its episode has ended |

    ## Rewards and Costs
    The reward is the `"gain-latency"` of `SplitLearning-v0` for best-effort slices, summed: 10 times the test accuracy
    gained in the period, minus 10 times the fraction of the time budget that the slice has trained on in it. So it is a
    loss of time to give a slice little. The cost is apart, in `info["cost"]`: rounds of latency-critical slices that
    ended in the period and were late. It is never a part of the reward.

    ## Starting State
    `reset(seed=)` draws all slices again. The first one draws from the environment's generator, so a single slice
    with everything is `SplitLearning-v0` with that seed, to the bit; the others draw from children of it
    (`numpy.random.Generator.spawn`). Before the first step all slices have equal weights.

    ## Episode End
    Each slice's episode ends by itself, as its scenario says; its clients then rest. Termination: all best-effort
    slices have reached their targets. Truncation: none of them runs any more, and one has not. If there are no
    best-effort slices, all count likewise.

    ## Arguments
    | argument | default | allowed |
    |---|---|---|
    | `slices` | `"two-slices"` | preset, path of a TOML file, mapping, rows of slices, or `SlicedCell` |
    | `learner` | `None` | `"train"` or `"surrogate"` in all slices; None: as each row says |
    | `render_mode` | `None` | `None`; `"rgb_array"`: pixels, needs the extra "render"; `"ansi"`: text |
    | `device` | `None` | torch device to train on; None: cuda if there is one, else cpu |
    | `period_s` | `None` | seconds of a period; None: as the cell says |
    | `cell`, `radio`, `server` | | fields of these sections, in all slices: `radio={"subchannels": 12}` |

    ## Info
    After `reset` and `step`: `time_s`; `cost`, and `costs` by slice; `reward_terms`, unweighted: `accuracy_gain` and
    `latency`; `slices`, by name:

    | key | what |
    |---|---|
    | `rounds`, `violations` | rounds that have ended in the episode; those that were late |
    | `violation_rate`, `allowed_rate` | late rounds over rounds; what is allowed (best-effort: 1) |
    | `accuracy` | test accuracy |
    | `latency_s` | of the last round |
    | `latencies_s` | of each round that ended in this period |
    | `subchannels`, `server_share` | what it has |
    | `ended`, `reached_target` | whether its episode has ended; whether by its target |
    | `played` | `info` of `SplitLearning-v0` of each round that ended in this period |

    ## Attributes
    `env.unwrapped.slices` are the `splitgym.slices.Slice`: what a controller that is a rule reads;
    `env.unwrapped.observation_names` says what stands at each index.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 2}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        slices: str | Path | Mapping[str, Any] | Sequence[Any] | SlicedCell = "two-slices",
        learner: str | None = None,
        render_mode: str | None = None,
        device: str | None = None,
        period_s: float | None = None,
        **common: Mapping[str, Any],
    ) -> None:
        for name, value in common.items():
            if name not in COMMON:
                names = ("slices", "learner", "render_mode", "device", "period_s", *COMMON)
                raise ScenarioError(f"unknown argument {name!r}, {suggest(name, names)}")
            if not isinstance(value, Mapping):
                raise ScenarioError(f"{name} = {value!r}, allowed: a mapping of fields")
        if learner is not None:
            check_learner(learner)
        check_render_mode(render_mode, RENDER_MODES)
        self.setup = load(slices, {**common, **({} if period_s is None else {"period_s": period_s})})
        self.render_mode = render_mode
        rows = zip(self.setup.slices, self.setup.scenarios(), strict=True)
        self.slices = tuple(Slice(row, scenario, learner or row.learner, device) for row, scenario in rows)
        self.cell = SharedCell(self.slices)
        self.observation_space: spaces.Space[Any] = space_of(self.slices)
        self.observation_names = names_of(self.slices)
        self.action_space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (2 * len(self.slices),), np.float32)
        self._generators: list[np.random.Generator] = []
        self._periods = 0

    @property
    def running(self) -> Bools:
        """[S] slices whose episodes have not ended."""
        return np.array([not each.progress.ended for each in self.slices])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode; see Starting State.

        Args:
            seed: Whole number from 0; None: the episode goes on drawing from the generators.
            options: There are none.

        Raises:
            InputError: another seed, or an option.
            gymnasium.error.ClosedEnvironmentError: the environment is closed.
        """
        self._need_open()
        check_options(options)
        super().reset(seed=seed_of(seed))
        if seed is not None or not self._generators:
            self._generators = [self.np_random, *self.np_random.spawn(len(self.slices) - 1)]
        self._begun = self._running = False
        for each, generator in zip(self.slices, self._generators, strict=True):
            each.reset(generator)
        self.cell = SharedCell(self.slices)
        self.cell.give(shares_of(np.ones((2, len(self.slices))), self.running, len(self.cell.owner)))
        self._begun = self._running = True
        self._periods = 0
        nothing = dict.fromkeys(WEIGHTS, 0.0)
        return self.observe(), self._info(nothing, {each.name: 0.0 for each in self.slices})

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Plays a period with the shares that the action says.

        Raises:
            InputError: the action is not in the action space.
            gymnasium.error.ResetNeeded: no episode is running.
        """
        return self.play(self.decode(action))

    def play(self, shares: Shares) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """`step` for shares as they are.

        Raises:
            InputError: they do not fit; the message names the field.
            gymnasium.error.ResetNeeded: no episode is running.
        """
        self._need_episode()
        if not isinstance(shares, Shares):
            raise InputError(f"shares = {shares!r}, allowed: a splitgym.slices.Shares")
        shares.check(self.running, len(self.cell.owner))
        before = [(each.accuracy, each.progress.violations) for each in self.slices]
        began_s, training = self.cell.now_s, self.running
        for each in self.slices:
            each.played = []
        self.cell.give(shares)
        self._periods += 1
        self.cell.play(self._periods * self.setup.period_s)
        terms, costs = dict.fromkeys(WEIGHTS, 0.0), {}
        for each, (accuracy, violations), trained in zip(self.slices, before, training, strict=True):
            costs[each.name] = float(each.progress.violations - violations)
            if trained and not each.is_critical:
                terms["accuracy_gain"] += each.accuracy - accuracy
                terms["latency"] -= (self._until_s(each) - began_s) / each.env.scenario.episode.time_budget_s
        counting = [each for each in self.slices if not each.is_critical] or self.slices
        over = all(each.progress.ended for each in counting)
        terminated = over and all(each.progress.reached for each in counting)
        self._running = not over
        reward = sum(WEIGHTS[name] * value for name, value in terms.items())
        return self.observe(), reward, terminated, over and not terminated, self._info(terms, costs)

    def decode(self, action: NDArray[Any]) -> Shares:
        """The shares that an action says now.

        Raises:
            InputError: it is not in the action space.
        """
        self._need_episode()
        entries = np.asarray(action)
        size = 2 * len(self.slices)
        if entries.shape != (size,) or entries.dtype.kind not in "fiu" or not np.all(np.abs(entries) <= 1):
            raise InputError(f"action = {action!r}, allowed: {size} numbers in -1..1")
        weights = BASE ** entries.astype(np.float64).reshape(2, -1)
        return shares_of(weights, self.running, len(self.cell.owner))

    def encode(self, shares: Shares) -> NDArray[np.float32]:
        """The action nearest to shares: weights that differ by more than a factor of 64 cannot be said."""
        self._need_reset()
        shares.check(self.running, len(self.cell.owner))
        return weights_of(shares).astype(np.float32)

    def observe(self) -> NDArray[np.float32]:
        """The observation that `reset` or the last step returned."""
        self._need_reset()
        return observe(self.slices, self.cell.now_s)

    def render(self) -> Any:
        """The cell at the end of the last period, in the form of `render_mode`.

        Who has which subchannels and how much of the server, and of each slice accuracy and latencies over simulated
        time: as pixels, uint8 [720, 1280, 3] ("rgb_array"; needs the extra `render`), or as text ("ansi").

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
            gymnasium.error.Error: there is no render mode.
        """
        self._need_reset()
        if self.render_mode is None:
            modes = " or ".join(map(repr, RENDER_MODES))
            raise gym.error.Error(f"render_mode = None renders nothing, allowed: gym.make(..., render_mode={modes})")
        return frames.render(self.setup, self.cell, self.render_mode)

    def close(self) -> None:
        """Ends the use of the environment; closing it again does nothing."""
        self._closed = True

    def _until_s(self, each: Slice) -> float:
        """Until when a slice has trained: until now, or the end of its episode."""
        return each.progress.end_s[-1] if each.progress.ended else self.cell.now_s

    def _info(self, terms: dict[str, float], costs: dict[str, float]) -> dict[str, Any]:
        return {
            "time_s": self.cell.now_s,
            "cost": sum(costs.values()),
            "costs": costs,
            "reward_terms": terms,
            "slices": {each.name: _account(each) for each in self.slices},
        }


def _account(each: Slice) -> dict[str, Any]:
    """What `info` says of a slice."""
    progress, limit = each.progress, each.row.violation_probability
    return {
        "rounds": progress.rounds,
        "violations": progress.violations,
        "violation_rate": each.violation_rate,
        "allowed_rate": 1.0 if limit is None else limit,
        "accuracy": each.accuracy,
        "latency_s": progress.latency_s,
        "latencies_s": tuple(progress.latencies_s[len(progress.latencies_s) - len(each.played) :]),
        "subchannels": len(each.grant.subchannels),
        "server_share": each.grant.server_share,
        "ended": progress.ended,
        "reached_target": progress.reached,
        "played": tuple(each.played),
    }
