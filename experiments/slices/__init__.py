"""What sharing a cell among slices costs: late rounds of one against the time to target of the other.

    python -m experiments slices

On the preset `two-slices`, with the surrogate. A run trains policies with its seed and plays all methods on ten
held-out seeds of its own. Learned: PPO on the reward minus a weight times the late rounds beyond the allowed share,
where the weight rises while there are too many (Lagrangian). Untrained: the
same policy before its first update. Not constrained: trained on the reward alone.
"""

from dataclasses import dataclass

from experiments.running import Case, Experiment, Row
from experiments.running.experiment import at_least
from experiments.slices.methods import CONTROLLERS, LEARNED, PERIODS, episodes
from experiments.slices.report import plot, report

EPISODES = 10
"""Held-out seeds of a run."""


@dataclass(frozen=True)
class Cases:
    """The methods."""

    training_periods: int = 4096
    """Periods on which a policy is trained."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form with few periods."""
        at_least(PERIODS, training_periods=self.training_periods)
        periods = PERIODS if quick else self.training_periods
        return [
            *({"method": method, "training_periods": 0} for method in (*CONTROLLERS, "untrained")),
            *({"method": method, "training_periods": periods} for method in LEARNED),
        ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for every held-out episode of a method."""
    return episodes(case["method"], case["training_periods"], seed, EPISODES)


EXPERIMENT = Experiment(
    title="What do late rounds of one slice cost the time to target of the other?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"slices": plot},
    seeds=3,
)
