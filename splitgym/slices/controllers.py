"""Controllers by name: rules that share a cell among slices without any training."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.inputs import InputError
from splitgym.schedulers.registry import Registry
from splitgym.slices.environment import SplitLearningSlicesEnv
from splitgym.slices.shares import Shares, shares_of, whole_shares


class Controller(ABC):
    """A controller of one environment.

    Attributes:
        env: The environment, without wrappers.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        unwrapped = getattr(env, "unwrapped", env)
        if not isinstance(unwrapped, SplitLearningSlicesEnv):
            raise TypeError(f"a controller needs a SplitLearningSlices environment, not {unwrapped!r}")
        self.env = unwrapped

    @classmethod
    def options(cls, **chosen: Any) -> tuple[str, ...]:
        """Names of the options that may be given beside `env`."""
        return tuple(inspect.signature(cls).parameters)[1:]

    @abstractmethod
    def decide(self) -> Shares:
        """What the slices get in the next period."""

    def act(self, observation: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[np.float32]:
        """The action nearest to that; `env.play(controller.decide())` is exact."""
        return self.env.encode(self.decide())

    @property
    def subchannels(self) -> int:
        """M."""
        return len(self.env.cell.owner)


class Static(Controller):
    """The same shares in every period.

    Args:
        env: The environment.
        critical: Share of band and server that latency-critical slices have together, 0..1, split evenly among them;
            None: every slice has the same.

    Raises:
        InputError: `critical` is not allowed.
    """

    def __init__(self, env: gym.Env[Any, Any], critical: float | None = None) -> None:
        super().__init__(env)
        if critical is not None and not (isinstance(critical, int | float) and 0 < critical < 1):
            raise InputError(f"critical = {critical!r}, allowed: above 0, below 1")
        weights = np.ones(len(self.env.slices))
        is_critical = np.array([each.is_critical for each in self.env.slices])
        if critical is not None and 0 < is_critical.sum() < len(is_critical):
            weights = np.where(is_critical, critical / is_critical.sum(), (1 - critical) / (~is_critical).sum())
        self._weights = np.tile(weights, (2, 1))

    def decide(self) -> Shares:
        """Equal or fixed weights, of the slices that run."""
        return shares_of(self._weights, self.env.running, self.subchannels)


class Random(Controller):
    """A random action in every period, drawn from the action space: `env.action_space.seed(seed)` repeats it."""

    def decide(self) -> Shares:
        """What a random action says."""
        return self.env.decode(self.env.action_space.sample())


class Predictive(Controller):
    """A controller that compares expected latencies: a slice with n of M subchannels has n / M of the server."""

    def latencies_s(self, index: int) -> Floats:
        """[M] expected latency of a round of a slice with 1..M subchannels."""
        counts = range(1, self.subchannels + 1)
        return np.array([self.expected_s(index, count) for count in counts])

    def expected_s(self, index: int, count: int) -> float:
        """Expected latency of a round of a slice with so many subchannels."""
        return self.env.slices[index].expected_latency_s(count, count / self.subchannels)

    def shares(self, counts: Ints) -> Shares:
        """So many subchannels, and as much of the server."""
        return Shares(counts, counts / counts.sum())


class Priority(Predictive):
    """Latency-critical slices first, as much as they are expected to need; the others share the rest evenly.

    A critical slice gets the fewest subchannels with which its round is expected to take at most `margin` times its
    deadline, in the order of the slices, as long as one is left for each of the others.

    Args:
        env: The environment.
        margin: Part of the deadline that an expected round may take: rounds are longer than expected, too.

    Raises:
        InputError: the margin is not above 0.
    """

    def __init__(self, env: gym.Env[Any, Any], margin: float = 0.8) -> None:
        super().__init__(env)
        if not (isinstance(margin, int | float) and 0 < margin <= 10):
            raise InputError(f"margin = {margin!r}, allowed: above 0, up to 10")
        self._margin = margin

    def decide(self) -> Shares:
        """As above; without others that run the critical ones share what is left."""
        running = np.flatnonzero(self.env.running).tolist()
        counts = np.zeros(len(self.env.slices), np.int64)
        if not running:
            return shares_of(np.ones((2, len(counts))), self.env.running, self.subchannels)
        counts[running], left = 1, self.subchannels - len(running)
        critical = [index for index in running if self.env.slices[index].is_critical]
        for index in critical:
            more = self._needed(index, left + 1) - 1
            counts[index], left = counts[index] + more, left - more
        others = [index for index in running if index not in critical] or critical
        counts[others] += whole_shares(np.ones(len(others)), left + len(others)) - 1
        return self.shares(counts)

    def _needed(self, index: int, most: int) -> int:
        """The fewest subchannels, 1..most, with which a critical slice is expected to be in time; else the most.

        Found by bisection: with more subchannels, and more of the server, rounds are shorter.
        """
        deadline_s = self.env.slices[index].row.deadline_s or np.inf
        low, high = 1, most
        while low < high:
            middle = (low + high) // 2
            if self.expected_s(index, middle) <= self._margin * deadline_s:
                high = middle
            else:
                low = middle + 1
        return low


class AlphaFair(Predictive):
    """The alpha-fair division of all slices by their expected rounds per second, over those with the whole cell.

    Maximises the sum of x^(1 - alpha) / (1 - alpha), of log x with alpha = 1, where x is a slice's rate over its rate
    with everything (Mo and Walrand, IEEE/ACM ToN 8(5), 2000): 0 the sum, 1 proportionally fair, large max-min. The
    whole numbers of subchannels are found exactly, slice by slice (dynamic programming). It knows no deadlines.

    Args:
        env: The environment.
        alpha: From 0 to 100.

    Raises:
        InputError: alpha is not allowed.
    """

    def __init__(self, env: gym.Env[Any, Any], alpha: float = 1.0) -> None:
        super().__init__(env)
        if not (isinstance(alpha, int | float) and 0 <= alpha <= 100):
            raise InputError(f"alpha = {alpha!r}, allowed: 0..100")
        self._alpha = alpha

    def decide(self) -> Shares:
        """As above, of the slices that run."""
        running = np.flatnonzero(self.env.running).tolist()
        counts = np.zeros(len(self.env.slices), np.int64)
        if not running:
            return shares_of(np.ones((2, len(counts))), self.env.running, self.subchannels)
        latency_s = np.array([self.latencies_s(index) for index in running])
        counts[running] = best_counts(utility(latency_s[:, -1:] / latency_s, self._alpha))
        return self.shares(counts)


def utility(rate: Floats, alpha: float) -> Floats:
    """The alpha-fair utility of rates above 0."""
    with np.errstate(divide="ignore"):
        return np.log(rate) if alpha == 1 else rate ** (1 - alpha) / (1 - alpha)


def best_counts(utilities: Floats) -> Ints:
    """[S] whole numbers from 1 that sum to M and have the largest sum of utilities; of equals the smaller, first.

    Args:
        utilities: [S, M] of each slice with 1..M subchannels.
    """
    slices, most = utilities.shape
    # best[m]: the largest sum of the slices so far with m subchannels together; chosen[s, m]: what slice s has then.
    best = np.full(most + 1, -np.inf)
    best[0] = 0.0
    chosen = np.zeros((slices, most + 1), np.int64)
    for index in range(slices):
        after = np.full(most + 1, -np.inf)
        for together in range(index + 1, most + 1):
            counts = np.arange(1, together - index + 1)
            sums = best[together - counts] + utilities[index, counts - 1]
            after[together], chosen[index, together] = sums.max(), counts[np.argmax(sums)]
        best = after
    found, together = np.zeros(slices, np.int64), most
    for index in reversed(range(slices)):
        found[index] = chosen[index, together]
        together -= found[index]
    return found


CONTROLLERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "static": ("splitgym.slices.controllers:Static", {}),
    "priority": ("splitgym.slices.controllers:Priority", {}),
    "alpha-fair": ("splitgym.slices.controllers:AlphaFair", {}),
    "random": ("splitgym.slices.controllers:Random", {}),
}
"""Those of the package, as `Registry` takes them."""

_REGISTRY: Registry[Controller] = Registry("controller", Controller, CONTROLLERS)


def names() -> tuple[str, ...]:
    """Names of the controllers that come with the package."""
    return _REGISTRY.names()


def make(name: str, env: gym.Env[Any, Any], **options: Any) -> Controller:
    """Makes the controller of that name for an environment.

    Args:
        name: See `names`; or `module:NAME` of a class of one's own that is derived from `Controller`.
        env: A SplitLearningSlices environment, wrapped or not.
        options: Of the controller, as its class says.

    Raises:
        ValueError: there is no such controller, or an option is unknown or has a value that is not allowed.
        TypeError: `env` is no SplitLearningSlices environment.
    """
    return _REGISTRY.make(name, env, **options)


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Reads `name:option=value`: name and options of a controller for `make`.

    Raises:
        ValueError: there is no such controller or option.
    """
    return _REGISTRY.parse(text)


def factory(text: str) -> Callable[[gym.Env[Any, Any]], Controller]:
    """What makes the controller that a text names, see `parse`; picklable.

    Raises:
        ValueError: as `parse`.
    """
    return _REGISTRY.factory(text)
